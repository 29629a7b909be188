//! Batches of a log, entry bundles, tiles: no bytes may panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::{Batch, SignatureType, VerifierKey, bundle, parse_bundle, parse_tile};
use sb_crypto::VerifyingKey;

fuzz_target!(|bytes: &[u8]| {
    let key = VerifierKey::new("l", SignatureType::Note, VerifyingKey::from_bytes([1; 32])).expect("a name");
    let _ = Batch::parse(bytes, &key);
    if let Ok(entries) = parse_bundle(bytes) {
        assert_eq!(bundle(&entries), bytes);
    }
    let _ = parse_tile(bytes, 256);
});
