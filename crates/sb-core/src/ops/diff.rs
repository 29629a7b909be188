//! Comparing two snapshots.

use std::io;

use sb_rbac::Action;
use sb_repo::{DiffReport, Difference, Progress, RepoError, Snapshot};

use crate::access::deed;
use crate::error::CoreError;
use crate::record::snapshot_id;
use crate::session::Session;

/// What to compare, and how.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DiffOptions {
    /// Only what is at this path, and below it. Absolute, raw bytes. Default: everything.
    pub path: Option<Vec<u8>>,
    /// Tell of what differs in metadata alone, too. Default: no.
    pub metadata: bool,
}

/// Two snapshots compared.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DiffSummary {
    /// The first.
    pub before: Snapshot,
    /// The second.
    pub after: Snapshot,
    /// All differences in numbers.
    pub report: DiffReport,
}

impl Session {
    /// Compares two snapshots and calls `each` with every difference in path order.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] no such snapshot or path, damage, interruption, and what `each` returns as
    /// [`RepoError::Output`].
    pub fn diff(
        &self,
        before: &str,
        after: &str,
        options: &DiffOptions,
        progress: Progress<'_>,
        each: &mut dyn FnMut(Difference<'_>) -> io::Result<()>,
    ) -> Result<DiffSummary, CoreError> {
        let compare = |session: &Self| session.compare((before, after), options, progress, each);
        let deed = deed("Snapshot.Compare", Action::CompareSnapshots);
        self.look(deed, compare, |summary| Some(snapshot_id(summary.after.id)))
    }

    fn compare(
        &self,
        (before, after): (&str, &str),
        options: &DiffOptions,
        progress: Progress<'_>,
        each: &mut dyn FnMut(Difference<'_>) -> io::Result<()>,
    ) -> Result<DiffSummary, CoreError> {
        let (before, after) = (self.found(before, progress)?, self.found(after, progress)?);
        let reader = self.vault.reader(progress)?;
        let mut settings = sb_repo::DiffOptions::default();
        settings.metadata = options.metadata;
        let path = options.path.as_deref().unwrap_or(b"/");
        let report = reader.diff(&before, &after, path, settings, progress, &mut |difference| {
            each(difference).map_err(RepoError::Output)
        })?;
        Ok(DiffSummary { before, after, report })
    }
}
