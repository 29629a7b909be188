//! Segments at hand.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::crew::{BATCH, share};
use super::plan::{Needs, Piece, runs};
use crate::chunks::SegmentAt;
use crate::tree::TreeReader;
use crate::wire::pack::SegmentPlace;

/// Neighbours are read together up to so many bytes, or fewer if there would be no work for some of the threads: each run is
/// opened by one.
const RUN: u64 = 2 << 20;

/// Bytes of opened segments that are at hand together: what is written from, and as much that is read meanwhile.
pub(super) const ROOM: usize = 12 << 20;

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

    /// Reads what is needed and not at hand. What can't be read is not at hand afterwards; why, those find out who read it piece by
    /// piece.
    pub(super) fn load(&mut self, needs: &Needs, threads: usize) {
        self.load_beside(needs, threads, &[], &|(), _| ());
    }

    /// The same while `work` is done with each of `all`, of what was needed the time before; what came of it, in any order.
    pub(super) fn load_beside<T: Sync, R: Send>(
        &mut self,
        needs: &Needs,
        threads: usize,
        all: &[T],
        work: &(dyn Fn(&T, &Self) -> R + Sync),
    ) -> Vec<R> {
        self.load_while(needs, threads, all, work, |_| ()).1
    }

    /// The same while this thread does `first`, after which it helps.
    pub(super) fn load_while<T: Sync, R: Send, F>(
        &mut self,
        needs: &Needs,
        threads: usize,
        all: &[T],
        work: &(dyn Fn(&T, &Self) -> R + Sync),
        first: impl FnOnce(&Self) -> F,
    ) -> (F, Vec<R>) {
        let done = Mutex::new(Vec::with_capacity(all.len()));
        let batches: Vec<&[T]> = all.chunks(BATCH).collect();
        let batch = |number: usize, at_hand: &Self| {
            let results: Vec<R> = batches[number].iter().map(|one| work(one, at_hand)).collect();
            done.lock().unwrap_or_else(PoisonError::into_inner).extend(results);
        };
        let first = self.read(needs, threads, batches.len(), &batch, first);
        (first, done.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads what is needed, then does `work` with every number below `count`, on all threads, of which this one does `first`
    /// before.
    fn read<T>(
        &mut self,
        needs: &Needs,
        threads: usize,
        count: usize,
        work: &(dyn Fn(usize, &Self) + Sync),
        first: impl FnOnce(&Self) -> T,
    ) -> T {
        self.round += 1;
        for at in needs.segments() {
            if let Some((_, last)) = self.kept.get_mut(&at) {
                *last = self.round;
            }
        }
        let missing = needs.segments().filter(|at| !self.kept.contains_key(at));
        let coming = missing.filter_map(|at| place(self.reader, at)).map(|place| place.raw as usize).sum();
        self.make_room(coming, 1);
        let missing = || needs.segments().filter(|at| !self.kept.contains_key(at));
        let stored: u64 = missing().filter_map(|at| place(self.reader, at)).map(|place| u64::from(place.stored)).sum();
        let runs = runs(missing(), |at| place(self.reader, at), RUN.min(stored / threads as u64));
        let read = Mutex::new(Vec::new());
        let one = |number: usize| {
            let Some(run) = runs.get(number) else { return work(number - runs.len(), self) };
            if let Ok(segments) = self.reader.chunks.segments(self.reader.locator, run.pack, run.segments.clone()) {
                let good =
                    run.segments.clone().zip(segments).filter_map(|(n, segment)| Some(((run.pack, n), segment.ok()?)));
                read.lock().unwrap_or_else(PoisonError::into_inner).extend(good);
            }
        };
        let done = share(threads, runs.len() + count, &one, || first(self));
        for (at, segment) in read.into_inner().unwrap_or_else(PoisonError::into_inner) {
            self.bytes += segment.capacity();
            self.kept.insert(at, (segment, self.round));
        }
        done
    }

    /// Lets go of segments, those first that were needed longest ago, until so much more has room.
    fn make_room(&mut self, coming: usize, in_use: u64) {
        let old = self.kept.iter().filter(|(_, (_, last))| *last + in_use < self.round);
        let mut old: Vec<_> = old.map(|(at, (_, last))| (*last, *at)).collect();
        old.sort_unstable();
        for (_, at) in old {
            if self.bytes + coming <= self.room {
                break;
            }
            if let Some((segment, _)) = self.kept.remove(&at) {
                self.bytes -= segment.capacity();
                self.reader.chunks.give(segment);
            }
        }
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self) {
        self.round += 1;
        self.make_room(usize::MAX / 2, 0);
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
