//! RSA keys in PEM: no text may panic, and a key that is accepted keeps its identity through its bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_crypto::{PrivateKey, PublicKey};

fuzz_target!(|text: &str| {
    if let Ok(public) = PublicKey::from_pem(text) {
        let again = PublicKey::from_bytes(public.algorithm(), public.as_bytes()).expect("an accepted key is a key");
        assert_eq!(again.key_id(), public.key_id());
    }
    if let Ok(private) = PrivateKey::from_pem(text) {
        let secret = private.to_secret_bytes();
        let algorithm = private.public().algorithm();
        let again = PrivateKey::from_secret_bytes(algorithm, secret.as_bytes()).expect("an accepted key is a key");
        assert_eq!(again.public().key_id(), private.public().key_id());
    }
});
