//! What the threads of a run share: chunks go in, durable packs and locator increments come out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::crew::{Crew, Job};
use super::cutters::Cutters;
use super::file::read_files;
use super::known::Known;
use super::lanes::{FullSegment, Lanes};
use super::lease::Held;
use crate::clock::{Counter, Progress};
use crate::error::RepoError;
use crate::ids::ChunkId;
use crate::keys::ChunkIds;
use crate::locator::{Scope, entries_of, write_locator};
use crate::name::ObjectKind;
use crate::pack::{FinishedPack, PackWriter, Sizes, Tools, compress};
use crate::sessions::NewKeys;
use crate::tree::ChunkSink;
use crate::wire::journal::Added;
use crate::wire::locator::{LocatorEntry, PackPlaces};
use crate::wire::node::Reference;
use crate::wire::pack::{Codec, SEGMENTS_MAX};
use crate::wire::snapshot::Counts;

/// An increment of the locator is written after this many packs.
const PACKS_PER_LOCATOR: usize = 8;

/// The zstd level for what hardly compresses.
const LEAST_LEVEL: i32 = 1;

/// Where a run puts its chunks.
pub(super) struct Store<'a> {
    pub(super) tools: Tools<'a>,
    pub(super) progress: Progress<'a>,
    pub(super) crew: Crew<'a>,
    pub(super) known: Known,
    pub(super) cutters: Cutters,
    lease: Mutex<&'a mut Held>,
    level: i32,
    content_ids: ChunkIds,
    meta_ids: ChunkIds,
    content: Lanes,
    meta: Lanes,
    content_packs: Mutex<Packs<'a>>,
    meta_packs: Mutex<Packs<'a>>,
    /// Takes packs that are to be made durable, where there is a thread for that.
    settler: Mutex<Option<SyncSender<PackWriter<'a>>>>,
    unlocated: Mutex<Unlocated>,
    added: Mutex<Vec<Added>>,
    compressors: Mutex<Vec<Press>>,
    /// What files are read into.
    pub(super) buffers: Mutex<Vec<Vec<u8>>>,
    new_chunks: AtomicU64,
    new_bytes: AtomicU64,
    stored_bytes: AtomicU64,
}

/// Packs of one kind.
struct Packs<'a> {
    kind: ObjectKind,
    keys: NewKeys,
    /// Begun, and nobody is writing to them.
    idle: Vec<PackWriter<'a>>,
}

/// Packs that are durable and in no increment of the locator.
#[derive(Default)]
struct Unlocated {
    packs: Vec<PackPlaces>,
    entries: Vec<LocatorEntry>,
}

/// What compressing a segment takes.
struct Press {
    zstd: zstd::bulk::Compressor<'static>,
    stored: Vec<u8>,
}

impl<'a> Store<'a> {
    pub(super) fn new(
        tools: Tools<'a>,
        progress: Progress<'a>,
        lease: &'a mut Held,
        scope: Scope,
        threads: usize,
        level: i32,
    ) -> Self {
        let bucket = |kind| tools.keys.bucket(kind);
        let packs = |kind| Mutex::new(Packs { kind, keys: NewKeys::new(kind, bucket(kind)), idle: Vec::new() });
        let ids = |kind| tools.keys.chunk_ids(kind, bucket(kind));
        Self {
            tools,
            progress,
            crew: Crew::new(threads),
            known: Known::new(&tools, scope),
            cutters: Cutters::new(&tools.view.config.tiers, tools.keys.seed.as_bytes()),
            lease: Mutex::new(lease),
            level,
            content_ids: ids(ObjectKind::ContentPack),
            meta_ids: ids(ObjectKind::MetaPack),
            content: Lanes::new(ObjectKind::ContentPack),
            meta: Lanes::new(ObjectKind::MetaPack),
            content_packs: packs(ObjectKind::ContentPack),
            meta_packs: packs(ObjectKind::MetaPack),
            settler: Mutex::new(None),
            unlocated: Mutex::default(),
            added: Mutex::default(),
            compressors: Mutex::default(),
            buffers: Mutex::default(),
            new_chunks: AtomicU64::new(0),
            new_bytes: AtomicU64::new(0),
            stored_bytes: AtomicU64::new(0),
        }
    }

