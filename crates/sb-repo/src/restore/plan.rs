//! Planning: which segments files need, and how to read each of them once. Pure; touches neither vault nor files.

use std::collections::BTreeSet;

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

    /// How much more room it takes to have these segments than those of `others`.
    pub(super) fn beyond(&self, others: &Self, raw: impl Fn(SegmentAt) -> u32) -> usize {
        self.segments.difference(&others.segments).map(|at| raw(*at) as usize).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// In the order in which they lie in the vault.
    pub(super) fn segments(&self) -> impl Iterator<Item = SegmentAt> {
        self.segments.iter().copied()
    }
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
