//! The bytes of a field's images: one byte says what follows. Ledgers hold a field of every record, so each byte counts.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidegate_model::ports::Print;
use tidegate_model::sync::Target;

use super::super::append::append;
use super::{FieldImage, Image};

const WAREHOUSE: u8 = 1;
const PLATFORM: u8 = 2;
const WAREHOUSE_PRINT: u8 = 4;
const PLATFORM_PRINT: u8 = 8;
const SENT_PLATFORM: u8 = 16;
const SENT_WAREHOUSE: u8 = 32;

fn bits(image: Option<&Image>, there: u8, print: u8) -> u8 {
    match image {
        None => 0,
        Some(Image::Value(_)) => there,
        Some(Image::Print(_)) => there | print,
    }
}

fn head(images: &FieldImage) -> u8 {
    let mut head = bits(images.warehouse.as_ref(), WAREHOUSE, WAREHOUSE_PRINT);
    head |= bits(images.platform.as_ref(), PLATFORM, PLATFORM_PRINT);
    head |= if images.sent_platform.is_some() { SENT_PLATFORM } else { 0 };
    head | if images.sent_warehouse.is_some() { SENT_WAREHOUSE } else { 0 }
}

/// Appends what [`FieldImage`] is serialised as.
pub(super) fn append_images(images: &FieldImage, into: &mut Vec<u8>) -> postcard::Result<()> {
    into.push(head(images));
    for image in [&images.warehouse, &images.platform].into_iter().flatten() {
        match image {
            Image::Value(value) => append(value, into)?,
            Image::Print(print) => into.extend_from_slice(print),
        }
    }
    let sent = [&images.sent_platform, &images.sent_warehouse];
    sent.into_iter().flatten().try_for_each(|sent| append(sent, into))
}

/// Appends the images of a field that has one print and nothing else.
pub(super) fn append_print(side: Target, print: &Print, into: &mut Vec<u8>) {
    into.push(match side {
        Target::Warehouse => WAREHOUSE | WAREHOUSE_PRINT,
        Target::Platform => PLATFORM | PLATFORM_PRINT,
    });
    into.extend_from_slice(print);
}

impl Serialize for FieldImage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = head(self);
        let parts = (head & (WAREHOUSE | PLATFORM | SENT_PLATFORM | SENT_WAREHOUSE)).count_ones();
        let mut tuple = serializer.serialize_tuple(1 + parts as usize)?;
        tuple.serialize_element(&head)?;
        for image in [&self.warehouse, &self.platform].into_iter().flatten() {
            match image {
                Image::Value(value) => tuple.serialize_element(value)?,
                Image::Print(print) => tuple.serialize_element(print)?,
            }
        }
        for sent in [&self.sent_platform, &self.sent_warehouse].into_iter().flatten() {
            tuple.serialize_element(sent)?;
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for FieldImage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // One byte and at most four parts.
        deserializer.deserialize_tuple(5, Parts)
    }
}

struct Parts;

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(parts: &mut A) -> Result<T, A::Error> {
    parts.next_element()?.ok_or_else(|| A::Error::custom("a field's images end early"))
}

fn image<'de, A: SeqAccess<'de>>(parts: &mut A, head: u8, there: u8, print: u8) -> Result<Option<Image>, A::Error> {
    match (head & there != 0, head & print != 0) {
        (false, _) => Ok(None),
        (true, false) => next(parts).map(|value| Some(Image::Value(value))),
        (true, true) => next(parts).map(|print| Some(Image::Print(print))),
    }
}

impl<'de> Visitor<'de> for Parts {
    type Value = FieldImage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the images of a field")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<FieldImage, A::Error> {
        let head: u8 = next(&mut parts)?;
        Ok(FieldImage {
            warehouse: image(&mut parts, head, WAREHOUSE, WAREHOUSE_PRINT)?,
            platform: image(&mut parts, head, PLATFORM, PLATFORM_PRINT)?,
            sent_platform: if head & SENT_PLATFORM != 0 { Some(next(&mut parts)?) } else { None },
            sent_warehouse: if head & SENT_WAREHOUSE != 0 { Some(next(&mut parts)?) } else { None },
        })
    }
}

#[cfg(test)]
mod tests {
    use tidegate_model::time::Instant;
    use tidegate_model::value::Value;

    use super::super::{Detail, Sent};
    use super::*;

    #[test]
    fn every_mixture_of_parts_comes_back() {
        let sent = Sent { value: Value::Int(1), before: None, at: Instant(7), streak: 2, seen: true };
        let images = [None, Some(Image::Value(Value::text("x"))), Some(Image::Print([9; 16]))];
        let mut detail = Detail::default();
        let mut id = u64::MAX;
        for warehouse in &images {
            for platform in &images {
                for (to_platform, to_warehouse) in [(true, true), (true, false), (false, true), (false, false)] {
                    let field = FieldImage {
                        warehouse: warehouse.clone(),
                        platform: platform.clone(),
                        sent_platform: to_platform.then(|| Box::new(sent.clone())),
                        sent_warehouse: to_warehouse.then(|| Box::new(sent.clone())),
                    };
                    *detail.field_mut(id) = field;
                    id -= 1;
                }
            }
        }
        detail.set_wrote(Target::Platform, Instant(-7));
        let bytes = detail.encode().expect("encoded");
        assert_eq!(bytes, postcard::to_allocvec(&detail).expect("encoded"), "written as serde would");
        assert_eq!(Detail::decode(&bytes).expect("decoded"), detail);
    }

    #[test]
    fn prints_of_one_side_are_written_as_if_they_had_been_images() {
        for side in [Target::Warehouse, Target::Platform] {
            let mut detail = Detail::default();
            detail.set_wrote(side.other(), Instant(1_700_000_000_000_000));
            let fields = [(u64::MAX, [9; 16]), (3, [0; 16])];
            let bytes = detail.encode_prints(side, fields.len(), fields.into_iter()).expect("encoded");
            fields.into_iter().for_each(|(id, print)| detail.field_mut(id).set(side, Image::Print(print)));
            assert_eq!(bytes, detail.encode().expect("encoded"));
        }
    }

    #[test]
    fn a_print_takes_little_more_than_itself() {
        let mut detail = Detail::default();
        let before = detail.encode().expect("encoded").len();
        detail.field_mut(u64::MAX).warehouse = Some(Image::Print([9; 16]));
        assert_eq!(detail.encode().expect("encoded").len() - before, 10 + 1 + 16);
    }
}
