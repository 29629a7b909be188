//! Writing a cache while the run goes on.

use std::io::Write;

use sb_crypto::{Random, random_array};

use super::record::{EntryRecord, FolderRecord, Record};
use super::{BLOCK, CacheHeader, CacheSeal};
use crate::ids::ChunkId;
use crate::state::{CacheFile, State};

/// A cache in the making. What can't be written makes it useless, not the run.
pub(crate) struct CacheWriter {
    seal: CacheSeal,
    id: [u8; 16],
    number: u64,
    file: Option<CacheFile>,
    block: Vec<u8>,
}

impl CacheWriter {
    pub(crate) fn begin(state: &State, seal: CacheSeal, random: &dyn Random) -> Self {
        Self { seal, id: random_array(random), number: 1, file: state.create_cache().ok(), block: Vec::new() }
    }

    pub(crate) fn enter(&mut self, name: &[u8]) {
        self.write(&Record::Enter(name.to_vec()));
    }

    pub(crate) fn entry(&mut self, entry: EntryRecord) {
        self.write(&Record::Entry(entry));
    }

    pub(crate) fn page(&mut self, id: ChunkId) {
        self.write(&Record::Page(id));
    }

    pub(crate) fn leave(&mut self, folder: FolderRecord) {
        self.write(&Record::Leave(folder));
    }

    fn write(&mut self, record: &Record) {
        record.write(&mut self.block);
        if self.block.len() >= BLOCK {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let context = CacheSeal::context(self.id, self.number);
        self.number += 1;
        let sealed = self.seal.sealer.seal(&context, &self.seal.about, &self.block);
        self.block.clear();
        self.put(&sealed);
    }

    fn put(&mut self, sealed: &[u8]) {
        let length = u32::try_from(sealed.len()).expect("a block is small");
        if let Some(file) = &mut self.file
            && file.write_all(&length.to_be_bytes()).and_then(|()| file.write_all(sealed)).is_err()
        {
            self.file = None;
        }
    }

    /// Ends the cache and puts it in the place of others under these names. False if it could not be written.
    pub(crate) fn finish(mut self, header: &CacheHeader, names: &[String]) -> bool {
        self.write(&Record::End);
        self.flush();
        let context = CacheSeal::context([0; 16], 0);
        let sealed = self.seal.sealer.seal(&context, &self.seal.about, &header.encode(self.id));
        let length = u32::try_from(sealed.len()).expect("a header is small");
        self.file.is_some_and(|mut file| {
            let written = file.write_all(&sealed).and_then(|()| file.write_all(&length.to_be_bytes()));
            written.and_then(|()| file.keep(names)).is_ok()
        })
    }
}
