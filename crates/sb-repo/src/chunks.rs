//! Reading chunks: locator → pack → segment → chunk, each checked against its id.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sb_crypto::{Key, SEAL_OVERHEAD};

use crate::backup::CONTENT_LANES;
use crate::error::RepoError;
use crate::ids::ChunkId;
use crate::keys::{ChunkIds, CompartmentKeys};
use crate::locator::{Locator, Place};
use crate::name;
use crate::name::ObjectKind;
use crate::pack::Unpacker;
use crate::sessions::KeyFinder;
use crate::view::View;
use crate::wire::cbor::Malformed;
use crate::wire::container::{ContainerKeys, Messages, Opening};
use crate::wire::node::Reference;
use crate::wire::pack::{SEGMENT_MAX, SegmentPlace};

/// Opened segments kept at hand, in bytes of memory: of metadata, which are read in their order, and of content, which a run fills
/// several at a time.
const META_CACHE: usize = 4 << 20;
const CONTENT_CACHE: usize = (CONTENT_LANES + 1) * Buffers::ROOM;
/// Opened packs kept at hand: their keys and beginnings.
const OPEN_PACKS: usize = 64;

/// Reads chunks of one compartment.
pub(crate) struct ChunkReader<'v> {
    view: &'v View,
    keys: &'v CompartmentKeys,
    finder: &'v KeyFinder,
    meta_ids: ChunkIds,
    content_ids: ChunkIds,
    meta: Mutex<Cache>,
    content: Mutex<Cache>,
    packs: Mutex<VecDeque<(u32, Arc<OpenPack>)>>,
    buffers: Buffers,
    unpackers: Mutex<Vec<Unpacker>>,
}

/// Segments, the one used last at the end. Locked for a look only, never while anything is read or opened.
#[derive(Default)]
struct Cache {
    segments: VecDeque<(SegmentAt, Arc<Vec<u8>>)>,
    bytes: usize,
}

impl Cache {
    fn get(&mut self, at: SegmentAt) -> Option<Arc<Vec<u8>>> {
        let found = self.segments.iter().position(|(key, _)| *key == at)?;
        let entry = self.segments.remove(found)?;
        self.segments.push_back(entry.clone());
        Some(entry.1)
    }

    fn put(&mut self, at: SegmentAt, segment: Arc<Vec<u8>>, limit: usize, spare: &Buffers) {
        // Another thread may have read it meanwhile.
        if self.segments.iter().any(|(key, _)| *key == at) {
            return;
        }
        while self.bytes + segment.capacity() > limit {
            let Some((_, old)) = self.segments.pop_front() else { break };
            self.bytes -= old.capacity();
            if let Ok(old) = Arc::try_unwrap(old) {
                spare.give(old);
            }
        }
        self.bytes += segment.capacity();
        self.segments.push_back((at, segment));
    }
}

/// Memory of large segments that are not needed any more, for the next: taking and giving back so much from the system each time
/// costs time, and what several threads give back may stay with the process.
#[derive(Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// Shorter ones are not worth keeping,
    const LARGE: usize = 2 << 20;
    /// and a large one has room for any segment, sealed or opened.
    const ROOM: usize = SEGMENT_MAX + SEAL_OVERHEAD;

    fn take(&self, length: usize) -> Vec<u8> {
        if length < Self::LARGE {
            return Vec::with_capacity(length);
        }
        locked(&self.0).pop().unwrap_or_else(|| Vec::with_capacity(length.max(Self::ROOM)))
    }

    fn give(&self, buffer: Vec<u8>) {
        if buffer.capacity() >= Self::ROOM {
            locked(&self.0).push(buffer);
        }
    }
}

/// Pack ordinal and segment number.
pub(crate) type SegmentAt = (u32, u32);

struct OpenPack {
    opening: Opening,
    keys: ContainerKeys,
}

impl<'v> ChunkReader<'v> {
    pub(crate) fn new(view: &'v View, keys: &'v CompartmentKeys, finder: &'v KeyFinder) -> Self {
        let ids = |kind| keys.chunk_ids(kind, keys.bucket(kind));
        Self {
            view,
            keys,
            finder,
            meta_ids: ids(ObjectKind::MetaPack),
            content_ids: ids(ObjectKind::ContentPack),
            meta: Mutex::default(),
            content: Mutex::default(),
            packs: Mutex::default(),
            buffers: Buffers::default(),
            unpackers: Mutex::default(),
        }
    }

    /// A chunk of metadata.
    pub(crate) fn meta(&self, locator: &Locator, reference: Reference) -> Result<Vec<u8>, RepoError> {
        self.read(locator, reference, false)
    }

    /// A chunk of content.
    pub(crate) fn content(&self, locator: &Locator, reference: Reference) -> Result<Vec<u8>, RepoError> {
        self.read(locator, reference, true)
    }

    /// Tries every place that should hold the chunk; what does not have its id is as good as missing.
    fn read(&self, locator: &Locator, reference: Reference, content: bool) -> Result<Vec<u8>, RepoError> {
        let mut tried = Vec::new();
        for place in
            locator.places(&reference.id)?.into_iter().filter(|place| locator.is_content(place.pack) == content)
        {
            let pack = || name::pack(&locator.pack(place.pack).id).to_string();
            let why = match self.segment(locator, place.pack, place.segment) {
                Ok(segment) => {
                    if let Some(chunk) = slice(&segment, place, reference)
                        && self.id(locator, place.pack, content, chunk) == reference.id
                    {
                        return Ok(chunk.to_vec());
                    }
                    "it holds something else there".to_owned()
                }
                Err(error @ (RepoError::NoReadingKey { .. } | RepoError::Interrupted)) => return Err(error),
                Err(RepoError::Damaged { name, flaw }) if name == pack() => flaw.to_string(),
                Err(error) => error.to_string(),
            };
            tried.push((pack(), why));
        }
        Err(RepoError::MissingChunk { id: reference.id, packs: tried })
    }

