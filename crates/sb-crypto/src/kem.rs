//! HPKE (RFC 9180) in base mode, one message per encapsulation: DHKEM(X25519 or P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.

use std::convert::Infallible;

#[cfg(any(test, feature = "testing"))]
use hpke::aead::AeadCtxS;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable, setup_sender_with_rng, single_shot_open};

use crate::aead::TAG_LEN;
use crate::error::CryptoError;
use crate::hedge::Hedge;
use crate::random::{Random, SystemRandom};
use crate::secret::Secret;

/// KEM 0x0020 of RFC 9180.
pub(crate) type X25519 = hpke::kem::X25519HkdfSha256;
/// KEM 0x0010 of RFC 9180.
pub(crate) type P256 = hpke::kem::DhP256HkdfSha256;

pub(crate) fn generate<K: Kem>(random: &dyn Random) -> K::PrivateKey {
    K::gen_keypair_with_rng(&mut Rng(|out: &mut [u8]| random.fill(out))).0
}

/// The serialized public key that belongs to `private`.
pub(crate) fn public_bytes<K: Kem>(private: &K::PrivateKey) -> Vec<u8> {
    K::sk_to_pk(private).to_bytes().to_vec()
}

/// The serialized `private`.
pub(crate) fn private_bytes<K: Kem>(private: &K::PrivateKey) -> Secret {
    let mut bytes = Secret::new(vec![0; K::PrivateKey::size()]);
    private.write_exact(bytes.as_mut_bytes());
    bytes
}

/// Whether `public` can be sealed to. Only trying finds an X25519 point of low order.
pub(crate) fn check_public<K: Kem>(public: &[u8]) -> Result<(), HpkeError> {
    seal::<K>(public, b"", b"", b"", &SystemRandom).map(drop)
}

/// `enc ‖ ciphertext ‖ tag`. The ephemeral key depends on the message, too (see `hedge.rs`).
pub(crate) fn seal<K: Kem>(
    public: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    random: &dyn Random,
) -> Result<Vec<u8>, HpkeError> {
    let recipient = K::PublicKey::from_bytes(public)?;
    let hedge = Hedge::new(random, public, info, aad, plaintext);
    let rng = &mut Rng(|out: &mut [u8]| hedge.fill(out));
    let (enc, mut context) = setup_sender_with_rng::<AesGcm256, HkdfSha256, K>(&OpModeS::Base, &recipient, info, rng)?;
    #[cfg(any(test, feature = "testing"))]
    note(&context, aad, plaintext);
    let ciphertext = context.seal(plaintext, aad)?;
    Ok([enc.to_bytes().as_slice(), &ciphertext].concat())
}

/// The exported secret stands for key and nonce: all three follow from the same secret and info (RFC 9180 §5.1).
#[cfg(any(test, feature = "testing"))]
fn note<K: Kem>(context: &AeadCtxS<AesGcm256, HkdfSha256, K>, aad: &[u8], plaintext: &[u8]) {
    let mut exported = [0; 32];
    context.export(b"seals", &mut exported).expect("32 bytes can be exported");
    crate::seals::note(&exported, b"", aad, plaintext);
}

/// Opens what [`seal`] made.
pub(crate) fn open<K: Kem>(
    private: &K::PrivateKey,
    info: &[u8],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Secret, CryptoError> {
    let enc_len = K::EncappedKey::size();
    let min = enc_len + TAG_LEN;
    if sealed.len() < min {
        return Err(CryptoError::Truncated { len: sealed.len(), min });
    }
    let (enc, ciphertext) = sealed.split_at(enc_len);
    K::EncappedKey::from_bytes(enc)
        .and_then(|enc| {
            single_shot_open::<AesGcm256, HkdfSha256, K>(&OpModeR::Base, private, &enc, info, ciphertext, aad)
        })
        .map(Secret::new)
        .map_err(|_| CryptoError::NotAuthentic)
}

/// Our randomness in the shape HPKE asks for.
struct Rng<F>(F);

impl<F: FnMut(&mut [u8])> TryRng for Rng<F> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        hpke::rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        hpke::rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        (self.0)(out);
        Ok(())
    }
}

impl<F: FnMut(&mut [u8])> TryCryptoRng for Rng<F> {}

#[cfg(test)]
mod tests {
    use hpke::aead::AesGcm128;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// The RFC has vectors for both of our KEMs with our KDF, but with AES-128-GCM; those with AES-256-GCM in `tests/data/vectors.txt` come
    /// from a program that reproduces these.
    fn opens<K: Kem>(private: &str, public: &str, enc: &str, ciphertext: &str) {
        let private = K::PrivateKey::from_bytes(&hex(private)).unwrap();
        assert_eq!(public_bytes::<K>(&private), hex(public));
        let enc = K::EncappedKey::from_bytes(&hex(enc)).unwrap();
        let (info, aad) = (b"Ode on a Grecian Urn", b"Count-0");
        let open = |ciphertext: &[u8]| {
            single_shot_open::<AesGcm128, HkdfSha256, K>(&OpModeR::Base, &private, &enc, info, ciphertext, aad)
        };
        let ciphertext = hex(ciphertext);
        assert_eq!(open(&ciphertext).unwrap(), b"Beauty is truth, truth beauty");
        for bit in 0..ciphertext.len() * 8 {
            let mut forged = ciphertext.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&forged).is_err());
        }
    }

    #[test]
    fn x25519_of_rfc_9180_appendix_a_1_1() {
        opens::<X25519>(
            "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8",
            "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
            "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
            "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a",
        );
    }

    #[test]
    fn p256_of_rfc_9180_appendix_a_3_1() {
        opens::<P256>(
            "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2",
            "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a82\
             6a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0",
            "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac9\
             8536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4",
            "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434",
        );
    }

    #[test]
    fn the_x25519_key_pair_of_bob_in_rfc_7748_section_6_1() {
        let private = hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
        let private = <X25519 as Kem>::PrivateKey::from_bytes(&private).unwrap();
        let public = hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
        assert_eq!(public_bytes::<X25519>(&private), public);
    }
}
