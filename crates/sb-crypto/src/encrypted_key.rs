//! Private keys that a passphrase protects: PKCS#8 `EncryptedPrivateKeyInfo` (RFC 5958 §3) by PBES2 (RFC 8018 §6.2), as OpenSSL writes it.

use pkcs8::der::SecretDocument;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::{EncryptedPrivateKeyInfo, Error, PrivateKeyInfoRef};

use crate::error::CryptoError;
use crate::secret::Secret;

/// The PKCS#8 key in `der`, unencrypted: AES in CBC or GCM mode, with PBKDF2-HMAC-SHA-2 or scrypt.
pub(crate) fn decrypt(der: &[u8], passphrase: &[u8]) -> Result<Secret, CryptoError> {
    // What this library does not know it does not parse either.
    let encrypted: EncryptedPrivateKeyInfo<&OctetStringRef> =
        der.try_into().map_err(|_| CryptoError::PrivateKeyCipher)?;
    let key: SecretDocument = encrypted.decrypt(passphrase).map_err(|error| match error {
        Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::DecryptFailed) | Error::Asn1(_) => WRONG,
        _ => CryptoError::PrivateKeyCipher,
    })?;
    // One wrong passphrase in 256 leaves a padding that looks right.
    PrivateKeyInfoRef::try_from(key.as_bytes()).map_err(|_| WRONG)?;
    Ok(Secret::new(key.as_bytes().to_vec()))
}

const WRONG: CryptoError = CryptoError::PrivateKeyPassphrase;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pem;

    const PASSPHRASE: &[u8] = b"open-sesame";

    fn der(text: &str) -> Secret {
        pem::decode(text, pem::ENCRYPTED).unwrap()
    }

    #[test]
    fn what_openssl_encrypts_comes_out_the_same() {
        let plain = pem::decode(include_str!("../tests/data/rsa4096.pem"), "PRIVATE KEY").unwrap();
        for encrypted in
            [include_str!("../tests/data/rsa4096-encrypted.pem"), include_str!("../tests/data/rsa4096-scrypt.pem")]
        {
            assert_eq!(decrypt(&der(encrypted), PASSPHRASE).unwrap(), plain);
        }
    }

    #[test]
    fn no_wrong_passphrase_passes_for_anything_else() {
        let der = der(include_str!("../tests/data/rsa2048-encrypted.pem"));
        assert_eq!(decrypt(&der, b""), Err(WRONG));
        // Two or three of so many have a padding that looks right.
        for n in 0..700_u32 {
            assert_eq!(decrypt(&der, &n.to_be_bytes()), Err(WRONG));
        }
    }

    #[test]
    fn damage_and_other_ciphers_are_told() {
        let unknown = include_str!("../tests/data/rsa2048-3des.pem");
        assert_eq!(decrypt(&der(unknown), PASSPHRASE), Err(CryptoError::PrivateKeyCipher));
        let good = der(include_str!("../tests/data/rsa2048-encrypted.pem"));
        assert_eq!(decrypt(&good[..good.len() - 1], PASSPHRASE), Err(CryptoError::PrivateKeyCipher));
        assert_eq!(decrypt(b"", PASSPHRASE), Err(CryptoError::PrivateKeyCipher));
        let mut damaged = good.to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(decrypt(&damaged, PASSPHRASE), Err(WRONG));
    }
}
