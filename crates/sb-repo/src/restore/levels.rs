//! The folders that a walk is in.

use std::collections::HashSet;
use std::sync::Arc;

use super::window::Place;
use sb_source::{EntryPath, FolderId, Target, TargetError, TargetFolder, Timestamp, Verdict};

/// Of the folders above, those nearer than this are held open, and every so-manieth of the others.
const NEAR: usize = 48;

/// Where a folder of the walk is in the target.
pub(super) enum Spot {
    Open(Arc<TargetFolder>),
    /// Far above, to be opened again.
    Closed,
    /// To be made when something in it is restored.
    Unmade,
    /// Not there, and not made in a dry run.
    Absent,
    /// Could not be made; that has been said.
    Broken,
}

pub(super) struct Level {
    pub(super) spot: Spot,
    pub(super) name: Vec<u8>,
    /// How long its path in the snapshot is.
    pub(super) end: usize,
    /// The place that windows are given, and in which of them it may be held open.
    pub(super) place: Option<(u64, Place)>,
    pub(super) verdict: Verdict,
    pub(super) is_new: bool,
    /// True if an earlier restore has made it, and did not come to give it its metadata.
    pub(super) is_unfinished: bool,
    /// True if files in it may not be whole although their sizes and times are right.
    pub(super) careful: bool,
    /// When it was modified in the snapshot, if it is restored itself and does not only lead there.
    pub(super) modified: Option<Timestamp>,
    /// Names of marks in it.
    pub(super) marks: Vec<Vec<u8>>,
    /// What is in it in the snapshot, if the rest is to go.
    pub(super) names: Option<HashSet<Vec<u8>>>,
    /// What was found in it already under names of the snapshot.
    pub(super) claimed: HashSet<(u64, u64)>,
    pub(super) claimed_folders: HashSet<FolderId>,
    /// The file system on which something may be deleted.
    pub(super) device: Option<u64>,
}

impl Level {
    /// The folder at `path` in the snapshot.
    pub(super) fn new(path: &[u8], verdict: Verdict) -> Self {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
        Self {
            spot: Spot::Unmade,
            name,
            end: path.len(),
            place: None,
            verdict,
            is_new: false,
            is_unfinished: false,
            careful: false,
            modified: None,
            marks: Vec::new(),
            names: None,
            claimed: HashSet::new(),
            claimed_folders: HashSet::new(),
            device: None,
        }
    }

    pub(super) fn is_made(&self) -> bool {
        matches!(self.spot, Spot::Open(_) | Spot::Closed | Spot::Absent)
    }
}

/// The way down to where the walk is; the first is the target's folder.
pub(super) struct Levels<'a> {
    target: &'a Target,
    pub(super) way: Vec<Level>,
}

impl<'a> Levels<'a> {
    pub(super) fn new(target: &'a Target, first: Level) -> Self {
        Self { target, way: vec![first] }
    }

    pub(super) fn top(&mut self) -> &mut Level {
        self.way.last_mut().expect("the target's folder stays")
    }

    /// Goes into a folder, and closes one that is far above now.
    pub(super) fn push(&mut self, level: Level) {
        self.way.push(level);
        if let Some(far) = self.way.len().checked_sub(NEAR + 1)
            && !far.is_multiple_of(NEAR)
            && matches!(self.way[far].spot, Spot::Open(_))
        {
            self.way[far].spot = Spot::Closed;
            self.way[far].place = None;
        }
    }

    /// The folder of a level, opened again if need be; of one that is not there the nearest that is.
    pub(super) fn folder(&mut self, depth: usize) -> Result<Arc<TargetFolder>, TargetError> {
        let mut open = depth;
        while open > 0 && !matches!(self.way[open].spot, Spot::Open(_)) {
            open -= 1;
        }
        let near = match &self.way[open].spot {
            Spot::Open(folder) => folder.clone(),
            _ => Arc::new(self.target.folder(&EntryPath::root())?),
        };
        if !matches!(self.way[depth].spot, Spot::Closed) {
            return Ok(near);
        }
        let mut way = EntryPath::root();
        for level in &self.way[open + 1..=depth] {
            way = way.join(&level.name).map_err(|_| TargetError::Missing { path: way.clone() })?;
        }
        let folder = Arc::new(near.descend(&way)?);
        self.way[depth].spot = Spot::Open(folder.clone());
        Ok(folder)
    }

    /// The same for a window: open, or if that has enough of them, by its path. True if it is one more that is open.
    pub(super) fn place(&mut self, depth: usize, window: u64, is_full: bool) -> Result<(Place, bool), TargetError> {
        match &self.way[depth].place {
            Some((of, place)) if *of == window => return Ok((place.clone(), false)),
            _ => {}
        }
        let folder = self.folder(depth)?;
        let place = if is_full { Place::At(Arc::new(folder.path().clone())) } else { Place::Open(folder) };
        self.way[depth].place = Some((window, place.clone()));
        Ok((place, !is_full))
    }
}
