//! Merkle trees as certificate transparency defines them (RFC 6962 §2.1, RFC 9162 §2.1), over SHA-256.
//!
//! ```text
//! leaf = SHA-256(0x00 ‖ data)     node = SHA-256(0x01 ‖ left ‖ right)     empty tree = SHA-256("")
//! ```
//!
//! The left half of a tree of n leaves has the largest power of two that is smaller than n.

use crate::digest::{Digest, Sha256, sha256};

/// The hash of a leaf with this content.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(&[0]);
    hash.update(data);
    hash.finish()
}

/// The hash of the node above `left` and `right`.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut hash = Sha256::new();
    hash.update(&[1]);
    hash.update(left.as_bytes());
    hash.update(right.as_bytes());
    hash.finish()
}

/// Computes the root of a tree whose leaves arrive one by one, keeping one hash per level.
///
/// ```
/// use sb_crypto::{TreeHasher, leaf_hash, node_hash};
/// let (a, b) = (leaf_hash(b"invoice"), leaf_hash(b"receipt"));
/// let mut tree = TreeHasher::new();
/// tree.push(a);
/// tree.push(b);
/// assert_eq!(tree.root(), node_hash(&a, &b));
/// ```
#[derive(Clone, Debug, Default)]
pub struct TreeHasher {
    /// The roots of the full subtrees from left to right: one for each bit set in `len`, the highest first.
    peaks: Vec<Digest>,
    len: u64,
}

impl TreeHasher {
    /// A tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { peaks: Vec::new(), len: 0 }
    }

    /// Goes on with a tree of `len` leaves, whose [`peaks`](Self::peaks) were kept; `None` if there are too few or too
    /// many of them.
    #[must_use]
    pub fn from_peaks(len: u64, peaks: Vec<Digest>) -> Option<Self> {
        (peaks.len() == len.count_ones() as usize).then_some(Self { peaks, len })
    }

    /// The roots of the full subtrees from left to right, one for each bit set in [`len`](Self::len), the highest
    /// first: all that has to be kept to append more leaves.
    #[must_use]
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// Appends a leaf, given by its [`leaf_hash`].
    pub fn push(&mut self, leaf: Digest) {
        let mut peak = leaf;
        for _ in 0..self.len.trailing_ones() {
            let left = self.peaks.pop().expect("each bit of the length has its peak");
            peak = node_hash(&left, &peak);
        }
        self.peaks.push(peak);
        self.len += 1;
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The root over all leaves so far. More leaves may follow.
    #[must_use]
    pub fn root(&self) -> Digest {
        let join = |right: Digest, left: &Digest| node_hash(left, &right);
        let mut peaks = self.peaks.iter().rev();
        peaks.next().map_or_else(|| sha256(b""), |last| peaks.fold(*last, join))
    }
}

