//! Locators of as many chunks as one likes, whose packs are but names: for tests of the locator, and to measure it.

use std::ops::Range;
use std::sync::Arc;

use sb_crypto::{Digest, SeededRandom, SigningKey, sha256};
use sb_store::MemoryStorage;

use crate::clock::{FixedClock, Silent};
use crate::create::{CreateOptions, create};
use crate::error::RepoError;
use crate::ids::{BucketId, ChunkId, Id, KeyId, PackId, RunId};
use crate::keys::CompartmentKeys;
use crate::locator::{Levels, Limits, Locator, Scope, write_locator};
use crate::name::{ObjectKind, Stem};
use crate::state::{Head, State};
use crate::vault::Surroundings;
use crate::view::View;
use crate::wire::frame::Author;
use crate::wire::journal::{Added, JournalEntry};
use crate::wire::locator::{LocatorEntry, PackPlaces};
use crate::wire::pack::{Codec, SegmentPlace};

/// Packs in an increment, as a backup writes it.
const PACKS: u64 = 8;
/// Chunks in a pack: 32 MiB of chunks of 64 KiB.
const CHUNKS: u64 = 512;
const SEGMENTS: u64 = 8;
const KEY: [u8; 16] = [7; 16];

/// A vault that has nothing but a locator.
pub struct Locators {
    pub(crate) around: Surroundings,
    pub(crate) view: View,
    pub(crate) keys: Arc<CompartmentKeys>,
    author: SigningKey,
    entries: u64,
}

/// A chunk's id.
pub fn chunk(number: u64) -> ChunkId {
    ChunkId::of(sha256(&number.to_be_bytes()))
}

/// A pack's id.
pub(crate) fn pack_id(number: u64) -> PackId {
    PackId::of(sha256(&[&number.to_be_bytes()[..], b"pack"].concat()))
}

fn pack(number: u64) -> PackPlaces {
    let stored = (32 << 20) / SEGMENTS as u32;
    let place = |n| SegmentPlace { offset: n * u64::from(stored), stored, raw: 1 << 22, codec: Codec::Zstd };
    PackPlaces {
        id: pack_id(number),
        size: 32 << 20,
        key: KEY,
        kind: if number.is_multiple_of(5) { ObjectKind::MetaPack } else { ObjectKind::ContentPack },
        bucket: BucketId::new([3; 16]),
        segments: (0..SEGMENTS).map(place).collect(),
    }
}

impl Locators {
    /// One of no chunks, on a machine with this memory.
    ///
    /// # Panics
    /// If the vault can't be made.
    pub fn new(state: State) -> Self {
        let around = Surroundings {
            storage: Arc::new(MemoryStorage::new()),
            state,
            clock: Arc::new(FixedClock(chrono::DateTime::UNIX_EPOCH)),
            random: Arc::new(SeededRandom::new(1)),
        };
        let (vault, _) = create(around, &[], &CreateOptions::default()).expect("memory takes anything");
        let mut view = vault.view.clone();
        // The table that has the keys of all packs.
        let table = Id::from_slice(&KEY[..8]).expect("8 bytes");
        let table = Stem::table(BucketId::new([3; 16]), table, 0).name(&Digest::from_bytes([0; 32]));
        view.listing.insert(table.to_string(), 1);
        let author = SigningKey::from_seed(&[5; 32]);
        Self { around: vault.around.clone(), view, keys: vault.keys().expect("an owner").clone(), author, entries: 0 }
    }

