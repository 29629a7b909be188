//! Policies of a firm: no text may panic, run out of stack or take for ever.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_rbac::{Directory, Policies};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Policies::check(text, &Directory::new());
    }
});
