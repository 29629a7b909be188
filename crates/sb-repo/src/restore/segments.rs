//! Segments at hand.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::crew::share;
use super::plan::{Needs, Piece, runs};
use crate::chunks::SegmentAt;
use crate::tree::TreeReader;
use crate::wire::pack::SegmentPlace;

/// Neighbours are read together up to so many bytes; each run is opened by one thread.
const RUN: u64 = 4 << 20;

/// Opened segments: those needed now, and of those needed before as many as there is room for.
pub(super) struct Segments<'a> {
    reader: TreeReader<'a>,
    room: usize,
    /// Segment, and when it was needed last.
    kept: HashMap<SegmentAt, (Vec<u8>, u64)>,
    bytes: usize,
    round: u64,
}

impl<'a> Segments<'a> {
    pub(super) fn new(reader: TreeReader<'a>, room: usize) -> Self {
        Self { reader, room, kept: HashMap::new(), bytes: 0, round: 0 }
    }

    /// Reads what is needed and not at hand, while this thread does `first` before it helps. What can't be read is not at
    /// hand afterwards; why, those find out who read it piece by piece.
    pub(super) fn load<T>(&mut self, needs: &Needs, threads: usize, first: impl FnOnce(&Self) -> T) -> T {
        self.round += 1;
        for at in needs.segments() {
            if let Some((_, last)) = self.kept.get_mut(&at) {
                *last = self.round;
            }
        }
        let missing = needs.segments().filter(|at| !self.kept.contains_key(at));
        let runs = runs(missing, |at| place(self.reader, at), RUN);
        let read = Mutex::new(Vec::new());
        let one = |number: usize| {
            let run = &runs[number];
            if let Ok(segments) = self.reader.chunks.segments(self.reader.locator, run.pack, run.segments.clone()) {
                let good =
                    run.segments.clone().zip(segments).filter_map(|(n, segment)| Some(((run.pack, n), segment.ok()?)));
                read.lock().unwrap_or_else(PoisonError::into_inner).extend(good);
            }
        };
        let done = share(threads, runs.len(), &one, || first(self));
        for (at, segment) in read.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.bytes += segment.len();
            self.kept.insert(at, (segment, self.round));
        }
        self.make_room();
        done
    }

    fn make_room(&mut self) {
        if self.bytes <= self.room {
            return;
        }
        let old = self.kept.iter().filter(|(_, (_, last))| *last < self.round);
        let mut old: Vec<_> = old.map(|(at, (_, last))| (*last, *at)).collect();
        old.sort_unstable();
        for (_, at) in old {
            if self.bytes <= self.room {
                break;
            }
            self.bytes -= self.kept.remove(&at).map_or(0, |(segment, _)| segment.len());
        }
    }

    /// The bytes of a piece, if its segment is at hand and long enough.
    pub(super) fn bytes(&self, piece: Piece) -> Option<&[u8]> {
        let (segment, _) = self.kept.get(&piece.at)?;
        segment.get(piece.offset as usize..)?.get(..piece.length as usize)
    }
}

/// Where a segment lies.
pub(super) fn place(reader: TreeReader<'_>, (pack, number): SegmentAt) -> Option<SegmentPlace> {
    reader.locator.pack(pack).segments.get(number as usize).copied()
}
