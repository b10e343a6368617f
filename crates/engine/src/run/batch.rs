//! A batch of verdicts with the bytes that are journalled before it is sent.

use tidegate_model::error::{Error, Result};

use crate::plan::reconcile::{Names, Verdict, pack, unpack};

/// Verdicts that are sent and settled together.
pub(crate) struct Batch {
    pub verdicts: Vec<Verdict>,
    /// The same, packed: what was spooled is journalled as it is.
    packed: Vec<u8>,
    names: Names,
}

impl Batch {
    /// A batch of so many verdicts that come packed, one behind the other.
    pub fn unpacked(packed: Vec<u8>, count: usize, names: Names) -> Result<Self> {
        let verdicts = unpacked(&packed, count, &names)?;
        Ok(Self { verdicts, packed, names })
    }

    /// A batch of verdicts that were never spooled.
    pub fn of(verdicts: Vec<Verdict>) -> Result<Self> {
        let (mut names, mut packed) = (Names::default(), Vec::new());
        for verdict in &verdicts {
            pack(verdict, &mut names, &mut packed)?;
        }
        Ok(Self { verdicts, packed, names })
    }

    /// What is journalled as its intents. The packed form goes: it is needed once.
    pub fn journal(&mut self) -> Result<Vec<u8>> {
        let packed = std::mem::take(&mut self.packed);
        let head = postcard::to_extend(&(&self.names, self.verdicts.len()), Vec::with_capacity(packed.len() + 1_024));
        let mut payload = head.map_err(|error| Error::internal("write intents").cause(error))?;
        payload.extend_from_slice(&packed);
        Ok(payload)
    }

    /// The verdicts of what [`Batch::journal`] wrote.
    pub fn read(payload: &[u8]) -> Result<Vec<Verdict>> {
        let head = postcard::take_from_bytes::<(Names, usize)>(payload);
        let ((names, count), packed) =
            head.map_err(|error| Error::internal("read the intents of an interrupted run").cause(error))?;
        unpacked(packed, count, &names)
    }
}

fn unpacked(packed: &[u8], count: usize, names: &Names) -> Result<Vec<Verdict>> {
    // Its two prints alone take 32 bytes: a damaged count asks for no room that the bytes cannot fill.
    let mut verdicts = Vec::with_capacity(count.min(packed.len() / 32));
    let mut rest = packed;
    for _ in 0..count {
        let (verdict, after) = unpack(rest, names)?;
        verdicts.push(verdict);
        rest = after;
    }
    Ok(verdicts)
}
