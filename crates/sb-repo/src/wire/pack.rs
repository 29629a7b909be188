//! Footers of packs (docs/format.md §8).

use sb_crypto::SEAL_OVERHEAD;

use super::cbor::{Fields, Malformed, Value, array};
use super::container::SEGMENTS_START;
use crate::ids::{BucketId, ChunkId, CompartmentId};
use crate::name::ObjectKind;

/// The most bytes of chunks in one segment; offsets have 22 bits.
pub(crate) const SEGMENT_MAX: usize = 1 << 22;
/// The most segments in one pack; their numbers have 10 bits.
pub(crate) const SEGMENTS_MAX: usize = (1 << 10) - 1;

/// How a segment's bytes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Raw = 0,
    Zstd = 1,
}

impl Codec {
    pub(crate) fn from_number(number: u64) -> Result<Self, Malformed> {
        match number {
            0 => Ok(Self::Raw),
            1 => Ok(Self::Zstd),
            _ => Err(Malformed("an unknown codec")),
        }
    }
}

/// Where a segment lies in its pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentPlace {
    pub(crate) offset: u64,
    /// Sealed length.
    pub(crate) stored: u32,
    /// Length of its chunks.
    pub(crate) raw: u32,
    pub(crate) codec: Codec,
}

impl SegmentPlace {
    /// Refuses lengths that no segment has, before anybody makes room for them.
    pub(super) fn checked(self) -> Result<Self, Malformed> {
        if self.raw as usize > SEGMENT_MAX || self.stored as usize > SEGMENT_MAX + SEAL_OVERHEAD {
            return Err(Malformed("a segment is too long"));
        }
        Ok(self)
    }
}

/// A segment and the chunks in it, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentContent {
    pub(crate) place: SegmentPlace,
    pub(crate) chunks: Vec<(ChunkId, u32)>,
}

/// All that is in a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackFooter {
    pub(crate) compartment: CompartmentId,
    pub(crate) bucket: BucketId,
    pub(crate) kind: ObjectKind,
    pub(crate) segments: Vec<SegmentContent>,
}

impl PackFooter {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let segments = array(&self.segments, |segment| {
            let lengths = array(&segment.chunks, |(_, length)| *length);
            let ids: Vec<u8> = segment.chunks.iter().flat_map(|(id, _)| *id.as_bytes()).collect();
            let place = &segment.place;
            vec![place.stored.into(), place.raw.into(), Value::from(place.codec as u64), lengths, ids.into()]
        });
        Fields::new()
            .with(1, self.compartment)
            .with(2, self.bucket)
            .with(3, self.kind as u64)
            .with(4, segments)
            .encode()
    }

    pub(crate) fn decode(plaintext: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::decode(plaintext)?;
        let compartment = CompartmentId::new(fields.need(1)?.array_of()?);
        let bucket = BucketId::new(fields.need(2)?.array_of()?);
        let kind = match fields.need(3)?.uint()? {
            6 => ObjectKind::ContentPack,
            7 => ObjectKind::MetaPack,
            _ => return Err(Malformed("not a kind of pack")),
        };
        let mut offset = SEGMENTS_START;
        let segments = fields.need(4)?.list(|value| {
            let segment = read_segment(value, offset)?;
            offset += u64::from(segment.place.stored);
            Ok(segment)
        })?;
        if segments.len() > SEGMENTS_MAX {
            return Err(Malformed("more segments than a pack may hold"));
        }
        Ok(Self { compartment, bucket, kind, segments })
    }
}

fn read_segment(value: Value, offset: u64) -> Result<SegmentContent, Malformed> {
    let [stored, raw, codec, lengths, ids] = value.tuple()?;
    let place = SegmentPlace {
        offset,
        stored: stored.uint32()?,
        raw: raw.uint32()?,
        codec: Codec::from_number(codec.uint()?)?,
    }
    .checked()?;
    let (lengths, ids) = (lengths.list(Value::uint32)?, ids.bytes()?);
    if lengths.contains(&0) {
        return Err(Malformed("an empty chunk"));
    }
    if ids.len() != lengths.len() * 32 {
        return Err(Malformed("not as many chunk ids as lengths"));
    }
    let total: u64 = lengths.iter().copied().map(u64::from).sum();
    if total != u64::from(place.raw) {
        return Err(Malformed("a segment's chunks are not as long as it is"));
    }
    let ids = ids.chunks_exact(32).map(|id| ChunkId::from_slice(id).expect("32 bytes"));
    Ok(SegmentContent { place, chunks: ids.zip(lengths).collect() })
}
