//! Statements: no bytes may panic, and what is read can be written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::Statement;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(statement) = Statement::parse(bytes) {
        let written = statement.to_bytes().expect("what was read can be written");
        assert_eq!(Statement::parse(&written), Ok(statement));
    }
});
