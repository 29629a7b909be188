//! Snapshots: one point in time of one compartment (docs/format.md §12).

use chrono::{DateTime, Utc};
use sb_crypto::Digest;

use super::cbor::{Fields, Malformed, Value, array};
use super::node::Reference;
use super::{padme, read_time, time};
use crate::ids::{CompartmentId, SnapshotId, UserId};

/// Said to the recipient's key encapsulation.
pub(crate) const INFO: &[u8] = b"sbv1/snapshot";

/// How a snapshot was made; each restores whole by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotType {
    /// Every byte was read.
    Full = 1,
    /// What the newest snapshot says is unchanged was not read.
    Incremental = 2,
    /// What the newest full snapshot says is unchanged was not read.
    Differential = 3,
}

/// What a snapshot holds, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Regular files.
    pub files: u64,
    /// Folders, ancestors of sources included.
    pub folders: u64,
    /// Links, FIFOs, sockets and devices.
    pub others: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Chunks that the vault did not have.
    pub new_chunks: u64,
    /// Bytes in those chunks.
    pub new_bytes: u64,
    /// Bytes of the packs written for them.
    pub stored_bytes: u64,
}

/// A snapshot in the clear.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SnapshotBody {
    pub(crate) compartment: CompartmentId,
    pub(crate) root: Reference,
    pub(crate) base: Option<SnapshotId>,
    pub(crate) kind: SnapshotType,
    pub(crate) host: Vec<u8>,
    pub(crate) user: UserId,
    pub(crate) sources: Vec<Vec<u8>>,
    pub(crate) started: DateTime<Utc>,
    pub(crate) finished: DateTime<Utc>,
    pub(crate) counts: Counts,
    pub(crate) document_root: Digest,
    pub(crate) documents: u64,
    pub(crate) problem_count: u64,
    pub(crate) problems: Option<Reference>,
    pub(crate) tags: Vec<String>,
    pub(crate) version: String,
}

impl SnapshotBody {
    /// As it is sealed: with padding.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let counts = &self.counts;
        let numbers = [
            counts.files,
            counts.folders,
            counts.others,
            counts.bytes,
            counts.new_chunks,
            counts.new_bytes,
            counts.stored_bytes,
        ];
        let counts = (1..).zip(numbers).fold(Fields::new(), |fields, (key, number)| fields.with(key, number));
        let mut bytes = Fields::new()
            .with(1, self.compartment)
            .with(2, self.root.encode())
            .with_some(3, self.base)
            .with(4, self.kind as u64)
            .with(5, self.host.as_slice())
            .with(6, self.user)
            .with(7, array(&self.sources, Vec::as_slice))
            .with(8, time(self.started))
            .with(9, time(self.finished))
            .with(10, counts)
            .with(11, self.document_root)
            .with(12, self.documents)
            .with(13, self.problem_count)
            .with_some(14, self.problems.map(Reference::encode))
            .with(15, array(&self.tags, String::as_str))
            .with(16, self.version.as_str())
            .encode();
        let padded = padme(bytes.len() as u64);
        bytes.resize(usize::try_from(padded).expect("little more than what is in memory"), 0);
        bytes
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(plaintext)?;
        Ok(Self {
            compartment: CompartmentId::new(fields.need(1)?.array_of()?),
            root: Reference::decode(fields.need(2)?)?,
            base: fields.take(3).map(|v| v.array_of().map(SnapshotId::new)).transpose()?,
            kind: match fields.need(4)?.uint()? {
                1 => SnapshotType::Full,
                2 => SnapshotType::Incremental,
                3 => SnapshotType::Differential,
                _ => return Err(Malformed("an unknown type of snapshot")),
            },
            host: fields.need(5)?.bytes()?,
            user: UserId::new(fields.need(6)?.array_of()?),
            sources: fields.need(7)?.list(Value::bytes)?,
            started: read_time(fields.need(8)?)?,
            finished: read_time(fields.need(9)?)?,
            counts: read_counts(fields.need(10)?.fields()?)?,
            document_root: Digest::from_bytes(fields.need(11)?.array_of()?),
            documents: fields.need(12)?.uint()?,
            problem_count: fields.need(13)?.uint()?,
            problems: fields.take(14).map(Reference::decode).transpose()?,
            tags: fields.need(15)?.list(Value::text)?,
            version: fields.need(16)?.text()?,
        })
    }
}

fn read_counts(mut fields: Fields) -> Result<Counts, Malformed> {
    let mut number = |key| fields.need(key)?.uint();
    Ok(Counts {
        files: number(1)?,
        folders: number(2)?,
        others: number(3)?,
        bytes: number(4)?,
        new_chunks: number(5)?,
        new_bytes: number(6)?,
        stored_bytes: number(7)?,
    })
}
