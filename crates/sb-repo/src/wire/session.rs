//! Session tables: the random keys of packs, sealed to a compartment (docs/format.md §7).

use sb_crypto::{Key, Secret};

use super::cbor::{Fields, Malformed, Value, array};
use super::slot::{key, secret};
use crate::ids::{BucketId, TableId};

/// Said to the recipient's key encapsulation, so that a table can't be passed off as something else.
pub(crate) const INFO: &[u8] = b"sbv1/session";
/// The most keys in one table.
pub(crate) const KEYS_MAX: usize = 64;

/// A table in the clear.
#[derive(Clone, Debug)]
pub(crate) struct SessionTable {
    pub(crate) id: TableId,
    pub(crate) generation: u64,
    pub(crate) bucket: BucketId,
    /// `None` where a key was destroyed.
    pub(crate) keys: Vec<Option<Key>>,
}

impl SessionTable {
    pub(crate) fn encode(&self) -> Secret {
        let keys = array(&self.keys, |key| key.as_ref().map_or(Value::Null, secret));
        let fields = Fields::new().with(1, self.id).with(2, self.generation).with(3, self.bucket).with(4, keys);
        fields.encode_secret()
    }

    pub(crate) fn decode(plaintext: &Secret) -> Result<Self, Malformed> {
        let mut fields = Fields::decode_secret(plaintext)?;
        let table = Self {
            id: TableId::new(fields.need(1)?.array_of()?),
            generation: fields.need(2)?.uint()?,
            bucket: BucketId::new(fields.need(3)?.array_of()?),
            keys: fields.need(4)?.list(|value| match value {
                Value::Null => Ok(None),
                other => key(other).map(Some),
            })?,
        };
        if table.keys.len() > KEYS_MAX {
            return Err(Malformed("more keys than a table may hold"));
        }
        Ok(table)
    }
}
