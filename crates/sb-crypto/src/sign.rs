//! Signatures by Ed25519 (RFC 8032, pure, without context).

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::digest::{Digest, sha256};
use crate::error::CryptoError;
use crate::random::Random;
use crate::secret::Key;

/// A private key that signs.
///
/// ```
/// use sb_crypto::{SigningKey, SystemRandom};
/// let key = SigningKey::generate(&SystemRandom);
/// let signature = key.sign(b"journal entry 12");
/// key.public().verify(b"journal entry 12", &signature)?;
/// assert!(key.public().verify(b"journal entry 13", &signature).is_err());
/// # Ok::<(), sb_crypto::CryptoError>(())
/// ```
pub struct SigningKey {
    seed: Key,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// A new key.
    ///
    /// # Panics
    /// When the source of randomness fails.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        Self::from_key(Key::random(random))
    }

    /// The key that belongs to a seed, the 32-byte private key of RFC 8032.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::from_key(Key::from_bytes(*seed))
    }

    fn from_key(seed: Key) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_bytes()).expect("any 32 bytes are an Ed25519 seed");
        Self { seed, pair }
    }

    /// The seed, all that has to be kept.
    #[must_use]
    pub const fn seed(&self) -> &Key {
        &self.seed
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn public(&self) -> VerifyingKey {
        VerifyingKey(self.pair.public_key().as_ref().try_into().expect("Ed25519 public keys have 32 bytes"))
    }

    /// The signature of `message`, always the same for the same message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message).as_ref().try_into().expect("Ed25519 signatures have 64 bytes")
    }
}

impl Clone for SigningKey {
    fn clone(&self) -> Self {
        Self::from_key(self.seed.clone())
    }
}

/// Shows the public key only.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

/// The y of the eight points of edwards25519 whose order divides 8, little-endian, and of those that are written in two ways the other
/// one. To such a key anybody can make a signature that verifies.
#[rustfmt::skip]
const LOW_ORDER: [[u8; 32]; 7] = [
    ends(0, 0, 0),
    ends(1, 0, 0),
    [0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05],
    [0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a],
    ends(0xec, 0xff, 0x7f),
    ends(0xed, 0xff, 0x7f),
    ends(0xee, 0xff, 0x7f),
];

const fn ends(first: u8, between: u8, last: u8) -> [u8; 32] {
    let mut bytes = [between; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// A public key that verifies signatures.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct VerifyingKey([u8; 32]);

impl VerifyingKey {
    /// Takes 32 bytes for a key. Bytes that are no point of the curve, or one of low order, are found when verifying: nothing verifies.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// SHA-256 of the key, for people to compare.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        sha256(&self.0)
    }

    /// The first 16 bytes of the fingerprint.
    #[must_use]
    pub fn key_id(&self) -> [u8; 16] {
        self.fingerprint().key_id()
    }

    fn is_of_low_order(&self) -> bool {
        let mut y = self.0;
        y[31] &= 0x7f;
        LOW_ORDER.contains(&y)
    }

    /// Checks that `signature` was made over `message` by the private half of this key.
    ///
    /// # Errors
    /// [`CryptoError::BadSignature`] if it was not.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), CryptoError> {
        if self.is_of_low_order() {
            return Err(CryptoError::BadSignature);
        }
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).map_err(|_| CryptoError::BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    fn hex(text: &str) -> Vec<u8> {
        let digit = |index| u8::from_str_radix(&text[index..index + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn signatures_of_rfc_8032_section_7_1() {
        for (seed, public, message, signature) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ] {
            let key = SigningKey::from_seed(&hex(seed).try_into().unwrap());
            assert_eq!(key.public().as_bytes().as_slice(), hex(public));
            assert_eq!(key.sign(&hex(message)).as_slice(), hex(signature));
            key.public().verify(&hex(message), &key.sign(&hex(message))).unwrap();
        }
    }

    #[test]
    fn any_flipped_bit_of_a_signature_fails() {
        let key = SigningKey::generate(&SeededRandom::new(1));
        let signature = key.sign(b"message");
        for bit in 0..512 {
            let mut forged = signature;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key.public().verify(b"message", &forged), Err(CryptoError::BadSignature));
        }
    }

    #[test]
    fn other_messages_and_keys_fail() {
        let key = SigningKey::generate(&SeededRandom::new(1));
        let other = SigningKey::generate(&SeededRandom::new(2));
        assert_eq!(key.public().verify(b"messagf", &key.sign(b"message")), Err(CryptoError::BadSignature));
        assert_eq!(other.public().verify(b"message", &key.sign(b"message")), Err(CryptoError::BadSignature));
        let no_point = VerifyingKey::from_bytes([0xff; 32]);
        assert_eq!(no_point.verify(b"message", &key.sign(b"message")), Err(CryptoError::BadSignature));
    }

    #[test]
    fn a_key_is_its_seed() {
        let key = SigningKey::generate(&SeededRandom::new(1));
        assert_eq!(SigningKey::from_seed(key.seed().as_bytes()).public(), key.public());
        assert_eq!(key.clone().sign(b"message"), key.sign(b"message"));
        assert_eq!(key.public().fingerprint(), sha256(key.public().as_bytes()));
        assert_eq!(key.public().key_id(), key.public().fingerprint().as_bytes()[..16]);
        assert!(format!("{key:?}").starts_with("SigningKey { public: VerifyingKey("));
    }
}
