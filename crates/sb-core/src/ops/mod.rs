//! The operations, one file each.

mod backup;
mod cat;
mod check;
mod collect;
mod diff;
mod find;
mod forget;
mod info;
mod init;
mod ls;
mod rebuild;
mod restore;
mod snapshots;
mod stats;
mod tag;
mod verify;

pub use backup::{BackupOptions, Compression};
pub use cat::{ArchiveReport, CatReport};
pub use diff::{DiffOptions, DiffSummary};
pub use find::{EachFound, FindOptions};
pub use forget::{ForgetOptions, ForgetPlan, Selection};
pub use info::{InfoReport, Opened, Usage};
pub use init::{InitOptions, InitReport};
pub use ls::{LsOptions, LsReport};
pub use rebuild::RebuildOptions;
pub use restore::RestoreOptions;
pub use snapshots::SnapshotsOptions;
pub use stats::{StatsOptions, StatsReport};
pub use tag::{TagOptions, TagReport, Tagged};
pub use verify::{PublicReport, VerifyOptions};
