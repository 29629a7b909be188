//! The sb program: backups for accounting firms.
fn main() {}
