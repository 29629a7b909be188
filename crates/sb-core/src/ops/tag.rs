//! Giving tags to snapshots that are made already.

use sb_audit::Json;
use sb_rbac::Action;
use sb_repo::{Progress, Snapshot, SnapshotId};

use crate::access::{Deed, deed};
use crate::error::CoreError;
use crate::ops::snapshots::SnapshotsOptions;
use crate::record::{Told, snapshot_id, vault_id};
use crate::session::Session;

/// Which snapshots get which tags: first those set, then those added, less those removed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TagOptions {
    /// These snapshots, each by the beginning of its id or as `latest` or `latest~N`. Default: all that `among` chooses.
    pub snapshots: Vec<String>,
    /// Which snapshots, if none is named.
    pub among: SnapshotsOptions,
    /// In place of all tags it has; empty ones do not count.
    pub set: Option<Vec<String>>,
    /// Besides those it has.
    pub add: Vec<String>,
    /// No more.
    pub remove: Vec<String>,
    /// Change nothing, but tell what would be changed.
    pub dry_run: bool,
}

/// What was changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TagReport {
    /// Snapshots that have other tags now, oldest first.
    pub changed: Vec<Tagged>,
    /// Snapshots whose tags are as they should be already.
    pub unchanged: u64,
}

/// A snapshot with other tags than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// Which.
    pub snapshot: SnapshotId,
    /// Before.
    pub before: Vec<String>,
    /// Now.
    pub after: Vec<String>,
}

const TAG: Deed = deed("Snapshot.Tag", Action::TagSnapshot);

impl Session {
    /// Changes tags. It is durable when this returns; all snapshots change together or none does.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] no such snapshot, a vault that was rolled back, and failures of storage and state.
    pub fn tag(&mut self, options: &TagOptions, progress: Progress<'_>) -> Result<TagReport, CoreError> {
        let snapshots = match self.meant(options, progress) {
            Ok(snapshots) => snapshots,
            Err(error) => return self.failed(TAG, error),
        };
        let tagged = snapshots.iter().map(|snapshot| options.tagged(snapshot));
        let (changed, same): (Vec<_>, Vec<_>) = tagged.partition(|tagged| tagged.before != tagged.after);
        if !changed.is_empty() && !options.dry_run {
            let tags = changed.iter().map(|tagged| (tagged.snapshot, tagged.after.clone())).collect();
            let object = match changed.as_slice() {
                [one] => snapshot_id(one.snapshot),
                _ => vault_id(self.id()),
            };
            let tag = |session: &mut Self| Ok(session.vault.set_tags(tags)?);
            self.change(TAG, &object, progress, tag, |()| Told {
                data: vec![("count", Json::Integer(changed.len() as u64))],
                ..Told::default()
            })?;
        }
        Ok(TagReport { changed, unchanged: same.len() as u64 })
    }

    /// The snapshots that are to be tagged, oldest first.
    fn meant(&self, options: &TagOptions, progress: Progress<'_>) -> Result<Vec<Snapshot>, CoreError> {
        let mut snapshots = if options.snapshots.is_empty() {
            let all = self.chosen(&options.among)?;
            self.warn_of_flaws(&all, progress);
            all.snapshots
        } else {
            options.snapshots.iter().map(|name| self.found(name, progress)).collect::<Result<Vec<_>, _>>()?
        };
        snapshots.sort_by_key(|snapshot| (snapshot.started(), snapshot.id));
        snapshots.dedup_by_key(|snapshot| snapshot.id);
        Ok(snapshots)
    }
}

impl TagOptions {
    fn tagged(&self, snapshot: &Snapshot) -> Tagged {
        let before = snapshot.tags().to_vec();
        let mut after: Vec<String> = Vec::new();
        for tag in self.set.as_ref().unwrap_or(&before).iter().chain(&self.add) {
            if !tag.is_empty() && !self.remove.contains(tag) && !after.contains(tag) {
                after.push(tag.clone());
            }
        }
        Tagged { snapshot: snapshot.id, before, after }
    }
}
