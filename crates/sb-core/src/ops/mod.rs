//! The operations, one file each.

mod backup;
mod cat;
mod collect;
mod forget;
mod info;
mod init;
mod ls;
mod rebuild;
mod restore;
mod snapshots;
mod verify;

pub use backup::BackupOptions;
pub use cat::CatReport;
pub use forget::{ForgetOptions, ForgetPlan, Selection};
pub use info::{InfoReport, Opened, Usage};
pub use init::{InitOptions, InitReport};
pub use ls::{LsOptions, LsReport};
pub use rebuild::RebuildOptions;
pub use restore::RestoreOptions;
pub use snapshots::SnapshotsOptions;
pub use verify::{PublicReport, VerifyOptions};
