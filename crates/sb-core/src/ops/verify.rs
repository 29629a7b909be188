//! Verifying.

use chrono::{DateTime, TimeDelta, Utc};
use sb_audit::{Json, Note, RunResult, VerificationCounts, Written};
use sb_crypto::Digest;
use sb_rbac::Action;
use sb_repo::{Certified, Due, Progress, RepoError, Snapshot, VerifiedFacts, VerifyLevel, VerifyReport};

use crate::access::deed;
use crate::error::CoreError;
use crate::record::{Told, vault_id};
use crate::session::Session;
use crate::vault::Vault;

/// How to verify.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// How deep to look. Default: [`VerifyLevel::Data`].
    pub level: VerifyLevel,
    /// Reads of the packs only those that this machine has not read that deep for so long, what was read longest ago first; no
    /// documents. Default: all packs.
    pub max_age: Option<TimeDelta>,
    /// With `max_age`, begins no pack after so long. Default: no end.
    pub budget: Option<TimeDelta>,
    /// Checkpoints of logs that somebody else has kept, which the logs must contain. Default: none.
    pub checkpoints: Vec<Note>,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { level: VerifyLevel::Data, max_age: None, budget: None, checkpoints: Vec::new() }
    }
}

/// What can be verified with no key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PublicReport {
    /// What was found.
    pub verified: VerifyReport,
    /// SHA-256 of the root key that all signatures lead to.
    pub root_fingerprint: Digest,
    /// True if that is the root key of the fingerprint that was given, or of this machine's memory. If not, the vault alone
    /// says so, and the fingerprint is to be compared with the recovery sheet.
    pub root_known: bool,
}

/// What a verification found, and the certificate of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verified {
    /// What was found.
    pub report: VerifyReport,
    /// The certificate; or why there is none: the vault can't be written to.
    pub certificate: Result<Certified, CoreError>,
    /// With [`VerifyOptions::max_age`], how much of what was due was read.
    pub due: Option<DueSummary>,
}

/// How much of what was due was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DueSummary {
    /// Packs that were due.
    pub due: u64,
    /// Packs among them that were read.
    pub read: u64,
    /// Since when every pack has been read that deep; `None` if one never was.
    pub all_read_since: Option<DateTime<Utc>>,
}

impl Session {
    /// Verifies the vault, names the documents that any damage touches, and certifies what was found.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] a storage that can't be listed, keys that do not allow the level, and interruption. Damage is in
    /// the report.
    pub fn verify(&mut self, options: VerifyOptions, progress: Progress<'_>) -> Result<Verified, CoreError> {
        let vault = vault_id(self.id());
        let verify = |session: &mut Self| {
            let started = session.place.clock.now();
            for checkpoint in &options.checkpoints {
                session.vault.heed_checkpoint(checkpoint)?;
            }
            let (report, due) = session.read_through(&options, started, progress)?;
            let certificate = match session.place.is_rehearsing() {
                true => Err(CoreError::Rehearsing),
                false => session.certify(&report, due, &options, started),
            };
            Ok(Verified { report, certificate, due })
        };
        let asks = match options.level {
            VerifyLevel::Objects => Action::RunVerify,
            VerifyLevel::Data => Action::VerifyData,
            VerifyLevel::Restore => Action::VerifyRestore,
        };
        self.disclose(deed("Vault.Verify", asks), &vault, progress, verify, |verified| Told {
            data: vec![
                ("findings", Json::Integer(verified.report.findings.len() as u64)),
                ("level", Json::text(verified.report.level.as_str())),
            ],
            certified: verified.certificate.as_ref().ok().copied(),
            ..Told::default()
        })
    }

    fn read_through(
        &self,
        options: &VerifyOptions,
        started: DateTime<Utc>,
        progress: Progress<'_>,
    ) -> Result<(VerifyReport, Option<DueSummary>), CoreError> {
        let Some(age) = options.max_age else {
            return Ok((self.vault.verify(options.level, progress)?, None));
        };
        let until = options.budget.map(|budget| started + budget);
        let found = self.vault.verify_due(Due { level: options.level, before: started - age, until }, progress)?;
        let due = DueSummary { due: found.due, read: found.read, all_read_since: found.all_read_since };
        Ok((found.report, Some(due)))
    }

    fn certify(
        &mut self,
        report: &VerifyReport,
        due: Option<DueSummary>,
        options: &VerifyOptions,
        started: DateTime<Utc>,
    ) -> Result<Certified, CoreError> {
        if self.vault.lacks_certificate() {
            return Err(CoreError::LostCertificate);
        }
        // Who may not read snapshots certifies the vault as a whole.
        let snapshots = match self.vault.snapshots() {
            Ok(all) => all.snapshots,
            Err(RepoError::NoReadingKey { .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let said: u64 = snapshots.iter().map(Snapshot::documents).sum();
        // Of documents that were disposed of since, only leaves are left, which is as it should be.
        let documents = if report.is_good() { report.documents } else { said.max(report.documents) };
        let counts = match report.level > VerifyLevel::Objects && due.is_none() {
            true => VerificationCounts {
                documents,
                bytes: snapshots.iter().map(|snapshot| snapshot.counts().bytes).sum(),
                verified: report.documents,
                missing: 0,
                corrupt: documents - report.documents,
            },
            false => VerificationCounts { documents: 0, bytes: 0, verified: 0, missing: 0, corrupt: 0 },
        };
        let result = match (report.is_good() && counts.verified == counts.documents, due) {
            (false, _) => RunResult::Failed,
            (true, Some(due)) if due.read < due.due => RunResult::Partial,
            (true, _) => RunResult::Passed,
        };
        let bad = report.findings.len() as u64;
        let read = Written { objects: report.objects.saturating_sub(bad), bytes: report.bytes };
        let level = report.level.as_str();
        let method = match options.max_age {
            None => level.to_owned(),
            Some(age) => format!("{level}, of packs those not read for {} hours", age.num_hours()),
        };
        let facts = VerifiedFacts::new(started, method, result, counts, read);
        let terms = self.verification_terms();
        Ok(self.vault.certify_verification(facts, &snapshots, &terms)?)
    }
}

impl Vault {
    /// Verifies every object with no key at all: that it is there, and that its SHA-256 and its signature are good. Which
    /// root key all signatures lead to is told by `fingerprint` or this machine's memory; with neither, the vault's own word
    /// is taken for it. The logs must contain these checkpoints, which somebody else has kept.
    ///
    /// # Errors
    /// [`CoreError::NoVault`]; in [`CoreError::Repo`] another root key than expected, a storage that can't be listed, damage to
    /// every copy of what says what the vault is, and interruption. Other damage is in the report.
    pub fn verify_public(
        &self,
        fingerprint: Option<Digest>,
        checkpoints: &[Note],
        progress: Progress<'_>,
    ) -> Result<PublicReport, CoreError> {
        let mut view = self.view(fingerprint)?;
        for checkpoint in checkpoints {
            view.heed_checkpoint(checkpoint)?;
        }
        Ok(PublicReport {
            verified: view.verify(progress)?,
            root_fingerprint: view.root_fingerprint(),
            root_known: fingerprint.is_some() || view.is_root_remembered(),
        })
    }
}
