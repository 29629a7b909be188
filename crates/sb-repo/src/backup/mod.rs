//! Backing up: walk → read → SHA-256 → chunk → look up → segment → compress → seal → pack → locator → snapshot → journal.

mod accept;
mod adopt;
mod base;
mod cache;
mod commit;
mod compare;
mod crew;
mod cutters;
mod file;
mod known;
mod lanes;
mod lease;
mod links;
mod parts;
mod past;
mod previous;
mod run;
mod space;
mod store;
mod tree;
mod walk;

pub(crate) use lanes::CONTENT_LANES;
pub(crate) use lease::Held;

use chrono::{DateTime, Utc};
use sb_audit::{JournalHead, Written};
use sb_source::{Problem, Source};

use crate::certificates::{CertificateTerms, Certified};
use crate::clock::Progress;
use crate::error::RepoError;
use crate::ids::SnapshotId;
use crate::vault::Vault;
use crate::wire::snapshot::{Counts, SnapshotType};

pub use walk::Changes;

/// How a backup is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackupOptions {
    /// Name of the machine, as people know it. Default: empty.
    pub host: Vec<u8>,
    /// Words to find the snapshot by. Default: none.
    pub tags: Vec<String>,
    /// Incremental reads what changed since the newest run, differential what changed since the newest full one; full reads
    /// every byte. Where this machine does not know that run any more, all is read as in a full one. Default: incremental.
    pub kind: SnapshotType,
    /// Takes files for unchanged whose time of last change alone is another, as some network shares make it. Default: no.
    pub ignore_ctime: bool,
    /// Takes files for unchanged whose inode number alone is another. Default: no.
    pub ignore_inode: bool,
    /// The snapshot to compare with. Where this machine still knows the run that made it, only what changed since then is read;
    /// else the tree in the vault is compared with, and all is read. A differential backup is an incremental one then. Default:
    /// what the kind says, of the same machine and the same sources.
    pub parent: Option<SnapshotId>,
    /// Goes through all of it and keeps nothing: neither the vault nor the state of this machine is written to, and the report
    /// says what would have been. Default: no.
    pub dry_run: bool,
    /// What the snapshot is to be dated. Default: when the run began.
    pub time: Option<DateTime<Utc>>,
    /// How many threads read and compress; with 1 all happens in order on the caller's own. Default: 0, one for each core.
    pub threads: usize,
    /// zstd level. Default: 3.
    pub level: i32,
    /// Free bytes without which no run begins, where the storage can tell. Default: 16 MiB, or a twentieth of its size where
    /// that is less.
    pub free_min: Option<u64>,
    /// What the certificate of the run says that the vault does not know; without it there is none. Default: none.
    pub certificate: Option<CertificateTerms>,
    /// What is recorded as the version of the program. Default: this crate's version.
    pub version: String,
}

impl Default for BackupOptions {
    fn default() -> Self {
        Self {
            host: Vec::new(),
            tags: Vec::new(),
            kind: SnapshotType::Incremental,
            ignore_ctime: false,
            ignore_inode: false,
            parent: None,
            dry_run: false,
            time: None,
            threads: 0,
            level: 3,
            free_min: None,
            certificate: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

impl BackupOptions {
    fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        }
    }
}

/// What a backup did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackupReport {
    /// The new snapshot. After a dry run there is none of this id.
    pub snapshot: SnapshotId,
    /// Whether nothing of it was kept.
    pub dry_run: bool,
    /// How it was made in the end.
    pub kind: SnapshotType,
    /// What it was compared with.
    pub base: Option<SnapshotId>,
    /// What became of its files since then.
    pub changes: Changes,
    /// What is in it.
    pub counts: Counts,
    /// What could not be read as it was; with any, the snapshot is partial. At most [`PROBLEMS_KEPT`] of them.
    pub problems: Vec<Problem>,
    /// How many there were in all.
    pub problem_count: u64,
    /// Objects of earlier runs that had been cut short, taken over.
    pub adopted: u64,
    /// The journal entry with all that the run has stored; `None` after a dry run.
    pub journal: Option<JournalHead>,
    /// What the run wrote, all of which was read back from the storage and hashed. Nothing after a dry run.
    pub read_back: Written,
    /// The run's certificate, if one was asked for.
    pub certificate: Option<Certified>,
}

impl BackupReport {
    /// True if something could not be read.
    pub fn is_partial(&self) -> bool {
        self.problem_count > 0
    }
}

/// How many problems are listed by path; the rest is only counted.
pub const PROBLEMS_KEPT: usize = 10_000;

/// How often a run that lost what it relied on begins again.
const ATTEMPTS: usize = 3;

impl Vault {
    /// Makes a snapshot of everything in `source`. It is acknowledged, and safe, when this returns.
    ///
    /// What an earlier run of this machine had stored before it was cut short is used again. Entries that can't be read are
    /// problems in the report; whatever is wrong with the vault is an error, and then there is no snapshot.
    ///
    /// # Errors
    /// [`RepoError::RolledBack`], [`RepoError::LowSpace`], [`RepoError::Store`] (a full disk among them),
    /// [`RepoError::Condemned`] if what the run relied on went away three times over, [`RepoError::ReadBack`] if three times over
    /// something did not read back as it was written, [`RepoError::Interrupted`],
    /// [`RepoError::Unordered`] if the source does not keep its order; of a parent, [`RepoError::NoSuchSnapshot`] and
    /// [`RepoError::NoReadingKey`].
    pub fn backup(
        &mut self,
        source: &dyn Source,
        options: &BackupOptions,
        progress: Progress<'_>,
    ) -> Result<BackupReport, RepoError> {
        if options.dry_run {
            return self.rehearsing().back_up(source, options, progress);
        }
        self.back_up(source, options, progress)
    }

    fn back_up(
        &mut self,
        source: &dyn Source,
        options: &BackupOptions,
        progress: Progress<'_>,
    ) -> Result<BackupReport, RepoError> {
        self.refresh()?;
        self.check_heads()?;
        if !options.dry_run {
            self.check_space(options.free_min)?;
        }
        let mut writer = self.writer()?;
        let mut adopted = self.adopt(&writer, progress)?;
        let mut attempt = 1;
        loop {
            match self.attempt(&writer, source, options, adopted > 0, progress) {
                Ok(report) => return Ok(BackupReport { adopted, ..report }),
                Err(RepoError::Condemned { name }) if attempt < ATTEMPTS => {
                    progress
                        .monitor
                        .warning(&format!("`{name}` is gone, damaged or another by now; beginning again without it"));
                    attempt += 1;
                    self.refresh()?;
                    writer = self.writer()?;
                }
                Err(RepoError::ReadBack { name, flaw }) if attempt < ATTEMPTS => {
                    progress.monitor.warning(&format!(
                        "`{name}` does not read back as it was written ({flaw}); writing it anew. If that goes on, the storage is failing"
                    ));
                    attempt += 1;
                    self.refresh()?;
                    writer = self.writer()?;
                    adopted += self.adopt(&writer, progress)?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
