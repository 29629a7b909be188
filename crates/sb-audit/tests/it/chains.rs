//! From the root key to a machine: each link is needed, and each that does not hold is named.

use proptest::prelude::*;
use sb_audit::*;
use sb_crypto::SigningKey;

use super::folders::vault::{object, scene, user_body, writer_body};
use super::key;

const VAULT: [u8; 16] = [0xb5; 16];

fn user() -> Vec<u8> {
    object(2, &VAULT, &user_body(&key("user")), &key("root"), "users/")
}

fn writer() -> Vec<u8> {
    object(3, &VAULT, &writer_body(&key("machine"), &key("user")), &key("user"), "writers/")
}

fn verify(user: &[u8], writer: &[u8]) -> Result<KeyChain, ChainError> {
    KeyChain::verify(&key("root").public(), user, writer)
}

#[test]
fn a_chain_leads_from_the_root_key_to_the_log() {
    let chain = verify(&user(), &writer()).unwrap();
    assert_eq!((chain.root(), chain.vault()), (&key("root").public(), &VAULT));
    assert_eq!(chain.user(), &UserKey { id: [7; 16], key: key("user").public() });
    assert_eq!(chain.log_key(), &key("machine").public());
    let id: String = key("machine").public().key_id().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(chain.log().name(), format!("sbv1/log/{}/{id}", "b5".repeat(16)));
    assert_eq!(chain.log().kind(), SignatureType::Note);
    assert_eq!(chain.other_user(&user()), Ok(*chain.user()));
    assert_eq!(chain, scene().chain());
}

#[test]
fn the_link_that_does_not_hold_is_named() {
    let by = |signer: &str, stem: &str| {
        let body = writer_body(&key("machine"), &key("user"));
        verify(&user(), &object(3, &VAULT, &body, &key(signer), stem)).unwrap_err()
    };
    assert_eq!(by("stranger", "writers/"), ChainError::WriterUnsigned);
    assert_eq!(by("root", "writers/"), ChainError::WriterUnsigned);
    assert_eq!(by("user", "users/"), ChainError::WriterUnsigned);
    let names_another = object(3, &VAULT, &writer_body(&key("machine"), &key("other")), &key("user"), "writers/");
    assert_eq!(verify(&user(), &names_another), Err(ChainError::OtherUser));
    let elsewhere = object(3, &[1; 16], &writer_body(&key("machine"), &key("user")), &key("user"), "writers/");
    assert_eq!(verify(&user(), &elsewhere), Err(ChainError::OtherVault { found: [1; 16] }));
    assert!(matches!(verify(&user(), &user()), Err(ChainError::Writer(_))));
    assert!(matches!(verify(&writer(), &writer()), Err(ChainError::User(_))));
    assert!(matches!(verify(b"", &writer()), Err(ChainError::User(_))));
    let other_root = KeyChain::verify(&key("other").public(), &user(), &writer());
    assert_eq!(other_root, Err(ChainError::UserUnsigned));

    let chain = verify(&user(), &writer()).unwrap();
    let elsewhere = object(2, &[1; 16], &user_body(&key("officer")), &key("root"), "users/");
    let error = chain.other_user(&elsewhere).unwrap_err();
    assert_eq!(error.to_string(), "one of the certificates is of another vault, 01010101010101010101010101010101");
    let unsigned = object(2, &VAULT, &user_body(&key("officer")), &key("user"), "users/");
    assert_eq!(chain.other_user(&unsigned), Err(ChainError::UserUnsigned));
}

/// A certificate whose header, version or reserved bytes are others is none, whoever has signed it.
#[test]
fn headers_are_read_strictly() {
    let root = key("root");
    let resigned = |place: usize, value: u8| {
        let mut bytes = user();
        bytes[place] = value;
        let signed = bytes.len() - 64;
        let digest = sb_crypto::sha256(&bytes[..signed]);
        let message = [b"sbv1/object\0", digest.as_bytes().as_slice(), b"users/"].concat();
        bytes[signed..].copy_from_slice(&SigningKey::sign(&root, &message));
        verify(&bytes, &writer())
    };
    assert!(resigned(0, b'S').is_ok());
    for (place, value) in [(0, b'X'), (4, 3), (5, 2), (6, 1), (24, 1), (39, 1), (40, 0xa4), (41, 2), (42, 0x51)] {
        assert!(matches!(resigned(place, value), Err(ChainError::User(_))), "byte {place}");
    }
    assert!(matches!(resigned(8, 1), Err(ChainError::OtherVault { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_goes_unnoticed(of_user: bool, place: prop::sample::Index, mask in 1..=u8::MAX, cut: bool) {
        let (mut user, mut writer) = (user(), writer());
        let bytes = if of_user { &mut user } else { &mut writer };
        let place = place.index(bytes.len());
        if cut { bytes.truncate(place) } else { bytes[place] ^= mask }
        prop_assert!(verify(&user, &writer).is_err());
    }

    #[test]
    fn bytes_of_strangers_cause_errors_only(user in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verify(&user, &writer()).is_err());
    }
}
