//! Key slots: a payload that one credential opens.
//!
//! ```text
//! salt     32 random bytes, new for each slot
//! KEK      = HKDF-SHA-256(ikm = material, salt = "", info = "sbv1/" ‖ label ‖ 0x00 ‖ slot salt ‖ extra, L = 32)
//! payload  = the sealed form (see Sealer) of the plaintext by HMAC-SHA-256, key KEK, label "slot",
//!            context = aad, associated data = aad
//!
//! method                 label                           material                                  extra
//! passphrase             slot/passphrase                 stretch(passphrase, salt)                 –
//! key file               slot/key-file                   the 32 bytes of the key file              –
//! both                   slot/passphrase-and-key-file    stretch(passphrase, salt) ‖ key file      –
//! RSA                    slot/rsa                        32 random bytes, in `wrapped`             key id
//! recovery key           slot/recovery                   the 32 bytes of the recovery key          –
//!
//! stretch  = Argon2id or PBKDF2-HMAC-SHA-256 with the slot's parameters, 32 bytes
//! wrapped  = RSA-OAEP(SHA-256, MGF1-SHA-256, label = "sbv1/slot/rsa" ‖ 0x00 ‖ slot salt); empty for other methods
//! key id   = first 16 bytes of SHA-256 of the SubjectPublicKeyInfo
//! ```
//!
//! Parameters of a slot need no signature of their own: any change of them changes the KEK.

use crate::derive::{DOMAIN, derive_from};
use crate::digest::HashAlgorithm;
use crate::error::CryptoError;
use crate::random::{Random, random_array};
use crate::recipient::{PrivateKey, PublicKey, RecipientAlgorithm, wrap_rsa};
use crate::seal::Sealer;
use crate::secret::{Key, Secret};
use crate::stretch::{Kdf, stretch};
use crate::written_key::{KeyFile, RecoveryKey};

const RSA_LABEL: &str = "slot/rsa";

/// What opens a slot, as it is written down next to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotMethod {
    /// A passphrase.
    Passphrase {
        /// How it is hashed.
        kdf: Kdf,
    },
    /// A key file.
    KeyFile,
    /// A passphrase and a key file together; neither opens anything alone.
    PassphraseAndKeyFile {
        /// How the passphrase is hashed.
        kdf: Kdf,
    },
    /// An RSA-4096 private key.
    Rsa {
        /// Which one: the [`PublicKey::key_id`] of its public half.
        key_id: [u8; 16],
    },
    /// A recovery key.
    Recovery,
}

/// A slot as it is stored. None of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSlot {
    /// What opens it.
    pub method: SlotMethod,
    /// Random bytes that make equal passphrases unequal.
    pub salt: [u8; 32],
    /// The key encryption seed, wrapped for the RSA key; empty for all other methods.
    pub wrapped: Vec<u8>,
    /// The sealed payload.
    pub payload: Vec<u8>,
}

/// What somebody presents to open a slot.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A passphrase.
    Passphrase(Secret),
    /// A key file.
    KeyFile(KeyFile),
    /// A passphrase and a key file.
    PassphraseAndKeyFile(Secret, KeyFile),
    /// An RSA-4096 private key.
    Rsa(PrivateKey),
    /// A recovery key.
    Recovery(RecoveryKey),
}

/// What a new slot is to be opened by.
#[derive(Clone, Debug)]
pub enum Lock {
    /// A passphrase, and how to hash it.
    Passphrase(Secret, Kdf),
    /// A key file.
    KeyFile(KeyFile),
    /// A passphrase and a key file together, and how to hash the passphrase.
    PassphraseAndKeyFile(Secret, KeyFile, Kdf),
    /// The private half of an RSA-4096 key.
    Rsa(PublicKey),
    /// A recovery key.
    Recovery(RecoveryKey),
}

impl Lock {
    /// What a slot with this lock asks for.
    pub fn method(&self) -> SlotMethod {
        match self {
            Self::Passphrase(_, kdf) => SlotMethod::Passphrase { kdf: *kdf },
            Self::KeyFile(_) => SlotMethod::KeyFile,
            Self::PassphraseAndKeyFile(_, _, kdf) => SlotMethod::PassphraseAndKeyFile { kdf: *kdf },
            Self::Rsa(public) => SlotMethod::Rsa { key_id: public.key_id() },
            Self::Recovery(_) => SlotMethod::Recovery,
        }
    }
}

