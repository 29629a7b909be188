//! Proofs in a tree whose subtree hashes are kept somewhere, so that nothing has to be hashed again (RFC 9162 §2.1).
//!
//! A proof in a tree of n leaves asks for at most about 2 log₂ n hashes of full subtrees. Where they come from is the
//! caller's: a [`TileReader`](crate::TileReader), a table, a hash of leaves at hand.

use sb_crypto::{Digest, node_hash, sha256};

/// A full subtree: 2^`level` leaves, the `index`-th such group from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subtree {
    /// Its height; 0 is a single leaf. Below 64.
    pub level: u32,
    /// Its place among those of its level, from 0.
    pub index: u64,
}

/// A size of a log and the root of the tree of its first entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TreeHead {
    /// How many leaves.
    pub size: u64,
    /// The hash over them.
    pub root: Digest,
}

impl TreeHead {
    /// That of a log without entries.
    #[must_use]
    pub fn empty() -> Self {
        Self { size: 0, root: sha256(b"") }
    }
}

/// The root of the tree of the first `size` leaves.
///
/// # Errors
/// What `hash_of` fails with.
pub fn tree_root<E>(size: u64, hash_of: &mut dyn FnMut(Subtree) -> Result<Digest, E>) -> Result<Digest, E> {
    root_of(0, size, hash_of)
}

/// The hashes that prove the leaf at `index` to be in the tree of the first `size` leaves, from the leaf upwards; for
/// [`verify_inclusion`](sb_crypto::verify_inclusion). `hash_of` is asked for full subtrees among these leaves.
///
/// ```
/// use sb_audit::{Subtree, prove_inclusion, tree_root};
/// use sb_crypto::{leaf_hash, node_hash, verify_inclusion};
///
/// let leaves = [leaf_hash(b"first"), leaf_hash(b"second"), leaf_hash(b"third")];
/// let mut hash_of = |subtree: Subtree| match subtree {
///     Subtree { level: 0, index } => leaves.get(index as usize).copied().ok_or(subtree),
///     Subtree { level: 1, index: 0 } => Ok(node_hash(&leaves[0], &leaves[1])),
///     unknown => Err(unknown),
/// };
/// let proof = prove_inclusion(1, 3, &mut hash_of).expect("all hashes are at hand");
/// let root = tree_root(3, &mut hash_of).expect("all hashes are at hand");
/// assert!(verify_inclusion(1, 3, &leaves[1], &proof, &root));
/// ```
///
/// # Errors
/// What `hash_of` fails with.
///
/// # Panics
/// When `index` is not below `size`.
pub fn prove_inclusion<E>(
    index: u64,
    size: u64,
    hash_of: &mut dyn FnMut(Subtree) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    assert!(index < size, "leaf {index} is not one of {size}");
    let (_, mut proof) = siblings(size, hash_of, |_, len| len == 1, |middle| index < middle)?;
    proof.reverse();
    Ok(proof)
}

/// Goes down a tree of so many leaves, to the left of each middle or to the right, until it `is_there`: where that is (its first
/// leaf, and how many), and the roots of what was passed by, from the top.
fn siblings<E>(
    size: u64,
    hash_of: &mut dyn FnMut(Subtree) -> Result<Digest, E>,
    is_there: impl Fn(u64, u64) -> bool,
    goes_left: impl Fn(u64) -> bool,
) -> Result<((u64, u64), Vec<Digest>), E> {
    let (mut start, mut len, mut passed) = (0, size, Vec::new());
    while !is_there(start, len) {
        let left = left_half(len);
        if goes_left(start + left) {
            passed.push(root_of(start + left, len - left, hash_of)?);
            len = left;
        } else {
            passed.push(root_of(start, left, hash_of)?);
            start += left;
            len -= left;
        }
    }
    Ok(((start, len), passed))
}

/// The hashes that prove the tree of the first `old` leaves to be the beginning of the tree of the first `new` ones;
/// for [`verify_consistency`](sb_crypto::verify_consistency). Empty where nothing needs proof.
///
/// # Errors
/// What `hash_of` fails with.
///
/// # Panics
/// When `old` is above `new`.
pub fn prove_consistency<E>(
    old: u64,
    new: u64,
    hash_of: &mut dyn FnMut(Subtree) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    assert!(old <= new, "{old} leaves are more than {new}");
    if old == 0 {
        return Ok(Vec::new());
    }
    let ((start, len), mut proof) = siblings(new, hash_of, |start, len| old >= start + len, |middle| old <= middle)?;
    // A subtree that begins the tree is the old tree itself, whose root the verifier has.
    if start > 0 {
        proof.push(root_of(start, len, hash_of)?);
    }
    proof.reverse();
    Ok(proof)
}

