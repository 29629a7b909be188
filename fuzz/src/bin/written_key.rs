//! Key files and recovery keys, as people type or paste them: no text may panic, and what is accepted is written back
//! as a text that means the same key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_crypto::{KeyFile, RecoveryKey};

fuzz_target!(|text: &str| {
    if let Ok(file) = text.parse::<KeyFile>() {
        let again: KeyFile = file.to_string().parse().expect("a written key file is readable");
        assert!(again.key() == file.key());
    }
    if let Ok(recovery) = text.parse::<RecoveryKey>() {
        let again: RecoveryKey = recovery.to_string().parse().expect("a written recovery key is readable");
        assert!(again.key() == recovery.key());
    }
});
