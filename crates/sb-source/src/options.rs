//! What to leave out of a backup.

use std::ffi::OsString;
use std::path::PathBuf;

/// What a [`FileSource`](crate::FileSource) leaves out. The default leaves out what restores at work or cut short have among the
/// files: whatever is no folder, no source itself, and called `.sb-restore-` or `.sb-restore-unfinished-` and 16 hexadecimal
/// digits. Nothing brings that back.
///
/// **Patterns** have the syntax of `gitignore(5)`, are case sensitive unless given to [`iexclude`](Self::iexclude), and are matched against the path *below the
/// source* an entry belongs to; each source is to its patterns what the folder of a `.gitignore` is to its lines:
///
/// | pattern | leaves out |
/// |---|---|
/// | `*.tmp` | any file or folder of such a name, at any depth |
/// | `cache/` | any folder of that name, at any depth, but not a file |
/// | `/cache` | `cache` directly in a source, not deeper |
/// | `office/~*` | such names in the folder `office` directly in a source |
/// | `**/office/~*` | such names in any folder `office` |
/// | `logs/**` | all that is in `logs`, but not `logs` itself |
/// | `!keep.tmp` | nothing: it takes back what an earlier pattern leaves out; the last match decides |
///
/// A folder left out is not visited, so nothing in it can be taken back. A source itself is never left out by a
/// pattern, not even one inside another; an absolute path is no pattern for it: `/home/a` means `home/a` below each source. Backslash quotes;
/// lines that are empty or start with `#` mean nothing. Names that are not UTF-8 match `*` and `?` like others.
///
/// ```
/// use sb_source::SourceOptions;
///
/// let options = SourceOptions::default().exclude("*.tmp").exclude("~$*").exclude_caches(true).one_file_system(true);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SourceOptions {
    pub(crate) excludes: Vec<String>,
    pub(crate) iexcludes: Vec<String>,
    pub(crate) exclude_files: Vec<PathBuf>,
    pub(crate) one_file_system: bool,
    pub(crate) exclude_caches: bool,
    pub(crate) exclude_if_present: Vec<OsString>,
    pub(crate) exclude_larger_than: Option<u64>,
    pub(crate) skip_folders: Vec<PathBuf>,
    pub(crate) threads: usize,
}

impl SourceOptions {
    /// How many threads a walk uses, its own among them; with 1, which is also what the default 0 means, it looks at
    /// nothing before it comes to it.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Adds a pattern.
    #[must_use]
    pub fn exclude(mut self, pattern: impl Into<String>) -> Self {
        self.excludes.push(pattern.into());
        self
    }

    /// Adds a pattern that matches upper and lower case alike: `*.tmp` leaves out `A.TMP`, too. They come after those given by
    /// [`exclude`](Self::exclude).
    #[must_use]
    pub fn iexclude(mut self, pattern: impl Into<String>) -> Self {
        self.iexcludes.push(pattern.into());
        self
    }

    /// Adds a file of patterns, one on each line, in UTF-8. They come after all others.
    #[must_use]
    pub fn exclude_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.exclude_files.push(file.into());
        self
    }

    /// Stays on the file systems of the sources: another one mounted below is an empty folder in the backup.
    ///
    /// A source inside another counts, so `/` and `/home` together cover both even when `/home` is mounted.
    #[must_use]
    pub fn one_file_system(mut self, yes: bool) -> Self {
        self.one_file_system = yes;
        self
    }

    /// Of folders with a file `CACHEDIR.TAG` that starts with the standard signature
    /// (<https://bford.info/cachedir/>), keeps the folder and that file only.
    #[must_use]
    pub fn exclude_caches(mut self, yes: bool) -> Self {
        self.exclude_caches = yes;
        self
    }

    /// Of folders in which something is called `name`, keeps the folder and that entry only.
    #[must_use]
    pub fn exclude_if_present(mut self, name: impl Into<OsString>) -> Self {
        self.exclude_if_present.push(name.into());
        self
    }

    /// Leaves out regular files of more than `bytes`, but for one that is a source itself.
    #[must_use]
    pub fn exclude_larger_than(mut self, bytes: u64) -> Self {
        self.exclude_larger_than = Some(bytes);
        self
    }

    /// Leaves out this very folder, by whatever path the walk comes to it; for a vault that lies inside a source.
    ///
    /// The folder is looked up when the source is made; it does no harm if it does not exist.
    #[must_use]
    pub fn skip_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.skip_folders.push(folder.into());
        self
    }
}
