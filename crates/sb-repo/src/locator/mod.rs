//! The locator: chunk → place.
//!
//! In the vault it is many *increments* (docs/format.md §9). A machine keeps a *copy* of all but the newest of them, as one sorted
//! table in a local file; in memory are the table's fences, its filter for who asks of what is mostly not there, and the newest
//! increments (docs/decisions/0015-locator.md).

mod copy;
mod file;
mod filter;
mod levels;
mod load;
mod map;
mod seal;
mod sorter;
mod table;
#[cfg(test)]
mod tests;

#[cfg(feature = "testing")]
pub(crate) use file::read_block;
pub(crate) use file::{read_located_packs, read_locator, write_locator};
pub(crate) use levels::Levels;
#[cfg(feature = "testing")]
pub(crate) use load::Limits;
pub(crate) use map::{Locator, Place, Scope, entries_of};
