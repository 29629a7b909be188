//! Log entries: no bytes may panic, and what is read has one spelling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::Entry;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = Entry::parse(bytes) {
        assert_eq!(entry.to_bytes().as_deref(), Ok(bytes));
    }
});
