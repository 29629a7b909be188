//! JSON: no bytes may panic, and the canonical form of what is read is read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::Json;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = Json::parse(bytes) {
        assert_eq!(Json::parse_canonical(value.to_string().as_bytes()), Ok(value));
    }
});
