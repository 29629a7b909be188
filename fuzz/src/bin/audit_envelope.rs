//! Envelopes: no bytes may panic, and what is read is read as the same from its canonical form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::Envelope;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = Envelope::parse(bytes) {
        assert_eq!(Envelope::parse(envelope.to_json().to_string().as_bytes()), Ok(envelope));
    }
});
