//! Where a restore begins.

use sb_source::Verdict;

use super::RestoreOptions;
use super::walker::Walker;
use crate::error::RepoError;
use crate::reader::Reader;
use crate::snapshots::Snapshot;
use crate::tree::{Found, Step, walk};
use crate::wire::entry::{Entry, Item};
use crate::wire::node::Reference;

/// Where a restore begins.
pub(super) struct Start {
    pub(super) path: Vec<u8>,
    found: Found,
    /// Folders in the target into which everything goes; perhaps not there yet, perhaps files.
    pub(super) goals: Vec<Vec<u8>>,
    /// The folders above, if they are restored too, and how long their paths are.
    above: Vec<(usize, Entry)>,
    pub(super) cut: usize,
    pub(super) base: usize,
    root_metadata: bool,
    /// True if everything was backed up, from the root of the file system on.
    whole: bool,
}

impl Start {
    pub(super) fn find(
        reader: &Reader<'_>,
        snapshot: &Snapshot,
        path: &[u8],
        options: &RestoreOptions,
    ) -> Result<Self, RepoError> {
        let found = reader.found(snapshot, path)?;
        let parent = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let base = if found.node().is_some() { path.len() } else { parent };
        let mut above = Vec::new();
        if options.full_paths {
            for end in (1..path.len()).filter(|end| path[*end] == b'/') {
                if let Found::Entry(entry) = reader.found(snapshot, &path[..end])? {
                    above.push((end, *entry));
                }
            }
        }
        let cut = if options.full_paths { 0 } else { base };
        let goals = match &found {
            _ if !options.full_paths => vec![b"/".to_vec()],
            Found::Root(_) => snapshot.sources().to_vec(),
            Found::Entry(_) => vec![path[..base].to_vec()],
        };
        let whole = snapshot.sources().iter().any(|source| source == b"/");
        let root_metadata = options.root_metadata && !options.full_paths;
        Ok(Self { path: path.to_vec(), found, goals, above, cut, base, root_metadata, whole })
    }

    /// What the filter says of the target's folder; above what is restored it has no say.
    pub(super) fn verdict(&self, options: &RestoreOptions) -> Verdict {
        match &self.found {
            Found::Entry(_) if options.full_paths => Verdict::Undecided,
            _ => options.filter.start(),
        }
    }

    /// True if only some entries of the folder that goes into the target were backed up.
    pub(super) fn is_ancestor(&self) -> bool {
        match &self.found {
            Found::Root(_) => !self.whole,
            Found::Entry(entry) => !matches!(entry.item, Item::Folder { ancestor: false, .. }),
        }
    }

    pub(super) fn walk(&self, reader: &Reader<'_>, walker: &mut Walker<'_>) -> Result<(), RepoError> {
        for (end, entry) in &self.above {
            walker.pass(&self.path[..*end], entry)?;
        }
        match (&self.found, self.found.node()) {
            (Found::Entry(entry), Some(node)) if walker.options.full_paths => {
                if walker.enter(&self.path, entry, walker.options.filter.start())? {
                    below(reader, walker, node, &self.path)?;
                    walker.leave(&self.path, entry)?;
                }
            }
            (found, Some(node)) => {
                below(reader, walker, node, &self.path)?;
                let level = walker.levels.way.pop().expect("the target's folder");
                walker.end_first(&self.path, level, found, self.root_metadata)?;
            }
            (Found::Entry(entry), None) => walker.only(&self.path, entry)?,
            (Found::Root(_), None) => unreachable!("the root is a folder"),
        }
        for (end, entry) in self.above.iter().rev() {
            walker.leave(&self.path[..*end], entry)?;
        }
        Ok(())
    }
}

/// Restores what is in a folder.
fn below(reader: &Reader<'_>, walker: &mut Walker<'_>, node: Reference, start: &[u8]) -> Result<(), RepoError> {
    walk(reader.tree(), node, start, &mut |path, step| match step {
        Step::Entry(entry) => walker.entry(path, entry),
        Step::Leave(entry) => walker.leave(path, entry).map(|()| true),
        Step::Unreadable(error) => walker.unreadable(path, error).map(|()| true),
    })
}
