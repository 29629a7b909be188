//! Answers of time-stamp authorities and their certificates: no bytes may panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::Authorities;

fuzz_target!(|bytes: &[u8]| {
    let root = include_bytes!("../../../crates/sb-audit/tests/vectors/rfc3161/ca.pem");
    let authorities = Authorities::from_pem(root).expect("a certificate");
    let _ = authorities.verify(bytes, b"message");
    let _ = Authorities::from_pem(bytes);
});
