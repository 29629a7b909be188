//! Reading chunks: locator → pack → segment → chunk, each checked against its id.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use sb_crypto::Key;

use crate::error::RepoError;
use crate::ids::ChunkId;
use crate::keys::{ChunkIds, CompartmentKeys};
use crate::locator::{Locator, Place};
use crate::name;
use crate::name::ObjectKind;
use crate::pack::unpack;
use crate::sessions::KeyFinder;
use crate::view::View;
use crate::wire::cbor::Malformed;
use crate::wire::container::{ContainerKeys, Messages, Opening};
use crate::wire::node::Reference;

/// Opened segments kept at hand, in bytes.
const CACHE: usize = 24 << 20;
/// Opened packs kept at hand: their keys and beginnings.
const OPEN_PACKS: usize = 64;

/// Reads chunks of one compartment.
pub(crate) struct ChunkReader<'v> {
    view: &'v View,
    keys: &'v CompartmentKeys,
    finder: &'v KeyFinder,
    meta_ids: ChunkIds,
    content_ids: ChunkIds,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    segments: VecDeque<(SegmentAt, Arc<Vec<u8>>)>,
    bytes: usize,
    packs: VecDeque<(u32, Arc<OpenPack>)>,
}

/// Pack ordinal and segment number.
type SegmentAt = (u32, u32);

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
            cache: Mutex::default(),
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
        let at = (pack, number);
        let mut cache = self.cache.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(found) = cache.segments.iter().position(|(key, _)| *key == at) {
            let entry = cache.segments.remove(found).expect("just found");
            let segment = entry.1.clone();
            cache.segments.push_back(entry);
            return Ok(segment);
        }
        let open = self.open(&mut cache, locator, pack)?;
        let segment = Arc::new(self.read_segment(locator, &open, pack, number)?);
        while cache.bytes + segment.len() > CACHE {
            let Some((_, old)) = cache.segments.pop_front() else { break };
            cache.bytes -= old.len();
        }
        cache.bytes += segment.len();
        cache.segments.push_back((at, segment.clone()));
        Ok(segment)
    }

    fn read_segment(&self, locator: &Locator, open: &OpenPack, pack: u32, number: u32) -> Result<Vec<u8>, RepoError> {
        let pack = locator.pack(pack);
        let name = name::pack(&pack.id);
        let damaged = |flaw: Malformed| RepoError::damaged(&name, flaw);
        let place = pack.segments.get(number as usize).ok_or_else(|| damaged(Malformed("no such segment")))?;
        let sealed = self.view.storage.read_range(&name, place.offset, place.stored as usize)?;
        let stored = open.opening.message(&open.keys, number, &sealed).map_err(damaged)?;
        unpack(stored, place.codec, place.raw).map_err(damaged)
    }

    fn open(&self, cache: &mut Cache, locator: &Locator, ordinal: u32) -> Result<Arc<OpenPack>, RepoError> {
        if let Some((_, open)) = cache.packs.iter().find(|(key, _)| *key == ordinal) {
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
        if cache.packs.len() == OPEN_PACKS {
            cache.packs.pop_front();
        }
        cache.packs.push_back((ordinal, open.clone()));
        Ok(open)
    }
}

fn slice(segment: &[u8], place: Place, reference: Reference) -> Option<&[u8]> {
    let start = place.offset as usize;
    segment.get(start..start.checked_add(reference.length as usize)?)
}
