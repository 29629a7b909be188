//! Searching snapshots by name.

use std::io;

use sb_rbac::Action;
use sb_repo::{Entry, FindReport, Progress, Query, RepoError, Snapshot};

use crate::access::deed;
use crate::error::CoreError;
use crate::ops::snapshots::SnapshotsOptions;
use crate::session::Session;

/// What to search for, and where.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FindOptions {
    /// What.
    pub query: Query,
    /// In one snapshot: the beginning of its id, `latest`, or `latest~N`. Default: in all that `among` chooses.
    pub snapshot: Option<String>,
    /// In which snapshots, if not in one.
    pub among: SnapshotsOptions,
}

/// Is told of a match: the snapshot, the absolute path and the entry.
pub type EachFound<'a> = dyn FnMut(&Snapshot, &[u8], &Entry) -> io::Result<()> + 'a;

impl Session {
    /// Searches snapshots, the newest first, and calls `each` with every match in path order. Needs no index. Damage is told
    /// to `progress` and counted, and the rest is searched.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] no such snapshot, interruption, and what `each` returns as [`RepoError::Output`].
    pub fn find_entries(
        &self,
        options: &FindOptions,
        progress: Progress<'_>,
        each: &mut EachFound<'_>,
    ) -> Result<FindReport, CoreError> {
        let search = |session: &Self| session.search(options, progress, each);
        self.look(deed("Snapshot.Search", Action::FindEntries), search, |_| None)
    }

    fn search(
        &self,
        options: &FindOptions,
        progress: Progress<'_>,
        each: &mut EachFound<'_>,
    ) -> Result<FindReport, CoreError> {
        let snapshots = match &options.snapshot {
            Some(name) => vec![self.found(name, progress)?],
            None => {
                let all = self.chosen(&options.among)?;
                self.warn_of_flaws(&all, progress);
                all.snapshots
            }
        };
        let reader = self.vault.reader(progress)?;
        Ok(reader.find(snapshots.iter().rev(), &options.query, progress, &mut |snapshot, path, entry| {
            each(snapshot, path, entry).map_err(RepoError::Output)
        })?)
    }
}
