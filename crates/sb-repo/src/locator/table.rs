//! Many sorted entries in a local file, of which little is in memory.

use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use sb_crypto::SEAL_OVERHEAD;

use super::filter::Filter;
use super::seal::{FileId, Local, Part, Unfit};
use crate::state::{CacheBytes, CacheFile};
use crate::wire::locator::{ENTRY, LocatorEntry};

/// Entries in a block: a look-up opens 6 KiB, and a fence for each of them is 8 bytes.
pub(super) const BLOCK: usize = 256;
/// Bytes of a full block as it is stored.
const STORED: usize = BLOCK * ENTRY + SEAL_OVERHEAD;
/// Blocks that one part of the filter is for: 2²⁰ entries.
const STRETCH: usize = 4096;
/// Opened blocks kept at hand where most of what is asked for is not there, 400 KiB in all.
pub(super) const SELDOM: usize = 64;
/// The same where most is there, 6 MiB: ids are spread evenly, so who asks for all of a quarter of a million chunks opens each
/// block about once, and of more than that nearly one a look-up.
pub(super) const OFTEN: usize = 1024;

/// What a block begins with, in order, and which keys are there.
pub(super) struct Index {
    pub(super) id: FileId,
    pub(super) entries: u64,
    pub(super) fences: Vec<u64>,
    /// None for who asks of nothing but what is there.
    pub(super) filter: Option<Filter>,
}

/// Sorted entries.
pub(super) struct Table {
    local: Local,
    file: Mutex<Box<dyn CacheBytes>>,
    index: Index,
    open: Box<[Mutex<Option<Opened>>]>,
}

type Opened = (usize, Arc<[LocatorEntry]>);

/// The first half of what the locator knows a chunk by. Where two chunks share it, which is hardly ever, one block more is opened.
fn key(prefix: &[u8; 16]) -> u64 {
    u64::from_be_bytes(*prefix.first_chunk().expect("16 bytes"))
}

impl Table {
    /// A table of which up to `open` blocks are kept at hand.
    pub(super) fn new(local: &Local, file: Box<dyn CacheBytes>, index: Index, open: usize) -> Self {
        let open = index.fences.len().min(open);
        let open = (0..open).map(|_| Mutex::default()).collect();
        Self { local: local.clone(), file: Mutex::new(file), index, open }
    }

    pub(super) fn len(&self) -> u64 {
        self.index.entries
    }

    /// Appends the entries of a chunk.
    pub(super) fn find(&self, wanted: &[u8; 16], found: &mut Vec<LocatorEntry>) -> Result<(), Unfit> {
        let key = key(wanted);
        let Index { fences, filter, .. } = &self.index;
        let first = fences.partition_point(|fence| *fence < key).saturating_sub(1);
        for number in (first..fences.len()).take_while(|number| fences[*number] <= key) {
            if filter.as_ref().is_none_or(|filter| filter.may_have(number / STRETCH, key)) {
                let block = self.block(number)?;
                let from = block.partition_point(|entry| entry.prefix() < wanted);
                found.extend(block[from..].iter().take_while(|entry| entry.prefix() == wanted));
            }
        }
        Ok(())
    }

    fn block(&self, number: usize) -> Result<Arc<[LocatorEntry]>, Unfit> {
        let place = &self.open[number % self.open.len()];
        if let Some((there, block)) = &*lock(place)
            && *there == number
        {
            return Ok(block.clone());
        }
        let block: Arc<[LocatorEntry]> = self.read(number)?.into();
        *lock(place) = Some((number, block.clone()));
        Ok(block)
    }

