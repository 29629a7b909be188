//! Planning: which segments files need, and how to read each of them once. Pure; touches neither vault nor files.

use std::collections::{BTreeSet, HashMap};

use crate::chunks::SegmentAt;
use crate::wire::pack::SegmentPlace;

/// A piece of a file's content: bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// In the order in which they lie in the vault.
    pub(super) fn segments(&self) -> impl Iterator<Item = SegmentAt> {
        self.segments.iter().copied()
    }
}

/// Segments at hand together, and what is done with them.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) needs: Needs,
    /// Files that have all they need now, by their numbers, in order.
    pub(super) files: Vec<usize>,
    /// What files of later rounds need from these segments.
    pub(super) aside: BTreeSet<Piece>,
}

/// Divides the segments that files need, in their order, into rounds of at most `room` bytes, or of one segment. Each file has
/// its turn when the last of its segments is at hand; what it needs of earlier ones is set aside, so that each is read once.
pub(super) fn rounds(files: &[Vec<Piece>], raw: &dyn Fn(SegmentAt) -> u32, room: usize) -> Vec<Round> {
    let segments: BTreeSet<SegmentAt> = files.iter().flat_map(|pieces| pieces.iter().map(|piece| piece.at)).collect();
    let mut rounds = vec![Round::default()];
    let mut round_of: HashMap<SegmentAt, usize> = HashMap::new();
    for at in segments {
        let last = rounds.len() - 1;
        if rounds[last].needs.bytes() > 0 && rounds[last].needs.bytes() + raw(at) as usize > room {
            rounds.push(Round::default());
        }
        let last = rounds.len() - 1;
        rounds[last].needs.add(at, raw(at));
        round_of.insert(at, last);
    }
    for (file, pieces) in files.iter().enumerate() {
        let turn = pieces.iter().map(|piece| round_of[&piece.at]).max().unwrap_or(0);
        rounds[turn].files.push(file);
        for piece in pieces.iter().filter(|piece| round_of[&piece.at] < turn) {
            rounds[round_of[&piece.at]].aside.insert(*piece);
        }
    }
    rounds
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
        fn each_segment_has_one_turn_and_each_file_then_has_all_it_needs(
            files in prop::collection::vec(prop::collection::vec((0_u32..2, 0_u32..12, 0_u32..9, 1_u32..9), 0..5), 0..40),
            room in 1_usize..30,
        ) {
            let piece = |(pack, number, offset, length)| Piece { at: (pack, number), offset, length };
            let files: Vec<Vec<Piece>> =
                files.into_iter().map(|pieces| pieces.into_iter().map(piece).collect()).collect();
            let raw = |at: SegmentAt| at.1 % 3 + 1;
            let planned = rounds(&files, &raw, room);
            let (mut aside, mut done, mut read) = (BTreeSet::<Piece>::new(), Vec::<usize>::new(), Vec::<SegmentAt>::new());
            for round in &planned {
                prop_assert!(round.needs.bytes() <= room || round.needs.segments().count() == 1);
                prop_assert!(round.files.is_sorted());
                prop_assert!(round.aside.iter().all(|piece| round.needs.contains(piece.at)));
                read.extend(round.needs.segments());
                for piece in round.files.iter().flat_map(|file| &files[*file]) {
                    prop_assert!(round.needs.contains(piece.at) || aside.contains(piece));
                }
                done.extend(&round.files);
                aside.extend(&round.aside);
            }
            done.sort_unstable();
            prop_assert_eq!(done, (0..files.len()).collect::<Vec<_>>());
            let needed: BTreeSet<_> = files.iter().flatten().map(|piece| piece.at).collect();
            prop_assert_eq!(read, needed.into_iter().collect::<Vec<_>>(), "once, and in the order of the vault");
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
