//! What certificates say: one type for each kind, and what they have in common.

mod backup;
mod run;
mod verification;

pub use backup::{Backup, BackupCounts, JournalHead, Referenced, Written};
pub use run::{Anchor, AnchorKind, ClockEvidence, DocumentTree, LogHead, Run, RunResult, Tool};
pub use verification::{RetentionSummary, Verification, VerificationCounts};

use crate::json::Json;

/// What a statement says of its subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Predicate {
    /// `backup/v1`: a backup was made.
    Backup(Backup),
    /// `verification/v1`: a backup was checked.
    Verification(Verification),
}

impl Predicate {
    /// The URI of its kind.
    #[must_use]
    pub const fn type_uri(&self) -> &'static str {
        match self {
            Self::Backup(_) => Backup::TYPE,
            Self::Verification(_) => Verification::TYPE,
        }
    }

    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Backup(backup) => backup.to_json(),
            Self::Verification(verification) => verification.to_json(),
        }
    }
}
