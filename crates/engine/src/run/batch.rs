//! A batch of verdicts with the bytes that are journalled before it is sent.

use tidegate_model::error::{Error, Result};

use crate::plan::reconcile::{Names, Verdict, pack, unpack};

/// Verdicts that are sent and settled together.
pub(crate) struct Batch {
    pub verdicts: Vec<Verdict>,
    /// The same, packed: what was spooled is journalled as it is.
    payload: Vec<u8>,
}

impl Batch {
    /// What stands before the packed verdicts of a batch: the names that they refer to, and how many there are.
    pub fn head(names: &Names, count: usize, into: Vec<u8>) -> Result<Vec<u8>> {
        postcard::to_extend(&(names, count), into).map_err(|error| Error::internal("write intents").cause(error))
    }

    /// A batch of what [`Batch::head`] and packed verdicts make.
    pub fn unpacked(payload: Vec<u8>) -> Result<Self> {
        Ok(Self { verdicts: Self::read(&payload)?, payload })
    }

    /// A batch of verdicts that were never spooled.
    pub fn of(verdicts: Vec<Verdict>) -> Result<Self> {
        let (mut names, mut packed) = (Names::default(), Vec::new());
        for verdict in &verdicts {
            pack(verdict, &mut names, &mut packed)?;
        }
        let mut payload = Self::head(&names, verdicts.len(), Vec::with_capacity(packed.len() + 1_024))?;
        payload.extend_from_slice(&packed);
        Ok(Self { verdicts, payload })
    }

    /// What is journalled as its intents. It goes: it is needed once.
    pub fn journal(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.payload)
    }

    /// The verdicts of what [`Batch::journal`] gave.
    pub fn read(payload: &[u8]) -> Result<Vec<Verdict>> {
        let head = postcard::take_from_bytes::<(Names, usize)>(payload);
        let ((names, count), mut rest) =
            head.map_err(|error| Error::internal("read the intents of an interrupted run").cause(error))?;
        // Its two prints alone take 32 bytes: a damaged count asks for no room that the bytes cannot fill.
        let mut verdicts = Vec::with_capacity(count.min(rest.len() / 32));
        for _ in 0..count {
            let (verdict, after) = unpack(rest, &names)?;
            verdicts.push(verdict);
            rest = after;
        }
        Ok(verdicts)
    }
}
