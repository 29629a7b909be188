//! Trust policies: no bytes may panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::Policy;

fuzz_target!(|bytes: &[u8]| {
    let _ = Policy::parse(bytes);
});
