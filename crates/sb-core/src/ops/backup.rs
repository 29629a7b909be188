//! Backing up.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use sb_audit::Json;
use sb_rbac::{Action, Resource};
use sb_repo::{BackupReport, Progress, SnapshotId, SnapshotType};
use sb_source::{FileSource, Source, SourceOptions};

use crate::access::{Deed, deed};
use crate::error::CoreError;
use crate::record::{Told, snapshot_id, vault_id};
use crate::session::Session;
use crate::size::Size;

/// How hard a backup compresses. Figures: docs/decisions/0014-segments.md.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// zstd level 1: some 3 % larger, two thirds of the time.
    Fast,
    /// zstd level 3.
    #[default]
    Default,
    /// zstd level 12: a little smaller, several times the time.
    Dense,
}

impl Compression {
    /// As a zstd level.
    pub fn level(self) -> i32 {
        match self {
            Self::Fast => 1,
            Self::Default => 3,
            Self::Dense => 12,
        }
    }
}

/// What to back up, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackupOptions {
    /// Folders and files. Of a symbolic link the link alone is backed up, unless a slash at its end says that what it points
    /// to is meant. Default: none, which is an error.
    pub paths: Vec<PathBuf>,
    /// What to leave out. The vault itself and the state folder are never backed up, nor is what restores at work or cut short
    /// have among the files (see [`SourceOptions`]). Default: nothing else.
    pub source: SourceOptions,
    /// Name of the machine, as people know it. Default: empty.
    pub host: Vec<u8>,
    /// Words to find the snapshot by. Default: none.
    pub tags: Vec<String>,
    /// What is read: what changed since the newest run, since the newest full one, or everything. Default: the first.
    pub kind: SnapshotType,
    /// Takes files for unchanged whose time of last change alone is another. Default: no.
    pub ignore_ctime: bool,
    /// Takes files for unchanged whose inode number alone is another. Default: no.
    pub ignore_inode: bool,
    /// The snapshot to compare with: the beginning of its id, `latest` or `latest~N`. If this machine no longer knows what it saw in
    /// that run, all is read. Default: what the kind says.
    pub parent: Option<String>,
    /// Goes through all of it, keeps nothing, and tells what would have been. Only on a [rehearsing](crate::Vault::rehearsing) vault
    /// does opening it write nothing either. Default: no.
    pub dry_run: bool,
    /// What the snapshot is to be dated. Default: now.
    pub time: Option<DateTime<Utc>>,
    /// zstd level, 1 to 19. Default: 3.
    pub compression_level: i32,
    /// How many threads work. Default: 0, one for each core.
    pub threads: usize,
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
            kind: below.kind,
            ignore_ctime: below.ignore_ctime,
            ignore_inode: below.ignore_inode,
            parent: None,
            dry_run: below.dry_run,
            time: below.time,
            compression_level: below.level,
            threads: below.threads,
            free_minimum: below.free_min.map(Size),
        }
    }
}

const CREATE: Deed = deed("Snapshot.Create", Action::CreateSnapshot);

impl BackupOptions {
    fn settings(&self) -> sb_repo::BackupOptions {
        let mut settings = sb_repo::BackupOptions::default();
        settings.host.clone_from(&self.host);
        settings.tags.clone_from(&self.tags);
        settings.kind = self.kind;
        settings.ignore_ctime = self.ignore_ctime;
        settings.ignore_inode = self.ignore_inode;
        settings.dry_run = self.dry_run;
        settings.time = self.time;
        settings.level = self.compression_level;
        settings.threads = self.threads;
        settings.free_min = self.free_minimum.map(|size| size.0);
        settings
    }
}

impl Session {
    /// Makes a snapshot, which is safe when this returns. What could not be read is in the report, and makes it partial.
    /// `progress` is warned of sources and patterns that hardly mean what they say.
    ///
    /// # Errors
    /// [`CoreError::Selection`] before anything is read; in [`CoreError::Repo`] a full or failing storage, a vault that was
    /// rolled back, no such parent, and interruption. Then there is no snapshot, but what was stored serves the next run.
    pub fn backup(&mut self, options: &BackupOptions, progress: Progress<'_>) -> Result<BackupReport, CoreError> {
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let mut without = options.source.clone().threads(threads).skip_folder(&self.place.state_root);
        if let Some(folder) = self.place.location.folder() {
            without = without.skip_folder(folder);
        }
        let paths: Vec<PathBuf> = options.paths.iter().map(|path| followed(path)).collect();
        let source = FileSource::new(&paths, without)?;
        warn_of_misunderstandings(&paths, &source, progress);
        self.backup_source(&source, options, progress)
    }

    /// The same for a source of any kind, such as a stream; paths and what to leave out do not count.
    ///
    /// # Errors
    /// As [`backup`](Self::backup).
    pub fn backup_source(
        &mut self,
        source: &dyn Source,
        options: &BackupOptions,
        progress: Progress<'_>,
    ) -> Result<BackupReport, CoreError> {
        let run = |session: &mut Self| {
            let mut settings = options.settings();
            let find = |name: &str| match SnapshotId::from_hex(name) {
                // Who may not read snapshots can name one.
                Some(id) => Ok(id),
                None => session.found(name, progress).map(|snapshot| snapshot.id),
            };
            settings.parent = options.parent.as_deref().map(find).transpose()?;
            settings.certificate = (!options.dry_run).then(|| session.backup_terms());
            Ok(session.vault.backup(source, &settings, progress)?)
        };
        let vault = vault_id(self.id());
        if options.dry_run {
            self.ask(CREATE.asks, Resource::Vault)?;
            return run(self);
        }
        if let Err(error) = self.vault.check_space(options.free_minimum.map(|size| size.0)) {
            // On a full disk not even that can be announced.
            return self.failed(CREATE, error.into());
        }
        self.change(CREATE, &vault, progress, run, |report| Told {
            object: Some(snapshot_id(report.snapshot)),
            data: vec![("problems", Json::Integer(report.problem_count))],
            journal: report.journal,
            certified: report.certificate,
        })
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
