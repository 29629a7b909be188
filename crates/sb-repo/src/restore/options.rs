//! How a restore is to be made.

use std::path::PathBuf;

use sb_source::Filter;

use super::overwrite::Overwrite;

/// How a restore is made.
///
/// ```
/// use sb_repo::{Overwrite, RestoreOptions};
/// use sb_source::Filter;
///
/// let filter = Filter::new(["/2025/"], ["*.tmp"])?;
/// let options = RestoreOptions::default().with_overwrite(Overwrite::IfChanged).with_filter(filter).with_delete(true);
/// # Ok::<(), sb_source::SelectionError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// Give the target folder itself the metadata of the folder that is restored. Default: no.
    pub root_metadata: bool,
    /// Restore to the path in the snapshot, with the folders above it, instead of right into the target. Default: no.
    pub full_paths: bool,
    /// What to do with what is there. Default: replace it.
    pub overwrite: Overwrite,
    /// What to restore, by patterns that are matched below the path restored. Default: everything.
    pub filter: Filter,
    /// Remove from folders that are restored whole what the snapshot does not have in them. Folders above the sources, new
    /// ones, those with unreadable parts and other file systems are left alone, and so is what the filter leaves out and what
    /// the backup could not read: if the snapshot does not list all of that, nothing is removed. Default: no.
    pub delete: bool,
    /// Write nothing, only say what would be. Default: no.
    pub dry_run: bool,
    /// In a dry run: the target's folder does not exist, so that nothing can be in the way; the one given is not looked at.
    /// Default: no.
    pub absent_target: bool,
    /// Folders of this machine in which nothing is written or removed. Default: none.
    pub spared: Vec<PathBuf>,
    /// Threads to work with; with 1 everything happens on the caller's, in order. Default, and 0: as many as the machine has.
    pub threads: usize,
}

impl RestoreOptions {
    /// The same with [`root_metadata`](Self::root_metadata) as given.
    #[must_use]
    pub fn with_root_metadata(mut self, yes: bool) -> Self {
        self.root_metadata = yes;
        self
    }

    /// The same with [`full_paths`](Self::full_paths) as given.
    #[must_use]
    pub fn with_full_paths(mut self, yes: bool) -> Self {
        self.full_paths = yes;
        self
    }

    /// The same with [`overwrite`](Self::overwrite) as given.
    #[must_use]
    pub fn with_overwrite(mut self, policy: Overwrite) -> Self {
        self.overwrite = policy;
        self
    }

    /// The same with [`filter`](Self::filter) as given.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// The same with [`delete`](Self::delete) as given.
    #[must_use]
    pub fn with_delete(mut self, yes: bool) -> Self {
        self.delete = yes;
        self
    }

    /// The same with [`dry_run`](Self::dry_run) as given.
    #[must_use]
    pub fn with_dry_run(mut self, yes: bool) -> Self {
        self.dry_run = yes;
        self
    }

    /// The same with [`absent_target`](Self::absent_target) as given.
    #[must_use]
    pub fn with_absent_target(mut self, yes: bool) -> Self {
        self.absent_target = yes;
        self
    }

    /// The same with [`spared`](Self::spared) as given.
    #[must_use]
    pub fn with_spared(mut self, folders: Vec<PathBuf>) -> Self {
        self.spared = folders;
        self
    }

    /// The same with [`threads`](Self::threads) as given.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }
}
