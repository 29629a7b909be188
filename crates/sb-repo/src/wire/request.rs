//! What stands in change requests (docs/format.md §20).

use chrono::{DateTime, Utc};
use sb_crypto::Digest;

use super::cbor::{Fields, Malformed, Value, array};
use super::{padme, read_time, time};

/// Said to the recipient's key encapsulation.
pub(crate) const INFO: &[u8] = b"sbv1/reason";

/// What somebody says of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) time: DateTime<Utc>,
    pub(crate) says: Says,
}

/// Which of the four.
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
    /// Its author agrees to the proposal that is the object with this SHA-256, refuses or withdraws it, or has carried it out.
    Of(Digest, Verdict),
}

/// What became of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Approved = 1,
    Rejected = 2,
    CarriedOut = 3,
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
            Says::Of(proposal, verdict) => fields(*verdict as u64).with(7, *proposal).encode(),
        }
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(body)?;
        let verdict = match fields.need(1)?.uint()? {
            0 => None,
            1 => Some(Verdict::Approved),
            2 => Some(Verdict::Rejected),
            3 => Some(Verdict::CarriedOut),
            _ => return Err(Malformed("says what no version knows")),
        };
        let time = read_time(fields.need(2)?)?;
        let says = match verdict {
            Some(verdict) => Says::Of(Digest::from_bytes(fields.need(7)?.array_of()?), verdict),
            None => Says::Proposed {
                kind: fields.need(3)?.text()?,
                targets: fields.need(4)?.list(Value::text)?,
                text: fields.take(5).map(Value::text).transpose()?,
                reason: fields.take(6).map(Value::bytes).transpose()?,
            },
        };
        Ok(Self { time, says })
    }
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
