//! RSA with 4096 bits: OAEP with SHA-256 and MGF1-SHA-256 (RFC 8017 §7.1), keys in PKCS#8 and SubjectPublicKeyInfo.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::recipient::RecipientAlgorithm;
use crate::secret::{Key, Secret};

/// Bytes of a wrapped key: as many as the modulus has.
pub(crate) const WRAPPED_LEN: usize = 512;

const BITS: usize = 4096;

/// DER of the object identifier 1.2.840.113549.1.1.1, rsaEncryption (RFC 8017 appendix C).
const RSA_ENCRYPTION: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

const INVALID_PUBLIC: CryptoError = CryptoError::InvalidPublicKey { algorithm: RecipientAlgorithm::Rsa4096 };
const INVALID_PRIVATE: CryptoError = CryptoError::InvalidPrivateKey { algorithm: RecipientAlgorithm::Rsa4096 };
const GENERATION: CryptoError = CryptoError::KeyGeneration { algorithm: RecipientAlgorithm::Rsa4096 };

pub(crate) fn generate() -> Result<PrivateDecryptingKey, CryptoError> {
    PrivateDecryptingKey::generate(KeySize::Rsa4096).map_err(|_| GENERATION)
}

/// Reads an unencrypted PKCS#8 key.
pub(crate) fn private_from_der(der: &[u8]) -> Result<PrivateDecryptingKey, CryptoError> {
    let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|_| INVALID_PRIVATE)?;
    check_size(key.key_size_bits())?;
    Ok(key)
}

pub(crate) fn private_to_der(key: &PrivateDecryptingKey) -> Secret {
    let der = key.as_der().expect("a key in memory can be written as PKCS#8");
    Secret::new(der.as_ref().to_vec())
}

/// Reads a SubjectPublicKeyInfo. Only the one DER encoding of a key is accepted, because its hash names the key.
pub(crate) fn public_from_der(der: &[u8]) -> Result<PublicEncryptingKey, CryptoError> {
    let key = PublicEncryptingKey::from_der(der).map_err(|_| INVALID_PUBLIC)?;
    check_size(key.key_size_bits())?;
    if public_to_der(&key) == der { Ok(key) } else { Err(INVALID_PUBLIC) }
}

pub(crate) fn public_to_der(key: &PublicEncryptingKey) -> Vec<u8> {
    key.as_der().expect("a key in memory can be written as SubjectPublicKeyInfo").as_ref().to_vec()
}

/// Tells a key for something else from a damaged one.
pub(crate) fn check_is_rsa(der: &[u8]) -> Result<(), CryptoError> {
    let found = der.windows(RSA_ENCRYPTION.len()).any(|window| window == RSA_ENCRYPTION);
    if found { Ok(()) } else { Err(CryptoError::NotRsa) }
}

fn check_size(bits: usize) -> Result<(), CryptoError> {
    if bits == BITS { Ok(()) } else { Err(CryptoError::RsaSize { bits }) }
}

/// Encrypts a key to the holder of the private key, for the purpose `label`.
pub(crate) fn wrap(public: PublicEncryptingKey, label: &[u8], key: &Key) -> Result<Vec<u8>, CryptoError> {
    let mut wrapped = vec![0; WRAPPED_LEN];
    OaepPublicEncryptingKey::new(public)
        .and_then(|public| public.encrypt(&OAEP_SHA256_MGF1SHA256, key.as_bytes(), &mut wrapped, Some(label)).map(drop))
        .map_err(|_| INVALID_PUBLIC)?;
    Ok(wrapped)
}

/// Decrypts what [`wrap`] made.
pub(crate) fn unwrap(private: &PrivateDecryptingKey, label: &[u8], wrapped: &[u8]) -> Result<Key, CryptoError> {
    let mut buffer = Zeroizing::new([0; WRAPPED_LEN]);
    let private = OaepPrivateDecryptingKey::new(private.clone()).map_err(|_| INVALID_PRIVATE)?;
    let key = private
        .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut *buffer, Some(label))
        .map_err(|_| CryptoError::NotAuthentic)?;
    Key::from_slice(key).map_err(|_| CryptoError::NotAuthentic)
}
