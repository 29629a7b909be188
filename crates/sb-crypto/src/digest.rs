//! SHA-256 for names anyone can check, keyed hashes for names only key holders can compute.

use std::fmt;
use std::str::FromStr;

use ring::{digest, hmac};

use crate::error::CryptoError;
use crate::secret::Key;

/// A 256-bit hash value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Takes 32 bytes for a digest.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 16 bytes, which identify a public key.
    pub(crate) fn key_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id.copy_from_slice(&self.0[..16]);
        id
    }

    fn from_ring(digest: &[u8]) -> Self {
        Self(digest.try_into().expect("SHA-256 yields 32 bytes"))
    }
}

/// 64 lowercase hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The first eight hexadecimal digits, enough to tell digests apart in a log.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Digest({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

/// Reads 64 hexadecimal digits of either case; anything else is [`CryptoError::DigestText`].
impl FromStr for Digest {
    type Err = CryptoError;

    fn from_str(text: &str) -> Result<Self, CryptoError> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(CryptoError::DigestText);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

fn hex_digit(digit: u8) -> Result<u8, CryptoError> {
    let value = char::from(digit).to_digit(16).ok_or(CryptoError::DigestText)?;
    Ok(u8::try_from(value).expect("a hexadecimal digit is below 16"))
}

/// SHA-256 (FIPS 180-4) of `bytes`.
///
/// ```
/// let name = sb_crypto::sha256(b"abc");
/// assert_eq!(name.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
/// ```
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_ring(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// SHA-256 (FIPS 180-4) of bytes that arrive in pieces.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Sha256 {
    /// Starts with no bytes.
    #[must_use]
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Appends `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything appended.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest::from_ring(self.0.finish().as_ref())
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sha256").finish_non_exhaustive()
    }
}

/// Which keyed hash a vault uses. The numbers are part of the vault format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum HashAlgorithm {
    /// Keyed BLAKE3 with 256 bits of output: the fast default.
    Blake3 = 1,
    /// HMAC-SHA-256 (RFC 2104, FIPS 198-1): for those who may use approved algorithms only.
    HmacSha256 = 2,
}

impl HashAlgorithm {
    /// The algorithm with this number, if there is one; `algorithm as u8` is the way back.
    #[must_use]
    pub const fn from_u8(id: u8) -> Option<Self> {
        match id {
            1 => Some(Self::Blake3),
            2 => Some(Self::HmacSha256),
            _ => None,
        }
    }
}

/// A hash under a secret key: without the key nobody can compute it, or confirm a guess of what was hashed.
#[derive(Clone)]
pub struct KeyedHash(Keyed);

#[derive(Clone)]
enum Keyed {
    Blake3(Key),
    HmacSha256(hmac::Key),
}

impl KeyedHash {
    /// Prepares a key, once for any number of [`hash`](Self::hash) calls.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm, key: &Key) -> Self {
        Self(match algorithm {
            HashAlgorithm::Blake3 => Keyed::Blake3(key.clone()),
            HashAlgorithm::HmacSha256 => Keyed::HmacSha256(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())),
        })
    }

    /// The keyed hash of `bytes`.
    #[must_use]
    pub fn hash(&self, bytes: &[u8]) -> Digest {
        match &self.0 {
            Keyed::Blake3(key) => Digest(blake3::keyed_hash(key.as_bytes(), bytes).into()),
            Keyed::HmacSha256(key) => Digest::from_ring(hmac::sign(key, bytes).as_ref()),
        }
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithm = match self.0 {
            Keyed::Blake3(_) => HashAlgorithm::Blake3,
            Keyed::HmacSha256(_) => HashAlgorithm::HmacSha256,
        };
        f.debug_struct("KeyedHash").field("algorithm", &algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_fips_180_4_examples() {
        let two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        let expected = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
        assert_eq!(sha256(two_blocks.as_bytes()).to_string(), expected);
        let million = vec![b'a'; 1_000_000];
        let expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        assert_eq!(sha256(&million).to_string(), expected);
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let mut hash = Sha256::default();
        hash.update(b"a");
        let mut other = hash.clone();
        hash.update(b"");
        hash.update(b"bc");
        assert_eq!(hash.finish(), sha256(b"abc"));
        other.update(b"!");
        assert_eq!(other.finish(), sha256(b"a!"));
    }

    #[test]
    fn hmac_of_rfc_4231_test_cases_1_to_4_padded_to_a_key() {
        // HMAC pads keys with zeros to the block, so a shorter key equals itself padded to 32 bytes.
        let counting: Vec<u8> = (1..=25).collect();
        for (short, data, expected) in [
            (&[0x0b; 20][..], &b"Hi There"[..], "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&counting, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        ] {
            let mut key = [0; 32];
            key[..short.len()].copy_from_slice(short);
            let hash = KeyedHash::new(HashAlgorithm::HmacSha256, &Key::from_bytes(key));
            assert_eq!(hash.hash(data).to_string(), expected);
        }
    }

    #[test]
    fn keyed_blake3_of_the_official_test_vectors() {
        let key = Key::from_bytes(*b"whats the Elvish word for friend");
        let hash = KeyedHash::new(HashAlgorithm::Blake3, &key);
        let input: Vec<u8> = (0..=250).cycle().take(1024).collect();
        for (len, expected) in [
            (0, "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26"),
            (1, "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b"),
            (1024, "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4"),
        ] {
            assert_eq!(hash.hash(&input[..len]).to_string(), expected);
        }
    }

    #[test]
    fn hex_reads_back_in_either_case_and_nothing_else_does() {
        let digest = sha256(b"abc");
        let hex = digest.to_string();
        assert_eq!(hex.parse(), Ok(digest));
        assert_eq!(hex.to_uppercase().parse(), Ok(digest));
        for bad in ["", &hex[1..], &format!("{hex}0"), &hex.replace('b', "g"), &hex.replacen("ba", "é", 1)] {
            assert_eq!(bad.parse::<Digest>(), Err(CryptoError::DigestText));
        }
    }

    #[test]
    fn algorithm_numbers_are_those_of_the_format() {
        assert_eq!(HashAlgorithm::Blake3 as u8, 1);
        assert_eq!(HashAlgorithm::HmacSha256 as u8, 2);
        for id in 0..=255 {
            assert!(HashAlgorithm::from_u8(id).is_none_or(|algorithm| algorithm as u8 == id));
        }
        assert!(HashAlgorithm::from_u8(1).is_some() && HashAlgorithm::from_u8(2).is_some());
    }

    #[test]
    fn debug_is_short_and_hides_keys() {
        assert_eq!(format!("{:?}", sha256(b"abc")), "Digest(ba7816bf…)");
        assert_eq!(format!("{:?}", Sha256::new()), "Sha256 { .. }");
        for algorithm in [HashAlgorithm::Blake3, HashAlgorithm::HmacSha256] {
            let hash = KeyedHash::new(algorithm, &Key::from_bytes([1; 32]));
            assert_eq!(format!("{hash:?}"), format!("KeyedHash {{ algorithm: {algorithm:?}, .. }}"));
        }
    }
}
