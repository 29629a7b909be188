//! The directory of names: what opaque ids stand for (docs/format.md §17).

use chrono::{DateTime, Utc};

use super::cbor::{Fields, Malformed};
use super::{padme, read_time, time};

/// Said to the recipient's key encapsulation.
pub(crate) const INFO: &[u8] = b"sbv1/name";

/// What an id stands for, from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) time: DateTime<Utc>,
}

impl Named {
    /// As it is sealed: with padding.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let fields = Fields::new().with(1, self.id.as_str()).with(2, self.name.as_str()).with(3, time(self.time));
        let mut bytes = fields.encode();
        let padded = padme(bytes.len() as u64);
        bytes.resize(usize::try_from(padded).expect("little more than what is in memory"), 0);
        bytes
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(plaintext)?;
        Ok(Self { id: fields.need(1)?.text()?, name: fields.need(2)?.text()?, time: read_time(fields.need(3)?)? })
    }
}
