//! How much is stored for what: chunks and packs of the vault, contents and chunks of snapshots.

use std::collections::HashSet;

use crate::clock::{Counter, Progress};
use crate::error::RepoError;
use crate::ids::ChunkId;
use crate::reader::Reader;
use crate::snapshots::Snapshot;
use crate::wire::entry::{Inline, Item};
use crate::wire::locator::prefix;
use crate::wire::node::Reference;

/// Chunks of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChunkStats {
    /// Different chunks.
    pub chunks: u64,
    /// Their bytes before compression.
    pub bytes: u64,
    /// Their bytes as stored, compressed and sealed; of some chunks of a segment, their share of it.
    pub stored: u64,
}

/// What all packs of a vault hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredStats {
    /// Packs of contents and of metadata.
    pub packs: u64,
    /// Their bytes.
    pub pack_bytes: u64,
    /// Contents.
    pub content: ChunkStats,
    /// Names, folders and other metadata.
    pub metadata: ChunkStats,
}

/// What snapshots hold, each thing once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContentStats {
    /// Different contents of files.
    pub contents: u64,
    /// Their bytes.
    pub content_bytes: u64,
    /// Chunks of content.
    pub content: ChunkStats,
    /// Chunks of metadata.
    pub metadata: ChunkStats,
}

impl ChunkStats {
    fn add(&mut self, other: Self) {
        self.chunks += other.chunks;
        self.bytes += other.bytes;
        self.stored += other.stored;
    }
}

impl Reader<'_> {
    /// What all packs hold. Reads nothing but the locator.
    ///
    /// # Errors
    /// Those of the storage, if this machine's copy of the locator is damaged and has to be read again.
    pub fn stored(&self) -> Result<StoredStats, RepoError> {
        let locator = self.tree().locator;
        let mut stats = StoredStats::default();
        for pack in locator.packs() {
            stats.packs += 1;
            stats.pack_bytes += pack.size;
            let is_content = pack.kind == crate::name::ObjectKind::ContentPack;
            let kind = if is_content { &mut stats.content } else { &mut stats.metadata };
            for segment in &pack.segments {
                kind.bytes += u64::from(segment.raw);
                kind.stored += u64::from(segment.stored);
            }
        }
        (stats.content.chunks, stats.metadata.chunks) = locator.chunks()?;
        Ok(stats)
    }

    /// What these snapshots hold together, each content and each chunk once. Folders that several have are gone through
    /// once; the memory it takes grows with what is different.
    ///
    /// # Errors
    /// [`RepoError::Interrupted`], and nodes that can't be read.
    pub fn contents<'s>(
        &self,
        snapshots: impl IntoIterator<Item = &'s Snapshot>,
        progress: Progress<'_>,
    ) -> Result<ContentStats, RepoError> {
        let mut count =
            Count { reader: self, seen: HashSet::new(), contents: HashSet::new(), stats: ContentStats::default() };
        for snapshot in snapshots {
            if let Some(problems) = snapshot.problems_at() {
                count.metadata(problems)?;
            }
            count.folders(snapshot.root(), progress)?;
        }
        Ok(count.stats)
    }
}

struct Count<'a> {
    reader: &'a Reader<'a>,
    seen: HashSet<[u8; 16]>,
    contents: HashSet<[u8; 16]>,
    stats: ContentStats,
}

impl Count<'_> {
    fn folders(&mut self, root: Reference, progress: Progress<'_>) -> Result<(), RepoError> {
        let mut waiting = vec![root];
        while let Some(folder) = waiting.pop() {
            progress.check()?;
            if !self.metadata(folder)? {
                continue;
            }
            for entry in self.reader.tree().folder(folder) {
                let entry = entry?;
                progress.monitor.count(Counter::Entries, 1);
                if let Inline::At(reference) = &entry.xattrs {
                    self.metadata(*reference)?;
                }
                match entry.item {
                    Item::Folder { node, .. } => waiting.push(node),
                    Item::File(file) => {
                        progress.monitor.count(Counter::Files, 1);
                        if let Inline::At(reference) = &file.holes {
                            self.metadata(*reference)?;
                        }
                        if self.contents.insert(*file.sha256.as_bytes().first_chunk().expect("32 bytes")) {
                            self.stats.contents += 1;
                            self.stats.content_bytes += file.size;
                        }
                        self.reader.tree().each_part(&file.parts, file.depth, &mut |reference| {
                            if self.seen.insert(*prefix(&reference.id)) {
                                self.stats.content.add(self.chunk(reference.id, reference.length)?);
                            }
                            Ok(())
                        })?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Counts a chunk of metadata; false if it was counted already.
    fn metadata(&mut self, reference: Reference) -> Result<bool, RepoError> {
        let is_new = self.seen.insert(*prefix(&reference.id));
        if is_new {
            let chunk = self.chunk(reference.id, reference.length)?;
            self.stats.metadata.add(chunk);
        }
        Ok(is_new)
    }

    fn chunk(&self, id: ChunkId, length: u32) -> Result<ChunkStats, RepoError> {
        let locator = self.reader.tree().locator;
        let mut places = locator.places(&id)?.into_iter();
        let segment = places.find_map(|place| locator.pack(place.pack).segments.get(place.segment as usize));
        let bytes = u64::from(length);
        let stored = segment.map_or(0, |segment| bytes * u64::from(segment.stored) / u64::from(segment.raw.max(1)));
        Ok(ChunkStats { chunks: 1, bytes, stored })
    }
}
