//! Keys that exist as text outside the program: in a file, or on paper.
//!
//! ```text
//! key file       "sb-key-1:" ‖ 56 symbols, one line
//! recovery key   56 symbols in 14 groups of 4, joined by "-"
//! ```
//!
//! The symbols are Crockford's base32 of the 32 key bytes, followed by the check group (see `crockford.rs`): 52 symbols
//! of data, 4 of `data mod 1048573`.

use std::fmt;
use std::str::FromStr;

use crate::crockford;
use crate::error::CryptoError;
use crate::random::Random;
use crate::secret::Key;

const KEY_FILE_PREFIX: &str = "sb-key-1:";
const GROUP_LEN: usize = 4;

/// A random key that is kept in a file, for instance on a stick.
///
/// Its text form is one line, which [`Display`](fmt::Display) writes without a line end. Reading it allows white space
/// around it. The text is as secret as the key, and wiping it is up to whoever holds it.
///
/// ```
/// use sb_crypto::{KeyFile, SystemRandom};
/// let key = KeyFile::generate(&SystemRandom);
/// let file = format!("{key}\n");
/// assert!(file.starts_with("sb-key-1:"));
/// assert_eq!(file.parse::<KeyFile>()?, key);
/// # Ok::<(), sb_crypto::CryptoError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFile(Key);

impl KeyFile {
    /// A new key.
    ///
    /// # Panics
    /// When the source of randomness fails.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        Self(Key::random(random))
    }

    /// The key in the file.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.0
    }
}

impl fmt::Display for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KEY_FILE_PREFIX}{}", crockford::encode(&self.0).as_str())
    }
}

/// Fails with [`CryptoError::KeyTextPrefix`] if the text is no key file, and like [`RecoveryKey`] if it is a bad one.
impl FromStr for KeyFile {
    type Err = CryptoError;

    fn from_str(text: &str) -> Result<Self, CryptoError> {
        let symbols = text.trim().strip_prefix(KEY_FILE_PREFIX).ok_or(CryptoError::KeyTextPrefix)?;
        crockford::decode(symbols).map(Self)
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFile(..)")
    }
}

/// A random key that is printed on paper and typed in when all else is lost.
///
/// [`Display`](fmt::Display) writes it in groups of four. Reading it back forgives case, spaces, hyphens in other
/// places, `O` for `0` and `I` or `L` for `1`; it is certain to notice any one wrong character and any swap of two
/// neighbours. The text is as secret as the key, and wiping it is up to whoever holds it.
///
/// ```
/// use sb_crypto::{RecoveryKey, SystemRandom};
/// let key = RecoveryKey::generate(&SystemRandom);
/// let typed = key.to_string().to_lowercase().replace('-', " ").replace('0', "O");
/// assert_eq!(typed.parse::<RecoveryKey>()?, key);
/// # Ok::<(), sb_crypto::CryptoError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryKey(Key);

impl RecoveryKey {
    /// A new key.
    ///
    /// # Panics
    /// When the source of randomness fails.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        Self(Key::random(random))
    }

    /// The key on the paper.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.0
    }
}

impl fmt::Display for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, symbol) in crockford::encode(&self.0).chars().enumerate() {
            let separator = if index > 0 && index % GROUP_LEN == 0 { "-" } else { "" };
            write!(f, "{separator}{symbol}")?;
        }
        Ok(())
    }
}

/// Fails with [`CryptoError::KeyTextCharacter`], [`CryptoError::KeyTextLength`] or [`CryptoError::KeyTextChecksum`],
/// looked for in this order.
impl FromStr for RecoveryKey {
    type Err = CryptoError;

    fn from_str(text: &str) -> Result<Self, CryptoError> {
        crockford::decode(text).map(Self)
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_key_file_reads_back_with_or_without_line_end() {
        let key = KeyFile::generate(&SeededRandom::new(1));
        let text = key.to_string();
        assert_eq!(text.len(), "sb-key-1:".len() + crockford::TEXT_LEN);
        for written in [text.clone(), format!("{text}\n"), format!("{text}\r\n")] {
            assert_eq!(written.parse(), Ok(key.clone()));
        }
    }

    #[test]
    fn other_files_are_told_from_damaged_ones() {
        let text = KeyFile::generate(&SeededRandom::new(1)).to_string();
        for other in ["", "hello", &text[9..], &text.replace("key-1", "key-2")] {
            assert_eq!(other.parse::<KeyFile>(), Err(CryptoError::KeyTextPrefix));
        }
        let cut = text[..text.len() - 1].parse::<KeyFile>();
        assert_eq!(cut, Err(CryptoError::KeyTextLength { len: 55, expected: 56 }));
    }

    #[test]
    fn a_recovery_key_is_written_in_fourteen_groups_of_four() {
        let key = RecoveryKey::generate(&SeededRandom::new(1));
        let text = key.to_string();
        let groups: Vec<_> = text.split('-').collect();
        assert_eq!(groups.len(), 14);
        assert!(groups.iter().all(|group| group.len() == 4));
        assert_eq!(text.parse(), Ok(key.clone()));
        assert_eq!(text.to_lowercase().replace('-', "  ").parse(), Ok(key));
    }

    #[test]
    fn debug_shows_nothing() {
        let random = SeededRandom::new(1);
        assert_eq!(format!("{:?}", KeyFile::generate(&random)), "KeyFile(..)");
        assert_eq!(format!("{:?}", RecoveryKey::generate(&random)), "RecoveryKey(..)");
    }
}