    fn id(&self, locator: &Locator, pack: u32, content: bool, chunk: &[u8]) -> ChunkId {
        let (kind, ids) =
            if content { (ObjectKind::ContentPack, &self.content_ids) } else { (ObjectKind::MetaPack, &self.meta_ids) };
        let bucket = locator.pack(pack).bucket;
        if bucket == self.keys.bucket(kind) { ids.of(chunk) } else { self.keys.chunk_ids(kind, bucket).of(chunk) }
    }

    /// All chunks of a segment, laid end to end.
    pub(crate) fn segment(&self, locator: &Locator, pack: u32, number: u32) -> Result<Arc<Vec<u8>>, RepoError> {
        let (cache, limit) = match locator.pack(pack).kind {
            ObjectKind::ContentPack => (&self.content, CONTENT_CACHE),
            _ => (&self.meta, META_CACHE),
        };
        if let Some(segment) = locked(cache).get((pack, number)) {
            return Ok(segment);
        }
        let segment = Arc::new(self.read_segment(locator, pack, number)?);
        locked(cache).put((pack, number), segment.clone(), limit, &self.buffers);
        Ok(segment)
    }

    /// Segments that lie one after the other in a pack, in one go and past the cache. The error is that of the whole; what is
    /// wrong with one of them alone is in its place.
    pub(crate) fn segments(
        &self,
        locator: &Locator,
        pack: u32,
        numbers: Range<u32>,
    ) -> Result<Vec<Result<Vec<u8>, RepoError>>, RepoError> {
        let open = self.open(locator, pack)?;
        let pack = locator.pack(pack);
        let name = name::pack(&pack.id);
        let places = pack.segments.get(numbers.start as usize..numbers.end as usize).unwrap_or_default();
        let Some(first) = places.first() else { return Ok(Vec::new()) };
        let length = places.iter().map(|place| place.stored as usize).sum();
        let mut sealed = self.buffers.take(length);
        self.view.storage.read_range_into(&name, first.offset, length, &mut sealed)?;
        let mut unpacker = locked(&self.unpackers).pop().unwrap_or_default();
        let open_one = |(number, place): (u32, &SegmentPlace)| {
            let start = usize::try_from(place.offset - first.offset).unwrap_or(usize::MAX);
            let bytes = sealed.get_mut(start..).and_then(|rest| rest.get_mut(..place.stored as usize));
            let bytes = bytes.ok_or(Malformed("segments do not lie one after the other"));
            let opened = bytes.and_then(|bytes| open.opening.message_within(&open.keys, number, bytes));
            let mut raw = self.buffers.take(place.raw as usize);
            let unpacked = opened.and_then(|stored| unpacker.unpack(stored, place.codec, place.raw, &mut raw));
            unpacked.map(|()| raw).map_err(|flaw| RepoError::damaged(&name, flaw))
        };
        let opened = numbers.zip(places).map(open_one).collect();
        self.buffers.give(sealed);
        locked(&self.unpackers).push(unpacker);
        Ok(opened)
    }

    /// Takes back the memory of a segment that is not needed any more.
    pub(crate) fn give(&self, segment: Vec<u8>) {
        self.buffers.give(segment);
    }

    /// A segment, past the cache.
    pub(crate) fn read_segment(&self, locator: &Locator, pack: u32, number: u32) -> Result<Vec<u8>, RepoError> {
        let one = self.segments(locator, pack, number..number.saturating_add(1))?.pop();
        let missing = || RepoError::damaged(&name::pack(&locator.pack(pack).id), Malformed("no such segment"));
        one.unwrap_or_else(|| Err(missing()))
    }

    fn open(&self, locator: &Locator, ordinal: u32) -> Result<Arc<OpenPack>, RepoError> {
        if let Some((_, open)) = locked(&self.packs).iter().find(|(key, _)| *key == ordinal) {
            return Ok(open.clone());
        }
        let pack = locator.pack(ordinal);
        let name = name::pack(&pack.id);
        let damaged = |flaw: Malformed| RepoError::damaged(&name, flaw);
        let opening = Opening::parse(&self.view.storage.read_range(&name, 0, Opening::LENGTH)?).map_err(damaged)?;
        if opening.header.kind != pack.kind || opening.header.key != pack.key {
            return Err(damaged(Malformed("its header is not the one that its footer was written with")));
        }
        let right = |key: &Key| opening.commits_to(key);
        let key = self.finder.find(self.view, self.keys, pack.kind, &pack.key, right)?;
        let keys = ContainerKeys::new(self.keys.hash, Messages::Segments, &key, &self.keys.index);
        let open = Arc::new(OpenPack { opening, keys });
        let mut packs = locked(&self.packs);
        if packs.len() == OPEN_PACKS {
            packs.pop_front();
        }
        packs.push_back((ordinal, open.clone()));
        Ok(open)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn slice(segment: &[u8], place: Place, reference: Reference) -> Option<&[u8]> {
    let start = place.offset as usize;
    segment.get(start..start.checked_add(reference.length as usize)?)
}
