//! What reaches a witness by HTTP: no bytes may panic, and a head that is complete does not depend on what follows it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_witness::Logs;
use sb_witness::testing::parse_head;

const BODY_BYTES_MAX: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(head)) = parse_head(bytes, BODY_BYTES_MAX) {
        assert!(head.len <= bytes.len() && head.body <= BODY_BYTES_MAX);
        assert_eq!(parse_head(&bytes[..head.len], BODY_BYTES_MAX), Ok(Some(head)));
        // All of them would take too long where the head is.
        for end in (0..head.len).take(500) {
            assert_eq!(parse_head(&bytes[..end], BODY_BYTES_MAX), Ok(None));
        }
    }
    if let Some(logs) = str::from_utf8(bytes).ok().and_then(|text| text.parse::<Logs>().ok()) {
        assert_eq!(logs.to_string().parse(), Ok(logs));
    }
});
