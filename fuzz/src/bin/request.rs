//! A statement of a change request: no bytes may panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| sb_repo::testing::parse("request", bytes));
