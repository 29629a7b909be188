//! The locator: chunk → place.

mod file;
mod map;

#[cfg(feature = "testing")]
pub(crate) use file::read_block;
pub(crate) use file::{read_locator, write_locator};
pub(crate) use map::{Locator, Place, Scope, entries_of};
