//! Forgetting snapshots.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDateTime, Utc};
use sb_audit::Json;
use sb_rbac::Action;
use sb_repo::{Candidate, Choice, ForgetReport, GroupBy, KeepRules, Progress, RepoError, Snapshot, SnapshotId, choose};

use super::SnapshotsOptions;
use crate::access::deed;
use crate::error::CoreError;
use crate::record::{LIST, Told, snapshot_id, vault_id};
use crate::session::Session;

/// Of so many snapshots the log has the ids; the journal has all. With what an entry says of other logs, they fit into it.
const TOLD_MAX: usize = 350;

/// Which snapshots are meant.
#[derive(Clone, Debug)]
pub enum Selection {
    /// These, named as everywhere: the beginning of an id, `latest`, `latest~2`. Also one that is damaged, by its id.
    Named(Vec<String>),
    /// All but those that rules keep.
    ByRules(KeepRules),
}

/// What to forget.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ForgetOptions {
    /// Which snapshots.
    pub selection: Selection,
    /// Rules look at no others. Default: all.
    pub among: SnapshotsOptions,
    /// What snapshots must have in common for rules to count them together. Default: machine and paths.
    pub group_by: GroupBy,
    /// A tag to keep that no snapshot has is no mistake. Default: it is one, for a tag that is written wrong would let go what it is
    /// to keep.
    pub unused_tags: bool,
}

impl ForgetOptions {
    /// These snapshots.
    pub fn new(selection: Selection) -> Self {
        Self { selection, among: SnapshotsOptions::default(), group_by: GroupBy::default(), unused_tags: false }
    }
}

/// What is to be forgotten, before it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ForgetPlan {
    /// What is to be forgotten; to be given to [`Session::forget`].
    pub remove: Vec<SnapshotId>,
    /// By rules: what becomes of each group, and why.
    pub groups: Vec<Choice>,
    /// All snapshots that can be read, by which to describe what is in the plan.
    pub snapshots: Vec<Snapshot>,
}

impl Session {
    /// Finds out what is to be forgotten. `now` is what the rules take for now, and `local` says what the calendar and the clock
    /// show at a time. `progress` is warned of snapshots that can't be read, which rules leave alone.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] names that mean no snapshot or several, rules that keep nothing, rules that keep tags which no
    /// snapshot of the vault has, and rules that go by tags where a label can't be read.
    pub fn plan_forgetting(
        &self,
        options: &ForgetOptions,
        now: DateTime<Utc>,
        local: &dyn Fn(DateTime<Utc>) -> NaiveDateTime,
        progress: Progress<'_>,
    ) -> Result<ForgetPlan, CoreError> {
        let plan = |session: &Self| session.plan(options, now, local, progress);
        self.look(LIST, plan, |_| None)
    }

    fn plan(
        &self,
        options: &ForgetOptions,
        now: DateTime<Utc>,
        local: &dyn Fn(DateTime<Utc>) -> NaiveDateTime,
        progress: Progress<'_>,
    ) -> Result<ForgetPlan, CoreError> {
        let all = self.vault.snapshots()?;
        let (remove, groups) = match &options.selection {
            Selection::Named(names) => {
                let damaged: Vec<&str> = all.flawed.iter().map(|(name, _)| name.as_str()).collect();
                let found = names.iter().map(|name| self.named(name, &damaged, progress));
                let mut found = found.collect::<Result<Vec<_>, _>>()?;
                let mut seen = BTreeSet::new();
                found.retain(|id| seen.insert(*id));
                (found, Vec::new())
            }
            Selection::ByRules(rules) => {
                for (object, flaw) in &all.flawed {
                    let text = "is left alone, for it cannot be read";
                    progress.monitor.warning(&format!("`{object}` {text}: {flaw}"));
                }
                let by_tag = options.among.tag.is_some() || options.group_by.tags || !rules.tags.is_empty();
                if let (true, Some((name, flaw))) = (by_tag, all.flawed_labels.first()) {
                    // Some snapshot has other tags than it seems to.
                    return Err(RepoError::Undecided { name: name.clone(), flaw: flaw.clone() }.into());
                }
                let unused = rules.unused_tags(all.snapshots.iter().map(Snapshot::tags));
                if let Some(tags) = unused.filter(|_| !options.unused_tags && !all.snapshots.is_empty()) {
                    return Err(RepoError::UnusedTags { tags: tags.join(",") }.into());
                }
                let among = all.snapshots.iter().filter(|snapshot| options.among.wants(snapshot));
                let among: Vec<Candidate> = among.map(Candidate::from).collect();
                let groups = choose(&among, rules, options.group_by, now, local)?;
                (groups.iter().flat_map(|group| group.remove.iter().copied()).collect(), groups)
            }
        };
        Ok(ForgetPlan { remove, groups, snapshots: all.snapshots })
    }

    /// The snapshot that a name means; one that can't be read goes by its id.
    fn named(&self, name: &str, damaged: &[&str], progress: Progress<'_>) -> Result<SnapshotId, CoreError> {
        match self.found(name, progress) {
            Err(CoreError::Repo(RepoError::NoSuchSnapshot { name })) => {
                let ids = damaged.iter().filter_map(|object| object.strip_prefix("snapshots/"));
                let mut fitting = ids.filter(|id| !name.is_empty() && id.starts_with(&name)).map(SnapshotId::from_hex);
                match (fitting.next().flatten(), fitting.next()) {
                    (Some(id), None) => Ok(id),
                    (Some(_), Some(_)) => Err(RepoError::AmbiguousSnapshot { name }.into()),
                    // One that is in no journal and can't be read goes by its whole id.
                    (None, _) => match SnapshotId::from_hex(&name).filter(|id| self.vault.can_forget(id)) {
                        Some(id) => Ok(id),
                        None => Err(RepoError::NoSuchSnapshot { name }.into()),
                    },
                }
            }
            found => Ok(found?.id),
        }
    }

    /// Forgets these snapshots. What only they needed, the next [`collect`](Self::collect) frees.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] an id that is no snapshot's, and then all stay; interruption, and failures of storage and state.
    pub fn forget(&mut self, snapshots: &[SnapshotId], progress: Progress<'_>) -> Result<ForgetReport, CoreError> {
        let object = match snapshots {
            [one] => snapshot_id(*one),
            _ => vault_id(self.id()),
        };
        let ids = snapshots.iter().take(TOLD_MAX).map(|id| Json::text(id.to_string())).collect();
        let forget = |session: &mut Self| Ok(session.vault.forget(snapshots, progress)?);
        self.change(
            deed("Snapshot.Forget", Action::ForgetSnapshot),
            &object,
            progress,
            forget,
            |report: &ForgetReport| Told {
                data: vec![("count", Json::Integer(snapshots.len() as u64)), ("snapshots", Json::List(ids))],
                journal: report.journal,
                ..Told::default()
            },
        )
    }
}
