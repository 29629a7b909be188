//! One file: read → SHA-256 → chunk → store.

use std::sync::{Arc, OnceLock, PoisonError};
use std::thread;

use sb_chunk::Chunker;
use sb_crypto::{Digest, Sha256};
use sb_source::{Cause, Content, Entry, Metadata, Problem, Source, SourceError};

use super::lanes::class_of;
use super::parts::PartsBuilder;
use super::store::{Store, reference};
use crate::clock::Counter;
use crate::error::RepoError;
use crate::tree::ChunkSink;
use crate::wire::entry::{Inline, holes};
use crate::wire::node::Part;

/// How much is read at once.
const BLOCK: usize = 1 << 20;
/// The same of large files as long as nothing in them is new: one thread takes SHA-256, the other cuts. Beginning a thread for each
/// block takes a hundredth of the time that hashing it does.
const LARGE_BLOCK: usize = 4 << 20;
const LARGE: u64 = 64 << 20;
/// How often a file that changes while it is read is read again.
const READS: usize = 3;
/// The most holes in the entry itself, and in a list of its own; of more, the last are restored as zeros.
const HOLES_DIRECT: usize = 64;
const HOLES_MAX: usize = 100_000;

/// A file to read.
pub(super) struct FileJob<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) reading: Arc<Reading>,
}

/// A file, and what reading it came to, once it has been read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) entry: Entry,
    read: OnceLock<FileRead>,
}

/// What reading a file came to.
#[derive(Debug, Default)]
pub(super) struct FileRead {
    /// `None` if it could not be read.
    pub(super) content: Option<FileContent>,
    pub(super) problems: Vec<Problem>,
}

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

impl Reading {
    pub(super) fn new(entry: Entry) -> Self {
        Self { entry, read: OnceLock::new() }
    }

    /// What it came to, if it has.
    pub(super) fn get(&self) -> Option<&FileRead> {
        self.read.get()
    }
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

/// Reads files and stores their content.
pub(super) fn read_files(store: &Store<'_>, files: Vec<FileJob<'_>>) -> Result<(), RepoError> {
    let idle = store.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut reader = Reader { store, buffer: idle.unwrap_or_default() };
    for file in files {
        store.go_on()?;
        let read = reader.read_file(file.source, &file.reading.entry)?;
        // A file is read by one thread only.
        let _ = file.reading.read.set(read);
    }
    store.buffers.lock().unwrap_or_else(PoisonError::into_inner).push(reader.buffer);
    Ok(())
}

struct Reader<'s, 'a> {
    store: &'s Store<'a>,
    buffer: Vec<u8>,
}

impl Reader<'_, '_> {
    /// Stores a file's content. No content, and a problem, if it can't be read; if it keeps changing, a problem and what was
    /// read.
    fn read_file(&mut self, source: &dyn Source, entry: &Entry) -> Result<FileRead, RepoError> {
        let mut last = None;
        for _ in 0..READS {
            match self.read_once(source, entry) {
                Ok((read, None)) => return Ok(read),
                Ok((read, Some(changed))) => last = Some((read, changed)),
                Err(ReadError::Vault(error)) => return Err(error),
                Err(ReadError::Source(error)) => {
                    return Ok(FileRead { content: None, problems: vec![error.problem(&entry.path)] });
                }
            }
        }
        let (mut read, changed) = last.expect("it has been read at least once");
        read.problems.push(changed);
        read.content = read.content.map(|content| FileContent { inconsistent: true, ..content });
        Ok(read)
    }

    fn read_once(&mut self, source: &dyn Source, entry: &Entry) -> Result<(FileRead, Option<Problem>), ReadError> {
        let mut content = source.open(entry).map_err(ReadError::Source)?;
        let metadata = content.metadata().clone();
        let (chunker_id, chunker) = self.store.cutters.of(metadata.size);
        let (size, sha256, parts) = self.copy(&mut *content, chunker, class_of(entry.name()))?;
        let mut sink = self.store;
        let (parts, depth) = parts.finish(&mut sink)?;
        let holes = store_holes(self.store, content.holes(), size)?;
        let problems = content.problem().cloned().into_iter().collect();
        let changed = match content.finish() {
            Ok(()) => None,
            Err(error) if error.cause() == Cause::Changed => Some(error.problem(&entry.path)),
            Err(error) => return Err(ReadError::Source(error)),
        };
        let file =
            FileContent { metadata, size, sha256, parts, depth, chunker: chunker_id, holes, inconsistent: false };
        Ok((FileRead { content: Some(file), problems }, changed))
    }

    fn copy(
        &mut self,
        content: &mut dyn Content,
        chunker: &Chunker,
        class: u64,
    ) -> Result<(u64, Digest, PartsBuilder), ReadError> {
        let (mut size, mut sha256, mut parts) = (0, Sha256::new(), PartsBuilder::default());
        let (mut filled, mut end, mut is_known) = (0, false, true);
        loop {
            // How long a stream is shows only when it comes. New chunks are work for all threads.
            let is_large = content.metadata().size.max(size) >= LARGE && self.store.crew.threads() > 1;
            let is_shared = is_large && is_known;
            let block = if is_shared { LARGE_BLOCK } else { BLOCK };
            if self.buffer.len() < filled + block {
                self.buffer.resize(filled + block, 0);
            }
            let hashed = filled;
            while filled < self.buffer.len() && !end {
                match content.read(&mut self.buffer[filled..]) {
                    Ok(0) => end = true,
                    Ok(read) => {
                        filled += read;
                        size += read as u64;
                        self.store.progress.monitor.count(Counter::Bytes, read as u64);
                    }
                    Err(error) => return Err(ReadError::Source(error)),
                }
            }
            if !end {
                self.store.go_on()?;
            }
            let new = &self.buffer[hashed..filled];
            let (used, new_chunks) = if is_shared {
                thread::scope(|scope| {
                    scope.spawn(|| sha256.update(new));
                    self.chunks(filled, end, chunker, class, &mut parts)
                })?
            } else {
                sha256.update(new);
                self.chunks(filled, end, chunker, class, &mut parts)?
            };
            is_known = new_chunks == 0;
            self.buffer.copy_within(used..filled, 0);
            filled -= used;
            if end {
                return Ok((size, sha256.finish(), parts));
            }
        }
    }

    /// Stores all chunks that surely end within the first bytes of the buffer; how many bytes that was, and how many chunks were new.
    fn chunks(
        &self,
        filled: usize,
        end: bool,
        chunker: &Chunker,
        class: u64,
        parts: &mut PartsBuilder,
    ) -> Result<(usize, usize), RepoError> {
        let buffer = &self.buffer[..filled];
        let (mut used, mut new) = (0, Vec::new());
        while let Some(length) = chunker.cut(&buffer[used..], end) {
            let chunk = &buffer[used..used + length];
            let id = self.store.content_id(chunk);
            if self.store.is_new(&id, true)? {
                new.push((id, chunk));
            }
            let mut sink = self.store;
            parts.push(Part { reference: reference(id, length), content: length as u64 }, &mut sink)?;
            used += length;
        }
        self.store.content(class, &new)?;
        Ok((used, new.len()))
    }
}

fn store_holes(store: &Store<'_>, list: &[(u64, u64)], size: u64) -> Result<Inline<(u64, u64)>, RepoError> {
    let list: Vec<_> =
        list.iter().copied().filter(|(offset, length)| offset + length <= size).take(HOLES_MAX).collect();
    if list.len() <= HOLES_DIRECT {
        return Ok(Inline::Here(list));
    }
    let mut sink = store;
    Ok(Inline::At(sink.store(holes(&list).encode())?))
}
