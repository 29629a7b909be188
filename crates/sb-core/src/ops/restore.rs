//! Restoring.

use std::fs;
use std::path::{Path, PathBuf};

use sb_audit::Json;
use sb_rbac::Action;
use sb_repo::{Item, Overwrite, Progress, Reader, RestoreReport, Snapshot};
use sb_source::{Filter, Target};

use crate::access::deed;
use crate::error::CoreError;
use crate::record::{Told, snapshot_id, vault_id};
use crate::session::Session;
use crate::snapshot_path::SnapshotPath;

/// How to restore.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// Restore among what is there already, and what becomes of that. Default: none; then a folder to restore into must hold
    /// nothing that could be in the way, and a restore in place brings back only what is missing, as with
    /// [`Overwrite::Never`].
    pub overwrite: Option<Overwrite>,
    /// What to restore, by patterns matched below the path that is restored. Default: everything.
    pub filter: Filter,
    /// Remove what the snapshot does not have from folders that are restored whole. Default: no.
    pub delete: bool,
    /// Write nothing, only say what would be. Default: no.
    pub dry_run: bool,
    /// Threads to work with. Default, and 0: as many as the machine has.
    pub threads: usize,
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
        &mut self,
        at: &SnapshotPath,
        to: &Path,
        options: RestoreOptions,
        progress: Progress<'_>,
    ) -> Result<RestoreReport, CoreError> {
        self.told_of(at, options.dry_run, progress, |session| session.restore_to(at, to, options, progress))
    }

    fn restore_to(
        &self,
        at: &SnapshotPath,
        to: &Path,
        options: RestoreOptions,
        progress: Progress<'_>,
    ) -> Result<RestoreReport, CoreError> {
        self.keep_out(to)?;
        if to.exists() && !to.is_dir() {
            return Err(CoreError::TargetIsFile { path: to.to_owned() });
        }
        let (reader, snapshot, path) = self.begin(at, progress)?;
        let entry = reader.entry(&snapshot, path)?;
        if options.overwrite.is_none() {
            let in_folder = entry.as_ref().is_none_or(|entry| matches!(entry.item, Item::Folder { .. }));
            check_free(to, path.rsplit(|byte| *byte == b'/').next().filter(|_| !in_folder))?;
        }
        let is_new = !to.exists();
        let absent = is_new && options.dry_run;
        let settings = self.settings(options, Overwrite::Always);
        let settings = settings.with_root_metadata(is_new).with_absent_target(absent);
        let target = Target::create(if absent { Path::new("/") } else { to })?;
        Ok(reader.restore(&snapshot, path, &target, settings, progress)?)
    }

    /// Restores a snapshot, or what is at a path in it, to where it was backed up.
    ///
    /// # Errors
    /// [`CoreError::TargetInVault`]; in [`CoreError::Repo`] no such snapshot or path, a full file system, and interruption. What
    /// else goes wrong is in the report.
    pub fn restore_in_place(
        &mut self,
        at: &SnapshotPath,
        options: RestoreOptions,
        progress: Progress<'_>,
    ) -> Result<RestoreReport, CoreError> {
        self.told_of(at, options.dry_run, progress, |session| session.put_back(at, options, progress))
    }

    fn put_back(
        &self,
        at: &SnapshotPath,
        options: RestoreOptions,
        progress: Progress<'_>,
    ) -> Result<RestoreReport, CoreError> {
        let (reader, snapshot, path) = self.begin(at, progress)?;
        if at.path.is_some() {
            self.keep_out(&system_path(path))?;
        }
        let settings = self.settings(options, Overwrite::Never).with_full_paths(true);
        let target = Target::create(Path::new("/"))?;
        Ok(reader.restore(&snapshot, path, &target, settings, progress)?)
    }

    /// Restores, and writes that to the log; of a dry run, that the snapshot was looked at.
    fn told_of(
        &mut self,
        at: &SnapshotPath,
        dry_run: bool,
        progress: Progress<'_>,
        restore: impl FnOnce(&Self) -> Result<RestoreReport, CoreError>,
    ) -> Result<RestoreReport, CoreError> {
        let found = self.found(&at.snapshot, progress);
        let object = found.map_or_else(|_| vault_id(self.id()), |snapshot| snapshot_id(snapshot.id));
        if dry_run {
            let deed = deed("Snapshot.List", Action::RehearseRestore);
            return self.look(deed, restore, |_| Some(object));
        }
        let scope = if at.path.is_some() { "part" } else { "whole" };
        self.disclose(
            deed("Snapshot.Restore", Action::RestoreDocument),
            &object,
            progress,
            |session| restore(session),
            |report| Told {
                data: vec![
                    ("bytes", Json::Integer(report.bytes)),
                    ("files", Json::Integer(report.files)),
                    ("problems", Json::Integer(report.problems.len() as u64)),
                    ("scope", Json::text(scope)),
                ],
                ..Told::default()
            },
        )
    }

    fn begin<'a>(
        &self,
        at: &'a SnapshotPath,
        progress: Progress<'_>,
    ) -> Result<(Reader<'_>, Snapshot, &'a [u8]), CoreError> {
        let snapshot = self.found(&at.snapshot, progress)?;
        Ok((self.vault.reader(progress)?, snapshot, at.path.as_deref().unwrap_or(b"/")))
    }

    fn keep_out(&self, folder: &Path) -> Result<(), CoreError> {
        if self.place.contains(folder) {
            let location = self.place.location.clone();
            return Err(CoreError::TargetInVault { folder: folder.to_owned(), location });
        }
        Ok(())
    }

    /// The options as the layer below has them. Vault and local state are never written to or removed, wherever they lie.
    fn settings(&self, options: RestoreOptions, unless_said: Overwrite) -> sb_repo::RestoreOptions {
        let vault = self.place.location.folder().map(Path::to_path_buf);
        sb_repo::RestoreOptions::default()
            .with_overwrite(options.overwrite.unwrap_or(unless_said))
            .with_filter(options.filter)
            .with_delete(options.delete)
            .with_dry_run(options.dry_run)
            .with_threads(options.threads)
            .with_spared(vault.into_iter().chain([self.place.state_root.clone()]).collect())
    }
}

#[cfg(unix)]
fn system_path(path: &[u8]) -> PathBuf {
    PathBuf::from(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path))
}

#[cfg(not(unix))]
fn system_path(path: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(path).into_owned())
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
