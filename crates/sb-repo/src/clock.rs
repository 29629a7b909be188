//! Time and what is reported meanwhile: the two things a long operation needs from its caller.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use sb_source::Problem;

use crate::error::RepoError;

/// The time of day. `sb-core` has the real one; tests and the simulator have their own.
pub trait Clock: Debug + Send + Sync {
    /// Now.
    fn now(&self) -> DateTime<Utc>;
}

/// A clock that stands still.
#[derive(Clone, Copy, Debug)]
pub struct FixedClock(pub DateTime<Utc>);

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }
}

/// What is counted while an operation runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Counter {
    /// Entries walked, restored or checked.
    Entries,
    /// Files among them.
    Files,
    /// Bytes of content read, written or checked.
    Bytes,
    /// Chunks that were new to the vault.
    NewChunks,
    /// Bytes written to the vault.
    Stored,
    /// Objects of the vault read.
    Objects,
    /// Orphans of earlier runs that were adopted.
    Adopted,
}

/// What a restore does with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Deed {
    /// It was not there and is now.
    Made,
    /// It is there in place of what was there before.
    Overwritten,
    /// It was there as it is in the snapshot.
    Unchanged,
    /// It was there as it is in the snapshot but for its metadata, which it got.
    Adjusted,
    /// Something else is there and stays.
    Kept,
    /// It is not in the snapshot, and was removed.
    Deleted,
}

/// What has become of a file since the run that a backup is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileChange {
    /// It was not there, or nothing is known of it.
    New,
    /// It has another content or other metadata.
    Changed,
    /// It is as it was.
    Unchanged,
}

/// Hears how an operation goes. All methods do nothing unless implemented.
pub trait Monitor: Debug + Send + Sync {
    /// `n` more of something.
    fn count(&self, counter: Counter, n: u64) {
        let _ = (counter, n);
    }
    /// How many bytes or objects there will be in all, where that is known.
    fn expect(&self, counter: Counter, total: u64) {
        let _ = (counter, total);
    }
    /// A problem of the source that does not stop the run.
    fn problem(&self, problem: &Problem) {
        let _ = problem;
    }
    /// Something that somebody should know and that stops nothing.
    fn warning(&self, text: &str) {
        let _ = text;
    }
    /// What a restore did, or would do, with the entry at `path`, as seen from the folder restored into.
    fn restored(&self, deed: Deed, path: &[u8]) {
        let _ = (deed, path);
    }
    /// What a backup, or a dry run of one, found of the file at `path`, in the order of the walk.
    fn compared(&self, change: FileChange, path: &[u8]) {
        let _ = (change, path);
    }
    /// What is being worked on.
    fn at(&self, path: &[u8]) {
        let _ = path;
    }
}

/// Hears nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Monitor for Silent {}

/// Who listens, and whether to stop.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Hears counts and problems.
    pub monitor: &'a dyn Monitor,
    /// Set by the caller to stop the operation at the next chance.
    pub stop: &'a AtomicBool,
}

static NEVER: AtomicBool = AtomicBool::new(false);

impl Progress<'static> {
    /// Nobody listens, nothing stops.
    pub const fn none() -> Self {
        Self { monitor: &Silent, stop: &NEVER }
    }
}

impl Progress<'_> {
    pub(crate) fn check(&self) -> Result<(), RepoError> {
        if self.stop.load(Ordering::Relaxed) { Err(RepoError::Interrupted) } else { Ok(()) }
    }
}
