//! Planning: which segments files need, and how to read each of them once. Pure; touches neither vault nor files.

use std::collections::{BTreeMap, BTreeSet};

use crate::chunks::SegmentAt;
use crate::wire::pack::SegmentPlace;

/// A piece of a file's content: bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: SegmentAt,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// Adds a piece at the end of others; what lies on in the same segment becomes one.
pub(super) fn append(pieces: &mut Vec<Piece>, piece: Piece) {
    match pieces.last_mut() {
        Some(last) if last.at == piece.at && last.offset.checked_add(last.length) == Some(piece.offset) => {
            last.length += piece.length;
        }
        _ => pieces.push(piece),
    }
}

/// Segments needed together, and how long they are when opened.
#[derive(Debug, Default)]
pub(super) struct Needs {
    segments: BTreeSet<SegmentAt>,
    bytes: usize,
}

impl Needs {
    pub(super) fn add(&mut self, at: SegmentAt, raw: u32) {
        if self.segments.insert(at) {
            self.bytes += raw as usize;
        }
    }

    pub(super) fn contains(&self, at: SegmentAt) -> bool {
        self.segments.contains(&at)
    }

    /// Takes in what others need.
    pub(super) fn join(&mut self, others: &Self, raw: impl Fn(SegmentAt) -> u32) {
        others.segments.iter().for_each(|at| self.add(*at, raw(*at)));
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// In the order in which they lie in the vault.
    pub(super) fn segments(&self) -> impl Iterator<Item = SegmentAt> {
        self.segments.iter().copied()
    }
}

/// Files that are written while the same segments are at hand.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) needs: Needs,
    /// By their numbers, in order.
    pub(super) files: Vec<usize>,
}

/// Divides files, each by the segments it needs, into rounds whose segments fit into `room` bytes, so that as few segments as can be
/// are read again in a later round; if all fit, none is. No file needs more than the room.
///
/// What was stored once and is in many files lies far from what else is in them, so that their own order would have the same
/// segments opened over and over.
pub(super) fn rounds(files: &[Vec<SegmentAt>], raw: &dyn Fn(SegmentAt) -> u32, room: usize) -> Vec<Round> {
    let mut pending: Vec<usize> = (0..files.len()).collect();
    let (mut rounds, mut kept) = (Vec::new(), Needs::default());
    while !pending.is_empty() {
        let needs = choose(files, &pending, kept, raw, room);
        let is_ready = |file: &usize| files[*file].iter().all(|at| needs.contains(*at));
        let (ready, rest): (Vec<usize>, Vec<usize>) = pending.into_iter().partition(is_ready);
        pending = rest;
        // With nothing kept the next file fits for certain.
        kept = if ready.is_empty() { Needs::default() } else { still_used(files, &pending, &needs, raw, room / 2) };
        if !ready.is_empty() {
            rounds.push(Round { needs, files: ready });
        }
    }
    rounds
}

/// Adds to what is kept, time and again, the segment with which most files have all they need, as long as there is room.
fn choose(
    files: &[Vec<SegmentAt>],
    pending: &[usize],
    kept: Needs,
    raw: &dyn Fn(SegmentAt) -> u32,
    room: usize,
) -> Needs {
    let mut needs = kept;
    loop {
        let free = room.saturating_sub(needs.bytes());
        let mut gains: BTreeMap<SegmentAt, usize> = BTreeMap::new();
        let mut cheapest: Option<(usize, usize)> = None;
        for file in pending {
            let missing = || files[*file].iter().filter(|at| !needs.contains(**at));
            match (missing().next(), missing().nth(1)) {
                (None, _) => {}
                (Some(at), None) => *gains.entry(*at).or_default() += 1,
                _ => {
                    let cost = missing().map(|at| raw(*at) as usize).sum();
                    cheapest = cheapest.min(Some((cost, *file))).or(Some((cost, *file)));
                }
            }
        }
        let fitting = gains.into_iter().filter(|(at, _)| raw(*at) as usize <= free);
        let best = fitting.max_by_key(|(at, files)| (*files, std::cmp::Reverse(*at)));
        match (best, cheapest) {
            (Some((at, _)), _) => needs.add(at, raw(at)),
            (None, Some((cost, file))) if cost <= free => files[file].iter().for_each(|at| needs.add(*at, raw(*at))),
            _ => return needs,
        }
    }
}

/// Of these segments, those that most of the pending files need, up to `room` bytes.
fn still_used(
    files: &[Vec<SegmentAt>],
    pending: &[usize],
    needs: &Needs,
    raw: &dyn Fn(SegmentAt) -> u32,
    room: usize,
) -> Needs {
    let mut users: BTreeMap<SegmentAt, usize> = BTreeMap::new();
    for at in pending.iter().flat_map(|file| &files[*file]).filter(|at| needs.contains(**at)) {
        *users.entry(*at).or_default() += 1;
    }
    let mut users: Vec<_> = users.into_iter().map(|(at, files)| (std::cmp::Reverse(files), at)).collect();
    users.sort_unstable();
    let mut kept = Needs::default();
    for (_, at) in users {
        if kept.bytes() + raw(at) as usize <= room {
            kept.add(at, raw(at));
        }
    }
    kept
}

