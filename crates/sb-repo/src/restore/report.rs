//! What a restore did, and what it could not.

use sb_source::{MetadataProblem, TargetError};

use crate::error::RepoError;

/// What a restore did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RestoreReport {
    /// Files restored.
    pub files: u64,
    /// Folders that were made.
    pub folders: u64,
    /// Links, FIFOs, sockets, devices.
    pub others: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Of all these, those that took the place of what was there.
    pub overwritten: u64,
    /// Files and others that were there already as they are in the snapshot; not among those restored.
    pub unchanged: u64,
    /// Files and others that were there already but for their metadata, which they got; not among those restored.
    pub adjusted: u64,
    /// Files and others that were not restored because something else is there that stays.
    pub kept: u64,
    /// What was removed: everything, folders too.
    pub deleted: u64,
    /// True if an earlier restore to the same place had been cut short, or another was at work: contents were compared that are
    /// taken for the same otherwise, and with [`Overwrite::Never`](super::Overwrite::Never) what is not whole may have stayed.
    pub resumed: bool,
    /// What is not there, or not as it was.
    pub problems: Vec<RestoreProblem>,
}

/// Something that was not restored as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreProblem {
    /// The vault does not have it any more. Nothing was put in its place.
    #[error("`{path}` is lost: {error}")]
    Lost {
        /// The path in the snapshot.
        path: String,
        /// Why.
        error: RepoError,
    },
    /// It could not be written.
    #[error("{0}")]
    NotWritten(TargetError),
    /// It is there, but without this.
    #[error("{0}")]
    Metadata(MetadataProblem),
    /// It is there, but what else was to be read of it is lost.
    #[error("`{path}` is restored without its {what}: {error}")]
    Degraded {
        /// The path in the snapshot.
        path: String,
        /// What is missing.
        what: &'static str,
        /// Why.
        error: RepoError,
    },
    /// It was lawfully disposed of.
    #[error("`{path}`: {documents} documents were disposed of")]
    Disposed {
        /// The folder.
        path: String,
        /// How many.
        documents: usize,
    },
    /// Nothing was deleted, since the list of what the backup could not read is lost.
    #[error("nothing was deleted, since the list of what could not be backed up is lost: {error}")]
    ListLost {
        /// Why.
        error: RepoError,
    },
    /// Nothing was deleted, since the backup could not read more than the snapshot lists.
    #[error("nothing was deleted, since {count} entries that could not be backed up are not listed in the snapshot")]
    Unlisted {
        /// How many are not listed.
        count: u64,
    },
    /// It was restored as it was read, which was while it changed.
    #[error("`{path}` changed while it was backed up and may not be consistent")]
    Inconsistent {
        /// The path in the snapshot.
        path: String,
    },
}

impl RestoreReport {
    /// Adds what another part of the same restore did.
    pub(super) fn add(&mut self, other: Self) {
        self.files += other.files;
        self.folders += other.folders;
        self.others += other.others;
        self.bytes += other.bytes;
        self.overwritten += other.overwritten;
        self.unchanged += other.unchanged;
        self.adjusted += other.adjusted;
        self.kept += other.kept;
        self.deleted += other.deleted;
        self.resumed |= other.resumed;
        self.problems.extend(other.problems);
    }

    /// True if something is lost, because the vault is damaged.
    pub fn is_damaged(&self) -> bool {
        use RestoreProblem::{Degraded, ListLost, Lost};
        self.problems.iter().any(|problem| matches!(problem, Lost { .. } | Degraded { .. } | ListLost { .. }))
    }

    /// True if everything is there, though perhaps not with all its metadata.
    pub(super) fn is_whole(&self) -> bool {
        use RestoreProblem::{Disposed, Inconsistent, ListLost, Metadata, Unlisted};
        let is_there = |problem: &RestoreProblem| {
            matches!(problem, Metadata(_) | Disposed { .. } | Inconsistent { .. } | ListLost { .. } | Unlisted { .. })
        };
        self.problems.iter().all(is_there)
    }
}
