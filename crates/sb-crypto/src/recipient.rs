//! Sealing to the holder of a private key.
//!
//! ```text
//! 1, 2  HPKE (RFC 9180), base mode, single shot; DHKEM(X25519, HKDF-SHA256) or DHKEM(P-256, HKDF-SHA256),
//!       KDF HKDF-SHA256, AEAD AES-256-GCM:
//!       sealed = enc (32 or 65 bytes) ‖ ciphertext ‖ tag (16 bytes)
//! 3     CEK = 32 random bytes (see `hedge.rs`)
//!       sealed = RSA-OAEP(SHA-256, MGF1-SHA-256, label = info, CEK) (512 bytes)
//!              ‖ AES-256-GCM(derive(CEK, "rsa", [info]), nonce = 12 zero bytes, aad, plaintext) ‖ tag (16 bytes)
//! ```
//!
//! Each message has an ephemeral key, or CEK, of its own, which depends on the message and so does not repeat for another even if the
//! generator does (see `hedge.rs`).
//!
//! Anyone who has the public key can seal: an opened message says nothing about who made it.

use std::fmt;

use aws_lc_rs::rsa::PrivateDecryptingKey;
use hpke::{Deserializable, HpkeError, Kem};

use crate::aead::{TAG_LEN, decrypt_once, encrypt_once};
use crate::derive::derive;
use crate::digest::sha256;
use crate::encrypted_key;
use crate::error::CryptoError;
use crate::hedge::Hedge;
use crate::kem::{self, P256, X25519};
use crate::pem;
use crate::random::Random;
use crate::rsa;
use crate::secret::{Key, Secret};

/// How bytes are sealed to a key pair. The numbers are part of the vault format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecipientAlgorithm {
    /// HPKE with X25519: the default.
    HpkeX25519 = 1,
    /// HPKE with P-256: for those who may use approved algorithms only.
    HpkeP256 = 2,
    /// RSA-OAEP with 4096 bits: for keys that already exist. It does not use the caller's randomness for the padding
    /// and for new keys.
    Rsa4096 = 3,
}

impl RecipientAlgorithm {
    /// The algorithm with this number, if there is one; `algorithm as u8` is the way back.
    #[must_use]
    pub const fn from_u8(id: u8) -> Option<Self> {
        match id {
            1 => Some(Self::HpkeX25519),
            2 => Some(Self::HpkeP256),
            3 => Some(Self::Rsa4096),
            _ => None,
        }
    }
}

impl fmt::Display for RecipientAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HpkeX25519 => "X25519",
            Self::HpkeP256 => "P-256",
            Self::Rsa4096 => "RSA-4096",
        })
    }
}

/// A public key to seal to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PublicKey {
    algorithm: RecipientAlgorithm,
    bytes: Vec<u8>,
}

impl PublicKey {
    /// Reads what [`as_bytes`](Self::as_bytes) gives.
    ///
    /// # Errors
    /// [`CryptoError::InvalidPublicKey`] if the bytes are no such key; [`CryptoError::RsaSize`] if they are an RSA key
    /// of another size.
    pub fn from_bytes(algorithm: RecipientAlgorithm, bytes: &[u8]) -> Result<Self, CryptoError> {
        let invalid = |_| CryptoError::InvalidPublicKey { algorithm };
        match algorithm {
            RecipientAlgorithm::HpkeX25519 => kem::check_public::<X25519>(bytes).map_err(invalid)?,
            RecipientAlgorithm::HpkeP256 => kem::check_public::<P256>(bytes).map_err(invalid)?,
            RecipientAlgorithm::Rsa4096 => rsa::public_from_der(bytes).map(drop)?,
        }
        Ok(Self { algorithm, bytes: bytes.to_vec() })
    }

