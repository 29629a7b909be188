//! `verification/v1`: a backup was checked.

use sb_crypto::Digest;

use super::backup::Written;
use super::run::{Run, RunResult};
use crate::fields::Fields;
use crate::json::Json;
use crate::malformed::Malformed;

/// A backup was checked. `PASSED` means that every document was, and none is missing or corrupt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// What every certificate says.
    pub run: Run,
    /// How it was checked, such as `full-read`.
    pub method: String,
    /// What was found. All zero where no document was gone through.
    pub counts: VerificationCounts,
    /// Objects that were read from the storage in full and are as they should be, where they were counted.
    pub read: Option<Written>,
    /// How the documents stand with the rules of retention, where there are any.
    pub retention: Option<RetentionSummary>,
}

/// What a verification found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationCounts {
    /// How many documents there are.
    pub documents: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many were checked and are as they should be.
    pub verified: u64,
    /// How many are missing.
    pub missing: u64,
    /// How many are damaged.
    pub corrupt: u64,
}

/// How documents stand with the rules of retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionSummary {
    /// The SHA-256 of the rules.
    pub policy_sha256: Digest,
    /// How many documents must still be kept.
    pub under_retention: u64,
    /// How many should have been disposed of.
    pub overdue_for_disposition: u64,
}

impl Verification {
    /// The URI of this kind of certificate.
    pub const TYPE: &str = "https://securebackup.example/attestation/verification/v1";

    pub(super) fn to_json(&self) -> Json {
        let retention = |retention: &RetentionSummary| {
            Json::object([
                ("overdueForDisposition", Json::Integer(retention.overdue_for_disposition)),
                ("policySha256", Json::text(retention.policy_sha256.to_string())),
                ("underRetention", Json::Integer(retention.under_retention)),
            ])
        };
        let json = self.run.to_json([("counts", self.counts.to_json()), ("method", Json::text(&self.method))]);
        json.with("read", self.read.map(Written::to_json)).with("retention", self.retention.as_ref().map(retention))
    }

    pub(crate) fn from_fields(mut fields: Fields) -> Result<Self, Malformed> {
        let run = Run::from_fields(&mut fields)?;
        let counts = VerificationCounts::from_fields(fields.object("counts")?)?;
        let wrong = counts.missing > 0 || counts.corrupt > 0;
        if wrong && run.result != RunResult::Failed {
            return Err(fields.fault("result", "not `FAILED` though documents are missing or corrupt"));
        }
        if counts.verified != counts.documents && run.result == RunResult::Passed {
            return Err(fields.fault("result", "`PASSED` though not all documents were verified"));
        }
        let VerificationCounts { documents, verified, missing, corrupt, .. } = counts;
        if verified.checked_add(missing).and_then(|sum| sum.checked_add(corrupt)).is_none_or(|sum| sum > documents) {
            return Err(fields.fault("counts", "more documents than there are"));
        }
        if run.document_tree.is_some_and(|tree| tree.size != documents) {
            return Err(fields.fault("documentTree", "not a tree of as many documents as were counted"));
        }
        let retention = match fields.optional_object("retention")? {
            None => None,
            Some(mut retention) => Some(RetentionSummary {
                policy_sha256: retention.digest("policySha256")?,
                under_retention: retention.number("underRetention")?,
                overdue_for_disposition: retention.number("overdueForDisposition")?,
            }),
        };
        let read = fields.optional_object("read")?.map(Written::from_fields).transpose()?;
        Ok(Self { run, method: fields.text("method")?, counts, read, retention })
    }
}

impl VerificationCounts {
    fn to_json(self) -> Json {
        Json::object([
            ("bytes", Json::Integer(self.bytes)),
            ("corrupt", Json::Integer(self.corrupt)),
            ("documents", Json::Integer(self.documents)),
            ("missing", Json::Integer(self.missing)),
            ("verified", Json::Integer(self.verified)),
        ])
    }

    fn from_fields(mut fields: Fields) -> Result<Self, Malformed> {
        Ok(Self {
            documents: fields.number("documents")?,
            bytes: fields.number("bytes")?,
            verified: fields.number("verified")?,
            missing: fields.number("missing")?,
            corrupt: fields.number("corrupt")?,
        })
    }
}
