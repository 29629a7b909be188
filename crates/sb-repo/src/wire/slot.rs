//! Key slots (docs/format.md §6): what a credential opens.

use sb_crypto::{Kdf, Key, SealedSlot, Secret, SlotMethod};

use super::cbor::{Fields, Malformed, Value, array};
use crate::ids::{CompartmentId, SlotId, UserId, VaultId};

/// A slot as stored.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: SlotId,
    pub(crate) user: UserId,
    pub(crate) sealed: SealedSlot,
}

impl Slot {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let fields = Fields::new().with(1, self.id).with(2, self.user).with(5, &self.sealed.salt);
        let kdf = |kdf: &Kdf| match *kdf {
            Kdf::Argon2id { memory_kib, passes, lanes } => {
                vec![Value::Uint(1), memory_kib.into(), passes.into(), lanes.into()]
            }
            Kdf::Pbkdf2HmacSha256 { rounds } => vec![Value::Uint(2), rounds.into()],
        };
        let fields = match &self.sealed.method {
            SlotMethod::Passphrase { kdf: k } => fields.with(3, 1u64).with(4, kdf(k)),
            SlotMethod::KeyFile => fields.with(3, 2u64),
            SlotMethod::PassphraseAndKeyFile { kdf: k } => fields.with(3, 3u64).with(4, kdf(k)),
            SlotMethod::Rsa { key_id } => fields.with(3, 4u64).with(6, self.sealed.wrapped.as_slice()).with(7, key_id),
            SlotMethod::Recovery => fields.with(3, 5u64),
        };
        fields.with(8, self.sealed.payload.as_slice()).encode()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(body)?;
        let method = match fields.need(3)?.uint()? {
            1 => SlotMethod::Passphrase { kdf: read_kdf(fields.need(4)?)? },
            2 => SlotMethod::KeyFile,
            3 => SlotMethod::PassphraseAndKeyFile { kdf: read_kdf(fields.need(4)?)? },
            4 => SlotMethod::Rsa { key_id: fields.need(7)?.array_of()? },
            5 => SlotMethod::Recovery,
            _ => return Err(Malformed("an unknown kind of slot")),
        };
        Ok(Self {
            id: SlotId::new(fields.need(1)?.array_of()?),
            user: UserId::new(fields.need(2)?.array_of()?),
            sealed: SealedSlot {
                method,
                salt: fields.need(5)?.array_of()?,
                wrapped: fields.take(6).map(Value::bytes).transpose()?.unwrap_or_default(),
                payload: fields.need(8)?.bytes()?,
            },
        })
    }
}

fn read_kdf(value: Value) -> Result<Kdf, Malformed> {
    let numbers = value.list(Value::uint32)?;
    match *numbers.as_slice() {
        [1, memory_kib, passes, lanes] => Ok(Kdf::Argon2id { memory_kib, passes, lanes }),
        [2, rounds] => Ok(Kdf::Pbkdf2HmacSha256 { rounds }),
        _ => Err(Malformed("an unknown key derivation")),
    }
}

/// What a slot unwraps: keys as bytes.
pub(crate) struct SlotPayload {
    pub(crate) vault: VaultId,
    pub(crate) root: [u8; 32],
    pub(crate) user: UserId,
    pub(crate) signing_seed: Key,
    pub(crate) root_seed: Option<Key>,
    pub(crate) compartments: Vec<CompartmentSecrets>,
}

/// One compartment's keys; what the roles do not need is absent.
pub(crate) struct CompartmentSecrets {
    pub(crate) id: CompartmentId,
    pub(crate) seed: Key,
    pub(crate) chunk_id: Key,
    pub(crate) index: Key,
    pub(crate) document_id: Key,
    pub(crate) meta: Vec<(u64, Secret)>,
    pub(crate) content: Vec<(u64, Secret)>,
}

impl SlotPayload {
    pub(crate) fn encode(&self) -> Secret {
        let epochs = |keys: &[(u64, Secret)]| array(keys, |(n, key)| vec![Value::from(*n), key.as_bytes().into()]);
        let compartments = array(&self.compartments, |c| {
            Fields::new()
                .with(1, c.id)
                .with(2, c.seed.as_bytes())
                .with(3, c.chunk_id.as_bytes())
                .with(4, c.index.as_bytes())
                .with(5, c.document_id.as_bytes())
                .with(6, epochs(&c.meta))
                .with(7, epochs(&c.content))
        });
        let fields = Fields::new()
            .with(1, self.vault)
            .with(2, &self.root)
            .with(3, self.user)
            .with(4, self.signing_seed.as_bytes())
            .with_some(5, self.root_seed.as_ref().map(|seed| seed.as_bytes().as_slice()))
            .with(6, compartments);
        Secret::new(fields.encode())
    }

    pub(crate) fn decode(payload: &Secret) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(payload.as_bytes())?;
        let key = |value: Value| value.array_of().map(Key::from_bytes);
        Ok(Self {
            vault: VaultId::new(fields.need(1)?.array_of()?),
            root: fields.need(2)?.array_of()?,
            user: UserId::new(fields.need(3)?.array_of()?),
            signing_seed: key(fields.need(4)?)?,
            root_seed: fields.take(5).map(key).transpose()?,
            compartments: fields.need(6)?.list(|value| {
                let mut c = value.fields()?;
                Ok(CompartmentSecrets {
                    id: CompartmentId::new(c.need(1)?.array_of()?),
                    seed: key(c.need(2)?)?,
                    chunk_id: key(c.need(3)?)?,
                    index: key(c.need(4)?)?,
                    document_id: key(c.need(5)?)?,
                    meta: read_epochs(c.take(6))?,
                    content: read_epochs(c.take(7))?,
                })
            })?,
        })
    }
}

fn read_epochs(value: Option<Value>) -> Result<Vec<(u64, Secret)>, Malformed> {
    let Some(value) = value else { return Ok(Vec::new()) };
    value.list(|epoch| {
        let [number, key] = epoch.tuple()?;
        Ok((number.uint()?, Secret::new(key.bytes()?)))
    })
}
