//! Keys, ids, actions and paths of tiles: nothing may panic, and what is read has one spelling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sb_audit::{Action, OpaqueId, Tile, VerifierKey};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let same = |read: String| assert_eq!(read, text);
    let _ = text.parse::<VerifierKey>().map(|key| same(key.to_string()));
    let _ = text.parse::<OpaqueId>().map(|id| same(id.to_string()));
    let _ = text.parse::<Action>().map(|action| same(action.to_string()));
    let _ = text.parse::<Tile>().map(|tile| same(tile.to_string()));
});
