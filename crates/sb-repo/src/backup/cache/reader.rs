//! Reading a cache in step with the walk.

use std::io::SeekFrom;

use super::record::{EntryRecord, FolderRecord, Record};
use super::{BLOCK_MAX, CacheHeader, CacheSeal};
use crate::ids::ChunkId;
use crate::state::{CacheBytes, State};
use crate::wire::cbor::Malformed;
use crate::wire::entry::order_key;

/// A cache of an earlier run. What of it can't be read is as if it had never been.
pub(crate) struct CacheReader {
    pub(crate) header: CacheHeader,
    records: Records,
    /// The next record but for nodes.
    next: Option<Record>,
    /// Nodes that came before it.
    pages: Vec<ChunkId>,
    /// How many folders the walk has entered that the cache does not have.
    absent: usize,
}

struct Records {
    seal: CacheSeal,
    file: Box<dyn CacheBytes>,
    /// Bytes of blocks that are left.
    left: u64,
    id: [u8; 16],
    number: u64,
    block: Vec<u8>,
    at: usize,
}

impl CacheReader {
    /// The cache of this name; `None` if there is none, or none for this vault.
    pub(crate) fn open(state: &State, seal: CacheSeal, name: &str) -> Option<Self> {
        let mut file = state.open_cache(name)?;
        let (header, id, left) = read_header(&mut *file, &seal)?;
        let records = Records { seal, file, left, id, number: 1, block: Vec::new(), at: 0 };
        let mut reader = Self { header, records, next: None, pages: Vec::new(), absent: 0 };
        reader.advance();
        Some(reader)
    }

    fn advance(&mut self) -> Option<Record> {
        let next = loop {
            match self.records.next() {
                Some(Record::Page(id)) => self.pages.push(id),
                next => break next,
            }
        };
        std::mem::replace(&mut self.next, next)
    }

    /// The nodes of folders that have come since this was asked last: of each as far as the walk has come in it.
    pub(crate) fn take_pages(&mut self) -> std::vec::Drain<'_, ChunkId> {
        self.pages.drain(..)
    }

    /// Follows the walk into a folder, the next one in order.
    pub(crate) fn enter(&mut self, name: &[u8]) {
        if self.absent == 0 && self.seek(&order_key(name, true)) && matches!(self.next, Some(Record::Enter(_))) {
            self.advance();
        } else {
            self.absent += 1;
        }
    }

    /// What was known of an entry of the present folder, the next one in order.
    pub(crate) fn find(&mut self, name: &[u8]) -> Option<EntryRecord> {
        if self.absent > 0 || !self.seek(name) || !matches!(self.next, Some(Record::Entry(_))) {
            return None;
        }
        match self.advance() {
            Some(Record::Entry(entry)) => Some(entry),
            _ => None,
        }
    }

    /// Follows the walk out of a folder; what was known of that.
    pub(crate) fn leave(&mut self) -> Option<FolderRecord> {
        if self.absent > 0 {
            self.absent -= 1;
            return None;
        }
        self.skip_to_end()
    }

    /// Skips what comes before this order key in the present folder. True if something has that key.
    fn seek(&mut self, key: &[u8]) -> bool {
        loop {
            let order = match &self.next {
                Some(Record::Enter(name)) => (*order_key(name, true)).cmp(key),
                Some(Record::Entry(entry)) => entry.name.as_slice().cmp(key),
                _ => return false,
            };
            match order {
                std::cmp::Ordering::Less => {
                    let before = self.pages.len();
                    if let Some(Record::Enter(_)) = self.advance() {
                        self.skip_to_end();
                        self.pages.truncate(before);
                    }
                }
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Greater => return false,
            }
        }
    }

    /// Skips the rest of the present folder, and its end.
    fn skip_to_end(&mut self) -> Option<FolderRecord> {
        let mut below = 0;
        loop {
            match self.advance()? {
                Record::Enter(_) => below += 1,
                Record::Leave(folder) if below == 0 => return Some(folder),
                Record::Leave(_) => below -= 1,
                Record::Entry(_) | Record::Page(_) => {}
                Record::End => return None,
            }
        }
    }
}

impl Records {
    /// The next record; none after the last, or where the cache is damaged.
    fn next(&mut self) -> Option<Record> {
        while self.at == self.block.len() {
            self.fill()?;
        }
        let mut rest = &self.block[self.at..];
        let record = Record::read(&mut rest).ok();
        self.at = self.block.len() - rest.len();
        match record {
            Some(Record::End) | None => {
                self.left = 0;
                self.at = self.block.len();
                None
            }
            record => record,
        }
    }

    fn fill(&mut self) -> Option<()> {
        let mut length = [0; 4];
        if self.left < 4 {
            return None;
        }
        self.file.read_exact(&mut length).ok()?;
        let length = u32::from_be_bytes(length) as usize;
        self.left = self.left.checked_sub(4 + length as u64).filter(|_| length <= BLOCK_MAX)?;
        self.block.resize(length, 0);
        self.at = 0;
        let context = CacheSeal::context(self.id, self.number);
        self.number += 1;
        let read = self.file.read_exact(&mut self.block).is_ok();
        if !read || self.seal.sealer.open_in_place(&context, &self.seal.about, &mut self.block).is_err() {
            self.left = 0;
            self.block.clear();
            return None;
        }
        Some(())
    }
}

/// The header, the cache's id, and how many bytes of blocks there are; the file is at their beginning.
fn read_header(file: &mut dyn CacheBytes, seal: &CacheSeal) -> Option<(CacheHeader, [u8; 16], u64)> {
    let size = file.seek(SeekFrom::End(0)).ok()?;
    let end = size.checked_sub(4)?;
    file.seek(SeekFrom::Start(end)).ok()?;
    let mut length = [0; 4];
    file.read_exact(&mut length).ok()?;
    let length = u32::from_be_bytes(length) as usize;
    let blocks = end.checked_sub(length as u64).filter(|_| length <= BLOCK_MAX)?;
    file.seek(SeekFrom::Start(blocks)).ok()?;
    let mut header = vec![0; length];
    file.read_exact(&mut header).ok()?;
    seal.sealer.open_in_place(&CacheSeal::context([0; 16], 0), &seal.about, &mut header).ok()?;
    let (header, id): (_, _) = CacheHeader::decode(&header).map_err(|Malformed(_)| ()).ok()?;
    file.seek(SeekFrom::Start(0)).ok()?;
    Some((header, id, blocks))
}
