//! The locator: chunk → place.

mod file;
mod map;

pub(crate) use file::{read_locator, write_locator};
pub(crate) use map::{Locator, Place, entries_of};
