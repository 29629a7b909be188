//! Signatures and time stamps, which are kept apart from what they are of (docs/format.md §16).

use sb_crypto::{Digest, VerifyingKey};

use super::cbor::{Fields, Malformed};

/// A signature of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignatureBody {
    /// SHA-256 of the statement.
    pub(crate) statement: Digest,
    pub(crate) key: VerifyingKey,
    /// Over the statement as DSSE has it.
    pub(crate) signature: [u8; 64],
}

impl SignatureBody {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Fields::new().with(1, self.statement).with(2, self.key.as_bytes()).with(3, &self.signature).encode()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(body)?;
        Ok(Self {
            statement: Digest::from_bytes(fields.need(1)?.array_of()?),
            key: VerifyingKey::from_bytes(fields.need(2)?.array_of()?),
            signature: fields.need(3)?.array_of()?,
        })
    }
}

/// A time stamp after RFC 3161.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StampBody {
    /// SHA-256 of what was stamped: the text of a checkpoint, or a statement.
    pub(crate) stamped: Digest,
    /// The authority's answer, a `TimeStampResp`.
    pub(crate) response: Vec<u8>,
}

impl StampBody {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Fields::new().with(1, self.stamped).with(2, self.response.as_slice()).encode()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(body)?;
        Ok(Self { stamped: Digest::from_bytes(fields.need(1)?.array_of()?), response: fields.need(2)?.bytes()? })
    }
}
