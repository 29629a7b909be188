//! Sealing under a symmetric key, bound to the content.
//!
//! ```text
//! Kh     = derive(K, "bind", [label, 0x00])
//! h      = keyed hash (BLAKE3 or HMAC-SHA-256) of the plaintext under Kh            32 bytes
//! Ke     = derive(K, "seal", [label, 0x00, context, SHA-256(aad), h])
//! sealed = h ‖ AES-256-GCM(Ke, nonce = 12 zero bytes, aad, plaintext) ‖ tag         48 bytes longer
//! ```
//!
//! The key of each message depends on its plaintext, so nothing has to be unique for this to be safe: a machine cloned
//! with its random generator, or a run replayed, seals different texts under different keys, and the same text to the
//! same bytes. Opening recomputes h, so one sealed message opens under one key only (AES-GCM alone does not promise
//! that).
//!
//! It asks nothing of the caller: key, label, context, associated data and plaintext all go into the message key, so no
//! two different messages ever meet the same key and nonce.
//!
//! What it shows: equal plaintexts under one key, label, context and associated data are seen to be equal, and so is equal h across
//! contexts of one key and label.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::aead::{TAG_LEN, decrypt_once, encrypt_once};
use crate::derive::derive;
use crate::digest::{Digest, HashAlgorithm, KeyedHash, sha256};
use crate::error::CryptoError;
use crate::secret::Key;

/// How many bytes longer the sealed form is than the plaintext.
pub const SEAL_OVERHEAD: usize = HASH_LEN + TAG_LEN;

const HASH_LEN: usize = 32;

/// Seals and opens under one key for one purpose.
///
/// ```
/// use sb_crypto::{HashAlgorithm, Key, Sealer, SystemRandom};
/// let key = Key::random(&SystemRandom);
/// let sealer = Sealer::new(HashAlgorithm::Blake3, &key, "segment");
/// let sealed = sealer.seal(b"pack 1, segment 7", b"vault 4711", b"the ledger");
/// assert_eq!(sealer.open(b"pack 1, segment 7", b"vault 4711", &sealed)?, b"the ledger");
/// assert!(sealer.open(b"pack 1, segment 8", b"vault 4711", &sealed).is_err());
/// # Ok::<(), sb_crypto::CryptoError>(())
/// ```
#[derive(Clone)]
pub struct Sealer {
    key: Key,
    label: &'static str,
    binding: KeyedHash,
}

