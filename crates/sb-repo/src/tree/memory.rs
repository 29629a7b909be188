//! A sink for tests.

use std::collections::HashMap;

use sb_crypto::sha256;

use super::ChunkSink;
use crate::error::RepoError;
use crate::ids::ChunkId;
use crate::wire::node::Reference;

/// Chunks by id.
#[derive(Default)]
pub(crate) struct MemorySink(pub(crate) HashMap<ChunkId, Vec<u8>>);

impl ChunkSink for MemorySink {
    fn store(&mut self, chunk: Vec<u8>) -> Result<Reference, RepoError> {
        let reference = Reference { id: ChunkId::of(sha256(&chunk)), length: u32::try_from(chunk.len()).unwrap() };
        self.0.insert(reference.id, chunk);
        Ok(reference)
    }
}
