//! Locator increments: chunk → place (docs/format.md §9).

use super::cbor::{Fields, Malformed, Value, array};
use super::pack::{Codec, SEGMENT_MAX, SEGMENTS_MAX, SegmentPlace};
use crate::ids::{BucketId, ChunkId, CompartmentId, PackId};
use crate::name::ObjectKind;

/// The most entries in one sealed block.
pub(crate) const BLOCK_ENTRIES: usize = 4096;
/// Bytes of an entry.
pub(crate) const ENTRY: usize = 24;

/// Chunk → place: 16 bytes of id, pack ordinal, segment and offset. Sorts as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LocatorEntry(pub(crate) [u8; ENTRY]);

impl LocatorEntry {
    pub(crate) fn new(id: &ChunkId, pack: u32, segment: u32, offset: u32) -> Self {
        debug_assert!(segment as usize <= SEGMENTS_MAX && (offset as usize) < SEGMENT_MAX);
        let mut bytes = [0; ENTRY];
        bytes[..16].copy_from_slice(prefix(id));
        bytes[16..20].copy_from_slice(&pack.to_be_bytes());
        bytes[20..].copy_from_slice(&(segment << 22 | offset).to_be_bytes());
        Self(bytes)
    }

    pub(crate) fn prefix(&self) -> &[u8; 16] {
        self.0.first_chunk().expect("24 bytes")
    }

    pub(crate) fn pack(&self) -> u32 {
        u32::from_be_bytes(self.0[16..20].try_into().expect("4 bytes"))
    }

    pub(crate) fn with_pack(mut self, pack: u32) -> Self {
        self.0[16..20].copy_from_slice(&pack.to_be_bytes());
        self
    }

    fn last(&self) -> u32 {
        u32::from_be_bytes(self.0[20..].try_into().expect("4 bytes"))
    }

    pub(crate) fn segment(&self) -> u32 {
        self.last() >> 22
    }

    pub(crate) fn offset(&self) -> u32 {
        self.last() & (SEGMENT_MAX as u32 - 1)
    }
}

/// What the locator knows a chunk by.
pub(crate) fn prefix(id: &ChunkId) -> &[u8; 16] {
    id.as_bytes().first_chunk().expect("32 bytes")
}

/// A pack and its segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackPlaces {
    pub(crate) id: PackId,
    pub(crate) size: u64,
    pub(crate) key: [u8; 16],
    pub(crate) kind: ObjectKind,
    pub(crate) bucket: BucketId,
    pub(crate) segments: Vec<SegmentPlace>,
}

/// A sealed block of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) first: [u8; 16],
    pub(crate) offset: u64,
    pub(crate) stored: u32,
    pub(crate) entries: u32,
}

/// What a locator increment is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocatorFooter {
    pub(crate) compartment: CompartmentId,
    pub(crate) packs: Vec<PackPlaces>,
    pub(crate) blocks: Vec<Block>,
}

impl LocatorFooter {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let packs = array(&self.packs, pack_value);
        let blocks = array(&self.blocks, |block| {
            let first = Value::from(&block.first);
            vec![first, block.offset.into(), block.stored.into(), block.entries.into()]
        });
        Fields::new().with(1, self.compartment).with(2, packs).with(3, blocks).encode()
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(plaintext)?;
        Ok(Self {
            compartment: CompartmentId::new(fields.need(1)?.array_of()?),
            packs: fields.need(2)?.list(read_pack)?,
            blocks: fields.need(3)?.list(|block| {
                let [first, offset, stored, entries] = block.tuple()?;
                let (first, offset) = (first.array_of()?, offset.uint()?);
                Ok(Block { first, offset, stored: stored.uint32()?, entries: entries.uint32()? })
            })?,
        })
    }
}

/// A pack as footers list it.
pub(crate) fn pack_value(pack: &PackPlaces) -> Vec<Value> {
    let segments =
        array(&pack.segments, |s| vec![s.offset.into(), s.stored.into(), s.raw.into(), Value::from(s.codec as u64)]);
    let kind = Value::from(pack.kind as u64);
    vec![pack.id.into(), pack.size.into(), Value::from(&pack.key), kind, pack.bucket.into(), segments]
}

/// Reads a pack as footers list it.
pub(crate) fn read_pack(value: Value) -> Result<PackPlaces, Malformed> {
    let [id, size, key, kind, bucket, segments] = value.tuple()?;
    let mut segments = segments.list(read_segment)?;
    // A locator holds them all, and collecting a list leaves room behind it.
    segments.shrink_to_fit();
    Ok(PackPlaces {
        id: PackId::new(id.array_of()?),
        size: size.uint()?,
        key: key.array_of()?,
        kind: match kind.uint()? {
            6 => ObjectKind::ContentPack,
            7 => ObjectKind::MetaPack,
            _ => return Err(Malformed("not a kind of pack")),
        },
        bucket: BucketId::new(bucket.array_of()?),
        segments,
    })
}

fn read_segment(value: Value) -> Result<SegmentPlace, Malformed> {
    let [offset, stored, raw, codec] = value.tuple()?;
    let (stored, raw) = (stored.uint32()?, raw.uint32()?);
    SegmentPlace { offset: offset.uint()?, stored, raw, codec: Codec::from_number(codec.uint()?)? }.checked()
}
