//! Hashes and signatures that others choose: those of X.509 certificates and time-stamp authorities.

use ring::digest;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use crate::error::CryptoError;

/// A hash algorithm that certificates and time stamps name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum X509Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl X509Hash {
    /// The hash of `bytes`.
    ///
    /// ```
    /// use sb_crypto::{X509Hash, sha256};
    /// assert_eq!(X509Hash::Sha256.hash(b"abc"), sha256(b"abc").as_bytes());
    /// ```
    #[must_use]
    pub fn hash(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }
}

/// A signature algorithm that certificates and time stamps name, with the kind of key that verifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum X509Signature {
    /// RSA with PKCS #1 v1.5 padding, 2048 to 8192 bits; the key is an `RSAPublicKey` in DER (RFC 8017 §A.1.1).
    Rsa(X509Hash),
    /// ECDSA on P-256, with SHA-256 or SHA-384; the key is an uncompressed point.
    EcdsaP256(X509Hash),
    /// ECDSA on P-384, with SHA-256 or SHA-384; the key is an uncompressed point.
    EcdsaP384(X509Hash),
}

impl X509Signature {
    /// Checks that `signature` was made over `message` by the private half of this key, given as the bits of its
    /// SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`CryptoError::BadSignature`] if it was not, or this crate does not verify the combination (ECDSA with SHA-512).
    pub fn verify(self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let algorithm: &dyn VerificationAlgorithm = match self {
            Self::Rsa(X509Hash::Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::Rsa(X509Hash::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::Rsa(X509Hash::Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::EcdsaP256(X509Hash::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP256(X509Hash::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
            Self::EcdsaP384(X509Hash::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
            Self::EcdsaP384(X509Hash::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
            Self::EcdsaP256(X509Hash::Sha512) | Self::EcdsaP384(X509Hash::Sha512) => {
                return Err(CryptoError::BadSignature);
            }
        };
        let key = UnparsedPublicKey::new(algorithm, public_key);
        key.verify(message, signature).map_err(|_| CryptoError::BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair,
        RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
    };

    use super::*;
    use crate::pem;

    fn check(algorithm: X509Signature, public_key: &[u8], signature: &[u8]) {
        let bad = Err(CryptoError::BadSignature);
        assert_eq!(algorithm.verify(public_key, b"message", signature), Ok(()), "{algorithm:?}");
        assert_eq!(algorithm.verify(public_key, b"messagf", signature), bad);
        assert_eq!(algorithm.verify(&public_key[1..], b"message", signature), bad);
        assert_eq!(algorithm.verify(public_key, b"message", &signature[1..]), bad);
    }

    #[test]
    fn hashes_of_fips_180_4_examples() {
        let hex = |hash: X509Hash| hash.hash(b"abc").iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(X509Hash::Sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(
            hex(X509Hash::Sha384),
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        );
        assert_eq!(
            hex(X509Hash::Sha512),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        );
    }

    #[test]
    fn rsa_signatures_verify_with_each_hash() {
        let text = include_str!("../tests/data/rsa4096.pem");
        let pair = RsaKeyPair::from_pkcs8(&pem::decode(text, "PRIVATE KEY").unwrap()).unwrap();
        let encodings: [(X509Hash, &dyn RsaEncoding); 3] = [
            (X509Hash::Sha256, &RSA_PKCS1_SHA256),
            (X509Hash::Sha384, &RSA_PKCS1_SHA384),
            (X509Hash::Sha512, &RSA_PKCS1_SHA512),
        ];
        for (hash, encoding) in encodings {
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), b"message", &mut signature).unwrap();
            check(X509Signature::Rsa(hash), pair.public().as_ref(), &signature);
        }
    }

    #[test]
    fn ecdsa_signatures_verify_on_both_curves() {
        let cases: [(X509Signature, &EcdsaSigningAlgorithm); 2] = [
            (X509Signature::EcdsaP256(X509Hash::Sha256), &ECDSA_P256_SHA256_ASN1_SIGNING),
            (X509Signature::EcdsaP384(X509Hash::Sha384), &ECDSA_P384_SHA384_ASN1_SIGNING),
        ];
        for (algorithm, signing) in cases {
            let random = SystemRandom::new();
            let document = EcdsaKeyPair::generate_pkcs8(signing, &random).unwrap();
            let pair = EcdsaKeyPair::from_pkcs8(signing, document.as_ref(), &random).unwrap();
            let signature = pair.sign(&random, b"message").unwrap();
            check(algorithm, pair.public_key().as_ref(), signature.as_ref());
            for other in [X509Signature::EcdsaP256, X509Signature::EcdsaP384] {
                let error = other(X509Hash::Sha512).verify(pair.public_key().as_ref(), b"message", signature.as_ref());
                assert_eq!(error, Err(CryptoError::BadSignature));
                let other =
                    other(if algorithm == other(X509Hash::Sha256) { X509Hash::Sha384 } else { X509Hash::Sha256 });
                assert!(other.verify(pair.public_key().as_ref(), b"message", signature.as_ref()).is_err());
            }
        }
    }
}
