//! Passphrases as people type them.

use sb_crypto::Secret;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;

/// Why bytes are no passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// There is nothing.
    #[error("the passphrase is empty")]
    Empty,
    /// The bytes are no text, so that another keyboard or terminal might never yield them again.
    #[error("the passphrase is not UTF-8 text")]
    NotText,
}

/// Takes what was typed or read for a passphrase: without one line end at the end, and in Unicode's normalization form C, so that `ü` is the
/// same from every keyboard. Nothing else is changed, spaces included.
///
/// ```
/// use sb_core::{crypto::Secret, passphrase};
/// let typed = passphrase(Secret::from("sch\u{f6}n".to_owned()))?;
/// assert_eq!(typed, passphrase(Secret::from("scho\u{308}n\n".to_owned()))?);
/// # Ok::<(), sb_core::PassphraseError>(())
/// ```
///
/// # Errors
/// [`PassphraseError`].
pub fn passphrase(given: Secret) -> Result<Secret, PassphraseError> {
    let text = std::str::from_utf8(given.as_bytes()).map_err(|_| PassphraseError::NotText)?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(PassphraseError::Empty);
    }
    // Room enough to begin with (form C is at most three times as long, UAX #15), so that no copy is left behind by growing.
    let mut normal = String::with_capacity(3 * line.len());
    normal.extend(line.nfc());
    Ok(Secret::from(normal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_line_end_is_taken_away() {
        let read = |text: &str| passphrase(Secret::from(text.to_owned())).unwrap().as_bytes().to_vec();
        assert_eq!(read(" two words \r\n"), b" two words ");
        assert_eq!(read("a\n\n"), b"a\n");
    }

    #[test]
    fn nothing_and_binary_are_refused() {
        assert_eq!(passphrase(Secret::new(b"\n".to_vec())), Err(PassphraseError::Empty));
        assert_eq!(passphrase(Secret::new(Vec::new())), Err(PassphraseError::Empty));
        assert_eq!(passphrase(Secret::new(b"\xff".to_vec())), Err(PassphraseError::NotText));
    }
}