/// Segments that lie one after the other in a pack, to be read in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) pack: u32,
    pub(super) segments: std::ops::Range<u32>,
    end: u64,
    stored: u64,
}

/// Puts neighbours together, to at most `limit` stored bytes if they are not longer one by one. The segments come in order.
pub(super) fn runs(
    segments: impl Iterator<Item = SegmentAt>,
    place: impl Fn(SegmentAt) -> Option<SegmentPlace>,
    limit: u64,
) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for at @ (pack, number) in segments {
        let Some(place) = place(at) else { continue };
        let (end, stored) = (place.offset + u64::from(place.stored), u64::from(place.stored));
        match runs.last_mut() {
            Some(run)
                if run.pack == pack
                    && run.segments.end == number
                    && run.end == place.offset
                    && run.stored + stored <= limit =>
            {
                run.segments.end = number + 1;
                (run.end, run.stored) = (end, run.stored + stored);
            }
            _ => runs.push(Run { pack, segments: number..number + 1, end, stored }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::pack::Codec;
    use proptest::prelude::*;

    /// Packs of segments laid end to end, by their stored lengths.
    fn place(packs: &[Vec<u32>], (pack, number): SegmentAt) -> Option<SegmentPlace> {
        let lengths = packs.get(pack as usize)?;
        let stored = *lengths.get(number as usize)?;
        let offset = 104 + lengths[..number as usize].iter().copied().map(u64::from).sum::<u64>();
        Some(SegmentPlace { offset, stored, raw: stored, codec: Codec::Raw })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_segment_is_read_once_and_neighbours_together(
            packs in prop::collection::vec(prop::collection::vec(1_u32..50, 1..12), 1..5),
            wanted in prop::collection::vec((0_u32..5, 0_u32..12), 0..60),
            limit in 1_u64..200,
        ) {
            let mut needs = Needs::default();
            for at in &wanted {
                needs.add(*at, place(&packs, *at).map_or(0, |place| place.raw));
            }
            let there: Vec<SegmentAt> = needs.segments().filter(|at| place(&packs, *at).is_some()).collect();
            let planned = runs(needs.segments(), |at| place(&packs, at), limit);
            let read: Vec<SegmentAt> =
                planned.iter().flat_map(|run| run.segments.clone().map(|number| (run.pack, number))).collect();
            prop_assert_eq!(&read, &there);
            let raw: usize = there.iter().map(|at| place(&packs, *at).unwrap().raw as usize).sum();
            prop_assert_eq!(needs.bytes(), raw);
            for run in &planned {
                let stored: u64 = run.segments.clone().map(|n| u64::from(packs[run.pack as usize][n as usize])).sum();
                prop_assert!(stored <= limit || run.segments.len() == 1);
            }
            for pair in planned.windows(2) {
                let next = u64::from(packs[pair[1].pack as usize][pair[1].segments.start as usize]);
                let adjoin = pair[0].pack == pair[1].pack && pair[0].segments.end == pair[1].segments.start;
                prop_assert!(!adjoin || pair[0].stored + next > limit, "neighbours are read together if they may be");
            }
        }

        #[test]
        fn each_file_has_its_turn_when_all_it_needs_is_at_hand(
            files in prop::collection::vec(prop::collection::btree_set((0_u32..2, 0_u32..12), 0..4), 0..40),
            room in 3_usize..30,
        ) {
            let files: Vec<Vec<SegmentAt>> = files.into_iter().map(|needs| needs.into_iter().collect()).collect();
            let planned = rounds(&files, &|_| 1, room);
            let mut done = Vec::new();
            for round in &planned {
                prop_assert!(round.needs.bytes() <= room);
                prop_assert!(round.files.is_sorted());
                prop_assert!(round.files.iter().all(|file| files[*file].iter().all(|at| round.needs.contains(*at))));
                done.extend(&round.files);
            }
            done.sort_unstable();
            prop_assert_eq!(done, (0..files.len()).collect::<Vec<_>>());
            let all: BTreeSet<_> = files.iter().flatten().collect();
            prop_assert!(all.len() > room || planned.len() <= 1, "what fits is read once");
            let read: usize = planned.iter().map(|round| round.needs.bytes()).sum();
            prop_assert!(read <= files.iter().map(Vec::len).sum::<usize>() + room / 2 * planned.len());
        }

        #[test]
        fn pieces_put_together_are_the_same_bytes(
            pieces in prop::collection::vec((0_u32..3, 0_u32..40, 1_u32..9), 0..30)
        ) {
            let bytes = |piece: &Piece| (0..piece.length).map(|n| (piece.at, piece.offset + n)).collect::<Vec<_>>();
            let pieces: Vec<Piece> = pieces
                .into_iter()
                .map(|(pack, offset, length)| Piece { at: (pack, 0), offset, length })
                .collect();
            let mut together = Vec::new();
            pieces.iter().for_each(|piece| append(&mut together, *piece));
            prop_assert_eq!(together.iter().flat_map(bytes).collect::<Vec<_>>(), pieces.iter().flat_map(bytes).collect::<Vec<_>>());
        }
    }
}
