//! Journal entries: what each run changed (docs/format.md §10).

use chrono::{DateTime, Utc};
use sb_crypto::Digest;

use super::cbor::{Fields, Malformed, Value, array};
use super::{read_time, time};

/// One entry of one writer's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JournalEntry {
    pub(crate) sequence: u64,
    pub(crate) previous: Option<Digest>,
    pub(crate) time: DateTime<Utc>,
    pub(crate) operation: String,
    pub(crate) generation: u64,
    pub(crate) added: Vec<Added>,
    pub(crate) removed: Vec<(String, u64)>,
}

/// An object that a run added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Added {
    pub(crate) name: String,
    pub(crate) size: u64,
    /// Where the name does not hold all of it.
    pub(crate) digest: Option<Digest>,
}

impl JournalEntry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let added = array(&self.added, |object| {
            let mut item: Vec<Value> = vec![object.name.as_str().into(), object.size.into()];
            item.extend(object.digest.map(Value::from));
            item
        });
        let removed = array(&self.removed, |(name, size)| vec![name.as_str().into(), Value::from(*size)]);
        Fields::new()
            .with(1, self.sequence)
            .with_some(2, self.previous)
            .with(3, time(self.time))
            .with(4, self.operation.as_str())
            .with(5, self.generation)
            .with(6, added)
            .with(7, removed)
            .encode()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(body)?;
        Ok(Self {
            sequence: fields.need(1)?.uint()?,
            previous: fields.take(2).map(|v| v.array_of().map(Digest::from_bytes)).transpose()?,
            time: read_time(fields.need(3)?)?,
            operation: fields.need(4)?.text()?,
            generation: fields.need(5)?.uint()?,
            added: fields.need(6)?.list(|item| {
                let mut parts = item.array()?.into_iter();
                let mut next = || parts.next().ok_or(Malformed("an array has the wrong length"));
                let (name, size) = (next()?.text()?, next()?.uint()?);
                let digest = parts.next().map(|v| v.array_of().map(Digest::from_bytes)).transpose()?;
                Ok(Added { name, size, digest })
            })?,
            removed: fields.need(7)?.list(|item| {
                let [name, size] = item.tuple()?;
                Ok((name.text()?, size.uint()?))
            })?,
        })
    }
}
