//! Proofs of one document: no bytes may panic, and what is read has one spelling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::DocumentProof;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(parsed) = DocumentProof::parse(bytes) {
        assert_eq!(parsed.to_string().as_bytes(), bytes);
    }
});
