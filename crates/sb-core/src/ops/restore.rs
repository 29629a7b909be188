//! Restoring.

use std::fs;
use std::path::Path;

use sb_repo::{Item, Progress, RestoreReport};
use sb_source::Target;

use crate::error::CoreError;
use crate::session::Session;
use crate::snapshot_path::SnapshotPath;

/// How to restore.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// Restore among what is there already, replacing files of the same names. Default: no.
    pub overwrite: bool,
}

impl Session {
    /// Restores a snapshot, or what is at a path in it, into a folder, which is made if need be: what is in a folder goes
    /// right into it, anything else under its own name, and a whole snapshot under its absolute paths. A folder that is made
    /// here gets the metadata of the folder restored.
    ///
    /// # Errors
    /// [`CoreError::TargetNotEmpty`] or [`CoreError::TargetExists`] unless `overwrite` is set, [`CoreError::TargetIsFile`],
    /// [`CoreError::TargetInVault`]; in [`CoreError::Repo`] no such snapshot or path, a target that is full or can't be used, and interruption. What else goes wrong is in the report.
    pub fn restore(
        &self,
        at: &SnapshotPath,
        to: &Path,
        options: RestoreOptions,
        progress: Progress<'_>,
    ) -> Result<RestoreReport, CoreError> {
        if self.place.contains(to) {
            let location = self.place.location.clone();
            return Err(CoreError::TargetInVault { folder: to.to_owned(), location });
        }
        if to.exists() && !to.is_dir() {
            return Err(CoreError::TargetIsFile { path: to.to_owned() });
        }
        let snapshot = self.find(&at.snapshot, progress)?;
        let path = at.path.as_deref().unwrap_or(b"/");
        let reader = self.vault.reader(progress)?;
        let entry = reader.entry(&snapshot, path)?;
        if !options.overwrite {
            let in_folder = entry.as_ref().is_none_or(|entry| matches!(entry.item, Item::Folder { .. }));
            check_free(to, path.rsplit(|byte| *byte == b'/').next().filter(|_| !in_folder))?;
        }
        let settings = sb_repo::RestoreOptions::default().with_root_metadata(!to.exists());
        let target = Target::create(to)?;
        Ok(reader.restore(&snapshot, path, &target, settings, progress)?)
    }
}

/// Fails if the folder holds anything, or if it holds the one name that matters.
fn check_free(folder: &Path, name: Option<&[u8]>) -> Result<(), CoreError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        match name {
            Some(name) if entry.file_name().as_encoded_bytes() != name => {}
            Some(_) => return Err(CoreError::TargetExists { path: entry.path() }),
            None => return Err(CoreError::TargetNotEmpty { folder: folder.to_owned() }),
        }
    }
    Ok(())
}
