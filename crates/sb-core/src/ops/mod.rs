//! The operations, one file each.

mod anchor;
mod backup;
mod cat;
mod certificates;
mod check;
mod collect;
mod diff;
mod find;
mod forget;
mod info;
mod init;
mod log;
mod ls;
mod rebuild;
mod restore;
mod snapshots;
mod stats;
mod tag;
mod verify;

pub use anchor::{AnchorOptions, AnchorReport};
pub use backup::{BackupOptions, Compression};
pub use cat::{ArchiveReport, CatReport};
pub use certificates::{EvidenceOptions, EvidenceReport, ShownCertificate};
pub use diff::{DiffOptions, DiffSummary};
pub use find::{EachFound, FindOptions};
pub use forget::{ForgetOptions, ForgetPlan, Selection};
pub use info::{InfoReport, Opened, Usage};
pub use init::{InitOptions, InitReport};
pub use log::{LogReport, LoggedEntry};
pub use ls::{LsOptions, LsReport};
pub use rebuild::RebuildOptions;
pub use restore::RestoreOptions;
pub use snapshots::SnapshotsOptions;
pub use stats::{StatsOptions, StatsReport};
pub use tag::{TagOptions, TagReport, Tagged};
pub use verify::{DueSummary, PublicReport, Verified, VerifyOptions};
