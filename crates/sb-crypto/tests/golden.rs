//! The vectors of `data/vectors.txt`, which `data/make_vectors.py` computed with other libraries: what they sealed,
//! this crate opens, and what is deterministic comes out the same.

use std::collections::BTreeMap;

use sb_crypto::{
    Credential, CryptoError, HashAlgorithm, Kdf, Key, KeyFile, Lock, PrivateKey, RecipientAlgorithm, RecoveryKey,
    SealedSlot, Sealer, Secret, SlotMethod, SystemRandom, commitment, derive, open_slot, open_with, seal_slot,
};

fn vectors() -> BTreeMap<&'static str, Vec<u8>> {
    let lines = include_str!("data/vectors.txt").lines();
    lines
        .map(|line| line.split_once(" = ").expect("a line is `name = hex`"))
        .map(|(name, hex)| (name, bytes(hex)))
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits")).collect()
}

fn counting_key() -> Key {
    Key::from_bytes(std::array::from_fn(|index| index as u8))
}

fn rsa_key() -> PrivateKey {
    PrivateKey::from_pem(include_str!("data/rsa4096.pem")).expect("a 4096-bit key")
}

#[test]
fn derivation() {
    let vectors = vectors();
    assert_eq!(derive(&counting_key(), "pack", &[b"one", b"two"]).as_bytes().as_slice(), vectors["derive"]);
    assert_eq!(commitment(&counting_key(), &[7; 32]).as_bytes().as_slice(), vectors["commitment"]);
}

#[test]
fn sealing() {
    let vectors = vectors();
    for (algorithm, name) in [(HashAlgorithm::Blake3, "seal.1"), (HashAlgorithm::HmacSha256, "seal.2")] {
        let sealer = Sealer::new(algorithm, &counting_key(), "segment");
        assert_eq!(sealer.seal(b"place", b"vault", b"the ledger of 2026"), vectors[name]);
        assert_eq!(sealer.open(b"place", b"vault", &vectors[name]).unwrap(), b"the ledger of 2026");
    }
}

#[test]
fn sealing_to_a_key_pair() {
    let vectors = vectors();
    for (algorithm, name) in
        [(RecipientAlgorithm::HpkeX25519, "hpke.x25519"), (RecipientAlgorithm::HpkeP256, "hpke.p256")]
    {
        let vector = |part| &vectors[format!("{name}.{part}").as_str()];
        let key = PrivateKey::from_secret_bytes(algorithm, vector("private")).unwrap();
        assert_eq!(key.public().as_bytes(), vector("public"));
        let mut serialized = vector("private").clone();
        if algorithm == RecipientAlgorithm::HpkeX25519 {
            // RFC 9180 §7.1.2 has private keys written with the bits set and cleared that X25519 ignores.
            serialized[0] &= 0xf8;
            serialized[31] = serialized[31] & 0x7f | 0x40;
        }
        assert_eq!(key.to_secret_bytes().as_bytes(), serialized);
        let opened = open_with(&key, b"Ode on a Grecian Urn", b"Count-0", vector("sealed")).unwrap();
        assert_eq!(opened.as_bytes(), b"Beauty is truth, truth beauty");
    }
    let opened = open_with(&rsa_key(), b"Ode on a Grecian Urn", b"Count-0", &vectors["rsa.sealed"]).unwrap();
    assert_eq!(opened.as_bytes(), b"Beauty is truth, truth beauty");
}

#[test]
fn slots() {
    let vectors = vectors();
    let text = |name: &str| String::from_utf8(vectors[name].clone()).unwrap();
    let passphrase = Secret::from(text("slot.passphrase"));
    let key_file: KeyFile = text("slot.key_file_text").parse().unwrap();
    let recovery: RecoveryKey = text("slot.recovery_text").parse().unwrap();
    assert_eq!(key_file.to_string(), text("slot.key_file_text"));
    assert_eq!(recovery.to_string().replace('-', ""), text("slot.recovery_text"));
    let key_id = rsa_key().public().key_id();
    assert_eq!(key_id.as_slice(), vectors["slot.rsa.key_id"]);

    let kdf = Kdf::Pbkdf2HmacSha256 { rounds: 100_000 };
    let both = Credential::PassphraseAndKeyFile(passphrase.clone(), key_file.clone());
    let by_passphrase = Credential::Passphrase(passphrase);
    for (name, method, credential) in [
        ("argon2id", SlotMethod::Passphrase { kdf: Kdf::ARGON2ID }, &by_passphrase),
        ("pbkdf2", SlotMethod::Passphrase { kdf }, &by_passphrase),
        ("key_file", SlotMethod::KeyFile, &Credential::KeyFile(key_file)),
        ("both", SlotMethod::PassphraseAndKeyFile { kdf }, &both),
        ("rsa", SlotMethod::Rsa { key_id }, &Credential::Rsa(rsa_key())),
        ("recovery", SlotMethod::Recovery, &Credential::Recovery(recovery)),
    ] {
        let salt = vectors["slot.salt"].as_slice().try_into().unwrap();
        let wrapped = if name == "rsa" { vectors["slot.rsa.wrapped"].clone() } else { Vec::new() };
        let payload = vectors[format!("slot.{name}.sealed").as_str()].clone();
        let slot = SealedSlot { method, salt, wrapped, payload };
        let opened = open_slot(&slot, credential, &vectors["slot.aad"]).unwrap();
        assert_eq!(opened.as_bytes(), vectors["slot.payload"], "{name}");
    }
}

#[test]
fn cheap_and_ruinous_hashing_is_refused_both_ways() {
    let passphrase = Secret::from("passphrase".to_owned());
    for kdf in [
        Kdf::Pbkdf2HmacSha256 { rounds: 1 },
        Kdf::Pbkdf2HmacSha256 { rounds: u32::MAX },
        Kdf::Argon2id { memory_kib: 8, passes: 1, lanes: 1 },
        Kdf::Argon2id { memory_kib: u32::MAX, passes: 3, lanes: 1 },
    ] {
        let lock = Lock::Passphrase(passphrase.clone(), kdf);
        assert_eq!(seal_slot(&lock, b"", b"", &SystemRandom), Err(CryptoError::KdfOutOfBounds { kdf }));
        let method = SlotMethod::Passphrase { kdf };
        let slot = SealedSlot { method, salt: [0; 32], wrapped: Vec::new(), payload: vec![0; 48] };
        let error = open_slot(&slot, &Credential::Passphrase(passphrase.clone()), b"");
        assert_eq!(error, Err(CryptoError::KdfOutOfBounds { kdf }));
    }
}
