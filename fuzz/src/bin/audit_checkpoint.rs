//! Texts of checkpoints: nothing may panic, and what is read has one spelling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::Checkpoint;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(parsed) = Checkpoint::parse(text) {
        assert_eq!(parsed.to_string(), text);
    }
});
