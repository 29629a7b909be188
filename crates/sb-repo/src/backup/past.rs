//! What the run before left in the vault and this one may take over without looking.

use std::collections::HashMap;

use crate::ids::ChunkId;

/// The nodes of folders that the walk is at, and whether anything has been taken over.
#[derive(Default)]
pub(super) struct Past {
    nodes: HashMap<ChunkId, usize>,
    relied_on: bool,
}

impl Past {
    /// Folders that the walk is coming to have this node.
    pub(super) fn expect(&mut self, node: ChunkId) {
        *self.nodes.entry(node).or_default() += 1;
    }

    /// True if one of these nodes is this one; then the run relies on it.
    pub(super) fn take(&mut self, node: &ChunkId) -> bool {
        let Some(count) = self.nodes.get_mut(node) else { return false };
        *count -= 1;
        if *count == 0 {
            self.nodes.remove(node);
        }
        self.relied_on = true;
        true
    }

    /// Something else has been taken over.
    pub(super) fn rely(&mut self) {
        self.relied_on = true;
    }

    /// True if the run relies on what was there before without having looked.
    pub(super) fn is_relied_on(&self) -> bool {
        self.relied_on
    }
}
