//! Rotating keys, and when that is due.

use chrono::{DateTime, TimeDelta, Utc};
use sb_audit::Json;
use sb_rbac::Action;
use sb_repo::{KeyEpoch, Progress, RotateOptions, RotateReport, View};

use crate::access::deed;
use crate::error::CoreError;
use crate::record::{Told, vault_id};
use crate::session::Session;
use crate::vault::Vault;

/// Clocks of two machines may differ by so much.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::days(1);

/// How old the keys are that new objects are sealed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyAge {
    /// Which, and when they came into use.
    pub epoch: KeyEpoch,
    /// When they are to be rotated.
    pub due: DateTime<Utc>,
    /// True if that is over, or they are dated to the future.
    pub is_overdue: bool,
    /// True if a rotation was begun and has not ended.
    pub is_rotating: bool,
}

impl Vault {
    pub(crate) fn key_age(&self, view: &View) -> KeyAge {
        let epoch = view.key_epoch();
        let due = self.rotate_after.after(epoch.began);
        let now = self.clock.now();
        // Nobody knows since when keys are used that a clock of the future has dated.
        let is_overdue = due <= now || epoch.began > now + CLOCKS_DIFFER;
        KeyAge { epoch, due, is_overdue, is_rotating: view.is_rotating() }
    }
}

impl Session {
    /// How old the keys are, and when they are to be rotated. The vault's config says it to anybody.
    pub fn key_age(&self) -> KeyAge {
        self.place.key_age(self.vault.view())
    }

    /// Opens a new epoch of keys and seals all tables of pack keys to it, or goes on with a rotation that did not end; if that is due
    /// again, or `begin` says so, it begins the next all the same. See [`sb_repo::Vault::rotate`].
    ///
    /// # Errors
    /// [`CoreError::Denied`]; in [`CoreError::Repo`] keys that the user does not have, a collection or another rotation that goes on,
    /// journals that are damaged, users that were changed at the same time, a vault that was rolled back, interruption, and failures of
    /// storage and state.
    pub fn rotate_keys(&mut self, begin: bool, progress: Progress<'_>) -> Result<RotateReport, CoreError> {
        self.renew()?;
        let before = self.key_age();
        let mut options = RotateOptions::default();
        options.begin = begin || before.is_overdue;
        let vault = vault_id(self.id());
        let rotate = |session: &mut Self| Ok(session.vault.rotate(&options, progress)?);
        let report =
            self.change(deed("Key.Rotate", Action::RotateKeys), &vault, progress, rotate, |report: &RotateReport| {
                let number = |key, number| (key, Json::Integer(number));
                let numbers = [
                    number("epoch_before", before.epoch.number),
                    number("epoch", report.epoch.number),
                    number("users", report.granted),
                    number("tables", report.tables),
                    number("tables_stuck", report.stuck_count),
                    number("runs_from_before", report.running),
                    number("epochs_closed", report.closed),
                ];
                let finished = ("finished", Json::Bool(report.is_finished));
                let data = numbers.into_iter().chain([finished]).collect();
                Told { data, journal: report.journal, ..Told::default() }
            })?;
        self.look_anew()?;
        Ok(report)
    }
}
