//! Images: what each side of each field last showed or acknowledged, as the ledger keeps it.

use serde::{Deserialize, Serialize};
use tidegate_model::error::{Error, Result};
use tidegate_model::ports::Print;
use tidegate_model::sync::{LedgerKind, Target};
use tidegate_model::time::Instant;
use tidegate_model::value::Value;

use super::append::append;
use super::prints::Printer;

mod bytes;

/// The value of a field as one side last showed it, or its print.
#[derive(Debug, Clone, PartialEq)]
pub enum Image {
    /// The value itself.
    Value(Value),
    /// Its print (`ledger: fingerprints`).
    Print(Print),
}

impl Image {
    /// An image of a value as the ledger keeps it.
    pub fn of(value: &Value, kind: LedgerKind, printer: &Printer) -> Self {
        match kind {
            LedgerKind::Values => Image::Value(value.clone()),
            LedgerKind::Fingerprints => Image::Print(printer.value(value)),
        }
    }
    /// The value, where it is kept.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Image::Value(value) => Some(value),
            Image::Print(_) => None,
        }
    }
}

/// What we wrote to a side and have not seen back yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// The value that was sent.
    pub value: Value,
    /// What stood there before.
    pub before: Option<Value>,
    /// When.
    pub at: Instant,
    /// In how many runs in a row this same value was sent.
    pub streak: u8,
    /// Whether a read has shown it since.
    pub seen: bool,
}

/// One field of a record in the ledger.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FieldImage {
    /// The warehouse's side; none until it is linked.
    pub warehouse: Option<Image>,
    /// The platform's side.
    pub platform: Option<Image>,
    /// What we last sent to the platform.
    pub sent_platform: Option<Box<Sent>>,
    /// What we last sent to the warehouse.
    pub sent_warehouse: Option<Box<Sent>>,
}

impl FieldImage {
    /// The image of one side.
    pub fn side(&self, side: Target) -> Option<&Image> {
        match side {
            Target::Warehouse => self.warehouse.as_ref(),
            Target::Platform => self.platform.as_ref(),
        }
    }
    /// Sets the image of one side.
    pub fn set(&mut self, side: Target, image: Image) {
        match side {
            Target::Warehouse => self.warehouse = Some(image),
            Target::Platform => self.platform = Some(image),
        }
    }
    /// What we last sent to a side.
    pub fn sent(&self, to: Target) -> Option<&Sent> {
        match to {
            Target::Warehouse => self.sent_warehouse.as_deref(),
            Target::Platform => self.sent_platform.as_deref(),
        }
    }
    /// The same, to be changed.
    pub fn sent_mut(&mut self, to: Target) -> &mut Option<Box<Sent>> {
        match to {
            Target::Warehouse => &mut self.sent_warehouse,
            Target::Platform => &mut self.sent_platform,
        }
    }
}

/// The detail of a ledger entry: its fields by the id of their mapping.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    fields: Vec<(u64, FieldImage)>,
    /// When we last wrote the record on the platform.
    pub wrote_platform: Option<Instant>,
    /// When we last wrote the record in the warehouse.
    pub wrote_warehouse: Option<Instant>,
}

impl Detail {
    /// Reads what [`Detail::encode`] wrote; empty bytes are an empty detail.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        postcard::from_bytes(bytes).map_err(|error| Error::internal("read a ledger entry's images").cause(error))
    }
    /// The bytes for the ledger: those that serde would write, with each print in one go instead of byte by byte.
    pub fn encode(&self) -> Result<Vec<u8>> {
        self.encoded(self.fields.len(), |into| {
            self.fields.iter().try_for_each(|(id, image)| {
                append(id, into)?;
                bytes::append_images(image, into)
            })
        })
    }
    /// The bytes of the same with an image of one side for each of so many fields: their prints, under the ids of their
    /// mappings. No field may have an image yet.
    pub fn encode_prints(
        &self,
        side: Target,
        count: usize,
        mut prints: impl Iterator<Item = (u64, Print)>,
    ) -> Result<Vec<u8>> {
        self.encoded(count, |into| {
            prints.try_for_each(|(id, print)| {
                append(&id, into)?;
                bytes::append_print(side, &print, into);
                Ok(())
            })
        })
    }
    fn encoded(&self, count: usize, fields: impl FnOnce(&mut Vec<u8>) -> postcard::Result<()>) -> Result<Vec<u8>> {
        // Room for a print a field: most ledgers keep prints, and growing costs more than the writing itself.
        let mut into = Vec::with_capacity(32 + 32 * count);
        append(&count, &mut into)
            .and_then(|()| fields(&mut into))
            .and_then(|()| append(&(&self.wrote_platform, &self.wrote_warehouse), &mut into))
            .map_err(|error| Error::internal("write a ledger entry's images").cause(error))?;
        Ok(into)
    }
    /// Makes room for so many fields.
    pub fn reserve(&mut self, fields: usize) {
        self.fields.reserve(fields.saturating_sub(self.fields.len()));
    }
    /// A field's images.
    pub fn field(&self, id: u64) -> Option<&FieldImage> {
        self.fields.iter().find(|(field, _)| *field == id).map(|(_, image)| image)
    }
    /// A field's images, made if they are not there.
    pub fn field_mut(&mut self, id: u64) -> &mut FieldImage {
        let at = match self.fields.iter().position(|(field, _)| *field == id) {
            Some(at) => at,
            None => {
                self.fields.push((id, FieldImage::default()));
                self.fields.len() - 1
            }
        };
        &mut self.fields[at].1
    }
    /// A field's images, if there are any.
    pub fn known_mut(&mut self, id: u64) -> Option<&mut FieldImage> {
        self.fields.iter_mut().find(|(field, _)| *field == id).map(|(_, images)| images)
    }
    /// The images of all fields.
    pub fn images(&self) -> impl Iterator<Item = &FieldImage> {
        self.fields.iter().map(|(_, image)| image)
    }
    /// Forgets the images of fields that are no longer mapped.
    pub fn keep_only(&mut self, ids: impl Fn(u64) -> bool) {
        self.fields.retain(|(id, _)| ids(*id));
    }
    /// When we last wrote the record on a side.
    pub fn wrote(&self, side: Target) -> Option<Instant> {
        match side {
            Target::Warehouse => self.wrote_warehouse,
            Target::Platform => self.wrote_platform,
        }
    }
    /// Notes that we wrote the record on a side.
    pub fn set_wrote(&mut self, side: Target, at: Instant) {
        match side {
            Target::Warehouse => self.wrote_warehouse = Some(at),
            Target::Platform => self.wrote_platform = Some(at),
        }
    }
}
