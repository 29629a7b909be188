//! Segments in the making: new chunks of similar files lie together, where they compress better.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::ids::ChunkId;
use crate::name::ObjectKind;
use crate::pack::Sizes;
use crate::wire::pack::SEGMENT_MAX;

/// So many segments of content are open at once: what is read in the order of the tree lies in as many.
pub(crate) const CONTENT_LANES: usize = 6;

/// A class is hard to compress when a segment of it kept more of its size than this.
const HARD_PERCENT: usize = 90;
/// One segment in so many of a hard class is tried all the same.
const TRY_EVERY: u32 = 8;
/// Of more classes than this nothing is learned.
const CLASSES_MAX: usize = 1024;

/// A segment that is to be compressed and stored.
pub(super) struct FullSegment {
    pub(super) kind: ObjectKind,
    /// What its chunks, or most of them, are of.
    pub(super) class: u64,
    /// It is hardly worth much work: the last one of its class did not get much smaller.
    pub(super) is_hard: bool,
    /// Its chunks, laid end to end.
    pub(super) raw: Vec<u8>,
    pub(super) chunks: Vec<(ChunkId, u32)>,
}

/// The open segments of one kind of pack.
pub(super) struct Lanes {
    kind: ObjectKind,
    size: usize,
    lanes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The one used last is last.
    open: Vec<Lane>,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
    /// Classes that do not compress well, and how many segments were taken for such since it was last tried.
    hard: HashMap<u64, u32>,
}

struct Lane {
    class: u64,
    raw: Vec<u8>,
    chunks: Vec<(ChunkId, u32)>,
}

impl Lanes {
    pub(super) fn new(kind: ObjectKind) -> Self {
        let lanes = if kind == ObjectKind::ContentPack { CONTENT_LANES } else { 1 };
        Self { kind, size: Sizes::of(kind).segment, lanes, state: Mutex::default() }
    }

    /// Adds new chunks of a file of this class. Segments that became full by them go to `full`.
    pub(super) fn add<'c>(
        &self,
        class: u64,
        chunks: impl IntoIterator<Item = (ChunkId, &'c [u8])>,
        full: &mut Vec<FullSegment>,
    ) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lane = state.take(class, self.lanes);
        for (id, chunk) in chunks {
            if lane.raw.len() + chunk.len() > SEGMENT_MAX {
                full.extend(state.full(&mut lane, self.kind));
            }
            if lane.raw.capacity() == 0 {
                lane.raw = state.spare.pop().unwrap_or_else(|| Vec::with_capacity(self.size.next_power_of_two()));
            }
            lane.raw.extend_from_slice(chunk);
            lane.chunks.push((id, u32::try_from(chunk.len()).expect("a chunk is smaller than a segment")));
            if lane.raw.len() >= self.size {
                full.extend(state.full(&mut lane, self.kind));
            }
        }
        state.open.push(lane);
    }

    /// Learns how well a segment of this class compressed when that was tried hard.
    pub(super) fn learn(&self, class: u64, raw: usize, stored: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if stored > raw / 100 * HARD_PERCENT {
            if state.hard.len() < CLASSES_MAX {
                state.hard.insert(class, 0);
            }
        } else {
            state.hard.remove(&class);
        }
    }

    /// Takes back the buffer of a segment that has been stored.
    pub(super) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.spare.len() < 2 {
            state.spare.push(buffer);
        }
    }

    /// What is left at the end; segments that are far from full are put together.
    pub(super) fn finish(&self) -> Vec<FullSegment> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left: Vec<Lane> = std::mem::take(&mut state.open);
        state.spare.clear();
        left.retain(|lane| !lane.raw.is_empty());
        left.sort_by_key(|lane| std::cmp::Reverse(lane.raw.len()));
        let mut segments: Vec<FullSegment> = Vec::new();
        for lane in left {
            let room = segments.iter_mut().find(|segment| segment.raw.len() + lane.raw.len() <= self.size);
            match room {
                Some(segment) => {
                    segment.raw.extend_from_slice(&lane.raw);
                    segment.chunks.extend(lane.chunks);
                }
                None => segments.push(FullSegment {
                    kind: self.kind,
                    class: lane.class,
                    is_hard: false,
                    raw: lane.raw,
                    chunks: lane.chunks,
                }),
            }
        }
        segments
    }
}