    /// Adds an increment of these packs, and of chunks each in one of them, at a segment and an offset; its name.
    pub(crate) fn add(&mut self, packs: &[u64], chunks: &[(ChunkId, u32, u32, u32)]) -> String {
        let entries = chunks.iter().map(|(id, pack, segment, offset)| LocatorEntry::new(id, *pack, *segment, *offset));
        let author = Author { key: &self.author, run: RunId::new([1; 8]) };
        let places: Vec<_> = packs.iter().map(|number| pack(*number)).collect();
        let mut added: Vec<Added> = places
            .iter()
            .map(|pack| Added { name: crate::name::pack(&pack.id).to_string(), size: pack.size, digest: None })
            .collect();
        let written = write_locator(&self.around, self.view.id(), &self.keys, &author, places, entries.collect());
        let written = written.expect("memory takes anything");
        let name = written.name.clone();
        added.push(written);
        self.change(added, Vec::new());
        name
    }

    /// What a journal says.
    pub(crate) fn change(&mut self, added: Vec<Added>, removed: Vec<(String, u64)>) {
        self.entries += 1;
        let entry = JournalEntry {
            sequence: self.entries,
            previous: None,
            time: chrono::DateTime::UNIX_EPOCH,
            operation: String::new(),
            generation: 0,
            added,
            removed,
            authority: None,
            log: None,
            accepted: Vec::new(),
        };
        self.view.take_in(entry, KeyId::new([2; 16]), Head { sequence: self.entries, digest: sha256(b"") });
    }

    /// Adds these chunks, in increments as large as a backup writes them.
    pub fn fill(&mut self, chunks: Range<u64>) {
        let mut next = chunks.start;
        while next < chunks.end {
            let end = chunks.end.min(next + PACKS * CHUNKS);
            let first = next / CHUNKS;
            let packs: Vec<u64> = (first..end.div_ceil(CHUNKS)).collect();
            let place = |number: u64| {
                let (pack, at) = (number / CHUNKS - first, (number % CHUNKS) as u32);
                let share = CHUNKS as u32 / SEGMENTS as u32;
                (chunk(number), pack as u32, at / share, (at % share) << 16)
            };
            self.add(&packs, &(next..end).map(place).collect::<Vec<_>>());
            next = end;
        }
    }

    /// Loads the locator, for one who writes or for one who reads.
    ///
    /// # Errors
    /// Those of the locator.
    pub fn load(&self, writing: bool) -> Result<Loaded, RepoError> {
        self.load_within(if writing { writing_scope() } else { Scope::Reading }, Limits::default())
    }

    pub(crate) fn load_within(&self, scope: Scope, limits: Limits) -> Result<Loaded, RepoError> {
        Locator::load_within(&self.around, &self.view, &self.keys, &Silent, scope, limits).map(Loaded)
    }

    /// A set of chunks as a run keeps it of those that it has stored.
    pub fn stored(&self) -> Stored {
        Stored(Levels::new(&self.around, &self.view, &self.keys))
    }
}

/// What a writer may rely on: anything here.
pub(crate) fn writing_scope() -> Scope {
    Scope::Writing { condemned: Default::default(), unusable_tables: Default::default() }
}

/// A locator.
pub struct Loaded(pub(crate) Locator);

impl Loaded {
    /// True if it has the chunk.
    ///
    /// # Errors
    /// Those of the locator.
    pub fn has(&self, id: &ChunkId) -> Result<bool, RepoError> {
        self.0.places(id).map(|places| !places.is_empty())
    }

    /// Bytes of memory that it takes at the most: what grows with chunks, and what grows with packs.
    pub fn resident(&self) -> (usize, usize) {
        self.0.resident()
    }
}

/// Chunks that a run has stored.
pub struct Stored(Levels);

impl Stored {
    /// Adds these.
    pub fn add(&self, chunks: Range<u64>) -> bool {
        let mut entries: Vec<_> = chunks.map(|number| LocatorEntry::new(&chunk(number), 0, 0, 0)).collect();
        self.0.add(&mut entries)
    }

    /// True if it was added.
    pub fn has(&self, id: &ChunkId) -> bool {
        self.0.has(id)
    }

    /// Bytes of memory it takes at the most.
    pub fn resident(&self) -> usize {
        self.0.resident()
    }
}
