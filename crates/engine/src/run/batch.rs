//! A batch of verdicts with the bytes that are journalled before it is sent.

use tidegate_model::error::{Error, Result};
use tidegate_model::record::FieldName;

use crate::plan::reconcile::{Names, Verdict, pack, unpack};

/// What journals of this form begin with. Those of earlier versions begin with their names: no names and no verdicts, as this
/// would say there, were never journalled.
const FORM: [u8; 3] = [0, 0, 2];

/// Bytes of packed verdicts from which on no more of them go together: three batches are in memory at once, each as bytes, as
/// values and as the body of a call.
pub(crate) const BATCH_BYTES_MAX: usize = 8 << 20;

/// Verdicts that are sent and settled together.
pub(crate) struct Batch {
    pub verdicts: Vec<Verdict>,
    /// The same, packed: what was spooled is journalled as it is.
    payload: Vec<u8>,
}

impl Batch {
    /// What stands before the packed verdicts of a batch: its form, the names that they refer to, and how many there are.
    pub fn head(names: &Names, count: usize, into: Vec<u8>) -> Result<Vec<u8>> {
        postcard::to_extend(&(FORM, names, count), into).map_err(|error| Error::internal("write intents").cause(error))
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
        let head = match payload.strip_prefix(&FORM) {
            Some(payload) => postcard::take_from_bytes::<(Names, usize)>(payload),
            None => postcard::take_from_bytes::<(Vec<FieldName>, usize)>(payload)
                .map(|((names, count), rest)| ((Names::of_earlier(names), count), rest)),
        };
        let unread = || Error::internal("read the intents of an interrupted run");
        let ((names, count), mut rest) = head.map_err(|error| unread().cause(error))?;
        if count == 0 {
            // What asks for nothing is not journalled: the bytes end early.
            return Err(unread());
        }
        // Its two prints alone take 32 bytes: a damaged count asks for no room that the bytes cannot fill.
        let mut verdicts = Vec::with_capacity(count.min(rest.len() / 32));
        for _ in 0..count {
            verdicts.push(unpack(&mut rest, &names)?);
        }
        Ok(verdicts)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_model::change::{Action, Reject};
    use tidegate_model::ports::Conflict;
    use tidegate_model::record::{Fields, Key, RemoteId};
    use tidegate_model::sync::Target;
    use tidegate_model::value::Value;

    use super::*;
    use crate::plan::images::Detail;
    use crate::plan::reconcile::{Asked, Class, FieldWrite, TargetPlan, Writes};

    fn plan(class: Class, change: Option<Asked>, writes: Writes) -> TargetPlan {
        TargetPlan { class, change, writes, dropped: 2 }
    }

    fn verdict(key: &str) -> Verdict {
        let write = |id: u64, name: &str, sent: &str| {
            let (source, before) = (Some(Box::new(Value::text("own"))), Some(Box::new(Value::Int(3))));
            FieldWrite { id, name: name.into(), source, sent: Value::text(sent), before, streak: 2 }
        };
        let plain = FieldWrite { source: None, before: None, streak: 1, ..write(u64::MAX, "b", "2") };
        let fields: Fields = [("b".into(), Value::Null)].into_iter().collect();
        let asked =
            Asked { remote: Some(RemoteId::new("r")), action: Action::Update, fields: Some(fields), expect: None };
        Verdict {
            key: Key::new(key),
            remote: Some(RemoteId::new("r")),
            flags: 1,
            prints: ([1; 16], [2; 16]),
            detail: Detail::default(),
            open: true,
            remove: false,
            keep: true,
            to_platform: plan(Class::Write, Some(asked), [write(7, "a", "1"), plain].into_iter().collect()),
            to_warehouse: plan(Class::Aside, None, Writes::default()),
            rejects: Vec::new(),
            over: vec![Target::Warehouse],
            conflicts: Vec::new(),
            was_open: false,
        }
    }

    /// What versions until 2026-11-29 wrote: names alone, and each write with its id as it is.
    fn earlier(verdicts: &[Verdict]) -> Vec<u8> {
        let names = ["a", "b"];
        let number = |name: &str| names.iter().position(|known| *known == name).unwrap() as u32;
        let mut bytes = postcard::to_allocvec(&(names.to_vec(), verdicts.len())).unwrap();
        let mut put = |part: Vec<u8>| bytes.extend(part);
        for it in verdicts {
            put(postcard::to_allocvec(&(&it.key, &it.remote, it.flags, it.prints)).unwrap());
            put(postcard::to_allocvec(&(&it.detail, 0b101_u8)).unwrap());
            for plan in [&it.to_platform, &it.to_warehouse] {
                put(postcard::to_allocvec(&(plan.class, plan.change.is_some())).unwrap());
                if let Some(asked) = &plan.change {
                    put(postcard::to_allocvec(&(&asked.remote, asked.action)).unwrap());
                    for fields in [&asked.fields, &asked.expect] {
                        let one = |(name, value): (&FieldName, &Value)| (number(name), value.clone());
                        let fields: Option<Vec<(u32, Value)>> =
                            fields.as_ref().map(|all| all.iter().map(one).collect());
                        put(postcard::to_allocvec(&fields).unwrap());
                    }
                }
                put(postcard::to_allocvec(&plan.writes.len()).unwrap());
                for write in plan.writes.iter() {
                    let source = Some(write.source()).filter(|source| *source != write.sent);
                    let parts = (write.id(), number(write.name), None::<u32>, source, write.sent, write.before());
                    put(postcard::to_allocvec(&(parts, write.streak())).unwrap());
                }
                put(postcard::to_allocvec(&plan.dropped).unwrap());
            }
            put(postcard::to_allocvec(&(Vec::<Reject>::new(), &it.over, Vec::<Conflict>::new())).unwrap());
        }
        bytes
    }

    #[test]
    fn journals_of_this_and_of_earlier_versions_are_read() {
        let verdicts = vec![verdict("one"), verdict("two")];
        assert_eq!(Batch::read(&earlier(&verdicts)).unwrap(), verdicts);
        let payload = Batch::of(verdicts.clone()).unwrap().journal();
        assert!(payload.starts_with(&FORM) && payload.len() < earlier(&verdicts).len());
        assert_eq!(Batch::read(&payload).unwrap(), verdicts);
    }

    #[test]
    fn a_journal_that_ends_early_is_told_of_wherever_it_ends() {
        let payload = Batch::of(vec![verdict("one")]).unwrap().journal();
        for end in 0..payload.len() {
            assert!(Batch::read(&payload[..end]).is_err(), "cut at {end} of {}", payload.len());
        }
    }
}