/// Seals `payload` in a new slot. `aad` says which vault and user it is for; it opens with the same one only.
///
/// # Errors
/// [`CryptoError::KdfOutOfBounds`] if the parameters are refused by [`Kdf::checked`], [`CryptoError::KdfOutOfMemory`] if
/// hashing fails for lack of memory, [`CryptoError::InvalidPublicKey`] if the lock holds a public key that is not RSA.
///
/// # Panics
/// When the source of randomness fails.
///
/// ```
/// use sb_crypto::{Credential, CryptoError, Kdf, Lock, Secret, SystemRandom, open_slot, seal_slot};
/// let passphrase = Secret::from("correct horse battery staple".to_owned());
/// let lock = Lock::Passphrase(passphrase.clone(), Kdf::PBKDF2);
/// let slot = seal_slot(&lock, b"vault 4711", b"the keys", &SystemRandom)?;
///
/// let opened = open_slot(&slot, &Credential::Passphrase(passphrase), b"vault 4711")?;
/// assert_eq!(opened.as_bytes(), b"the keys");
///
/// let guess = Credential::Passphrase(Secret::from("123456".to_owned()));
/// assert_eq!(open_slot(&slot, &guess, b"vault 4711"), Err(CryptoError::WrongCredential));
/// # Ok::<(), CryptoError>(())
/// ```
pub fn seal_slot(lock: &Lock, aad: &[u8], payload: &[u8], random: &dyn Random) -> Result<SealedSlot, CryptoError> {
    let salt = random_array(random);
    let mut wrapped = Vec::new();
    let (method, kek) = match lock {
        Lock::Passphrase(passphrase, kdf) => {
            (SlotMethod::Passphrase { kdf: *kdf }, passphrase_kek(*kdf, passphrase, &salt)?)
        }
        Lock::KeyFile(file) => (SlotMethod::KeyFile, key_file_kek(file, &salt)),
        Lock::PassphraseAndKeyFile(passphrase, file, kdf) => {
            (SlotMethod::PassphraseAndKeyFile { kdf: *kdf }, both_kek(*kdf, passphrase, file, &salt)?)
        }
        Lock::Rsa(public) => {
            if public.algorithm() != RecipientAlgorithm::Rsa4096 {
                return Err(CryptoError::InvalidPublicKey { algorithm: RecipientAlgorithm::Rsa4096 });
            }
            let seed = Key::random(random);
            wrapped = wrap_rsa(public, &wrap_label(&salt), &seed)?;
            let key_id = public.key_id();
            (SlotMethod::Rsa { key_id }, rsa_kek(&seed, &salt, &key_id))
        }
        Lock::Recovery(key) => (SlotMethod::Recovery, recovery_kek(key, &salt)),
    };
    let payload = sealer(&kek).seal(aad, aad, payload);
    Ok(SealedSlot { method, salt, wrapped, payload })
}

/// The payload of `slot`, if `credential` opens it.
///
/// # Errors
/// [`CryptoError::WrongMethod`] if the credential is of another kind than the slot asks for, or another RSA key; this
/// costs nothing, so a credential can be tried on many slots. [`CryptoError::WrongCredential`] if it does not open the
/// slot, or `aad` is not what it was sealed with. [`CryptoError::KdfOutOfBounds`] if the slot asks for more, or less,
/// hashing than [`Kdf::checked`] allows; [`CryptoError::KdfOutOfMemory`] if hashing fails for lack of memory.
/// [`CryptoError::Truncated`] if the payload is cut short.
pub fn open_slot(slot: &SealedSlot, credential: &Credential, aad: &[u8]) -> Result<Secret, CryptoError> {
    let kek = match (slot.method, credential) {
        (SlotMethod::Passphrase { kdf }, Credential::Passphrase(passphrase)) => {
            passphrase_kek(kdf, passphrase, &slot.salt)?
        }
        (SlotMethod::KeyFile, Credential::KeyFile(file)) => key_file_kek(file, &slot.salt),
        (SlotMethod::PassphraseAndKeyFile { kdf }, Credential::PassphraseAndKeyFile(passphrase, file)) => {
            both_kek(kdf, passphrase, file, &slot.salt)?
        }
        (SlotMethod::Rsa { key_id }, Credential::Rsa(private)) if private.public().key_id() == key_id => {
            let unwrapped = private.unwrap_rsa(&wrap_label(&slot.salt), &slot.wrapped);
            let seed = unwrapped.ok_or(CryptoError::WrongMethod)?.map_err(wrong_credential)?;
            rsa_kek(&seed, &slot.salt, &key_id)
        }
        (SlotMethod::Recovery, Credential::Recovery(key)) => recovery_kek(key, &slot.salt),
        _ => return Err(CryptoError::WrongMethod),
    };
    sealer(&kek).open(aad, aad, &slot.payload).map(Secret::new).map_err(wrong_credential)
}

