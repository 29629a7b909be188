//! What the walk hands on: so much of the tree as is restored together.

use std::collections::HashSet;
use std::sync::Arc;

use sb_source::{EntryPath, IfTaken, Target, TargetError, TargetFolder};

use super::RestoreProblem;
use super::copies::Copy;
use super::plan::{Needs, Piece};
use crate::wire::entry::Entry;

/// A folder of the target, held open or, lest there be too many, found again by its path.
#[derive(Clone)]
pub(super) enum Place {
    Open(Arc<TargetFolder>),
    At(Arc<EntryPath>),
}

impl Place {
    pub(super) fn open(&self, target: &Target) -> Result<Arc<TargetFolder>, TargetError> {
        match self {
            Self::Open(folder) => Ok(folder.clone()),
            Self::At(path) => target.folder(path).map(Arc::new),
        }
    }
}

/// An entry that is no folder, and where it goes.
pub(super) struct Task {
    /// Its path in the snapshot.
    pub(super) path: Vec<u8>,
    pub(super) folder: Place,
    pub(super) entry: Entry,
    pub(super) if_taken: IfTaken,
    /// The content, if it is a file that can be planned.
    pub(super) pieces: Vec<Piece>,
    /// Those of them that a file restored before has.
    pub(super) copies: Vec<(Piece, Copy)>,
}

impl Task {
    /// Where a piece is in the target.
    pub(super) fn copy(&self, piece: Piece) -> Option<&Copy> {
        self.copies.iter().find(|(known, _)| *known == piece).map(|(_, copy)| copy)
    }
}

/// The end of a folder.
pub(super) struct Leave {
    pub(super) path: Vec<u8>,
    pub(super) folder: Place,
    pub(super) entry: Entry,
}

pub(super) enum Step {
    /// A file whose content is in the window's segments.
    File(Task),
    /// A file too large for a window, or one that can't be planned.
    Large(Task),
    /// A link, device or the like.
    Other(Task),
    /// Perhaps another name of something restored before.
    Link(Task),
    /// There already; its metadata are set if need be.
    Same(Task, bool),
    /// What a folder does not hold in the snapshot goes.
    Prune(Place, HashSet<Vec<u8>>),
    /// A folder gets its metadata.
    Leave(Leave),
    Problem(RestoreProblem),
}

/// Steps in the order of the walk, and the segments that their files need.
#[derive(Default)]
pub(super) struct Window {
    pub(super) steps: Vec<Step>,
    pub(super) needs: Needs,
    /// Bytes of their content.
    pub(super) bytes: u64,
    /// Folders that it holds open, at most.
    pub(super) handles: usize,
}
