//! Listing what is in a snapshot.

use std::io;

use sb_rbac::Action;
use sb_repo::{Entry, Item, Progress, RepoError, SnapshotId};

use crate::access::deed;
use crate::error::CoreError;
use crate::record::snapshot_id;
use crate::session::Session;
use crate::snapshot_path::SnapshotPath;

/// How to list.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct LsOptions {
    /// What is in folders too. Default: no.
    pub recursive: bool,
}

/// What was listed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LsReport {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// Entries of all kinds.
    pub entries: u64,
    /// Files among them.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

impl Session {
    /// Calls `each` with absolute paths and entries, in order: of a folder with what is in it, of anything else with itself.
    /// Without a path, with what is in each of the snapshot's sources.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] no such snapshot or path, damage, interruption, and what `each` returns as
    /// [`RepoError::Output`].
    pub fn ls(
        &self,
        at: &SnapshotPath,
        options: LsOptions,
        progress: Progress<'_>,
        each: &mut dyn FnMut(&[u8], &Entry) -> io::Result<()>,
    ) -> Result<LsReport, CoreError> {
        let list = |session: &Self| session.list(at, options, progress, each);
        self.look(deed("Snapshot.List", Action::ListSnapshot), list, |report| Some(snapshot_id(report.snapshot)))
    }

    fn list(
        &self,
        at: &SnapshotPath,
        options: LsOptions,
        progress: Progress<'_>,
        each: &mut dyn FnMut(&[u8], &Entry) -> io::Result<()>,
    ) -> Result<LsReport, CoreError> {
        let snapshot = self.found(&at.snapshot, progress)?;
        let reader = self.vault.reader(progress)?;
        let starts = at.path.as_ref().map_or(snapshot.sources(), std::slice::from_ref);
        let mut report = LsReport { snapshot: snapshot.id, entries: 0, files: 0, bytes: 0 };
        let mut list = |start: &[u8]| {
            reader.list(&snapshot, start, options.recursive, &mut |path, entry| {
                if progress.stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return Err(RepoError::Interrupted);
                }
                report.entries += 1;
                if let Item::File(file) = &entry.item {
                    report.files += 1;
                    report.bytes += file.size;
                }
                each(path, entry).map_err(RepoError::Output)
            })
        };
        for start in starts {
            match list(start) {
                // Of several sources, one may have been gone when the snapshot was made.
                Err(RepoError::NoSuchPath { .. }) if at.path.is_none() => {}
                listed => listed?,
            }
        }
        Ok(report)
    }
}
