//! How much is protected, and how much that takes.

use chrono::{DateTime, Utc};
use sb_rbac::Action;
use sb_repo::{ContentStats, Progress, Snapshot, StoredStats};

use crate::access::deed;
use crate::error::CoreError;
use crate::ops::snapshots::SnapshotsOptions;
use crate::session::Session;

/// What to measure.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StatsOptions {
    /// Only these snapshots, each by the beginning of its id or as `latest` or `latest~N`. Default: all that `among` chooses.
    pub snapshots: Vec<String>,
    /// Which snapshots, if none is named.
    pub among: SnapshotsOptions,
    /// Go through their trees and measure what is different in them. Default: no.
    pub contents: bool,
}

/// What was measured.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StatsReport {
    /// How many snapshots were chosen.
    pub snapshots: u64,
    /// When the oldest and the newest of them were begun.
    pub span: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Files in them, counting each in every snapshot.
    pub files: u64,
    /// Bytes of these files: what restoring every snapshot would write.
    pub bytes: u64,
    /// What the packs of the whole vault hold.
    pub stored: StoredStats,
    /// Bytes of all objects that the journals record, but for the reserve.
    pub vault_bytes: u64,
    /// Bytes that hold space free, so that something can be deleted when the disk is full.
    pub reserve_bytes: u64,
    /// What is different in the snapshots, if that was asked for.
    pub contents: Option<ContentStats>,
}

impl Session {
    /// Measures the vault and these snapshots.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] no such snapshot, damage, and interruption.
    pub fn stats(&self, options: &StatsOptions, progress: Progress<'_>) -> Result<StatsReport, CoreError> {
        let measure = |session: &Self| session.measure(options, progress);
        self.look(deed("Vault.Measure", Action::MeasureVault), measure, |_| None)
    }

    fn measure(&self, options: &StatsOptions, progress: Progress<'_>) -> Result<StatsReport, CoreError> {
        let mut snapshots = if options.snapshots.is_empty() {
            let all = self.chosen(&options.among)?;
            self.warn_of_flaws(&all, progress);
            all.snapshots
        } else {
            options.snapshots.iter().map(|name| self.found(name, progress)).collect::<Result<Vec<_>, _>>()?
        };
        snapshots.sort_by_key(|snapshot| (snapshot.started(), snapshot.id));
        snapshots.dedup_by_key(|snapshot| snapshot.id);
        let reader = self.vault.reader(progress)?;
        let contents = options.contents.then(|| reader.contents(&snapshots, progress)).transpose()?;
        let usage = self.vault.view().usage();
        let reserve = usage.get("reserve").map_or(0, |(_, bytes)| *bytes);
        let total = |count: fn(&Snapshot) -> u64| snapshots.iter().map(count).sum();
        Ok(StatsReport {
            snapshots: snapshots.len() as u64,
            span: snapshots.first().zip(snapshots.last()).map(|(first, last)| (first.started(), last.started())),
            files: total(|snapshot| snapshot.counts().files),
            bytes: total(|snapshot| snapshot.counts().bytes),
            stored: reader.stored()?,
            vault_bytes: usage.values().map(|(_, bytes)| bytes).sum::<u64>() - reserve,
            reserve_bytes: reserve,
            contents,
        })
    }
}
