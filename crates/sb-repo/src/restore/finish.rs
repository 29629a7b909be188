//! What is left to do in folders when all that belongs there has come.

use std::collections::{BTreeMap, HashSet};

use sb_source::{EntryPath, Prune, Verdict};

use super::RestoreProblem;
use super::crew::in_batches;
use super::executor::{Executor, not_written};
use super::window::{Leave, Place};
use crate::clock::Deed;
use crate::error::RepoError;

impl Executor<'_> {
    /// Folders get their metadata when everything in them is there.
    pub(super) fn leave(&mut self, leaves: &[Leave]) -> Result<(), RepoError> {
        for leaves in in_turn(leaves) {
            let this = &*self;
            let done = in_batches(self.threads, &leaves, &|leave: &&Leave| -> Result<_, RepoError> {
                let mut problems = Vec::new();
                let mut metadata = this.metadata(&leave.path, &leave.entry, &mut problems)?;
                let are_lost = !problems.is_empty();
                match leave.folder.open(this.target) {
                    Ok(folder) => {
                        if are_lost {
                            metadata.xattrs = folder.xattrs(b".");
                        }
                        problems.extend(folder.set_own_metadata(&metadata).into_iter().map(RestoreProblem::Metadata));
                    }
                    Err(error) => problems.push(not_written(error)?),
                }
                Ok(problems)
            });
            for problems in done {
                self.report.problems.extend(problems?);
            }
        }
        Ok(())
    }

    /// Removes from a folder what is not under one of the names.
    pub(super) fn prune(&mut self, folder: &Place, names: &HashSet<Vec<u8>>) -> Result<(), RepoError> {
        let folder = match folder.open(self.target) {
            Ok(folder) => folder,
            Err(error) => {
                self.report.problems.push(not_written(error)?);
                return Ok(());
            }
        };
        let above = self.base - self.cut;
        // Whatever is asked about lies in a folder that the filter wants.
        let stays = |path: &EntryPath, is_folder: bool| {
            let below = path.as_bytes().get(above + 1..).unwrap_or_default();
            self.options.filter.verdict(below, is_folder, Verdict::In) != Verdict::In
        };
        let (mut deleted, mut failed) = (0, Vec::new());
        let monitor = self.progress.monitor;
        folder.prune(
            names,
            &mut Prune {
                stays: &stays,
                spared: &self.spared,
                dry_run: self.options.dry_run,
                removed: &mut |path, _| {
                    deleted += 1;
                    monitor.restored(Deed::Deleted, path.as_bytes());
                },
                failed: &mut |error| failed.push(error),
            },
        );
        self.report.deleted += deleted;
        for error in failed {
            self.report.problems.push(not_written(error)?);
        }
        Ok(())
    }
}

/// Ends of folders, in groups that may be dealt with in any order. One that has to be opened by its path comes before those on the
/// way to it, which may not let us through once they have their permissions.
fn in_turn(leaves: &[Leave]) -> Vec<Vec<&Leave>> {
    if leaves.iter().all(|leave| matches!(leave.folder, Place::Open(_))) {
        return vec![leaves.iter().collect()];
    }
    let mut depths: BTreeMap<usize, Vec<&Leave>> = BTreeMap::new();
    for leave in leaves {
        depths.entry(leave.path.iter().filter(|byte| **byte == b'/').count()).or_default().push(leave);
    }
    depths.into_values().rev().collect()
}