fn wrong_credential(error: CryptoError) -> CryptoError {
    if error == CryptoError::NotAuthentic { CryptoError::WrongCredential } else { error }
}

fn sealer(kek: &Key) -> Sealer {
    Sealer::new(HashAlgorithm::HmacSha256, kek, "slot")
}

fn passphrase_kek(kdf: Kdf, passphrase: &Secret, salt: &[u8; 32]) -> Result<Key, CryptoError> {
    let stretched = stretch(kdf, passphrase, salt)?;
    Ok(derive_from(stretched.as_bytes(), "slot/passphrase", &[salt]))
}

fn key_file_kek(file: &KeyFile, salt: &[u8; 32]) -> Key {
    derive_from(file.key().as_bytes(), "slot/key-file", &[salt])
}

fn both_kek(kdf: Kdf, passphrase: &Secret, file: &KeyFile, salt: &[u8; 32]) -> Result<Key, CryptoError> {
    let stretched = stretch(kdf, passphrase, salt)?;
    let material = Secret::new([stretched.as_bytes().as_slice(), file.key().as_bytes()].concat());
    Ok(derive_from(&material, "slot/passphrase-and-key-file", &[salt]))
}

fn rsa_kek(seed: &Key, salt: &[u8; 32], key_id: &[u8; 16]) -> Key {
    derive_from(seed.as_bytes(), RSA_LABEL, &[salt, key_id])
}

fn recovery_kek(key: &RecoveryKey, salt: &[u8; 32]) -> Key {
    derive_from(key.key().as_bytes(), "slot/recovery", &[salt])
}