impl State {
    /// The lane of this class, or a new one; when there are too many, the one not used for longest changes its class.
    fn take(&mut self, class: u64, most: usize) -> Lane {
        if let Some(at) = self.open.iter().position(|lane| lane.class == class) {
            return self.open.remove(at);
        }
        if self.open.len() < most {
            return Lane { class, raw: Vec::new(), chunks: Vec::new() };
        }
        Lane { class, ..self.open.remove(0) }
    }

    fn full(&mut self, lane: &mut Lane, kind: ObjectKind) -> Option<FullSegment> {
        let (raw, chunks) = (std::mem::take(&mut lane.raw), std::mem::take(&mut lane.chunks));
        if raw.is_empty() {
            return None;
        }
        let class = lane.class;
        let is_hard = self.hard.get_mut(&class).is_some_and(|passed| {
            *passed = (*passed + 1) % TRY_EVERY;
            *passed > 0
        });
        Some(FullSegment { kind, class, is_hard, raw, chunks })
    }
}

/// What files are told apart by: the ending of their names, whatever its case.
pub(super) fn class_of(name: &[u8]) -> u64 {
    let ending = name.iter().rposition(|byte| *byte == b'.').map_or(&b""[..], |dot| &name[dot + 1..]);
    // FNV-1a (Fowler, Noll, Vo), which is as good as any for a handful of endings.
    ending.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use sb_crypto::sha256;

    fn id(number: usize) -> ChunkId {
        ChunkId::of(sha256(&number.to_be_bytes()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn every_chunk_comes_out_once_in_segments_of_bounded_size(
            chunks in prop::collection::vec((0..20u64, 1..300_000usize), 0..200)
        ) {
            let lanes = Lanes::new(ObjectKind::ContentPack);
            let mut full = Vec::new();
            for (number, (class, length)) in chunks.iter().enumerate() {
                let bytes = vec![number as u8; *length];
                lanes.add(*class, [(id(number), &bytes[..])], &mut full);
            }
            prop_assert!(lanes.state.lock().unwrap().open.len() <= CONTENT_LANES);
            full.extend(lanes.finish());
            let mut seen = Vec::new();
            for segment in &full {
                prop_assert!(segment.raw.len() <= SEGMENT_MAX && !segment.raw.is_empty());
                let mut offset = 0;
                for (id, length) in &segment.chunks {
                    let bytes = &segment.raw[offset..offset + *length as usize];
                    prop_assert!(bytes.iter().all(|byte| *byte == bytes[0]));
                    seen.push((*id, bytes.len(), bytes[0]));
                    offset += *length as usize;
                }
                prop_assert_eq!(offset, segment.raw.len());
            }
            let mut given: Vec<_> =
                chunks.iter().enumerate().map(|(number, (_, length))| (id(number), *length, number as u8)).collect();
            seen.sort();
            given.sort();
            prop_assert_eq!(seen, given);
        }
    }

    #[test]
    fn similar_files_lie_together() {
        let lanes = Lanes::new(ObjectKind::ContentPack);
        let mut full = Vec::new();
        for number in 0..600 {
            let class = class_of([&b"a.PDF"[..], b"b.txt", b"c.Pdf"][number % 3]);
            lanes.add(class, [(id(number), &vec![(number % 3 == 1).into(); 50_000][..])], &mut full);
        }
        assert!(full.len() >= 6);
        assert!(full.iter().all(|segment| segment.raw.iter().all(|byte| *byte == segment.raw[0])));
    }

    #[test]
    fn classes_are_endings() {
        assert_eq!(class_of(b"a.pdf"), class_of(b"archive.tar.PDF"));
        assert_ne!(class_of(b"a.pdf"), class_of(b"a.xml"));
        assert_eq!(class_of(b"Makefile"), class_of(b"README"));
    }
}
