//! Redactions: which tree nodes stand in for others (docs/format.md §13).

use chrono::{DateTime, Utc};

use super::cbor::{Fields, Malformed};
use super::node::Reference;
use super::read_time;
use crate::ids::ChunkId;

/// Said to the recipient's key encapsulation.
pub(crate) const INFO: &[u8] = b"sbv1/redaction";

/// Old nodes and what is to be read in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redaction {
    pub(crate) nodes: Vec<(ChunkId, Reference)>,
    pub(crate) time: DateTime<Utc>,
}

impl Redaction {
    #[cfg(feature = "testing")]
    pub(crate) fn encode(&self) -> Vec<u8> {
        use super::cbor::{Value, array};
        let nodes = array(&self.nodes, |(old, new)| vec![Value::from(*old), new.encode()]);
        Fields::new().with(1, nodes).with(2, super::time(self.time)).encode()
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(plaintext)?;
        Ok(Self {
            nodes: fields.need(1)?.list(|item| {
                let [old, new] = item.tuple()?;
                Ok((ChunkId::new(old.array_of()?), Reference::decode(new)?))
            })?,
            time: read_time(fields.need(2)?)?,
        })
    }
}
