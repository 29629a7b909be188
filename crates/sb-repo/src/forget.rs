//! Forgetting snapshots: which ones by rules, and doing it.

mod rules;
mod span;

pub use rules::{Candidate, Choice, GroupBy, KeepRules, Kept, Reason, choose};
pub use span::{Span, SpanError};

use std::collections::BTreeSet;

use sb_audit::JournalHead;

use crate::backup::Held;
use crate::clock::Progress;
use crate::collect::{Leases, Tally};
use crate::error::RepoError;
use crate::ids::{RunId, SnapshotId};
use crate::name;
use crate::vault::{Change, Vault};
use crate::view::View;
use crate::wire::frame::Author;

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForgetReport {
    /// The snapshots, and the bytes of the snapshot objects themselves. What only they needed the next collection frees.
    pub forgotten: Tally,
    /// The journal entry with the removals, if there was anything to forget.
    pub journal: Option<JournalHead>,
}

impl Vault {
    /// True if [`forget`](Self::forget) finds such a snapshot: also one that can't be read, and one that is in no journal.
    pub fn can_forget(&self, id: &SnapshotId) -> bool {
        self.forgettable(name::snapshot(id).as_str()).is_some()
    }

    /// The size of what can be forgotten.
    fn forgettable(&self, name: &str) -> Option<u64> {
        let View { live, listing, .. } = &self.view;
        let there = listing.get(name).copied().filter(|_| !live.is_removed(name));
        live.get(name).map(|recorded| recorded.size).or(there)
    }

    /// Forgets these snapshots, also damaged ones. From then on nobody finds them; what only they needed stays until the next
    /// [`collect`](Self::collect).
    ///
    /// # Errors
    /// [`RepoError::NoSuchSnapshot`] if one of them is none, and then all stay; [`RepoError::RolledBack`],
    /// [`RepoError::Interrupted`], and errors of storage and state.
    pub fn forget(&mut self, snapshots: &[SnapshotId], progress: Progress<'_>) -> Result<ForgetReport, RepoError> {
        self.refresh()?;
        self.check_heads()?;
        let mut removed = Vec::new();
        for id in snapshots.iter().collect::<BTreeSet<_>>() {
            let name = name::snapshot(id).to_string();
            let size = self.forgettable(&name).ok_or_else(|| RepoError::NoSuchSnapshot { name: id.to_string() })?;
            removed.push((name, size));
        }
        if removed.is_empty() {
            return Ok(ForgetReport::default());
        }
        progress.check()?;
        self.release_reserve()?;
        let writer = self.writer()?;
        let run = RunId::random(&*self.around.random);
        let state = self.around.state.clone();
        let _alive = state.hold(run)?;
        let author = Author { key: &writer, run };
        let lease = Held::take(self, &author, None)?;
        let outcome = self.labels_of(snapshots).and_then(|labels| self.forget_under(&author, removed, labels));
        lease.end(&self.around);
        outcome
    }

    fn forget_under(
        &mut self,
        author: &Author<'_>,
        mut removed: Vec<(String, u64)>,
        labels: Vec<(String, u64)>,
    ) -> Result<ForgetReport, RepoError> {
        let mut report = ForgetReport::default();
        report.forgotten.count = removed.len() as u64;
        report.forgotten.bytes = removed.iter().map(|(_, size)| size).sum();
        removed.extend(labels);
        let names: Vec<String> = removed.iter().map(|(name, _)| name.clone()).collect();
        let list = self.condemn(author, &names)?;
        // What a run compares with it can still read; a collection takes it when that run is over.
        let bases = match Leases::read(self) {
            Ok(leases) => leases.bases(),
            Err(error) => {
                // Nothing was entered, so nothing will be deleted.
                self.lift(&list);
                return Err(error);
            }
        };
        let bases: BTreeSet<String> = bases.iter().map(|base| name::snapshot(base).to_string()).collect();
        let doomed: Vec<String> = names.into_iter().filter(|name| !bases.contains(name)).collect();
        self.carry_out(
            author,
            &list,
            Change { operation: "forget", added: Vec::new(), removed, ..Change::default() },
            &doomed,
        )?;
        report.journal = self.journal_head(author.key);
        Ok(report)
    }
}