fn wrap_label(salt: &[u8; 32]) -> Vec<u8> {
    [DOMAIN, RSA_LABEL.as_bytes(), &[0], salt].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;
    use crate::stretch::allow_weak_kdf;

    const CHEAP_ARGON2ID: Kdf = Kdf::Argon2id { memory_kib: 64, passes: 1, lanes: 2 };
    const CHEAP_PBKDF2: Kdf = Kdf::Pbkdf2HmacSha256 { rounds: 10 };
    const RSA: &str = include_str!("../tests/data/rsa4096.pem");

    fn passphrase(text: &str) -> Secret {
        Secret::from(text.to_owned())
    }

    /// Locks of every kind, the credential that opens each, and one of the same kind that does not.
    fn cases() -> Vec<(Lock, Credential, Credential)> {
        allow_weak_kdf();
        let random = &SeededRandom::new(1);
        let (file, other_file) = (KeyFile::generate(random), KeyFile::generate(random));
        let (recovery, other_recovery) = (RecoveryKey::generate(random), RecoveryKey::generate(random));
        let (right, wrong) = (passphrase("right"), passphrase("wrong"));
        let open = Credential::Passphrase(right.clone());
        let fail = Credential::Passphrase(wrong.clone());
        let both = Credential::PassphraseAndKeyFile(right.clone(), file.clone());
        let wrong_passphrase = Credential::PassphraseAndKeyFile(wrong, file.clone());
        let wrong_file = Credential::PassphraseAndKeyFile(right.clone(), other_file.clone());
        let both_lock = |kdf| Lock::PassphraseAndKeyFile(right.clone(), file.clone(), kdf);
        vec![
            (Lock::Passphrase(right.clone(), CHEAP_ARGON2ID), open.clone(), fail.clone()),
            (Lock::Passphrase(right.clone(), CHEAP_PBKDF2), open, fail),
            (Lock::KeyFile(file.clone()), Credential::KeyFile(file.clone()), Credential::KeyFile(other_file)),
            (both_lock(CHEAP_ARGON2ID), both.clone(), wrong_passphrase),
            (both_lock(CHEAP_PBKDF2), both, wrong_file),
            (Lock::Recovery(recovery.clone()), Credential::Recovery(recovery), Credential::Recovery(other_recovery)),
        ]
    }

    fn rsa() -> PrivateKey {
        PrivateKey::from_pem(RSA).unwrap()
    }

    #[test]
    fn the_right_credential_opens_and_nothing_else_does() {
        let random = &SeededRandom::new(2);
        for (lock, right, wrong) in cases() {
            let slot = seal_slot(&lock, b"aad", b"payload", random).unwrap();
            assert!(slot.wrapped.is_empty());
            assert_eq!(open_slot(&slot, &right, b"aad").unwrap().as_bytes(), b"payload");
            assert_eq!(open_slot(&slot, &wrong, b"aad"), Err(CryptoError::WrongCredential));
            assert_eq!(open_slot(&slot, &right, b"add"), Err(CryptoError::WrongCredential));
        }
    }

    #[test]
    fn credentials_of_another_kind_are_told_from_wrong_ones() {
        let random = &SeededRandom::new(2);
        let mut cases = cases();
        cases.push((Lock::Rsa(rsa().public().clone()), Credential::Rsa(rsa()), Credential::Rsa(rsa())));
        let kind = |credential: &Credential| std::mem::discriminant(credential);
        for (lock, right, _) in &cases {
            let slot = seal_slot(lock, b"aad", b"payload", random).unwrap();
            for (_, other, _) in cases.iter().filter(|(_, other, _)| kind(other) != kind(right)) {
                assert_eq!(open_slot(&slot, other, b"aad"), Err(CryptoError::WrongMethod));
            }
        }
    }

    #[test]
    fn any_damage_to_a_slot_is_noticed() {
        let random = &SeededRandom::new(3);
        for (lock, right, _) in cases() {
            let slot = seal_slot(&lock, b"aad", b"payload", random).unwrap();
            for position in 0..slot.payload.len() {
                let mut damaged = slot.clone();
                damaged.payload[position] ^= 1;
                assert_eq!(open_slot(&damaged, &right, b"aad"), Err(CryptoError::WrongCredential));
            }
            let mut salted = slot.clone();
            salted.salt[31] ^= 1;
            assert_eq!(open_slot(&salted, &right, b"aad"), Err(CryptoError::WrongCredential));
            let mut cut = slot;
            cut.payload.truncate(20);
            assert_eq!(open_slot(&cut, &right, b"aad"), Err(CryptoError::Truncated { len: 20, min: 48 }));
        }
    }

    #[test]
    fn changed_hashing_parameters_open_nothing() {
        let (lock, right, _) = cases().swap_remove(1);
        let mut slot = seal_slot(&lock, b"", b"payload", &SeededRandom::new(4)).unwrap();
        slot.method = SlotMethod::Passphrase { kdf: Kdf::Pbkdf2HmacSha256 { rounds: 11 } };
        assert_eq!(open_slot(&slot, &right, b""), Err(CryptoError::WrongCredential));
    }

    #[test]
    fn an_rsa_slot_opens_with_its_private_key_only() {
        let key = rsa();
        let lock = Lock::Rsa(key.public().clone());
        let slot = seal_slot(&lock, b"aad", b"payload", &SeededRandom::new(5)).unwrap();
        assert_eq!(slot.method, SlotMethod::Rsa { key_id: key.public().key_id() });
        assert_eq!(slot.wrapped.len(), 512);
        let credential = Credential::Rsa(key);
        assert_eq!(open_slot(&slot, &credential, b"aad").unwrap().as_bytes(), b"payload");
        assert_eq!(open_slot(&slot, &credential, b""), Err(CryptoError::WrongCredential));
        let mut damaged = slot.clone();
        damaged.wrapped[100] ^= 1;
        assert_eq!(open_slot(&damaged, &credential, b"aad"), Err(CryptoError::WrongCredential));
        damaged.wrapped.clear();
        assert_eq!(open_slot(&damaged, &credential, b"aad"), Err(CryptoError::WrongCredential));
        let other = SealedSlot { method: SlotMethod::Rsa { key_id: [0; 16] }, ..slot };
        assert_eq!(open_slot(&other, &credential, b"aad"), Err(CryptoError::WrongMethod));
    }

    #[test]
    fn keys_of_other_algorithms_are_no_rsa_keys() {
        let random = &SeededRandom::new(6);
        let key = PrivateKey::generate(RecipientAlgorithm::HpkeX25519, random).unwrap();
        let error = seal_slot(&Lock::Rsa(key.public().clone()), b"", b"payload", random);
        assert_eq!(error, Err(CryptoError::InvalidPublicKey { algorithm: RecipientAlgorithm::Rsa4096 }));
        let method = SlotMethod::Rsa { key_id: key.public().key_id() };
        let slot = SealedSlot { method, salt: [0; 32], wrapped: vec![0; 512], payload: vec![0; 100] };
        assert_eq!(open_slot(&slot, &Credential::Rsa(key), b""), Err(CryptoError::WrongMethod));
    }

    #[test]
    fn equal_locks_make_different_slots() {
        let random = &SeededRandom::new(7);
        let (lock, ..) = &cases()[0];
        let [one, other] = [(); 2].map(|()| seal_slot(lock, b"", b"payload", random).unwrap());
        assert_ne!(one.salt, other.salt);
        assert_ne!(one.payload, other.payload);
    }
}