    /// Does `lead` on this thread, helped by the others; everything that was stored is durable after.
    pub(super) fn run<T>(&self, lead: impl FnOnce() -> Result<T, RepoError>) -> Result<T, RepoError> {
        if self.crew.threads() == 1 {
            return lead().and_then(|outcome| self.finish().map(|()| outcome));
        }
        std::thread::scope(|scope| {
            // Also when something panics, so that nobody waits for what does not come.
            let end = End(self);
            let (settler, unsettled) = std::sync::mpsc::sync_channel(1);
            *lock(&self.settler) = Some(settler);
            scope.spawn(move || {
                let end = End(self);
                for pack in unsettled {
                    if let Err(error) = self.settle(pack) {
                        self.crew.end(Some(error));
                        return;
                    }
                }
                std::mem::forget(end);
            });
            for _ in 1..self.crew.threads() {
                scope.spawn(|| {
                    let _end = End(self);
                    while let Some(job) = self.crew.next() {
                        self.crew.done(self.perform(job));
                    }
                });
            }
            let outcome = lead().and_then(|outcome| self.finish().map(|()| outcome));
            drop(end);
            outcome
        })
        .map_err(|error| match error {
            // Whoever was told to stop was told so because somebody else failed.
            RepoError::Interrupted => self.crew.failure().unwrap_or(RepoError::Interrupted),
            error => error,
        })
        .and_then(|outcome| {
            // The last pack is settled after everybody else is done.
            self.crew.failure().map_or(Ok(outcome), Err)
        })
    }

    /// Goes on, unless the caller wants to stop; so often that the lease never expires.
    pub(super) fn go_on(&self) -> Result<(), RepoError> {
        self.progress.check()?;
        lock(&self.lease).keep(self.tools.around, &self.tools.author)
    }

    /// Helps until `ready`, which is told whether nothing is left to do.
    pub(super) fn help_until(&self, ready: impl Fn(bool) -> bool) -> Result<(), RepoError> {
        while let Some(job) = self.crew.help(&ready)? {
            self.crew.done(self.perform(job));
        }
        Ok(())
    }

    fn perform(&self, job: Job<'a>) -> Result<(), RepoError> {
        match job {
            Job::Segment(segment) => self.press(segment),
            Job::Files(files) => read_files(self, files),
        }
    }

    /// The id of a chunk of content.
    pub(super) fn content_id(&self, chunk: &[u8]) -> ChunkId {
        self.content_ids.of(chunk)
    }

    /// True if the vault has a chunk; then this run relies on it.
    pub(super) fn has(&self, id: &ChunkId, content: bool) -> Result<bool, RepoError> {
        let locator = self.known.locator(&self.tools, self.progress.monitor)?;
        self.known.has(locator, id, content)
    }

    /// True if a chunk must be stored, by whoever is told so.
    pub(super) fn is_new(&self, id: &ChunkId, content: bool) -> Result<bool, RepoError> {
        let locator = self.known.locator(&self.tools, self.progress.monitor)?;
        Ok(!self.known.has(locator, id, content)? && self.known.is_new(id))
    }

    /// Stores new chunks of content, of a file of this class.
    pub(super) fn content(&self, class: u64, chunks: &[(ChunkId, &[u8])]) -> Result<(), RepoError> {
        if chunks.is_empty() {
            return Ok(());
        }
        let bytes: usize = chunks.iter().map(|(_, chunk)| chunk.len()).sum();
        self.new_chunks.fetch_add(chunks.len() as u64, Ordering::Relaxed);
        self.new_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.progress.monitor.count(Counter::NewChunks, chunks.len() as u64);
        let mut full = Vec::new();
        self.content.add(class, chunks.iter().copied(), &mut full);
        self.submit(full)
    }

    /// The reference of a chunk of metadata.
    pub(super) fn meta_reference(&self, chunk: &[u8]) -> Reference {
        reference(self.meta_ids.of(chunk), chunk.len())
    }

    /// Stores a chunk of metadata, unless the vault has it.
    pub(super) fn meta(&self, id: ChunkId, chunk: &[u8]) -> Result<(), RepoError> {
        if !self.is_new(&id, false)? {
            return Ok(());
        }
        let mut full = Vec::new();
        self.meta.add(0, [(id, chunk)], &mut full);
        self.submit(full)
    }

    fn submit(&self, segments: Vec<FullSegment>) -> Result<(), RepoError> {
        segments.into_iter().filter_map(|segment| self.crew.offer(segment)).try_for_each(|segment| self.press(segment))
    }

    /// Compresses a segment and puts it into a pack.
    fn press(&self, segment: FullSegment) -> Result<(), RepoError> {
        let idle = lock(&self.compressors).pop();
        let mut press = match idle {
            Some(press) => press,
            None => Press {
                zstd: zstd::bulk::Compressor::new(self.level).expect("zstd takes any level"),
                stored: Vec::new(),
            },
        };
        let FullSegment { kind, class, is_hard, raw, chunks } = segment;
        let level = if is_hard { LEAST_LEVEL.min(self.level) } else { self.level };
        press.zstd.set_compression_level(level).expect("zstd takes any level");
        let codec = compress(&mut press.zstd, &raw, &mut press.stored);
        let length = u32::try_from(raw.len()).expect("a segment has at most 4 MiB");
        if kind == ObjectKind::ContentPack {
            if !is_hard {
                self.content.learn(class, raw.len(), press.stored.len());
            }
            self.content.give_back(raw);
        }
        self.put(kind, &mut press.stored, length, codec, chunks)?;
        lock(&self.compressors).push(press);
        Ok(())
    }

