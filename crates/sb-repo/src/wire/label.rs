//! Labels: tags given to a snapshot after it was made (docs/format.md §14).

use chrono::{DateTime, Utc};

use super::cbor::{Fields, Malformed, Value, array};
use super::{padme, read_time, time};
use crate::ids::SnapshotId;

/// Said to the recipient's key encapsulation.
pub(crate) const INFO: &[u8] = b"sbv1/label";

/// The tags of a snapshot from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) snapshot: SnapshotId,
    pub(crate) tags: Vec<String>,
    pub(crate) time: DateTime<Utc>,
}

impl Label {
    /// As it is sealed: with padding.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let tags = array(&self.tags, String::as_str);
        let mut bytes = Fields::new().with(1, self.snapshot).with(2, tags).with(3, time(self.time)).encode();
        let padded = padme(bytes.len() as u64);
        bytes.resize(usize::try_from(padded).expect("little more than what is in memory"), 0);
        bytes
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(plaintext)?;
        Ok(Self {
            snapshot: SnapshotId::new(fields.need(1)?.array_of()?),
            tags: fields.need(2)?.list(Value::text)?,
            time: read_time(fields.need(3)?)?,
        })
    }
}