impl Extend<Digest> for TreeHasher {
    fn extend<I: IntoIterator<Item = Digest>>(&mut self, leaves: I) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

/// The hashes that prove `leaves[index]` to stand at its place in the tree of all `leaves`, from the leaf upwards
/// (RFC 9162 §2.1.3.1).
///
/// # Panics
/// When `index` is not below `leaves.len()`.
#[must_use]
pub fn inclusion_proof(leaves: &[Digest], index: usize) -> Vec<Digest> {
    assert!(index < leaves.len(), "leaf {index} is not one of {}", leaves.len());
    let mut proof = Vec::new();
    let (mut subtree, mut index) = (leaves, index);
    while subtree.len() > 1 {
        let (left, right) = subtree.split_at(split(subtree.len()));
        if index < left.len() {
            proof.push(root_of(right));
            subtree = left;
        } else {
            proof.push(root_of(left));
            index -= left.len();
            subtree = right;
        }
    }
    proof.reverse();
    proof
}

/// Whether `proof` shows that `leaf` stands at `index` in the tree of `size` leaves with this `root`
/// (RFC 9162 §2.1.3.2).
#[must_use]
pub fn verify_inclusion(index: u64, size: u64, leaf: &Digest, proof: &[Digest], root: &Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // A right edge that is not full has no sibling on these levels.
            let skipped = node.trailing_zeros();
            node >>= skipped;
            last >>= skipped;
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// The hashes that prove the tree of the first `old_size` leaves to be the beginning of the tree of all `leaves`
/// (RFC 9162 §2.1.4.1). Empty where nothing needs proof: nothing was there, or nothing was added.
///
/// # Panics
/// When `old_size` is above `leaves.len()`.
#[must_use]
pub fn consistency_proof(leaves: &[Digest], old_size: usize) -> Vec<Digest> {
    assert!(old_size <= leaves.len(), "{old_size} leaves are more than {}", leaves.len());
    let mut proof = Vec::new();
    if old_size == 0 {
        return proof;
    }
    let (mut subtree, mut old, mut known) = (leaves, old_size, true);
    while old < subtree.len() {
        let (left, right) = subtree.split_at(split(subtree.len()));
        if old <= left.len() {
            proof.push(root_of(right));
            subtree = left;
        } else {
            proof.push(root_of(left));
            old -= left.len();
            subtree = right;
            known = false;
        }
    }
    if !known {
        proof.push(root_of(subtree));
    }
    proof.reverse();
    proof
}

/// Whether `proof` shows that the tree of `old_size` leaves with `old_root` is the beginning of the tree of `new_size`
/// leaves with `new_root` (RFC 9162 §2.1.4.2). An empty tree is the beginning of every tree; its root is checked.
#[must_use]
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    old_root: &Digest,
    new_root: &Digest,
    proof: &[Digest],
) -> bool {
    if old_size == 0 {
        let new_root_fits = new_size > 0 || *new_root == sha256(b"");
        return proof.is_empty() && *old_root == sha256(b"") && new_root_fits;
    }
    if old_size == new_size {
        return proof.is_empty() && old_root == new_root;
    }
    if old_size > new_size {
        return false;
    }
    // A full old tree is a subtree of the new one, so its root is known and the proof leaves it out.
    let mut hashes = proof.iter();
    let first = if old_size.is_power_of_two() { Some(old_root) } else { hashes.next() };
    let Some(first) = first else { return false };
    let full = (old_size - 1).trailing_ones();
    let (mut node, mut last) = ((old_size - 1) >> full, (new_size - 1) >> full);
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in hashes {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            let skipped = node.trailing_zeros();
            node >>= skipped;
            last >>= skipped;
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

/// How many of `len` leaves stand in the left half.
fn split(len: usize) -> usize {
    len.next_power_of_two() / 2
}

fn root_of(leaves: &[Digest]) -> Digest {
    let mut tree = TreeHasher::new();
    tree.extend(leaves.iter().copied());
    tree.root()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The inputs and roots that Certificate Transparency implementations test themselves with.
    const INPUTS: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
    }

    /// The definition of RFC 6962 §2.1, word for word.
    fn defined_root(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => sha256(b""),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                node_hash(&defined_root(left), &defined_root(right))
            }
        }
    }

    #[test]
    fn roots_of_the_reference_tree() {
        let mut tree = TreeHasher::new();
        assert!(tree.is_empty());
        assert_eq!(tree.root().to_string(), ROOTS[0]);
        for (input, root) in INPUTS.iter().zip(&ROOTS[1..]) {
            tree.push(leaf_hash(input));
            assert_eq!(tree.root().to_string(), *root);
        }
        assert_eq!(tree.len(), 8);
        assert!(!tree.is_empty());
    }

    #[test]
    fn the_hasher_agrees_with_the_definition_and_stays_small() {
        let leaves = leaves(300);
        let mut tree = TreeHasher::new();
        for (index, leaf) in leaves.iter().enumerate() {
            assert_eq!(tree.root(), defined_root(&leaves[..index]));
            tree.push(*leaf);
            assert!(tree.peaks.len() <= 9);
        }
    }

