//! Fingerprints as people copy them from paper.

use sb_crypto::{CryptoError, Digest};

/// Reads a fingerprint: 64 hexadecimal digits, with spaces among them or not.
///
/// ```
/// let grouped = sb_core::fingerprint(&"0123abcd ".repeat(8))?;
/// assert_eq!(grouped, sb_core::fingerprint(&"0123ABCD".repeat(8))?);
/// # Ok::<(), sb_core::crypto::CryptoError>(())
/// ```
///
/// # Errors
/// [`CryptoError::DigestText`].
pub fn fingerprint(text: &str) -> Result<Digest, CryptoError> {
    text.split_whitespace().collect::<String>().parse()
}
