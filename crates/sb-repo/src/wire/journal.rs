//! Journal entries: what each run changed (docs/format.md §10).

use chrono::{DateTime, Utc};
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
            .encode()
    }

    fn removed_value(&self) -> Value {
        array(&self.removed, |(name, size)| vec![name.as_str().into(), Value::from(*size)])
    }

    /// True if the entry says something that a machine's log key alone can't.
    pub(crate) fn needs_authority(&self) -> bool {
        !self.removed.is_empty() || self.added.iter().any(|object| is_redaction(&object.name))
    }

    /// The entry without what needs an authority.
    pub(crate) fn stripped(mut self) -> Self {
        self.removed.clear();
        self.added.retain(|object| !is_redaction(&object.name));
        self
    }

    /// What the authority signs: vault, writer, number, what is added and what is removed.
    pub(crate) fn authority_message(&self, vault: VaultId, writer: KeyId) -> Vec<u8> {
        let mut message = b"sbv1/authority\0".to_vec();
        message.extend_from_slice(vault.as_bytes());
        message.extend_from_slice(writer.as_bytes());
        message.extend_from_slice(&self.sequence.to_be_bytes());
        message.extend_from_slice(sha256(&self.added_value().encode()).as_bytes());
        message.extend_from_slice(sha256(&self.removed_value().encode()).as_bytes());
        message
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
        })
    }
}

fn is_redaction(name: &str) -> bool {
    name.starts_with("redactions/")
}
