//! The textual encoding of keys (RFC 7468).

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::secret::Secret;

pub(crate) const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// The DER bytes of the first block labelled `expected`; other blocks and text around it are skipped.
pub(crate) fn decode(text: &str, expected: &'static str) -> Result<Secret, CryptoError> {
    let mut lines = text.lines().map(str::trim);
    let end = format!("-----END {expected}-----");
    if !lines.any(|line| begin_label(line) == Some(expected)) {
        return Err(missing(text, expected));
    }
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    for line in lines {
        if line == end {
            return Base64::decode_vec(&base64).map(Secret::new).map_err(|_| CryptoError::PemSyntax);
        }
        base64.push_str(line);
    }
    Err(CryptoError::PemSyntax)
}

fn missing(text: &str, expected: &'static str) -> CryptoError {
    match text.lines().map(str::trim).find_map(begin_label) {
        None => CryptoError::PemSyntax,
        Some(ENCRYPTED) => CryptoError::PrivateKeyEncrypted,
        Some(found) => CryptoError::PemLabel { found: found.to_owned(), expected },
    }
}

fn begin_label(line: &str) -> Option<&str> {
    line.strip_prefix("-----BEGIN ")?.strip_suffix("-----")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = "-----BEGIN PUBLIC KEY-----\nAAEC\nAw==\n-----END PUBLIC KEY-----\n";

    #[test]
    fn a_block_is_found_among_other_text() {
        let bytes = Secret::new(vec![0, 1, 2, 3]);
        assert_eq!(decode(BLOCK, "PUBLIC KEY"), Ok(bytes.clone()));
        let certificate = BLOCK.replace("PUBLIC KEY", "CERTIFICATE").replace("AAEC", "////");
        let file = format!("subject: somebody\n{certificate}\n\n{BLOCK}trailing").replace('\n', "\r\n");
        assert_eq!(decode(&file, "PUBLIC KEY"), Ok(bytes));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        assert_eq!(decode("", "PUBLIC KEY"), Err(CryptoError::PemSyntax));
        assert_eq!(decode(&BLOCK.replace("AAEC", "AA?C"), "PUBLIC KEY"), Err(CryptoError::PemSyntax));
        assert_eq!(decode(&BLOCK.replace("-----END", "-----"), "PUBLIC KEY"), Err(CryptoError::PemSyntax));
        let error = CryptoError::PemLabel { found: "PUBLIC KEY".to_owned(), expected: "PRIVATE KEY" };
        assert_eq!(decode(BLOCK, "PRIVATE KEY"), Err(error));
        let encrypted = BLOCK.replace("PUBLIC KEY", "ENCRYPTED PRIVATE KEY");
        assert_eq!(decode(&encrypted, "PRIVATE KEY"), Err(CryptoError::PrivateKeyEncrypted));
    }
}
