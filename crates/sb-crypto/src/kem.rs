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
