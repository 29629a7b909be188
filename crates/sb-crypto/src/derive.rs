//! Keys from keys, by HKDF-SHA-256 (RFC 5869).
//!
//! Every derivation in a vault has one shape:
//!
//! ```text
//! derive(key, label, context) = HKDF-SHA-256(ikm = key, salt = "", info, L = 32)
//! info = "sbv1/" ‖ label ‖ 0x00 ‖ context[0] ‖ context[1] ‖ …
//! ```
//!
//! The parts of a context are joined without their lengths: all but one must have a length that the label fixes.

use ring::hkdf;

use crate::digest::Digest;
use crate::secret::Key;

/// Stands before every label: no other protocol derives the same keys from the same secret.
pub(crate) const DOMAIN: &[u8] = b"sbv1/";

/// The key that `label` and `context` choose from `key`. Whoever has it learns nothing about `key` or its other keys.
///
/// # Panics
/// When `label` contains a zero byte, which would let one label run into the context of another.
///
/// ```
/// use sb_crypto::{Key, derive};
/// let compartment = Key::from_bytes([7; 32]);
/// let pack = derive(&compartment, "pack", &[&1u64.to_be_bytes()]);
/// assert_ne!(pack, derive(&compartment, "pack", &[&2u64.to_be_bytes()]));
/// assert_ne!(pack, derive(&compartment, "tree", &[&1u64.to_be_bytes()]));
/// ```
#[must_use]
pub fn derive(key: &Key, label: &str, context: &[&[u8]]) -> Key {
    derive_from(key.as_bytes(), label, context)
}

/// [`derive`] from key material of another length.
pub(crate) fn derive_from(material: &[u8], label: &str, context: &[&[u8]]) -> Key {
    assert!(!label.contains('\0'), "a label contains no zero byte");
    let mut info = Vec::with_capacity(3 + context.len());
    info.extend([DOMAIN, label.as_bytes(), &[0]]);
    info.extend_from_slice(context);
    hkdf_sha256(material, &info)
}

fn hkdf_sha256(material: &[u8], info: &[&[u8]]) -> Key {
    let mut key = Key::from_bytes([0; Key::LEN]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, b"")
        .extract(material)
        .expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(key.as_mut_bytes()))
        .expect("32 bytes are within the reach of HKDF-SHA-256");
    key
}

/// A value that fixes `key` without revealing it: equal for equal keys and salts, and nobody can find two keys with
/// the same one. It is `derive(key, "commit", [salt])`.
#[must_use]
pub fn commitment(key: &Key, salt: &[u8; 32]) -> Digest {
    Digest::from_bytes(*derive(key, "commit", &[salt]).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hkdf_of_rfc_5869_test_case_3() {
        // Zero-length salt and info; the first 32 of its 42 bytes.
        let okm = hkdf_sha256(&[0x0b; 22], &[]);
        let expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d";
        assert_eq!(Digest::from_bytes(*okm.as_bytes()).to_string(), expected);
    }

    #[test]
    fn key_label_and_context_all_count() {
        let key = Key::from_bytes([1; 32]);
        let derived = derive(&key, "a", &[b"b", b"c"]);
        assert_eq!(derived, derive(&key, "a", &[b"bc"]));
        assert_ne!(derived, derive(&key, "ab", &[b"c"]));
        assert_ne!(derived, derive(&key, "a", &[b"cb"]));
        assert_ne!(derived, derive(&Key::from_bytes([2; 32]), "a", &[b"bc"]));
    }

    #[test]
    fn commitment_depends_on_key_and_salt() {
        let key = Key::from_bytes([1; 32]);
        assert_ne!(commitment(&key, &[0; 32]), commitment(&key, &[1; 32]));
        assert_ne!(commitment(&key, &[0; 32]), commitment(&Key::from_bytes([2; 32]), &[0; 32]));
    }

    #[test]
    #[should_panic(expected = "a label contains no zero byte")]
    fn a_label_with_a_zero_byte_is_a_mistake() {
        let _ = derive(&Key::from_bytes([1; 32]), "a\0b", &[]);
    }
}
