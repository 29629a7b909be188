//! One file: read → SHA-256 → chunk → store.

use sb_chunk::{Chunker, Params};
use sb_crypto::{Digest, Sha256};
use sb_source::{Cause, Content, Entry, Metadata, Problem, Source, SourceError};

use super::parts::PartsBuilder;
use super::run::Run;
use crate::clock::Counter;
use crate::error::RepoError;
use crate::tree::ChunkSink;
use crate::wire::config::Tier;
use crate::wire::entry::{Inline, holes};
use crate::wire::node::Part;

/// How much is read at once.
const BLOCK: usize = 1 << 20;
/// How often a file that changes while it is read is read again.
const READS: usize = 3;
/// The most holes in the entry itself, and in a list of its own; of more, the last are restored as zeros.
const HOLES_DIRECT: usize = 64;
const HOLES_MAX: usize = 100_000;

/// What was read of a file.
#[derive(Clone, Debug)]
pub(super) struct FileContent {
    pub(super) metadata: Metadata,
    pub(super) size: u64,
    pub(super) sha256: Digest,
    pub(super) parts: Vec<Part>,
    pub(super) depth: u64,
    pub(super) chunker: u64,
    pub(super) holes: Inline<(u64, u64)>,
    pub(super) inconsistent: bool,
}

/// An error of either side of a copy, kept apart.
enum ReadError {
    Source(SourceError),
    Vault(RepoError),
}

impl From<RepoError> for ReadError {
    fn from(error: RepoError) -> Self {
        Self::Vault(error)
    }
}

impl Run<'_> {
    /// Stores a file's content. `None`, and a problem, if it can't be read; if it keeps changing, a problem and what was read.
    pub(super) fn read_file(&mut self, source: &dyn Source, entry: &Entry) -> Result<Option<FileContent>, RepoError> {
        let mut last = None;
        for _ in 0..READS {
            match self.read_once(source, entry) {
                Ok((content, None)) => return Ok(Some(content)),
                Ok((content, Some(changed))) => last = Some((content, changed)),
                Err(ReadError::Vault(error)) => return Err(error),
                Err(ReadError::Source(error)) => {
                    self.problem(error.problem(&entry.path));
                    return Ok(None);
                }
            }
        }
        Ok(last.map(|(content, problem)| {
            self.problem(problem);
            FileContent { inconsistent: true, ..content }
        }))
    }

    fn read_once(&mut self, source: &dyn Source, entry: &Entry) -> Result<(FileContent, Option<Problem>), ReadError> {
        let mut content = source.open(entry).map_err(ReadError::Source)?;
        let metadata = content.metadata().clone();
        let tier = tier(&self.tools.view.config.tiers, metadata.size);
        let chunker = Chunker::new(params(tier.chunker), self.tools.keys.seed.as_bytes());
        let (size, sha256, parts) = self.copy(&mut *content, &chunker)?;
        let (parts, depth) = parts.finish(self)?;
        let holes = self.store_holes(content.holes(), size)?;
        let changed = match content.finish() {
            Ok(()) => None,
            Err(error) if error.cause() == Cause::Changed => Some(error.problem(&entry.path)),
            Err(error) => return Err(ReadError::Source(error)),
        };
        let file =
            FileContent { metadata, size, sha256, parts, depth, chunker: tier.chunker, holes, inconsistent: false };
        Ok((file, changed))
    }

    fn copy(&mut self, content: &mut dyn Content, chunker: &Chunker) -> Result<(u64, Digest, PartsBuilder), ReadError> {
        let (mut size, mut sha256, mut parts) = (0, Sha256::new(), PartsBuilder::default());
        let mut buffer = std::mem::take(&mut self.buffer);
        let (mut filled, mut end) = (0, false);
        let copied = loop {
            buffer.resize(filled + BLOCK, 0);
            while filled < buffer.len() && !end {
                match content.read(&mut buffer[filled..]) {
                    Ok(0) => end = true,
                    Ok(read) => {
                        sha256.update(&buffer[filled..filled + read]);
                        filled += read;
                        size += read as u64;
                        self.progress.monitor.count(Counter::Bytes, read as u64);
                    }
                    Err(error) => return Err(ReadError::Source(error)),
                }
            }
            self.go_on()?;
            let used = self.chunks(&buffer[..filled], end, chunker, &mut parts)?;
            buffer.copy_within(used..filled, 0);
            filled -= used;
            if end {
                break (size, sha256.finish(), parts);
            }
        };
        self.buffer = buffer;
        Ok(copied)
    }

    /// Stores all chunks that surely end within the buffer; how many bytes that was.
    fn chunks(
        &mut self,
        buffer: &[u8],
        end: bool,
        chunker: &Chunker,
        parts: &mut PartsBuilder,
    ) -> Result<usize, RepoError> {
        let mut used = 0;
        while let Some(length) = chunker.cut(&buffer[used..], end) {
            let reference = self.store_content(&buffer[used..used + length])?;
            parts.push(Part { reference, content: length as u64 }, self)?;
            used += length;
        }
        Ok(used)
    }

    fn store_holes(&mut self, list: &[(u64, u64)], size: u64) -> Result<Inline<(u64, u64)>, RepoError> {
        let list: Vec<_> =
            list.iter().copied().filter(|(offset, length)| offset + length <= size).take(HOLES_MAX).collect();
        if list.len() <= HOLES_DIRECT {
            return Ok(Inline::Here(list));
        }
        Ok(Inline::At(self.store(holes(&list).encode())?))
    }
}

/// The tier for files of this size.
fn tier(tiers: &[Tier], size: u64) -> Tier {
    let fits = tiers.iter().find(|tier| size < tier.size_limit);
    *fits.or(tiers.last()).unwrap_or(&Tier { size_limit: u64::MAX, chunker: 1 })
}

/// What a chunker id stands for (docs/format.md §5).
fn params(chunker: u64) -> Params {
    let average = match chunker {
        2 => 64 << 10,
        3 => 256 << 10,
        _ => 16 << 10,
    };
    Params::around(average).expect("sizes that the chunker takes")
}