    fn put(
        &self,
        kind: ObjectKind,
        stored: &mut Vec<u8>,
        raw: u32,
        codec: Codec,
        chunks: Vec<(ChunkId, u32)>,
    ) -> Result<(), RepoError> {
        let packs = if kind == ObjectKind::ContentPack { &self.content_packs } else { &self.meta_packs };
        let mut pack = self.begun(packs)?;
        pack.segment(stored, raw, codec, chunks)?;
        if pack.length() >= Sizes::of(kind).pack || pack.segments() >= SEGMENTS_MAX {
            return self.end_pack(pack);
        }
        lock(packs).idle.push(pack);
        Ok(())
    }

    /// A pack that nobody is writing to.
    fn begun(&self, packs: &Mutex<Packs<'a>>) -> Result<PackWriter<'a>, RepoError> {
        let mut packs = lock(packs);
        if let Some(pack) = packs.idle.pop() {
            return Ok(pack);
        }
        let Tools { around, view, keys, epoch, author, .. } = self.tools;
        let kind = packs.kind;
        let mut added = Vec::new();
        let key = packs.keys.next(view, &*around.random, &author, epoch, &mut added);
        lock(&self.added).append(&mut added);
        PackWriter::begin(around, view.id(), kind, keys.bucket(kind), keys, &key?)
    }

    fn end_pack(&self, pack: PackWriter<'a>) -> Result<(), RepoError> {
        let settler = lock(&self.settler).clone();
        match settler {
            // It hangs up only after it has said why.
            Some(settler) => settler.send(pack).map_err(|_| RepoError::Interrupted),
            None => self.settle(pack),
        }
    }

    /// Makes a pack durable.
    fn settle(&self, pack: PackWriter<'a>) -> Result<(), RepoError> {
        let FinishedPack { places, added, footer } = pack.finish(&self.tools.author)?;
        self.stored_bytes.fetch_add(places.size, Ordering::Relaxed);
        self.progress.monitor.count(Counter::Stored, places.size);
        lock(&self.added).push(added);
        let mut unlocated = lock(&self.unlocated);
        let ordinal = u32::try_from(unlocated.packs.len()).expect("a handful");
        unlocated.entries.extend(entries_of(&footer, ordinal));
        unlocated.packs.push(places);
        if unlocated.packs.len() >= PACKS_PER_LOCATOR { self.locate(&mut unlocated) } else { Ok(()) }
    }

    /// Writes an increment of the locator.
    fn locate(&self, unlocated: &mut Unlocated) -> Result<(), RepoError> {
        let Unlocated { packs, entries } = std::mem::take(unlocated);
        if packs.is_empty() {
            return Ok(());
        }
        let Tools { around, view, keys, author, .. } = self.tools;
        self.known.located(&entries);
        let written = write_locator(around, view.id(), keys, &author, packs, entries)?;
        lock(&self.added).push(written);
        Ok(())
    }

    /// Makes everything durable.
    fn finish(&self) -> Result<(), RepoError> {
        for segment in self.content.finish().into_iter().chain(self.meta.finish()) {
            self.submit(vec![segment])?;
        }
        self.help_until(|idle| idle)?;
        for packs in [&self.content_packs, &self.meta_packs] {
            let idle = std::mem::take(&mut lock(packs).idle);
            idle.into_iter().try_for_each(|pack| self.end_pack(pack))?;
        }
        Ok(())
    }

    /// What was new, in numbers, and the rest as given.
    pub(super) fn counts(&self, counts: Counts) -> Counts {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Counts {
            new_chunks: get(&self.new_chunks),
            new_bytes: get(&self.new_bytes),
            stored_bytes: get(&self.stored_bytes),
            ..counts
        }
    }

    /// What has been written, after the run; packs that a run which was cut left in no increment are taken care of, too.
    pub(super) fn written(&self) -> Result<Vec<Added>, RepoError> {
        let mut unlocated = std::mem::take(&mut *lock(&self.unlocated));
        if let Some(locator) = self.known.loaded() {
            let (packs, entries) = locator.uncovered();
            let first = u32::try_from(unlocated.packs.len()).expect("a handful");
            unlocated.packs.extend(packs);
            unlocated.entries.extend(entries.into_iter().map(|entry| entry.with_pack(entry.pack() + first)));
        }
        self.locate(&mut unlocated)?;
        Ok(std::mem::take(&mut *lock(&self.added)))
    }
}

impl ChunkSink for &Store<'_> {
    fn store(&mut self, chunk: Vec<u8>) -> Result<Reference, RepoError> {
        let reference = self.meta_reference(&chunk);
        self.meta(reference.id, &chunk)?;
        Ok(reference)
    }
}

/// Ends the work of the others.
struct End<'s, 'a>(&'s Store<'a>);

impl Drop for End<'_, '_> {
    fn drop(&mut self) {
        self.0.crew.end(None);
        lock(&self.0.settler).take();
    }
}

pub(super) fn reference(id: ChunkId, length: usize) -> Reference {
    Reference { id, length: u32::try_from(length).expect("a chunk is smaller than a segment") }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
