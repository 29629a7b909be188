//! A file's list of chunks, in memory that does not grow with the file.

use crate::error::RepoError;
use crate::tree::ChunkSink;
use crate::wire::node::{Part, parts};

/// The most parts that stand in the entry itself.
const DIRECT_MAX: usize = 64;
/// The most parts in one list.
const LIST_MAX: usize = 1024;
/// No list ends before this many, so that ends chosen by content are not too dense.
const LIST_MIN: usize = 64;

/// Gathers parts; full lists become chunks of metadata.
#[derive(Debug, Default)]
pub(super) struct PartsBuilder {
    levels: Vec<Vec<Part>>,
}

impl PartsBuilder {
    pub(super) fn push(&mut self, part: Part, sink: &mut dyn ChunkSink) -> Result<(), RepoError> {
        self.push_at(0, part, sink)
    }

    fn push_at(&mut self, level: usize, part: Part, sink: &mut dyn ChunkSink) -> Result<(), RepoError> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        let list = &mut self.levels[level];
        list.push(part);
        // Ends depend on content, so that an insertion changes one list and not all after it.
        let boundary = list.len() > LIST_MIN && part.reference.id.as_bytes()[31] == 0;
        if boundary || list.len() >= LIST_MAX { self.end_list(level, sink) } else { Ok(()) }
    }

    fn end_list(&mut self, level: usize, sink: &mut dyn ChunkSink) -> Result<(), RepoError> {
        let list = std::mem::take(&mut self.levels[level]);
        let content = list.iter().map(|part| part.content).sum();
        let reference = sink.store(parts(&list, level as u64).encode())?;
        self.push_at(level + 1, Part { reference, content }, sink)
    }

    /// Parts for the entry, and how many levels of lists are below them.
    pub(super) fn finish(mut self, sink: &mut dyn ChunkSink) -> Result<(Vec<Part>, u64), RepoError> {
        let mut level = 0;
        while level < self.levels.len() {
            let is_top = level + 1 == self.levels.len();
            if is_top && self.levels[level].len() <= DIRECT_MAX {
                return Ok((std::mem::take(&mut self.levels[level]), level as u64));
            }
            if !self.levels[level].is_empty() {
                self.end_list(level, sink)?;
            }
            level += 1;
        }
        Ok((Vec::new(), 0))
    }
}
