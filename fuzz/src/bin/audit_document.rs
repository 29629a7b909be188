//! Leaves of document trees: no bytes may panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::Document;

fuzz_target!(|bytes: &[u8]| {
    let _ = Document::parse(bytes);
});
