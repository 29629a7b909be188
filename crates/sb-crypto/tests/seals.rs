//! No two messages under one key and nonce, whatever the generator of randomness does; and that this test could fail.

use sb_crypto::testing::{allow_weak_kdf, seal_carelessly, seals, watch_seals};
use sb_crypto::{
    HashAlgorithm, Kdf, Key, KeyFile, Lock, PrivateKey, Random, RecipientAlgorithm, RecoveryKey, Sealer, Secret,
    seal_slot, seal_to,
};

/// A generator that has stopped.
#[derive(Debug)]
struct Stuck;

impl Random for Stuck {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}

/// Everything in this crate that seals, with the same keys, the same randomness and, but for `text`, the same words.
fn seal_everything(rsa: &PrivateKey, aad: &[u8], text: &[u8]) -> usize {
    let key = Key::from_bytes([1; 32]);
    for algorithm in [HashAlgorithm::Blake3, HashAlgorithm::HmacSha256] {
        let sealer = Sealer::new(algorithm, &key, "segment");
        let mut buffer = text.to_vec();
        sealer.seal_in_place(b"place", aad, &mut buffer);
        assert_eq!(buffer, sealer.seal(b"place", aad, text));
    }
    let x25519 = PrivateKey::generate(RecipientAlgorithm::HpkeX25519, &Stuck).expect("a key");
    let p256 = PrivateKey::generate(RecipientAlgorithm::HpkeP256, &Stuck).expect("a key");
    for key in [&x25519, &p256, rsa] {
        seal_to(key.public(), b"info", aad, text, &Stuck).expect("it seals");
    }
    let (file, secret) = (KeyFile::generate(&Stuck), Secret::from("passphrase".to_owned()));
    let kdf = Kdf::Pbkdf2HmacSha256 { rounds: 1 };
    for lock in [
        Lock::Passphrase(secret.clone(), kdf),
        Lock::KeyFile(file.clone()),
        Lock::PassphraseAndKeyFile(secret, file, kdf),
        Lock::Rsa(rsa.public().clone()),
        Lock::Recovery(RecoveryKey::generate(&Stuck)),
    ] {
        seal_slot(&lock, aad, text, &Stuck).expect("it seals");
    }
    12
}

#[test]
fn a_generator_that_stands_still_repeats_no_key_and_nonce_and_carelessness_is_noticed() {
    allow_weak_kdf();
    let rsa = PrivateKey::from_pem(include_str!("data/rsa4096.pem")).expect("a 4096-bit key");
    watch_seals();
    let mut sealed = 0;
    for (aad, text) in [("aad", "text"), ("aad", "tex_"), ("aa_", "text"), ("aadt", "ext"), ("aad", ""), ("", "text")] {
        sealed += seal_everything(&rsa, aad.as_bytes(), text.as_bytes());
    }
    let honest = seals();
    assert_eq!((honest.count, honest.repeats), (sealed, 0));

    // The same once more: the same bytes under the same key, which shows nothing new.
    seal_everything(&rsa, b"aad", b"text");
    assert_eq!((seals().repeats, seals().pairs), (0, honest.pairs));

    let key = Key::from_bytes([2; 32]);
    seal_carelessly(&key, b"aad", b"text");
    assert_eq!(seals().repeats, 0);
    seal_carelessly(&key, b"aad", b"tex_");
    seal_carelessly(&key, b"aa_", b"text");
    assert_eq!(seals().repeats, 2);
}
