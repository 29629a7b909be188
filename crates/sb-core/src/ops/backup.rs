//! Backing up.

use std::path::{Path, PathBuf};

use sb_repo::{BackupReport, Progress};
use sb_source::{FileSource, SourceOptions};

use crate::error::CoreError;
use crate::session::Session;
use crate::size::Size;

/// What to back up, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackupOptions {
    /// Folders and files. Of a symbolic link the link alone is backed up, unless a slash at its end says that what it points
    /// to is meant. Default: none, which is an error.
    pub paths: Vec<PathBuf>,
    /// What to leave out. The vault itself and the state folder are never backed up. Default: nothing.
    pub source: SourceOptions,
    /// Name of the machine, as people know it. Default: empty.
    pub host: Vec<u8>,
    /// Words to find the snapshot by. Default: none.
    pub tags: Vec<String>,
    /// zstd level, 1 to 19. Default: 3.
    pub compression_level: i32,
    /// Free space in the storage without which no run begins. Default: 16 MiB, or a twentieth of the storage where that is
    /// less.
    pub free_minimum: Option<Size>,
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
            free_minimum: below.free_min.map(Size),
        }
    }
}

impl Session {
    /// Makes a snapshot, which is safe when this returns. What could not be read is in the report, and makes it partial.
    /// `progress` is warned of sources and patterns that hardly mean what they say.
    ///
    /// # Errors
    /// [`CoreError::Selection`] before anything is read; in [`CoreError::Repo`] a full or failing storage, a vault that was
    /// rolled back, and interruption. Then there is no snapshot, but what was stored serves the next run.
    pub fn backup(&mut self, options: &BackupOptions, progress: Progress<'_>) -> Result<BackupReport, CoreError> {
        let mut without = options.source.clone().skip_folder(&self.place.state_root);
        if let Some(folder) = self.place.location.folder() {
            without = without.skip_folder(folder);
        }
        let paths: Vec<PathBuf> = options.paths.iter().map(|path| followed(path)).collect();
        let source = FileSource::new(&paths, without)?;
        warn_of_misunderstandings(&paths, &source, progress);
        let mut settings = sb_repo::BackupOptions::default();
        settings.host.clone_from(&options.host);
        settings.tags.clone_from(&options.tags);
        settings.level = options.compression_level;
        settings.free_min = options.free_minimum.map(|size| size.0);
        Ok(self.vault.backup(&source, &settings, progress)?)
    }
}

/// A link with a slash at its end means what it points to; any other path means itself.
fn followed(path: &Path) -> PathBuf {
    let bare: PathBuf = path.components().collect();
    // The system follows a link before a slash, too, so it is one only without it.
    if path.is_symlink() || !bare.is_symlink() {
        return path.to_owned();
    }
    // What is not there is reported under the path where it should be.
    let target = || Some(bare.parent()?.join(bare.read_link().ok()?));
    path.canonicalize().ok().or_else(target).unwrap_or_else(|| path.to_owned())
}

fn warn_of_misunderstandings(paths: &[PathBuf], source: &FileSource, progress: Progress<'_>) {
    for path in paths.iter().filter(|path| path.is_symlink()) {
        let text = "is a symbolic link; only the link is backed up, name what it points to, or put a slash after it";
        progress.monitor.warning(&format!("`{}` {text}", path.display()));
    }
    for pattern in source.misplaced_excludes() {
        let text = "begins with the path of a source, but is matched below it, where it hardly leaves out anything";
        progress.monitor.warning(&format!("the pattern `{pattern}` {text}"));
    }
}