    /// Reads an RSA key from a PEM file, a `PUBLIC KEY` as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// [`CryptoError::PemSyntax`], [`CryptoError::PemLabel`], [`CryptoError::NotRsa`], [`CryptoError::RsaSize`] or
    /// [`CryptoError::InvalidPublicKey`], whichever describes the file.
    pub fn from_pem(text: &str) -> Result<Self, CryptoError> {
        let der = pem::decode(text, "PUBLIC KEY")?;
        rsa::check_is_rsa(&der)?;
        Self::from_bytes(RecipientAlgorithm::Rsa4096, &der)
    }

    /// What this key is for.
    #[must_use]
    pub const fn algorithm(&self) -> RecipientAlgorithm {
        self.algorithm
    }

    /// The serialized key: X25519 as the 32 bytes of RFC 7748, P-256 as the uncompressed point of 65 bytes (SEC 1),
    /// RSA as DER of its SubjectPublicKeyInfo (RFC 5280).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first 16 bytes of SHA-256 of [`as_bytes`](Self::as_bytes).
    #[must_use]
    pub fn key_id(&self) -> [u8; 16] {
        sha256(&self.bytes).key_id()
    }
}

/// A private key that opens what was sealed to its public key. It is wiped when dropped.
#[derive(Clone)]
pub struct PrivateKey {
    half: PrivateHalf,
    public: PublicKey,
}

#[derive(Clone)]
enum PrivateHalf {
    X25519(<X25519 as Kem>::PrivateKey),
    P256(<P256 as Kem>::PrivateKey),
    Rsa(PrivateDecryptingKey),
}

impl PrivateKey {
    /// A new key. RSA takes a second or more, and its key comes from the library's own system randomness.
    ///
    /// # Errors
    /// [`CryptoError::KeyGeneration`] if the library fails to make an RSA key.
    ///
    /// # Panics
    /// When the source of randomness fails.
    pub fn generate(algorithm: RecipientAlgorithm, random: &dyn Random) -> Result<Self, CryptoError> {
        Ok(Self::from_half(match algorithm {
            RecipientAlgorithm::HpkeX25519 => PrivateHalf::X25519(kem::generate::<X25519>(random)),
            RecipientAlgorithm::HpkeP256 => PrivateHalf::P256(kem::generate::<P256>(random)),
            RecipientAlgorithm::Rsa4096 => PrivateHalf::Rsa(rsa::generate()?),
        }))
    }

    /// Reads what [`to_secret_bytes`](Self::to_secret_bytes) gives.
    ///
    /// # Errors
    /// [`CryptoError::InvalidPrivateKey`] if the bytes are no such key; [`CryptoError::RsaSize`] if they are an RSA key
    /// of another size.
    pub fn from_secret_bytes(algorithm: RecipientAlgorithm, bytes: &[u8]) -> Result<Self, CryptoError> {
        let invalid = |_| CryptoError::InvalidPrivateKey { algorithm };
        Ok(Self::from_half(match algorithm {
            RecipientAlgorithm::HpkeX25519 => {
                PrivateHalf::X25519(<X25519 as Kem>::PrivateKey::from_bytes(bytes).map_err(invalid)?)
            }
            RecipientAlgorithm::HpkeP256 => {
                PrivateHalf::P256(<P256 as Kem>::PrivateKey::from_bytes(bytes).map_err(invalid)?)
            }
            RecipientAlgorithm::Rsa4096 => PrivateHalf::Rsa(rsa::private_from_der(bytes)?),
        }))
    }

    /// Reads an RSA key from a PEM file, an unencrypted `PRIVATE KEY` (PKCS#8) as `openssl pkey` writes it.
    ///
    /// # Errors
    /// [`CryptoError::PrivateKeyEncrypted`], [`CryptoError::PemSyntax`], [`CryptoError::PemLabel`],
    /// [`CryptoError::NotRsa`], [`CryptoError::RsaSize`] or [`CryptoError::InvalidPrivateKey`], whichever describes the
    /// file.
    pub fn from_pem(text: &str) -> Result<Self, CryptoError> {
        let der = pem::decode(text, "PRIVATE KEY")?;
        rsa::check_is_rsa(&der)?;
        Self::from_secret_bytes(RecipientAlgorithm::Rsa4096, &der)
    }

