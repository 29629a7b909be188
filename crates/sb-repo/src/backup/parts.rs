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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ChunkId;
    use crate::tree::memory::MemorySink;
    use crate::wire::cbor::Value;
    use crate::wire::node::{Reference, read_parts};
    use sb_crypto::sha256;

    fn leaves(memory: &MemorySink, parts: &[Part], depth: u64) -> Vec<Part> {
        if depth == 0 {
            return parts.to_vec();
        }
        let below = |part: &Part| {
            let list = Value::decode(&memory.0[&part.reference.id]).unwrap();
            let parts = read_parts(list, depth - 1).unwrap();
            assert!(parts.len() <= LIST_MAX);
            assert_eq!(parts.iter().map(|part| part.content).sum::<u64>(), part.content);
            leaves(memory, &parts, depth - 1)
        };
        parts.iter().flat_map(below).collect()
    }

    fn part(number: u64) -> Part {
        let id = ChunkId::of(sha256(&number.to_be_bytes()));
        Part { reference: Reference { id, length: 1000 }, content: 1000 }
    }

    fn build(numbers: impl Iterator<Item = u64>) -> (MemorySink, Vec<Part>, u64) {
        let (mut memory, mut builder) = (MemorySink::default(), PartsBuilder::default());
        numbers.for_each(|number| builder.push(part(number), &mut memory).unwrap());
        let (parts, depth) = builder.finish(&mut memory).unwrap();
        assert!(parts.len() <= DIRECT_MAX);
        (memory, parts, depth)
    }

    #[test]
    fn any_number_of_parts_reads_back() {
        let expected = [(0, 0), (1, 0), (64, 0), (65, 1), (1024, 1), (2048, 1), (5000, 1), (60_000, 2)];
        for (count, least_depth) in expected {
            let (memory, parts, depth) = build(0..count);
            assert_eq!(depth, least_depth, "{count}");
            assert_eq!(leaves(&memory, &parts, depth), (0..count).map(part).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_insertion_changes_a_few_lists() {
        let (before, ..) = build(0..60_000);
        let (after, ..) = build((0..30_000).chain([1_000_000]).chain(30_000..60_000));
        let new = after.0.keys().filter(|id| !before.0.contains_key(id)).count();
        assert!(new <= 5 && after.0.len() > 150, "{new} of {}", after.0.len());
    }

    #[test]
    fn lists_end_when_they_are_full_whatever_the_content() {
        let (mut memory, mut builder) = (MemorySink::default(), PartsBuilder::default());
        let plain = Part { reference: Reference { id: ChunkId::new([1; 32]), length: 9 }, content: 9 };
        (0..LIST_MAX * 70).for_each(|_| builder.push(plain, &mut memory).unwrap());
        let (parts, depth) = builder.finish(&mut memory).unwrap();
        assert_eq!((parts.len(), depth), (1, 2));
        assert_eq!(leaves(&memory, &parts, depth).len(), LIST_MAX * 70);
    }
}