/// How many of `len` leaves, at least 2, stand in the left half.
const fn left_half(len: u64) -> u64 {
    1 << (u64::BITS - 1 - (len - 1).leading_zeros())
}

/// The root over `len` leaves from `start` on, which is a multiple of the largest power of two in `len`.
fn root_of<E>(start: u64, len: u64, hash_of: &mut dyn FnMut(Subtree) -> Result<Digest, E>) -> Result<Digest, E> {
    let mut peaks = Vec::new();
    let mut from = start;
    for level in (0..u64::BITS).rev().filter(|level| len >> level & 1 == 1) {
        peaks.push(hash_of(Subtree { level, index: from >> level })?);
        from += 1 << level;
    }
    let mut peaks = peaks.into_iter().rev();
    let last = peaks.next().unwrap_or_else(|| TreeHead::empty().root);
    Ok(peaks.fold(last, |right, left| node_hash(&left, &right)))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;
    use sb_crypto::{TreeHasher, consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion};

    use super::*;

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
    }

    fn root(leaves: &[Digest]) -> Digest {
        let mut tree = TreeHasher::new();
        tree.extend(leaves.iter().copied());
        tree.root()
    }

    fn from(leaves: &[Digest]) -> impl FnMut(Subtree) -> Result<Digest, Infallible> + '_ {
        |Subtree { level, index }| {
            let start = usize::try_from(index << level).unwrap();
            Ok(root(&leaves[start..start + (1 << level)]))
        }
    }

    #[test]
    fn all_small_trees_are_proved_as_the_definition_says() {
        let leaves = leaves(40);
        for size in 0..=leaves.len() {
            let tree = &leaves[..size];
            assert_eq!(tree_root(size as u64, &mut from(tree)), Ok(root(tree)));
            for index in 0..size {
                let proof = prove_inclusion(index as u64, size as u64, &mut from(tree)).unwrap();
                assert_eq!(proof, inclusion_proof(tree, index), "{index} of {size}");
            }
            for old in 0..=size {
                let proof = prove_consistency(old as u64, size as u64, &mut from(tree)).unwrap();
                assert_eq!(proof, consistency_proof(tree, old), "{old} of {size}");
            }
        }
    }

    #[test]
    fn a_missing_hash_is_the_callers_error() {
        let fails = |subtree| Err::<Digest, _>(subtree);
        let missing = Err(Subtree { level: 1, index: 0 });
        assert_eq!(prove_inclusion(2, 3, &mut { fails }), missing.map(|()| vec![]));
        assert_eq!(tree_root(3, &mut { fails }), missing.map(|()| leaf_hash(b"")));
        assert_eq!(prove_consistency(1, 2, &mut { fails }), Err(Subtree { level: 0, index: 1 }));
    }

    #[test]
    #[should_panic(expected = "leaf 3 is not one of 3")]
    fn a_leaf_beyond_the_tree_is_a_mistake() {
        let _ = prove_inclusion(3, 3, &mut from(&leaves(3)));
    }

    #[test]
    #[should_panic(expected = "4 leaves are more than 3")]
    fn a_prefix_beyond_the_tree_is_a_mistake() {
        let _ = prove_consistency(4, 3, &mut from(&leaves(3)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        /// Every leaf is the same, so the hash of a subtree depends on its level alone and trees can be huge.
        #[test]
        fn huge_trees_are_proved(size in 1_u64.., index: prop::sample::Index, old: prop::sample::Index) {
            let leaf = leaf_hash(b"");
            let levels: Vec<_> = std::iter::successors(Some(leaf), |hash| Some(node_hash(hash, hash))).take(64).collect();
            let mut hash_of = |subtree: Subtree| Ok::<_, Infallible>(levels[subtree.level as usize]);
            let within = |index: prop::sample::Index, below: u64| {
                (u128::from(below) * index.index(usize::MAX) as u128 / usize::MAX as u128) as u64
            };
            let (index, old) = (within(index, size), within(old, size));
            let root = tree_root(size, &mut hash_of).unwrap();
            let old_root = tree_root(old, &mut hash_of).unwrap();
            let proof = prove_inclusion(index, size, &mut hash_of).unwrap();
            prop_assert!(verify_inclusion(index, size, &leaf, &proof, &root));
            let proof = prove_consistency(old, size, &mut hash_of).unwrap();
            prop_assert!(proof.len() <= 65);
            prop_assert!(verify_consistency(old, size, &old_root, &root, &proof));
        }
    }
}