    #[test]
    fn a_tree_goes_on_from_its_peaks() {
        let leaves = leaves(40);
        for size in 0..40 {
            let mut tree = TreeHasher::new();
            tree.extend(leaves[..size].iter().copied());
            let len = tree.len();
            let mut other = TreeHasher::from_peaks(len, tree.peaks().to_vec()).unwrap();
            other.extend(leaves[size..].iter().copied());
            assert_eq!(other.root(), defined_root(&leaves));
            assert!(TreeHasher::from_peaks(len, [tree.peaks(), &leaves[..1]].concat()).is_none());
        }
        assert!(TreeHasher::from_peaks(3, leaves[..1].to_vec()).is_none());
    }

    #[test]
    fn inclusion_is_proved_for_each_leaf_and_nothing_else() {
        let leaves = leaves(40);
        let other = leaf_hash(b"other");
        for size in 1..40 {
            let tree = &leaves[..size];
            let root = defined_root(tree);
            for (index, leaf) in tree.iter().enumerate() {
                let proof = inclusion_proof(tree, index);
                let holds = |index: usize, size: usize, leaf, proof: &[Digest], root| {
                    verify_inclusion(index as u64, size as u64, leaf, proof, root)
                };
                assert!(holds(index, size, leaf, &proof, &root));
                assert!(!holds(index, size, &other, &proof, &root));
                assert!(!holds(index, size, leaf, &proof, &other));
                assert!(!holds(index + size, size, leaf, &proof, &root));
                assert!((0..size).filter(|other| holds(*other, size, leaf, &proof, &root)).eq([index]));
                assert!(!holds(index, size, leaf, &[&proof[..], &[root]].concat(), &root));
                assert!(!holds(index, 0, leaf, &proof, &root));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!holds(index, size, leaf, shorter, &root));
                }
            }
        }
    }

    #[test]
    fn consistency_is_proved_for_each_prefix_and_nothing_else() {
        let leaves = leaves(40);
        let roots: Vec<_> = (0..40).map(|size| defined_root(&leaves[..size])).collect();
        let other = leaf_hash(b"other");
        for new in 0..40 {
            for old in 0..=new {
                let proof = consistency_proof(&leaves[..new], old);
                let holds = |old_root, new_root, proof: &[Digest]| {
                    verify_consistency(old as u64, new as u64, old_root, new_root, proof)
                };
                assert!(holds(&roots[old], &roots[new], &proof), "{old} {new}");
                assert!(!holds(&other, &roots[new], &proof));
                assert!(old == 0 && new > 0 || !holds(&roots[old], &other, &proof));
                assert!(!holds(&roots[old], &roots[new], &[&proof[..], &[other]].concat()));
                for index in 0..proof.len() {
                    let mut forged = proof.clone();
                    forged[index] = other;
                    assert!(!holds(&roots[old], &roots[new], &forged));
                    assert!(!holds(&roots[old], &roots[new], &proof[..index]));
                }
                assert!(old == new || !verify_consistency(new as u64, old as u64, &roots[new], &roots[old], &proof));
            }
        }
    }

    #[test]
    fn forged_sizes_do_not_overflow() {
        let leaf = leaf_hash(b"");
        let proof = [leaf; 70];
        assert!(!verify_inclusion(u64::MAX - 1, u64::MAX, &leaf, &proof, &leaf));
        assert!(!verify_consistency(1 << 63, u64::MAX, &leaf, &leaf, &proof));
        assert!(!verify_consistency(u64::MAX - 1, u64::MAX, &leaf, &leaf, &proof));
        assert!(!verify_consistency(3, 4, &leaf, &leaf, &[]));
    }

    #[test]
    #[should_panic(expected = "leaf 3 is not one of 3")]
    fn a_leaf_beyond_the_tree_is_a_mistake() {
        let _ = inclusion_proof(&leaves(3), 3);
    }

    #[test]
    #[should_panic(expected = "4 leaves are more than 3")]
    fn a_prefix_beyond_the_tree_is_a_mistake() {
        let _ = consistency_proof(&leaves(3), 4);
    }
}
