//! Trees: folders as pages of entries, written depth first and read the same way.

mod leaf;
#[cfg(test)]
pub(crate) mod memory;
mod pages;
mod reader;
mod walk;

pub(crate) use leaf::{document_leaf, leaf_text};
pub(crate) use pages::{ChunkSink, PageWriter};
pub(crate) use reader::{FolderReader, Found, Redactions, TreeReader};
pub(crate) use walk::{Step, walk};
