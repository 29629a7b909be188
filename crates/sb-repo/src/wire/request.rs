//! What stands in change requests (docs/format.md §20).

use chrono::{DateTime, Utc};
use sb_crypto::{Digest, sha256};

use super::cbor::{Fields, Malformed, Value, array};
use super::{padme, read_time, time};
use crate::ids::{KeyId, RequestId, UserId, VaultId};

/// Said to the recipient's key encapsulation.
pub(crate) const INFO: &[u8] = b"sbv1/reason";

/// What somebody says of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) time: DateTime<Utc>,
    pub(crate) says: Says,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// It is asked for.
    Proposed {
        kind: String,
        targets: Vec<String>,
        text: Option<String>,
        /// Sealed.
        reason: Option<Vec<u8>>,
    },
    /// Its author agrees to the proposal that is the object with this SHA-256.
    Approved(Digest),
    /// Its author refuses or withdraws it.
    Rejected(Digest),
    /// This user has carried it out, as root says.
    CarriedOut(Digest, UserId),
}

impl Statement {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let fields = |says: u64| Fields::new().with(1, says).with(2, time(self.time));
        match &self.says {
            Says::Proposed { kind, targets, text, reason } => fields(0)
                .with(3, kind.as_str())
                .with(4, array(targets, String::as_str))
                .with_some(5, text.as_deref())
                .with_some(6, reason.as_deref())
                .encode(),
            Says::Approved(proposal) => fields(1).with(7, *proposal).encode(),
            Says::Rejected(proposal) => fields(2).with(7, *proposal).encode(),
            Says::CarriedOut(proposal, by) => fields(3).with(7, *proposal).with(8, *by).encode(),
        }
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(body)?;
        let says = fields.need(1)?.uint()?;
        let time = read_time(fields.need(2)?)?;
        let proposal = |fields: &mut Fields| Ok(Digest::from_bytes(fields.need(7)?.array_of()?));
        let says = match says {
            0 => Says::Proposed {
                kind: fields.need(3)?.text()?,
                targets: fields.need(4)?.list(Value::text)?,
                text: fields.take(5).map(Value::text).transpose()?,
                reason: fields.take(6).map(Value::bytes).transpose()?,
            },
            1 => Says::Approved(proposal(&mut fields)?),
            2 => Says::Rejected(proposal(&mut fields)?),
            3 => Says::CarriedOut(proposal(&mut fields)?, UserId::new(fields.need(8)?.array_of()?)),
            _ => return Err(Malformed("says what no version knows")),
        };
        Ok(Self { time, says })
    }
}

/// The id of the proposal with this body, so that nobody can make two of one id.
pub(crate) fn request_id(vault: VaultId, signer: KeyId, body: &[u8]) -> RequestId {
    let text = [b"sbv1/request\0".as_slice(), vault.as_bytes(), signer.as_bytes(), body].concat();
    RequestId::from_slice(&sha256(&text).as_bytes()[..8]).expect("8 bytes")
}

/// What a reason is sealed with, so that it is the reason of nothing else: header, signer, and what is asked for.
pub(crate) fn associated(header: &[u8], signer: KeyId, kind: &str, targets: &[String], text: Option<&str>) -> Vec<u8> {
    let asked = Fields::new().with(3, kind).with(4, array(targets, String::as_str)).with_some(5, text).encode();
    [header, signer.as_bytes(), asked.as_slice()].concat()
}

/// A reason as it is sealed: with padding.
pub(crate) fn encode_reason(reason: &str) -> Vec<u8> {
    let mut bytes = Fields::new().with(1, reason).encode();
    let padded = padme(bytes.len() as u64);
    bytes.resize(usize::try_from(padded).expect("little more than what is in memory"), 0);
    bytes
}

pub(crate) fn decode_reason(plaintext: &[u8]) -> Result<String, Malformed> {
    Fields::decode(plaintext)?.need(1)?.text()
}
