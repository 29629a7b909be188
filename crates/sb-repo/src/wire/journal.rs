//! Journal entries: what each run changed (docs/format.md §10).

use chrono::{DateTime, Utc};
use sb_audit::TreeHead;
use sb_crypto::{Digest, sha256};

use super::cbor::{Fields, Malformed, Value, array};
use super::{read_time, time};
use crate::ids::{KeyId, VaultId};

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
    /// Who answers for what was removed.
    pub(crate) authority: Option<Authority>,
    /// How far the writer's audit log had got.
    pub(crate) log: Option<TreeHead>,
    /// What is known to be gone, and is not to be missed any more.
    pub(crate) accepted: Vec<Loss>,
}

/// What somebody has seen of a journal or a log, and is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Loss {
    pub(crate) writer: KeyId,
    pub(crate) what: Lost,
}

/// Which part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lost {
    /// A journal's entry of this number and hash.
    Entry(u64, Digest),
    /// A log of this size and root.
    Log(u64, Digest),
}

impl Loss {
    fn value(&self) -> Value {
        let (kind, number, digest) = match self.what {
            Lost::Entry(number, digest) => (0_u64, number, digest),
            Lost::Log(size, root) => (1, size, root),
        };
        vec![self.writer.into(), Value::from(kind), number.into(), digest.into()].into()
    }

    fn read(value: Value) -> Result<Self, Malformed> {
        let [writer, kind, number, digest] = value.tuple()?;
        let (number, digest) = (number.uint()?, Digest::from_bytes(digest.array_of()?));
        let what = match kind.uint()? {
            0 => Lost::Entry(number, digest),
            1 => Lost::Log(number, digest),
            _ => return Err(Malformed("a loss of an unknown kind")),
        };
        Ok(Self { writer: KeyId::new(writer.array_of()?), what })
    }
}

/// A user's or the root key's signature over what an entry adds and removes. A machine's log key alone can neither remove
/// nor redact anything: it lies unprotected in a state folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) signer: KeyId,
    pub(crate) signature: [u8; 64],
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
        let authority = self.authority.map(|by| vec![by.signer.into(), Value::from(&by.signature)]);
        Fields::new()
            .with(1, self.sequence)
            .with_some(2, self.previous)
            .with(3, time(self.time))
            .with(4, self.operation.as_str())
            .with(5, self.generation)
            .with(6, self.added_value())
            .with(7, self.removed_value())
            .with_some(8, authority)
            .with_some(9, self.log.map(|head| vec![head.size.into(), Value::from(head.root)]))
            .with_some(10, (!self.accepted.is_empty()).then(|| self.accepted_value()))
            .encode()
    }

    fn removed_value(&self) -> Value {
        array(&self.removed, |(name, size)| vec![name.as_str().into(), Value::from(*size)])
    }

    /// True if the entry says something that a machine's log key alone can't.
    pub(crate) fn needs_authority(&self) -> bool {
        let redacts = || self.added.iter().any(|object| is_redaction(&object.name));
        !self.removed.is_empty() || !self.accepted.is_empty() || redacts()
    }

    /// The entry without what needs an authority.
    pub(crate) fn stripped(mut self) -> Self {
        self.removed.clear();
        self.accepted.clear();
        self.added.retain(|object| !is_redaction(&object.name));
        self
    }

    /// What the authority signs: vault, writer, number, what is added, what is removed, and what is accepted to be gone.
    pub(crate) fn authority_message(&self, vault: VaultId, writer: KeyId) -> Vec<u8> {
        let mut message = b"sbv1/authority\0".to_vec();
        message.extend_from_slice(vault.as_bytes());
        message.extend_from_slice(writer.as_bytes());
        message.extend_from_slice(&self.sequence.to_be_bytes());
        message.extend_from_slice(sha256(&self.added_value().encode()).as_bytes());
        message.extend_from_slice(sha256(&self.removed_value().encode()).as_bytes());
        if !self.accepted.is_empty() {
            message.extend_from_slice(sha256(&self.accepted_value().encode()).as_bytes());
        }
        message
    }

    fn accepted_value(&self) -> Value {
        array(&self.accepted, Loss::value)
    }

    fn added_value(&self) -> Value {
        array(&self.added, |object| {
            let mut item: Vec<Value> = vec![object.name.as_str().into(), object.size.into()];
            item.extend(object.digest.map(Value::from));
            item
        })
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
            authority: fields
                .take(8)
                .map(|value| {
                    let [signer, signature] = value.tuple()?;
                    Ok(Authority { signer: KeyId::new(signer.array_of()?), signature: signature.array_of()? })
                })
                .transpose()?,
            log: fields
                .take(9)
                .map(|value| {
                    let [size, root] = value.tuple()?;
                    Ok(TreeHead { size: size.uint()?, root: Digest::from_bytes(root.array_of()?) })
                })
                .transpose()?,
            accepted: fields.take(10).map_or(Ok(Vec::new()), |value| value.list(Loss::read))?,
        })
    }
}

fn is_redaction(name: &str) -> bool {
    name.starts_with("redactions/")
}
