//! Which keys somebody needs.

use crate::wire::slot::{CompartmentSecrets, KeyBundle};

/// Which keys of a vault somebody has, or is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeySet {
    /// The root key: users, slots and roles can be changed.
    pub manages: bool,
    /// The keys by which chunks are cut, named and found: backups can be added. They open nothing, but whoever has them can confirm
    /// contents that he already guesses.
    pub adds: bool,
    /// The private keys of names, trees and snapshots.
    pub reads_names: bool,
    /// The private keys of contents.
    pub reads_contents: bool,
}

impl KeySet {
    /// None: who has it can sign, and verify what needs no key.
    pub const NONE: Self = Self { manages: false, adds: false, reads_names: false, reads_contents: false };
    /// The root key alone.
    pub const MANAGE: Self = Self { manages: true, ..Self::NONE };
    /// What adds backups and reads nothing.
    pub const ADD: Self = Self { adds: true, ..Self::NONE };
    /// What reads names, and not contents.
    pub const READ_NAMES: Self = Self { adds: true, reads_names: true, ..Self::NONE };
    /// What reads names and contents. Every chunk that is read is compared with its id, so the keys that make ids are part of it.
    pub const READ: Self = Self { adds: true, reads_names: true, reads_contents: true, ..Self::NONE };
    /// All there are.
    pub const ALL: Self = Self { manages: true, ..Self::READ };

    /// Those of either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self {
            manages: self.manages || other.manages,
            adds: self.adds || other.adds,
            reads_names: self.reads_names || other.reads_names,
            reads_contents: self.reads_contents || other.reads_contents,
        }
    }

    /// True if it has all of those.
    pub fn covers(self, other: Self) -> bool {
        self.union(other) == self
    }

    pub(crate) fn bits(self) -> u64 {
        [self.manages, self.adds, self.reads_names, self.reads_contents]
            .iter()
            .enumerate()
            .fold(0, |bits, (at, &has)| bits | u64::from(has) << at)
    }

    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        let has = |at: u32| bits >> at & 1 == 1;
        let set = Self { manages: has(0), adds: has(1), reads_names: has(2), reads_contents: has(3) };
        (bits < 16 && (set.adds || !set.reads_names && !set.reads_contents)).then_some(set)
    }
}

impl KeyBundle {
    /// Which keys these are.
    pub(crate) fn set(&self) -> KeySet {
        KeySet {
            manages: self.root_seed.is_some(),
            adds: !self.compartments.is_empty(),
            reads_names: self.compartments.iter().any(|c| !c.meta.is_empty()),
            reads_contents: self.compartments.iter().any(|c| !c.content.is_empty()),
        }
    }

    /// Those of them that are in the set.
    pub(crate) fn limited_to(&self, set: KeySet) -> Self {
        let only = |secrets: &CompartmentSecrets| {
            let mut secrets = secrets.clone();
            if !set.reads_names {
                secrets.meta.clear();
            }
            if !set.reads_contents {
                secrets.content.clear();
            }
            secrets
        };
        Self {
            root_seed: self.root_seed.clone().filter(|_| set.manages),
            compartments: self.compartments.iter().filter(|_| set.adds).map(only).collect(),
        }
    }
}