    fn read(&self, number: usize) -> Result<Vec<LocatorEntry>, Unfit> {
        let left = self.index.entries - (number * BLOCK) as u64;
        let entries = usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK));
        let mut buffer = vec![0; entries * ENTRY + SEAL_OVERHEAD];
        {
            let mut file = lock(&self.file);
            let read = file.seek(SeekFrom::Start((number * STORED) as u64)).and_then(|_| file.read_exact(&mut buffer));
            read.map_err(|_| Unfit)?;
        }
        self.local.open(self.index.id, Part::Block, as_u32(number), &mut buffer)?;
        Ok(buffer.as_chunks().0.iter().map(|bytes| LocatorEntry(*bytes)).collect())
    }

    /// All entries, in order.
    pub(super) fn scan(&self) -> impl Iterator<Item = Result<LocatorEntry, Unfit>> + '_ {
        (0..self.index.fences.len()).flat_map(|number| {
            let (block, unfit) = match self.read(number) {
                Ok(block) => (block, None),
                Err(unfit) => (Vec::new(), Some(Err(unfit))),
            };
            block.into_iter().map(Ok).chain(unfit)
        })
    }

    /// Bytes it takes in memory, at the most.
    #[cfg(feature = "testing")]
    pub(super) fn resident(&self) -> usize {
        let filter = self.index.filter.as_ref().map_or(0, Filter::resident);
        self.index.fences.capacity() * 8 + filter + self.open.len() * (BLOCK * ENTRY + 64)
    }
}

/// Writes a table, whose entries come in order.
pub(super) struct TableWriter<'l> {
    local: &'l Local,
    file: CacheFile,
    id: FileId,
    block: Vec<u8>,
    last: Option<LocatorEntry>,
    entries: u64,
    fences: Vec<u64>,
    filter: Option<Filter>,
    /// Keys that the next part of the filter is for.
    keys: Vec<u64>,
}

impl<'l> TableWriter<'l> {
    /// Begins a table, with a filter if most of what it is asked for is not there.
    pub(super) fn begin(local: &'l Local, filtered: bool) -> std::io::Result<Self> {
        let (file, id) = local.create()?;
        Ok(Self {
            local,
            file,
            id,
            block: Vec::with_capacity(STORED),
            last: None,
            entries: 0,
            fences: Vec::new(),
            filter: filtered.then(Filter::default),
            keys: Vec::new(),
        })
    }

    /// Adds an entry, unless it is the one before.
    pub(super) fn add(&mut self, entry: LocatorEntry) -> std::io::Result<()> {
        debug_assert!(self.last.is_none_or(|last| last <= entry), "entries come in order");
        if self.last.replace(entry) == Some(entry) {
            return Ok(());
        }
        let key = key(entry.prefix());
        if self.block.is_empty() {
            self.fences.push(key);
        }
        if self.filter.is_some() && self.keys.last() != Some(&key) {
            self.keys.push(key);
        }
        self.block.extend_from_slice(&entry.0);
        self.entries += 1;
        if self.block.len() == BLOCK * ENTRY { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.local.seal(self.id, Part::Block, as_u32(self.fences.len() - 1), &mut self.block);
        self.file.write_all(&self.block)?;
        self.block.clear();
        if self.fences.len().is_multiple_of(STRETCH) {
            self.end_stretch();
        }
        Ok(())
    }

    fn end_stretch(&mut self) {
        if let Some(filter) = &mut self.filter
            && !self.keys.is_empty()
        {
            filter.push(&self.keys);
            self.keys.clear();
        }
    }

    /// The file, and what to keep in memory of it. More can be written behind the blocks.
    pub(super) fn finish(mut self) -> std::io::Result<(CacheFile, Index)> {
        self.flush()?;
        self.end_stretch();
        self.fences.shrink_to_fit();
        let Self { file, id, entries, fences, filter, .. } = self;
        Ok((file, Index { id, entries, fences, filter }))
    }
}

/// How many bytes the blocks of so many entries take in the file.
pub(super) fn stored_length(entries: u64) -> u64 {
    entries * ENTRY as u64 + entries.div_ceil(BLOCK as u64) * SEAL_OVERHEAD as u64
}

pub(super) fn as_u32(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2³² blocks")
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
