//! Secret bytes that are wiped when dropped, compare in constant time and never show in a log.

use std::fmt;
use std::ops::Deref;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::CryptoError;
use crate::random::Random;

/// A 256-bit symmetric key.
///
/// It is wiped when dropped. `==` takes the same time wherever two keys differ. `Debug` shows no content.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 32]);

impl Key {
    /// The number of bytes in a key.
    pub const LEN: usize = 32;

    /// A new key.
    ///
    /// # Panics
    /// When the source of randomness fails.
    #[must_use]
    pub fn random(random: &dyn Random) -> Self {
        let mut key = Self([0; Self::LEN]);
        random.fill(&mut key.0);
        key
    }

    /// Takes 32 bytes for a key. The caller's copy is the caller's to wipe.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Takes a slice for a key.
    ///
    /// # Errors
    /// [`CryptoError::KeyLength`] unless it has exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, CryptoError> {
        let error = CryptoError::KeyLength { len: bytes.len(), expected: Self::LEN };
        bytes.try_into().map(Self).map_err(|_| error)
    }

    /// The 32 secret bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn as_mut_bytes(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Secret bytes of any number: a passphrase, the content of a key slot.
///
/// They are wiped when dropped. `==` takes the same time wherever two secrets of one length differ. `Debug` shows no
/// content.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes bytes over, without a copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The secret bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_mut_bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Deref for Secret {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

/// The UTF-8 bytes of a text, such as a passphrase, taken over without a copy.
impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_key_has_exactly_32_bytes() {
        let key = Key::random(&SeededRandom::new(1));
        assert_eq!(Key::from_slice(key.as_bytes()), Ok(key));
        for len in [0, 31, 33] {
            assert_eq!(Key::from_slice(&vec![0; len]), Err(CryptoError::KeyLength { len, expected: 32 }));
        }
    }

    #[test]
    fn equality_compares_all_bytes() {
        let mut bytes = [5; 32];
        let key = Key::from_bytes(bytes);
        bytes[31] ^= 1;
        assert_ne!(key, Key::from_bytes(bytes));
        assert_eq!(key, key.clone());
        assert_eq!(Secret::from("ab".to_owned()), Secret::from(b"ab".to_vec()));
        assert_ne!(Secret::new(b"ab".to_vec()), Secret::new(b"abc".to_vec()));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Key::from_bytes([5; 32])), "Key(..)");
        assert_eq!(format!("{:?}", Secret::from("hunter2".to_owned())), "Secret(..)");
    }

    #[test]
    fn wiping_leaves_zeros() {
        let mut key = Key::from_bytes([5; 32]);
        key.zeroize();
        assert_eq!(key.as_bytes(), &[0; 32]);
    }
}
