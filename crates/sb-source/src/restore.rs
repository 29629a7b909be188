//! Putting entries back.

mod error;
mod file_writer;
mod filter;
mod folder;
mod mark;
mod metadata;
mod prune;
mod scratch;
mod target;
mod temp;

pub use error::TargetError;
pub use file_writer::{FileWriter, IfTaken};
pub use filter::{Filter, Verdict};
pub use folder::{FolderId, TargetFolder};
pub use mark::Mark;
pub use metadata::{Attribute, MetadataProblem};
pub use prune::Prune;
pub use scratch::Scratch;
pub use target::Target;

/// True for names of what a restore has in a folder while it is at work, and leaves there if it is cut short.
pub(crate) fn is_leftover(name: &[u8]) -> bool {
    temp::is_name(temp::PREFIX, name) || mark::is_mark(name)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
