//! AES-256-GCM (NIST SP 800-38D) under keys that are used once, hence always with the nonce of twelve zero bytes.

use std::ops::RangeFrom;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::error::CryptoError;
use crate::secret::Key;

/// Bytes of the authentication tag.
pub(crate) const TAG_LEN: usize = 16;

/// The most bytes one message may have (SP 800-38D §5.2.1.1).
const PLAINTEXT_MAX: u64 = (1 << 36) - 32;

/// Encrypts `in_out` and returns its tag. `key` must never be used for another message.
pub(crate) fn encrypt_once(key: &Key, aad: &[u8], in_out: &mut [u8]) -> Result<[u8; TAG_LEN], CryptoError> {
    if in_out.len() as u64 > PLAINTEXT_MAX {
        return Err(CryptoError::PlaintextTooLong { len: in_out.len() });
    }
    #[cfg(any(test, feature = "testing"))]
    crate::seals::note(key.as_bytes(), &[0; NONCE_LEN], aad, in_out);
    let tag = prepare(key)
        .seal_in_place_separate_tag(zero_nonce(), Aad::from(aad), in_out)
        .expect("AES-GCM seals any plaintext within its length limit");
    Ok(tag.as_ref().try_into().expect("the tag of AES-GCM has 16 bytes"))
}

/// Decrypts `in_out[sealed]`, ciphertext and tag, to the front of `in_out` and returns the length of the plaintext.
/// After an error the content of `in_out` means nothing.
pub(crate) fn decrypt_once(
    key: &Key,
    aad: &[u8],
    in_out: &mut [u8],
    sealed: RangeFrom<usize>,
) -> Result<usize, CryptoError> {
    let plaintext = prepare(key)
        .open_within(zero_nonce(), Aad::from(aad), in_out, sealed)
        .map_err(|_| CryptoError::NotAuthentic)?;
    Ok(plaintext.len())
}

fn prepare(key: &Key) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, key.as_bytes()).expect("AES-256 keys have 32 bytes");
    LessSafeKey::new(key)
}

fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// What nobody may do: seals under a key that lives on. It shows that the tests would notice.
#[cfg(any(test, feature = "testing"))]
pub fn seal_carelessly(key: &Key, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut sealed = plaintext.to_vec();
    let tag = encrypt_once(key, aad, &mut sealed).expect("short enough");
    sealed.extend_from_slice(&tag);
    sealed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gcm_specification_test_cases_13_and_14() {
        // McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B: zero key, zero nonce.
        let key = Key::from_bytes([0; 32]);
        let tag = encrypt_once(&key, b"", &mut []).unwrap();
        assert_eq!(u128::from_be_bytes(tag), 0x530f_8afb_c745_36b9_a963_b4f1_c4cb_738b);
        let mut block = [0; 16];
        let tag = encrypt_once(&key, b"", &mut block).unwrap();
        assert_eq!(u128::from_be_bytes(block), 0xcea7_403d_4d60_6b6e_074e_c5d3_baf3_9d18);
        assert_eq!(u128::from_be_bytes(tag), 0xd0d1_c8a7_9999_6bf0_265b_98b5_d48a_b919);
    }

    /// The same document, test cases 15 and 16: a nonce, and associated data. NIST's CAVP vectors are of the same kind.
    #[test]
    fn gcm_specification_test_cases_15_and_16() {
        let hex = |text: &str| -> Vec<u8> {
            let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
            (0..text.len()).step_by(2).map(digit).collect()
        };
        let key = hex(&"feffe9928665731c6d6a8f9467308308".repeat(2));
        let nonce = Nonce::try_assume_unique_for_key(&hex("cafebabefacedbaddecaf888")).unwrap();
        let plaintext = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525\
                         b16aedf5aa0de657ba637b391aafd255";
        let ciphertext = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838\
                          c5f61e6393ba7a0abcc9f662898015ad";
        let aad = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
        for (aad, length, tag) in
            [("", 64, "b094dac5d93471bdec1a502270e3cc6c"), (aad, 60, "76fc6ece0f4e1768cddf8853bb2d551b")]
        {
            let key = prepare(&Key::from_slice(&key).unwrap());
            let nonce = Nonce::assume_unique_for_key(*nonce.as_ref());
            let mut text = hex(plaintext)[..length].to_vec();
            let computed = key.seal_in_place_separate_tag(nonce, Aad::from(hex(aad)), &mut text).unwrap();
            assert_eq!((text, computed.as_ref()), (hex(ciphertext)[..length].to_vec(), hex(tag).as_slice()));
        }
    }

    #[test]
    fn decrypting_moves_the_plaintext_to_the_front() {
        let key = Key::from_bytes([1; 32]);
        let mut text = *b"text";
        let tag = encrypt_once(&key, b"aad", &mut text).unwrap();
        let mut buffer = [b"head".as_slice(), &text, &tag].concat();
        assert_eq!(decrypt_once(&key, b"aad", &mut buffer.clone(), 4..), Ok(4));
        assert_eq!(decrypt_once(&key, b"add", &mut buffer.clone(), 4..), Err(CryptoError::NotAuthentic));
        decrypt_once(&key, b"aad", &mut buffer, 4..).unwrap();
        assert_eq!(&buffer[..4], b"text");
    }
}