    /// Reads an RSA key from a PEM file, an `ENCRYPTED PRIVATE KEY` (PKCS#8) as `openssl genpkey -aes256` and `openssl pkcs8 -topk8`
    /// write it, or an unencrypted one, whatever the passphrase. The passphrase counts as its bytes.
    ///
    /// # Errors
    /// [`CryptoError::PrivateKeyPassphrase`] if it does not fit, [`CryptoError::PrivateKeyCipher`] if the key is encrypted in a way that is
    /// not known, and those of [`from_pem`](Self::from_pem).
    pub fn from_encrypted_pem(text: &str, passphrase: &Secret) -> Result<Self, CryptoError> {
        match Self::from_pem(text) {
            Err(CryptoError::PrivateKeyEncrypted) => {}
            read => return read,
        }
        let der = encrypted_key::decrypt(&pem::decode(text, pem::ENCRYPTED)?, passphrase)?;
        rsa::check_is_rsa(&der)?;
        Self::from_secret_bytes(RecipientAlgorithm::Rsa4096, &der)
    }

    fn from_half(half: PrivateHalf) -> Self {
        let (algorithm, bytes) = match &half {
            PrivateHalf::X25519(key) => (RecipientAlgorithm::HpkeX25519, kem::public_bytes::<X25519>(key)),
            PrivateHalf::P256(key) => (RecipientAlgorithm::HpkeP256, kem::public_bytes::<P256>(key)),
            PrivateHalf::Rsa(key) => (RecipientAlgorithm::Rsa4096, rsa::public_to_der(&key.public_key())),
        };
        Self { half, public: PublicKey { algorithm, bytes } }
    }

    /// The key to seal to.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The serialized key: X25519 (clamped) and P-256 as the 32 bytes of RFC 9180 §7.1.2, RSA as DER of its PKCS#8
    /// (RFC 5208).
    #[must_use]
    pub fn to_secret_bytes(&self) -> Secret {
        match &self.half {
            PrivateHalf::X25519(key) => kem::private_bytes::<X25519>(key),
            PrivateHalf::P256(key) => kem::private_bytes::<P256>(key),
            PrivateHalf::Rsa(key) => rsa::private_to_der(key),
        }
    }

    /// The key a slot wrapped by RSA-OAEP, or `None` if this is no RSA key.
    pub(crate) fn unwrap_rsa(&self, label: &[u8], wrapped: &[u8]) -> Option<Result<Key, CryptoError>> {
        match &self.half {
            PrivateHalf::Rsa(key) => Some(rsa::unwrap(key, label, wrapped)),
            PrivateHalf::X25519(_) | PrivateHalf::P256(_) => None,
        }
    }
}

/// Shows the public key only.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Seals `plaintext` to the holder of the private half of `public`. `info` says what the message is for, `aad` what
/// else must be true; it opens with the same two only.
///
/// # Errors
/// [`CryptoError::PlaintextTooLong`] above 2³⁶ − 32 bytes (64 GiB); [`CryptoError::InvalidPublicKey`] if the library
/// refuses the key after all.
///
/// # Panics
/// When the source of randomness fails.
///
/// ```
/// use sb_crypto::{PrivateKey, RecipientAlgorithm, SystemRandom, open_with, seal_to};
/// let compartment = PrivateKey::generate(RecipientAlgorithm::HpkeX25519, &SystemRandom)?;
/// let sealed = seal_to(compartment.public(), b"session table", b"bucket 3", b"pack keys", &SystemRandom)?;
/// assert_eq!(open_with(&compartment, b"session table", b"bucket 3", &sealed)?.as_bytes(), b"pack keys");
/// # Ok::<(), sb_crypto::CryptoError>(())
/// ```
pub fn seal_to(
    public: &PublicKey,
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    random: &dyn Random,
) -> Result<Vec<u8>, CryptoError> {
    let explain = |error| match error {
        HpkeError::SealError => CryptoError::PlaintextTooLong { len: plaintext.len() },
        _ => CryptoError::InvalidPublicKey { algorithm: public.algorithm },
    };
    match public.algorithm {
        RecipientAlgorithm::HpkeX25519 => {
            kem::seal::<X25519>(&public.bytes, info, aad, plaintext, random).map_err(explain)
        }
        RecipientAlgorithm::HpkeP256 => kem::seal::<P256>(&public.bytes, info, aad, plaintext, random).map_err(explain),
        RecipientAlgorithm::Rsa4096 => {
            let content_key = Hedge::new(random, &public.bytes, info, aad, plaintext).key();
            let mut sealed = wrap_rsa(public, info, &content_key)?;
            sealed.extend_from_slice(plaintext);
            let tag = encrypt_once(&rsa_message_key(&content_key, info), aad, &mut sealed[rsa::WRAPPED_LEN..])?;
            sealed.extend_from_slice(&tag);
            Ok(sealed)
        }
    }
}

