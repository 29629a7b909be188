//! New chunks → segments → packs of one kind.

use std::sync::Arc;

use crate::error::RepoError;
use crate::ids::{BucketId, ChunkId, UserId, VaultId};
use crate::keys::CompartmentKeys;
use crate::name::ObjectKind;
use crate::sessions::NewKeys;
use crate::vault::Surroundings;
use crate::view::View;
use crate::wire::config::Epoch;
use crate::wire::frame::Author;
use crate::wire::journal::Added;
use crate::wire::pack::{SEGMENT_MAX, SEGMENTS_MAX};

use super::writer::{FinishedPack, PackWriter, compress};

/// How large segments and packs get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) segment: usize,
    pub(crate) pack: u64,
}

impl Sizes {
    pub(crate) fn of(kind: ObjectKind) -> Self {
        match kind {
            ObjectKind::ContentPack => Self { segment: SEGMENT_MAX, pack: 32 << 20 },
            _ => Self { segment: 256 << 10, pack: 16 << 20 },
        }
    }
}

/// What a segmenter writes with.
#[derive(Clone, Copy)]
pub(crate) struct Tools<'a> {
    pub(crate) around: &'a Surroundings,
    pub(crate) view: &'a View,
    pub(crate) keys: &'a Arc<CompartmentKeys>,
    pub(crate) epoch: &'a Epoch,
    pub(crate) author: Author<'a>,
    pub(crate) user: UserId,
}

impl Tools<'_> {
    fn vault(&self) -> VaultId {
        self.view.id()
    }
}

/// Gathers chunks of one kind and one bucket into segments, and segments into packs.
pub(crate) struct Segmenter<'a> {
    tools: Tools<'a>,
    kind: ObjectKind,
    bucket: BucketId,
    sizes: Sizes,
    new_keys: NewKeys,
    compressor: zstd::bulk::Compressor<'static>,
    raw: Vec<u8>,
    stored: Vec<u8>,
    chunks: Vec<(ChunkId, u32)>,
    pack: Option<PackWriter<'a>>,
}

impl<'a> Segmenter<'a> {
    pub(crate) fn new(tools: Tools<'a>, kind: ObjectKind, level: i32) -> Self {
        let bucket = tools.keys.bucket(kind);
        Self {
            tools,
            kind,
            bucket,
            sizes: Sizes::of(kind),
            new_keys: NewKeys::new(kind, bucket),
            compressor: zstd::bulk::Compressor::new(level).expect("zstd takes any level"),
            raw: Vec::new(),
            stored: Vec::new(),
            chunks: Vec::new(),
            pack: None,
        }
    }

    /// Adds a chunk. A pack that became full by it is durable and returned; names of session tables go to `added`.
    pub(crate) fn add(
        &mut self,
        id: ChunkId,
        chunk: &[u8],
        added: &mut Vec<Added>,
    ) -> Result<Option<FinishedPack>, RepoError> {
        let mut finished = None;
        if !self.raw.is_empty() && self.raw.len() + chunk.len() > SEGMENT_MAX {
            finished = self.flush(added)?;
        }
        self.raw.extend_from_slice(chunk);
        self.chunks.push((id, u32::try_from(chunk.len()).expect("a chunk is smaller than a segment")));
        if self.raw.len() >= self.sizes.segment && finished.is_none() {
            finished = self.flush(added)?;
        }
        Ok(finished)
    }

    /// Ends the segment, and the pack too if it is large enough.
    fn flush(&mut self, added: &mut Vec<Added>) -> Result<Option<FinishedPack>, RepoError> {
        let Tools { around, view, keys, epoch, author, .. } = self.tools;
        let pack = match &mut self.pack {
            Some(pack) => pack,
            None => {
                let key = self.new_keys.next(view, &*around.random, &author, epoch, added)?;
                let vault = self.tools.vault();
                self.pack.insert(PackWriter::begin(around, vault, self.kind, self.bucket, keys, &key)?)
            }
        };
        let codec = compress(&mut self.compressor, &self.raw, &mut self.stored);
        let raw = u32::try_from(self.raw.len()).expect("a segment has at most 4 MiB");
        pack.segment(&mut self.stored, raw, codec, std::mem::take(&mut self.chunks))?;
        self.raw.clear();
        if pack.length() >= self.sizes.pack || pack.segments() >= SEGMENTS_MAX {
            return self.close();
        }
        Ok(None)
    }

    fn close(&mut self) -> Result<Option<FinishedPack>, RepoError> {
        self.pack.take().map(|pack| pack.finish(&self.tools.author)).transpose()
    }

    /// Makes what has been gathered durable.
    pub(crate) fn finish(&mut self, added: &mut Vec<Added>) -> Result<Vec<FinishedPack>, RepoError> {
        let mut finished = Vec::new();
        if !self.raw.is_empty() {
            finished.extend(self.flush(added)?);
        }
        finished.extend(self.close()?);
        Ok(finished)
    }
}
