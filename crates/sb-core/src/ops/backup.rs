//! Backing up.

use std::path::PathBuf;

use sb_repo::{BackupReport, Progress};
use sb_source::{FileSource, SourceOptions};

use crate::error::CoreError;
use crate::session::Session;
use crate::size::Size;

/// What to back up, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackupOptions {
    /// Folders and files. Default: none, which is an error.
    pub paths: Vec<PathBuf>,
    /// What to leave out. The vault itself and the state folder are never backed up. Default: nothing.
    pub source: SourceOptions,
    /// Name of the machine, as people know it. Default: empty.
    pub host: Vec<u8>,
    /// Words to find the snapshot by. Default: none.
    pub tags: Vec<String>,
    /// zstd level, 1 to 19. Default: 3.
    pub compression_level: i32,
    /// Free space in the storage without which no run begins. Default: 16 MiB.
    pub free_minimum: Size,
}

impl Default for BackupOptions {
    fn default() -> Self {
        let below = sb_repo::BackupOptions::default();
        Self {
            paths: Vec::new(),
            source: SourceOptions::default(),
            host: below.host,
            tags: below.tags,
            compression_level: below.level,
            free_minimum: Size(below.free_min),
        }
    }
}

impl Session {
    /// Makes a snapshot, which is safe when this returns. What could not be read is in the report, and makes it partial.
    ///
    /// # Errors
    /// [`CoreError::Selection`] before anything is read; in [`CoreError::Repo`] a full or failing storage, a vault that was
    /// rolled back, and interruption. Then there is no snapshot, but what was stored serves the next run.
    pub fn backup(&mut self, options: &BackupOptions, progress: Progress<'_>) -> Result<BackupReport, CoreError> {
        let mut without = options.source.clone().skip_folder(&self.place.state_root);
        if let Some(folder) = self.place.location.folder() {
            without = without.skip_folder(folder);
        }
        let source = FileSource::new(&options.paths, without)?;
        let mut settings = sb_repo::BackupOptions::default();
        settings.host.clone_from(&options.host);
        settings.tags.clone_from(&options.tags);
        settings.level = options.compression_level;
        settings.free_min = options.free_minimum.0;
        Ok(self.vault.backup(&source, &settings, progress)?)
    }
}
