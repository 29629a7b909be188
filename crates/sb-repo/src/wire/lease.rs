//! Leases, fences and condemned lists (docs/format.md §10).

use chrono::{DateTime, Utc};

use super::cbor::{Fields, Malformed, Value, array};
use super::{read_time, time};
use crate::ids::{Id, RunId, SnapshotId};

/// Says that a run is writing, and which snapshots it builds on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) run: RunId,
    pub(crate) generation: u64,
    pub(crate) started: DateTime<Utc>,
    pub(crate) expires: DateTime<Utc>,
    pub(crate) bases: Vec<SnapshotId>,
    pub(crate) vault_generation: u64,
    /// The epoch whose keys the run seals to.
    pub(crate) epoch: u64,
}

impl Lease {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Fields::new()
            .with(1, self.run)
            .with(2, self.generation)
            .with(3, time(self.started))
            .with(4, time(self.expires))
            .with(5, array(&self.bases, |base| *base))
            .with(6, self.vault_generation)
            .with_some(7, (self.epoch > 0).then_some(self.epoch))
            .encode()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(body)?;
        Ok(Self {
            run: RunId::new(fields.need(1)?.array_of()?),
            generation: fields.need(2)?.uint()?,
            started: read_time(fields.need(3)?)?,
            expires: read_time(fields.need(4)?)?,
            bases: fields.need(5)?.list(|base| base.array_of().map(SnapshotId::new))?,
            vault_generation: fields.need(6)?.uint()?,
            epoch: fields.take(7).map_or(Ok(0), Value::uint)?,
        })
    }
}

/// Says that a collection of this vault generation has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    pub(crate) id: Id<(), 8>,
    pub(crate) vault_generation: u64,
    pub(crate) time: DateTime<Utc>,
}

impl Fence {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Fields::new().with(1, self.id).with(2, self.vault_generation).with(3, time(self.time)).encode()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(body)?;
        Ok(Self {
            id: Id::new(fields.need(1)?.array_of()?),
            vault_generation: fields.need(2)?.uint()?,
            time: read_time(fields.need(3)?)?,
        })
    }
}

/// The names of objects that a collector is about to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condemned {
    pub(crate) id: Id<(), 8>,
    pub(crate) vault_generation: u64,
    pub(crate) time: DateTime<Utc>,
    pub(crate) names: Vec<String>,
}

impl Condemned {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Fields::new()
            .with(1, self.id)
            .with(2, self.vault_generation)
            .with(3, time(self.time))
            .with(4, array(&self.names, String::as_str))
            .encode()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(body)?;
        Ok(Self {
            id: Id::new(fields.need(1)?.array_of()?),
            vault_generation: fields.need(2)?.uint()?,
            time: read_time(fields.need(3)?)?,
            names: fields.need(4)?.list(Value::text)?,
        })
    }
}
