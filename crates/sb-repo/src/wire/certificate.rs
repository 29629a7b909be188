//! Certificates of signing keys: users by root, machines by users (docs/format.md §4).

use chrono::{DateTime, Utc};
use sb_crypto::VerifyingKey;

use super::cbor::{Fields, Malformed};
use super::{read_time, time};
use crate::ids::{KeyId, UserId};

/// A user's signing key, certified by the root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserCertificate {
    pub(crate) user: UserId,
    pub(crate) key: VerifyingKey,
    pub(crate) created: DateTime<Utc>,
}

impl UserCertificate {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Fields::new().with(1, self.user).with(2, self.key.as_bytes()).with(3, time(self.created)).encode()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(body)?;
        Ok(Self {
            user: UserId::new(fields.need(1)?.array_of()?),
            key: VerifyingKey::from_bytes(fields.need(2)?.array_of()?),
            created: read_time(fields.need(3)?)?,
        })
    }
}

/// A machine's log key, certified by a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WriterCertificate {
    pub(crate) key: VerifyingKey,
    pub(crate) user_key: KeyId,
    pub(crate) created: DateTime<Utc>,
}

impl WriterCertificate {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Fields::new().with(1, self.key.as_bytes()).with(2, self.user_key).with(3, time(self.created)).encode()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(body)?;
        Ok(Self {
            key: VerifyingKey::from_bytes(fields.need(1)?.array_of()?),
            user_key: KeyId::new(fields.need(2)?.array_of()?),
            created: read_time(fields.need(3)?)?,
        })
    }
}
