//! The chunkers of a vault, one for each tier of file sizes.

use sb_chunk::{Chunker, Params};

use crate::wire::config::Tier;

/// Chunkers by the size of the file, made once a run.
pub(super) struct Cutters(Vec<(u64, u64, Chunker)>);

impl Cutters {
    pub(super) fn new(tiers: &[Tier], seed: &[u8; 32]) -> Self {
        let cutter = |tier: &Tier| (tier.size_limit, tier.chunker, Chunker::new(params(tier.chunker), seed));
        let mut cutters: Vec<_> = tiers.iter().map(cutter).collect();
        if cutters.is_empty() {
            cutters.push((u64::MAX, 1, Chunker::new(params(1), seed)));
        }
        Self(cutters)
    }

    /// The chunker for a file of this size, and its id.
    pub(super) fn of(&self, size: u64) -> (u64, &Chunker) {
        let fits = self.0.iter().find(|(limit, ..)| size < *limit);
        let (_, id, chunker) = fits.or(self.0.last()).expect("there is one at least");
        (*id, chunker)
    }
}

/// What a chunker id stands for (docs/format.md §5).
fn params(chunker: u64) -> Params {
    let average = match chunker {
        2 => 64 << 10,
        3 => 256 << 10,
        _ => 16 << 10,
    };
    Params::around(average).expect("sizes that the chunker takes")
}