/// Opens what [`seal_to`] made.
///
/// # Errors
/// [`CryptoError::NotAuthentic`] if the message is damaged, or was sealed to another key or with another `info` or
/// `aad`; [`CryptoError::Truncated`] if it is shorter than any message.
pub fn open_with(private: &PrivateKey, info: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Secret, CryptoError> {
    match &private.half {
        PrivateHalf::X25519(key) => kem::open::<X25519>(key, info, aad, sealed),
        PrivateHalf::P256(key) => kem::open::<P256>(key, info, aad, sealed),
        PrivateHalf::Rsa(key) => {
            let min = rsa::WRAPPED_LEN + TAG_LEN;
            if sealed.len() < min {
                return Err(CryptoError::Truncated { len: sealed.len(), min });
            }
            let (wrapped, ciphertext) = sealed.split_at(rsa::WRAPPED_LEN);
            let content_key = rsa::unwrap(key, info, wrapped)?;
            let mut buffer = ciphertext.to_vec();
            let len = decrypt_once(&rsa_message_key(&content_key, info), aad, &mut buffer, 0..)?;
            buffer.truncate(len);
            Ok(Secret::new(buffer))
        }
    }
}

/// RSA-OAEP of `key`, for the purpose `label`.
pub(crate) fn wrap_rsa(public: &PublicKey, label: &[u8], key: &Key) -> Result<Vec<u8>, CryptoError> {
    rsa::wrap(rsa::public_from_der(&public.bytes)?, label, key)
}

fn rsa_message_key(content_key: &Key, info: &[u8]) -> Key {
    derive(content_key, "rsa", &[info])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    const RSA: &str = include_str!("../tests/data/rsa4096.pem");
    const ALL: [RecipientAlgorithm; 3] =
        [RecipientAlgorithm::HpkeX25519, RecipientAlgorithm::HpkeP256, RecipientAlgorithm::Rsa4096];

    /// A key of each algorithm; the RSA key is given because making one takes seconds.
    fn keys() -> Vec<PrivateKey> {
        let random = SeededRandom::new(1);
        let generate = |algorithm| PrivateKey::generate(algorithm, &random).unwrap();
        vec![generate(ALL[0]), generate(ALL[1]), PrivateKey::from_pem(RSA).unwrap()]
    }

    #[test]
    fn what_was_sealed_opens_with_the_private_key_and_its_copies() {
        let random = SeededRandom::new(2);
        for key in keys() {
            let copy = PrivateKey::from_secret_bytes(key.public().algorithm(), &key.to_secret_bytes()).unwrap();
            assert_eq!(copy.public(), key.public());
            for plaintext in [b"".as_slice(), b"pack keys", &[7; 5000]] {
                let sealed = seal_to(key.public(), b"info", b"aad", plaintext, &random).unwrap();
                assert_eq!(open_with(&key, b"info", b"aad", &sealed).unwrap().as_bytes(), plaintext);
                assert_eq!(open_with(&copy, b"info", b"aad", &sealed).unwrap().as_bytes(), plaintext);
                assert_eq!(open_with(&key.clone(), b"info", b"aad", &sealed).unwrap().as_bytes(), plaintext);
            }
        }
    }

    #[test]
    fn any_change_fails() {
        let random = SeededRandom::new(2);
        for key in keys() {
            let sealed = seal_to(key.public(), b"info", b"aad", b"pack keys", &random).unwrap();
            // The last bit of an X25519 point does not count, so flip the others; RSA takes too long for every byte.
            for position in (0..sealed.len()).filter(|position| sealed.len() < 200 || position % 37 == 0) {
                let mut forged = sealed.clone();
                forged[position] ^= 1;
                assert_eq!(open_with(&key, b"info", b"aad", &forged), Err(CryptoError::NotAuthentic));
            }
            assert_eq!(open_with(&key, b"inf", b"oaad", &sealed), Err(CryptoError::NotAuthentic));
            assert_eq!(open_with(&key, b"info", b"", &sealed), Err(CryptoError::NotAuthentic));
            let (len, min) = (sealed.len() - 10, sealed.len() - 9);
            assert_eq!(open_with(&key, b"info", b"aad", &sealed[..len]), Err(CryptoError::Truncated { len, min }));
        }
    }

    #[test]
    fn other_keys_do_not_open() {
        let random = SeededRandom::new(3);
        for algorithm in [RecipientAlgorithm::HpkeX25519, RecipientAlgorithm::HpkeP256] {
            let [key, other] = [(); 2].map(|()| PrivateKey::generate(algorithm, &random).unwrap());
            let sealed = seal_to(key.public(), b"", b"", b"pack keys", &random).unwrap();
            assert_eq!(open_with(&other, b"", b"", &sealed), Err(CryptoError::NotAuthentic));
            assert_ne!(key.public().key_id(), other.public().key_id());
        }
    }

    #[test]
    fn a_new_rsa_key_works() {
        let random = SeededRandom::new(4);
        let key = PrivateKey::generate(RecipientAlgorithm::Rsa4096, &random).unwrap();
        let sealed = seal_to(key.public(), b"", b"", b"pack keys", &random).unwrap();
        assert_eq!(open_with(&key, b"", b"", &sealed).unwrap().as_bytes(), b"pack keys");
        let other = PrivateKey::from_pem(RSA).unwrap();
        assert_eq!(open_with(&other, b"", b"", &sealed), Err(CryptoError::NotAuthentic));
    }

    #[test]
    fn sealing_follows_the_given_randomness() {
        for key in &keys()[..2] {
            let seal = |seed| seal_to(key.public(), b"", b"", b"text", &SeededRandom::new(seed)).unwrap();
            assert_eq!(seal(1), seal(1));
            assert_ne!(seal(1), seal(2));
        }
    }

    #[test]
    fn public_keys_read_back_and_others_are_refused() {
        for key in keys() {
            let public = key.public();
            let algorithm = public.algorithm();
            assert_eq!(PublicKey::from_bytes(algorithm, public.as_bytes()).as_ref(), Ok(public));
            assert_eq!(public.key_id(), sha256(public.as_bytes()).as_bytes()[..16]);
            let longer = [public.as_bytes(), &[0]].concat();
            for bad in [b"".as_slice(), &public.as_bytes()[1..], &longer, &vec![0; public.as_bytes().len()]] {
                let error = CryptoError::InvalidPublicKey { algorithm };
                assert_eq!(PublicKey::from_bytes(algorithm, bad), Err(error));
            }
        }
    }

    #[test]
    fn private_keys_of_another_shape_are_refused() {
        for algorithm in ALL {
            let error = PrivateKey::from_secret_bytes(algorithm, &[1; 31]).unwrap_err();
            assert_eq!(error, CryptoError::InvalidPrivateKey { algorithm });
        }
        for scalar in [[0; 32], [0xff; 32]] {
            let algorithm = RecipientAlgorithm::HpkeP256;
            let error = PrivateKey::from_secret_bytes(algorithm, &scalar).unwrap_err();
            assert_eq!(error, CryptoError::InvalidPrivateKey { algorithm });
        }
    }

    #[test]
    fn pem_files_are_read_and_bad_ones_explained() {
        let public = PublicKey::from_pem(include_str!("../tests/data/rsa4096.pub.pem")).unwrap();
        assert_eq!(&public, PrivateKey::from_pem(RSA).unwrap().public());
        let refused = |text| PrivateKey::from_pem(text).unwrap_err();
        let encrypted = include_str!("../tests/data/rsa4096-encrypted.pem");
        assert_eq!(refused(encrypted), CryptoError::PrivateKeyEncrypted);
        assert_eq!(refused(include_str!("../tests/data/p256.pem")), CryptoError::NotRsa);
        assert_eq!(refused(include_str!("../tests/data/rsa2048.pem")), CryptoError::RsaSize { bits: 2048 });
        assert_eq!(refused("no key"), CryptoError::PemSyntax);
        let label = CryptoError::PemLabel { found: "PRIVATE KEY".to_owned(), expected: "PUBLIC KEY" };
        assert_eq!(PublicKey::from_pem(RSA), Err(label));
        let mut lines: Vec<_> = RSA.lines().collect();
        lines.remove(lines.len() / 2);
        let damaged = CryptoError::InvalidPrivateKey { algorithm: RecipientAlgorithm::Rsa4096 };
        assert_eq!(refused(&lines.join("\n")), damaged);
    }

    #[test]
    fn encrypted_pem_files_are_read_and_bad_ones_explained() {
        let passphrase = Secret::from("open-sesame".to_owned());
        let read = |text| PrivateKey::from_encrypted_pem(text, &passphrase).map(|key| key.public().clone());
        let public = PublicKey::from_pem(include_str!("../tests/data/rsa4096.pub.pem")).unwrap();
        let [cbc, scrypt] =
            [include_str!("../tests/data/rsa4096-encrypted.pem"), include_str!("../tests/data/rsa4096-scrypt.pem")];
        for text in [cbc, scrypt, RSA] {
            assert_eq!(read(text).as_ref(), Ok(&public));
        }
        let wrong = PrivateKey::from_encrypted_pem(cbc, &Secret::from("open-sesam".to_owned()));
        assert_eq!(wrong.unwrap_err(), CryptoError::PrivateKeyPassphrase);
        let small = include_str!("../tests/data/rsa2048-encrypted.pem");
        assert_eq!(read(small), Err(CryptoError::RsaSize { bits: 2048 }));
        assert_eq!(read(include_str!("../tests/data/p256-encrypted.pem")), Err(CryptoError::NotRsa));
        let pkcs1 = CryptoError::PemLabel { found: "RSA PRIVATE KEY".to_owned(), expected: "PRIVATE KEY" };
        assert_eq!(read(include_str!("../tests/data/rsa2048-pkcs1.pem")), Err(pkcs1));
        assert_eq!(read(include_str!("../tests/data/rsa2048-3des.pem")), Err(CryptoError::PrivateKeyCipher));
    }

    #[test]
    fn algorithm_numbers_are_those_of_the_format() {
        assert_eq!(ALL.map(|algorithm| algorithm as u8), [1, 2, 3]);
        assert_eq!([1, 2, 3].map(RecipientAlgorithm::from_u8), ALL.map(Some));
        assert_eq!([0, 4, 255].map(RecipientAlgorithm::from_u8), [None; 3]);
        assert_eq!(ALL.map(|algorithm| algorithm.to_string()), ["X25519", "P-256", "RSA-4096"]);
    }

    #[test]
    fn debug_shows_the_public_half_only() {
        let key = &keys()[0];
        assert_eq!(format!("{key:?}"), format!("PrivateKey {{ public: {:?}, .. }}", key.public()));
    }
}
