//! Key slots (docs/format.md §6): what a credential opens.

use sb_crypto::{Kdf, Key, PrivateKey, PublicKey, RecipientAlgorithm, SealedSlot, Secret, SlotMethod, sha256};

use super::cbor::{Fields, Malformed, Value, array};
use crate::ids::{CompartmentId, SlotId, UserId, VaultId};

/// A slot as stored.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: SlotId,
    pub(crate) user: UserId,
    /// Enough of a hash of the user's name to pass over the slots of most others.
    pub(crate) hint: Option<[u8; 2]>,
    /// What the user's grants are sealed to.
    pub(crate) recipient: Option<PublicKey>,
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
        let recipient = self.recipient.as_ref().map(write_public);
        fields
            .with(8, self.sealed.payload.as_slice())
            .with_some(10, recipient)
            .with_some(9, self.hint.as_ref().map(<[u8; 2]>::as_slice))
            .encode()
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
            hint: fields.take(9).map(Value::array_of).transpose()?,
            recipient: fields.take(10).map(read_public).transpose()?,
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

/// What a slot says of its user's login. So short that it only saves trying most of the slots of others; who has a name in mind can
/// rule it out by this.
pub(crate) fn login_hint(vault: VaultId, login: &str) -> [u8; 2] {
    let digest = sha256(&[b"sbv1/login\0", vault.as_bytes().as_slice(), login.as_bytes()].concat());
    *digest.as_bytes().first_chunk().expect("32 bytes")
}

/// What a slot unwraps: who somebody is, and the keys that were put into it.
#[derive(Clone)]
pub(crate) struct SlotPayload {
    pub(crate) vault: VaultId,
    pub(crate) root: [u8; 32],
    pub(crate) user: UserId,
    pub(crate) signing_seed: Key,
    /// Slots of vaults that were made before there were grants have the keys in them.
    pub(crate) keys: KeyBundle,
    /// What grants are sealed to.
    pub(crate) private: Option<PrivateKey>,
    pub(crate) login: Option<String>,
}

/// Keys that a user's roles need; what they do not need is absent.
#[derive(Clone, Default)]
pub(crate) struct KeyBundle {
    pub(crate) root_seed: Option<Key>,
    pub(crate) compartments: Vec<CompartmentSecrets>,
}

/// One compartment's keys; those that read may be absent.
#[derive(Clone)]
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
        let private = self.private.as_ref().map(|private| {
            let algorithm = Value::from(private.public().algorithm() as u64);
            vec![algorithm, Value::Secret(private.to_secret_bytes())]
        });
        let fields = Fields::new()
            .with(1, self.vault)
            .with(2, &self.root)
            .with(3, self.user)
            .with(4, secret(&self.signing_seed));
        let fields = self.keys.enter(fields).with_some(7, private).with_some(8, self.login.as_deref());
        fields.encode_secret()
    }

    pub(crate) fn decode(payload: &Secret) -> Result<Self, Malformed> {
        let mut fields = Fields::decode_secret(payload)?;
        Ok(Self {
            vault: VaultId::new(fields.need(1)?.array_of()?),
            root: fields.need(2)?.array_of()?,
            user: UserId::new(fields.need(3)?.array_of()?),
            signing_seed: key(fields.need(4)?)?,
            keys: KeyBundle::take(&mut fields)?,
            private: fields.take(7).map(read_private).transpose()?,
            login: fields.take(8).map(Value::text).transpose()?,
        })
    }
}

impl KeyBundle {
    /// As it is sealed in a grant.
    pub(crate) fn encode(&self) -> Secret {
        self.enter(Fields::new()).encode_secret()
    }

    pub(crate) fn decode(plaintext: &Secret) -> Result<Self, Malformed> {
        Self::take(&mut Fields::decode_secret(plaintext)?)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.root_seed.is_none() && self.compartments.is_empty()
    }

    fn enter(&self, fields: Fields) -> Fields {
        let epochs = |keys: &[(u64, Secret)]| array(keys, |(n, key)| vec![Value::from(*n), Value::Secret(key.clone())]);
        let compartments = array(&self.compartments, |c| {
            Fields::new()
                .with(1, c.id)
                .with(2, secret(&c.seed))
                .with(3, secret(&c.chunk_id))
                .with(4, secret(&c.index))
                .with(5, secret(&c.document_id))
                .with(6, epochs(&c.meta))
                .with(7, epochs(&c.content))
        });
        fields.with_some(5, self.root_seed.as_ref().map(secret)).with(6, compartments)
    }

    fn take(fields: &mut Fields) -> Result<Self, Malformed> {
        Ok(Self {
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

pub(super) fn secret(key: &Key) -> Value {
    Value::of_secret(key.as_bytes())
}

pub(super) fn key(value: Value) -> Result<Key, Malformed> {
    Key::from_slice(&value.secret()?).map_err(|_| Malformed("a key has the wrong length"))
}

fn read_algorithm(value: Value) -> Result<RecipientAlgorithm, Malformed> {
    let algorithm = u8::try_from(value.uint()?).ok().and_then(RecipientAlgorithm::from_u8);
    algorithm.ok_or(Malformed("an unknown algorithm"))
}

pub(super) fn write_public(key: &PublicKey) -> Vec<Value> {
    vec![Value::from(key.algorithm() as u64), key.as_bytes().into()]
}

pub(super) fn read_public(value: Value) -> Result<PublicKey, Malformed> {
    let [algorithm, bytes] = value.tuple()?;
    let key = PublicKey::from_bytes(read_algorithm(algorithm)?, &bytes.bytes()?);
    key.map_err(|_| Malformed("not a public key of this algorithm"))
}

fn read_private(value: Value) -> Result<PrivateKey, Malformed> {
    let [algorithm, bytes] = value.tuple()?;
    let key = PrivateKey::from_secret_bytes(read_algorithm(algorithm)?, &bytes.secret()?);
    key.map_err(|_| Malformed("not a private key of this algorithm"))
}

fn read_epochs(value: Option<Value>) -> Result<Vec<(u64, Secret)>, Malformed> {
    let Some(value) = value else { return Ok(Vec::new()) };
    value.list(|epoch| {
        let [number, key] = epoch.tuple()?;
        Ok((number.uint()?, key.secret()?))
    })
}
