#![doc = include_str!("../README.md")]

mod clock;
mod error;
mod fingerprint;
mod location;
mod passphrase;
mod size;
mod snapshot_path;
mod state_root;

mod config;

mod access;
mod archive;
mod record;
mod requests;
mod session;
mod terms;
mod vault;

mod ops;

pub use clock::SystemClock;
pub use error::CoreError;
pub use fingerprint::fingerprint;
pub use location::{Location, LocationError};
pub use passphrase::{PassphraseError, passphrase};
pub use size::{Size, SizeError};
pub use snapshot_path::{SnapshotPath, SnapshotPathError};
pub use state_root::{Variables, state_root};

pub use config::{BackupSection, Config, ConfigError, KeysSection, SAMPLE_CONFIG};

pub use requests::{Act, COOLING_OFF, JudgedRequest, LAPSES_AFTER, RequestState};
pub use session::Session;
pub use vault::Vault;

pub use ops::{
    AddUserOptions, AnchorOptions, AnchorReport, ArchiveReport, BackupOptions, CatReport, ChangeUserOptions,
    Compression, DiffOptions, DiffSummary, DueSummary, EachFound, EvidenceOptions, EvidenceReport, FindOptions,
    ForgetOptions, ForgetPlan, InfoReport, InitOptions, InitReport, KeyAge, ListedKey, ListedUser, LogReport,
    LoggedEntry, LsOptions, LsReport, Opened, PublicReport, RebuildOptions, RequestsReport, RestoreOptions, Selection,
    ShownCertificate, ShownRequest, SnapshotsOptions, StatsOptions, StatsReport, TagOptions, TagReport, Tagged, Usage,
    UsersReport, Verified, VerifyOptions,
};
pub use sb_repo::{
    BackupReport, Change, Choice, ChunkStats, Clock, CollectOptions, CollectReport, ContentStats, Counter, Deed,
    DiffReport, Difference, DocumentRef, Doubt, Entry, EntryKind, EntryTally, FileChange, FindReport, Finding, Flaw,
    ForgetReport, GroupBy, IndexReport, Item, KeepRules, Kept, KeyEpoch, MaxUnused, Monitor, Overwrite, Pattern,
    PatternError, Progress, Query, Reason, RebuildReport, RepoError, RestoreProblem, RestoreReport, RotateReport,
    Silent, Snapshot, SnapshotId, SnapshotType, Snapshots, Span, SpanError, StoredStats, Tally, VaultId, VerifyLevel,
    VerifyReport,
};
pub use sb_source::{Filter, Problem, SourceOptions};
pub use sb_store::Limits;

pub use chrono;
pub use sb_audit as audit;
pub use sb_chunk as chunk;
pub use sb_crypto as crypto;
pub use sb_rbac as rbac;
pub use sb_repo as repo;
pub use sb_source as source;
pub use sb_store as store;
pub use sb_witness as witness;