impl Sealer {
    /// A sealer under `key` for the purpose `label`; sealers with different labels can't open each other's data.
    ///
    /// # Panics
    /// When `label` contains a zero byte.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm, key: &Key, label: &'static str) -> Self {
        assert!(!label.contains('\0'), "a label contains no zero byte");
        let binding = KeyedHash::new(algorithm, &derive(key, "bind", &[label.as_bytes(), &[0]]));
        Self { key: key.clone(), label, binding }
    }

    /// The sealed form of `plaintext`, [`SEAL_OVERHEAD`] bytes longer. Only a call with the same `context` (which place
    /// this is for) and `aad` (what else must be true) opens it.
    ///
    /// # Panics
    /// When `plaintext` is longer than 2³⁶ − 32 bytes (64 GiB).
    #[must_use]
    pub fn seal(&self, context: &[u8], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let hash = self.binding.hash(plaintext);
        let mut sealed = Vec::with_capacity(plaintext.len() + SEAL_OVERHEAD);
        sealed.extend_from_slice(hash.as_bytes());
        sealed.extend_from_slice(plaintext);
        self.encrypt(context, aad, &hash, &mut sealed);
        sealed
    }

    /// [`seal`](Self::seal) within one buffer: plaintext before, sealed form after. It does not allocate if the buffer
    /// has room for [`SEAL_OVERHEAD`] more bytes.
    ///
    /// # Panics
    /// When the plaintext is longer than 2³⁶ − 32 bytes (64 GiB).
    pub fn seal_in_place(&self, context: &[u8], aad: &[u8], buffer: &mut Vec<u8>) {
        let hash = self.binding.hash(buffer);
        buffer.reserve_exact(SEAL_OVERHEAD);
        buffer.splice(..0, *hash.as_bytes());
        self.encrypt(context, aad, &hash, buffer);
    }

    /// The plaintext of `sealed`.
    ///
    /// # Errors
    /// [`CryptoError::NotAuthentic`] if anything differs from what was sealed: a bit of `sealed`, the key, the label,
    /// `context` or `aad`. [`CryptoError::Truncated`] if `sealed` is shorter than [`SEAL_OVERHEAD`].
    pub fn open(&self, context: &[u8], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let mut buffer = sealed.to_vec();
        self.open_in_place(context, aad, &mut buffer)?;
        Ok(buffer)
    }

    /// [`open`](Self::open) without memory of its own: the plaintext comes to lie at the beginning of where the sealed form was.
    ///
    /// # Errors
    /// As [`open`](Self::open). What is in the buffer then is not to be used.
    pub fn open_within<'b>(&self, context: &[u8], aad: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], CryptoError> {
        let length = self.decrypt(context, aad, buffer)?;
        Ok(&buffer[..length])
    }

    /// [`open`](Self::open) within one buffer: sealed form before, plaintext after.
    ///
    /// # Errors
    /// As [`open`](Self::open). The buffer is empty then.
    pub fn open_in_place(&self, context: &[u8], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), CryptoError> {
        let opened = self.decrypt(context, aad, buffer);
        buffer.truncate(*opened.as_ref().unwrap_or(&0));
        opened.map(drop)
    }

    /// `buffer` holds hash and plaintext, afterwards the sealed form.
    fn encrypt(&self, context: &[u8], aad: &[u8], hash: &Digest, buffer: &mut Vec<u8>) {
        let key = self.message_key(context, aad, hash.as_bytes());
        let tag = encrypt_once(&key, aad, &mut buffer[HASH_LEN..]).expect("a plaintext is shorter than 64 GiB");
        buffer.extend_from_slice(&tag);
    }

    /// Moves the plaintext to the front of `buffer` and returns its length.
    fn decrypt(&self, context: &[u8], aad: &[u8], buffer: &mut [u8]) -> Result<usize, CryptoError> {
        let hash = match buffer.first_chunk::<HASH_LEN>() {
            Some(hash) if buffer.len() >= SEAL_OVERHEAD => *hash,
            _ => return Err(CryptoError::Truncated { len: buffer.len(), min: SEAL_OVERHEAD }),
        };
        let len = decrypt_once(&self.message_key(context, aad, &hash), aad, buffer, HASH_LEN..)?;
        let recomputed = self.binding.hash(&buffer[..len]);
        verify_slices_are_equal(&hash, recomputed.as_bytes()).map_err(|_| CryptoError::NotAuthentic)?;
        Ok(len)
    }

    fn message_key(&self, context: &[u8], aad: &[u8], hash: &[u8; HASH_LEN]) -> Key {
        derive(&self.key, "seal", &[self.label.as_bytes(), &[0], context, sha256(aad).as_bytes(), hash])
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("label", &self.label).field("binding", &self.binding).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALGORITHMS: [HashAlgorithm; 2] = [HashAlgorithm::Blake3, HashAlgorithm::HmacSha256];

    fn sealer(algorithm: HashAlgorithm) -> Sealer {
        Sealer::new(algorithm, &Key::from_bytes([7; 32]), "test")
    }

    fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..max)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_was_sealed_opens(
            plaintext in bytes(2000), context in bytes(40), aad in bytes(40), algorithm in prop::sample::select(&ALGORITHMS[..]),
        ) {
            let sealer = sealer(algorithm);
            let sealed = sealer.seal(&context, &aad, &plaintext);
            prop_assert_eq!(sealed.len(), plaintext.len() + SEAL_OVERHEAD);
            prop_assert_eq!(sealer.open(&context, &aad, &sealed), Ok(plaintext.clone()));
            let mut buffer = plaintext.clone();
            sealer.seal_in_place(&context, &aad, &mut buffer);
            prop_assert_eq!(&buffer, &sealed);
            sealer.open_in_place(&context, &aad, &mut buffer)?;
            prop_assert_eq!(&buffer, &plaintext);
            let mut within = sealed.clone();
            prop_assert_eq!(sealer.open_within(&context, &aad, &mut within)?, &plaintext[..]);
        }

        #[test]
        fn any_flipped_bit_fails(plaintext in bytes(200), position in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let sealer = sealer(HashAlgorithm::Blake3);
            let mut sealed = sealer.seal(b"context", b"aad", &plaintext);
            let position = position.index(sealed.len());
            sealed[position] ^= 1_u8 << bit;
            prop_assert_eq!(sealer.open(b"context", b"aad", &sealed), Err(CryptoError::NotAuthentic));
            sealer.open_within(b"context", b"aad", &mut sealed.clone()).unwrap_err();
            sealer.open_in_place(b"context", b"aad", &mut sealed).unwrap_err();
            prop_assert!(sealed.is_empty());
        }

        #[test]
        fn any_other_circumstance_fails(plaintext in bytes(200)) {
            for algorithm in ALGORITHMS {
                let sealed = sealer(algorithm).seal(b"context", b"aad", &plaintext);
                let fails = |sealer: Sealer, context: &[u8], aad: &[u8]| {
                    sealer.open(context, aad, &sealed) == Err(CryptoError::NotAuthentic)
                };
                prop_assert!(fails(sealer(algorithm), b"contexu", b"aad"));
                prop_assert!(fails(sealer(algorithm), b"context", b"aae"));
                prop_assert!(fails(sealer(algorithm), b"contexta", b"ad"));
                prop_assert!(fails(Sealer::new(algorithm, &Key::from_bytes([7; 32]), "tesu"), b"context", b"aad"));
                prop_assert!(fails(Sealer::new(algorithm, &Key::from_bytes([8; 32]), "test"), b"context", b"aad"));
            }
        }

        #[test]
        fn cutting_short_fails(plaintext in bytes(100), cut in 1_usize..40) {
            let sealer = sealer(HashAlgorithm::Blake3);
            let mut sealed = sealer.seal(b"", b"", &plaintext);
            sealed.truncate(sealed.len() - cut.min(sealed.len()));
            prop_assert!(sealer.open(b"", b"", &sealed).is_err());
        }
    }

    #[test]
    fn too_short_for_any_message_is_told_apart() {
        let error = sealer(HashAlgorithm::Blake3).open(b"", b"", &[0; 47]);
        assert_eq!(error, Err(CryptoError::Truncated { len: 47, min: 48 }));
    }

    #[test]
    fn a_hash_that_is_not_of_the_plaintext_is_refused() {
        // Whoever has the key could encrypt correctly under a hash of something else.
        let sealer = sealer(HashAlgorithm::Blake3);
        let lie = Digest::from_bytes([9; 32]);
        let mut sealed = [lie.as_bytes().as_slice(), b"plaintext"].concat();
        sealer.encrypt(b"", b"", &lie, &mut sealed);
        assert_eq!(sealer.open(b"", b"", &sealed), Err(CryptoError::NotAuthentic));
    }

    #[test]
    fn sealing_in_place_reuses_the_buffer() {
        let mut buffer = Vec::with_capacity(100);
        buffer.extend_from_slice(b"plaintext");
        let before = buffer.as_ptr();
        sealer(HashAlgorithm::Blake3).seal_in_place(b"", b"", &mut buffer);
        assert_eq!(buffer.as_ptr(), before);
    }

    #[test]
    fn equal_texts_share_a_key_and_different_ones_do_not() {
        let sealer = sealer(HashAlgorithm::Blake3);
        assert_eq!(sealer.seal(b"c", b"", b"text"), sealer.seal(b"c", b"", b"text"));
        let (one, other) = (sealer.seal(b"c", b"", b"text"), sealer.seal(b"c", b"", b"tex_"));
        assert_ne!(one[HASH_LEN..HASH_LEN + 3], other[HASH_LEN..HASH_LEN + 3]);
    }

    #[test]
    #[should_panic(expected = "a label contains no zero byte")]
    fn a_label_with_a_zero_byte_is_a_mistake() {
        let _ = Sealer::new(HashAlgorithm::Blake3, &Key::from_bytes([7; 32]), "a\0");
    }

    #[test]
    fn debug_hides_the_key() {
        let shown = format!("{:?}", sealer(HashAlgorithm::Blake3));
        assert_eq!(shown, "Sealer { label: \"test\", binding: KeyedHash { algorithm: Blake3, .. }, .. }");
    }
}
