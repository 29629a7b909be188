//! Certificates of keys, below the root key of the seed: no bytes may panic, and a chain names keys that are in its bytes.
//! The first two bytes say how long the user's certificate is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::KeyChain;
use sb_crypto::VerifyingKey;

const ROOT: [u8; 32] = [
    0xc1, 0xab, 0x3c, 0x4d, 0x01, 0x76, 0x80, 0x3f, 0x18, 0xab, 0x51, 0x98, 0x7e, 0x38, 0xdf, 0xf5, 0x47, 0x44, 0x74,
    0xa8, 0xe9, 0xcf, 0x3e, 0x8f, 0xf6, 0xbc, 0x3e, 0xe8, 0xef, 0x7f, 0xcf, 0x8b,
];

fuzz_target!(|bytes: &[u8]| {
    let Some((length, rest)) = bytes.split_first_chunk::<2>() else { return };
    let (user, writer) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes(*length))));
    if let Ok(chain) = KeyChain::verify(&VerifyingKey::from_bytes(ROOT), user, writer) {
        let within = |bytes: &[u8], key: &VerifyingKey| bytes.windows(32).any(|window| window == key.as_bytes());
        assert!(within(user, &chain.user().key) && within(writer, chain.log_key()));
    }
});
