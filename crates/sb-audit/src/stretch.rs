//! A stretch of a log: batches that follow each other, for proofs that need more than one.

use sb_crypto::{Digest, TreeHasher, node_hash};

use crate::batch::Batch;
use crate::tree::{Subtree, TreeHead, prove_consistency, prove_inclusion};

/// The hashes of batches that follow each other. What lies before them is known by its peaks, so a proof about an entry, or about
/// a size of the log, needs the batches from there on and none before.
///
/// ```
/// # use chrono::DateTime;
/// # use sb_audit::{Batch, Event, LogTip, NoteSigner, Outcome};
/// # use sb_crypto::{SigningKey, SystemRandom};
/// # let log = NoteSigner::new("firm.example/log-1", SigningKey::generate(&SystemRandom))?;
/// # let event = Event::new(DateTime::UNIX_EPOCH, "host:a".parse()?, "u_7".parse()?, "Snapshot.Create".parse()?, "s_1".parse()?, Outcome::Success);
/// # let (first, tip) = LogTip::new().append(&log, &[event.clone()])?;
/// # let old = tip.head();
/// # let (second, tip) = tip.append(&log, &[event.clone(), event.clone()])?;
/// # let (third, tip) = tip.append(&log, &[event])?;
/// # let [_, second, third] = [first, second, third].map(|bytes| Batch::parse(&bytes, log.verifier()).expect("a batch"));
/// use sb_audit::LogStretch;
/// use sb_crypto::verify_consistency;
///
/// // Somebody has seen the log when it had one entry.
/// let mut since = LogStretch::of(&second);
/// assert!(since.extend(&third));
/// let proof = since.prove_consistency(1).expect("the stretch begins there");
/// assert!(verify_consistency(1, since.head().size, &old.root, &since.head().root, &proof));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct LogStretch {
    before: TreeHasher,
    leaves: Vec<Digest>,
    tree: TreeHasher,
}

impl LogStretch {
    /// That of one batch.
    #[must_use]
    pub fn of(batch: &Batch) -> Self {
        let (before, tree) = (batch.tree_before().clone(), batch.tree_after().clone());
        Self { before, leaves: batch.leaves().to_vec(), tree }
    }

    /// Adds the batch after it. False, and nothing is added, if the batch does not follow.
    pub fn extend(&mut self, batch: &Batch) -> bool {
        let follows = batch.head_before() == self.head();
        if follows {
            self.leaves.extend_from_slice(batch.leaves());
            self.tree = batch.tree_after().clone();
        }
        follows
    }

    /// The number of the first entry in it.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.before.len()
    }

    /// Size and root of the log at its end.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.tree.len(), root: self.tree.root() }
    }

    /// The hashes that prove entry `seq` to be in the log as it is at the end of the stretch. `None` if it is not in the stretch.
    #[must_use]
    pub fn prove_inclusion(&self, seq: u64) -> Option<Vec<Digest>> {
        if !(self.first()..self.tree.len()).contains(&seq) {
            return None;
        }
        prove_inclusion(seq, self.tree.len(), &mut |subtree| self.hash_of(subtree).ok_or(())).ok()
    }

    /// The hashes that prove the log to have grown from `old` entries. `None` if the stretch begins later, or ends before.
    #[must_use]
    pub fn prove_consistency(&self, old: u64) -> Option<Vec<Digest>> {
        if old != 0 && !(self.first()..=self.tree.len()).contains(&old) {
            return None;
        }
        prove_consistency(old, self.tree.len(), &mut |subtree| self.hash_of(subtree).ok_or(())).ok()
    }

    fn hash_of(&self, subtree: Subtree) -> Option<Digest> {
        hash_in(&self.before, &self.leaves, subtree)
    }
}

/// The hash of a subtree that has one of these leaves in it, or is a peak before them.
pub(crate) fn hash_in(before: &TreeHasher, leaves: &[Digest], subtree: Subtree) -> Option<Digest> {
    let Subtree { level, index } = subtree;
    let first = before.len();
    let start = index.checked_shl(level)?;
    if let Some(start) = start.checked_sub(first) {
        let start = usize::try_from(start).ok()?;
        let mut tree = TreeHasher::new();
        tree.extend(leaves.get(start..start.checked_add(1 << level)?)?.iter().copied());
        return Some(tree.root());
    }
    if start + (1 << level) <= first {
        // Left of the first only the peaks are known.
        let higher = (first >> level >> 1).count_ones() as usize;
        let is_peak = first >> level == index + 1 && index % 2 == 0;
        return before.peaks().get(higher).copied().filter(|_| is_peak);
    }
    let child = |side| hash_in(before, leaves, Subtree { level: level - 1, index: 2 * index + side });
    Some(node_hash(&child(0)?, &child(1)?))
}
