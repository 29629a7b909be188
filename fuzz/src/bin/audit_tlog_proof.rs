//! Proofs of logging: no bytes may panic, and what is read has one spelling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::TlogProof;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(parsed) = TlogProof::parse(bytes) {
        assert_eq!(parsed.to_string().as_bytes(), bytes);
    }
});
