//! Verifying what an auditor is given: a certificate, its entry in the log, and the checkpoint above it.

use chrono::{DateTime, TimeDelta, Utc};
use sb_crypto::{Digest, VerifyingKey, sha256};

use crate::entry::{Action, Entry, Outcome};
use crate::envelope::{Envelope, EnvelopeError};
use crate::json::Json;
use crate::malformed::Malformed;
use crate::policy::{Believed, Policy};
use crate::statement::{STATEMENT_TYPE, Statement, StatementError};
use crate::tlog_proof::{TlogProof, TlogProofError};

/// How far the clocks of witnesses may be off.
const WITNESS_SKEW: TimeDelta = TimeDelta::minutes(5);

/// Whom an auditor believes, known from elsewhere than the evidence.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The keys that may sign certificates.
    pub signers: Vec<VerifyingKey>,
    /// How many of them must have signed; 2 where four eyes are asked for.
    pub threshold: usize,
    /// The logs and witnesses.
    pub policy: Policy,
}

/// The files of a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// `certificate.dsse.json`.
    pub envelope: &'a [u8],
    /// `certificate.tlog-proof`.
    pub proof: &'a [u8],
    /// `certificate.entry`, if it is given apart from the proof; it must be the one in it.
    pub entry: Option<&'a [u8]>,
    /// `checkpoint`, if it is given apart from the proof; it must be the one in it.
    pub checkpoint: Option<&'a [u8]>,
}

/// What was proven, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proven {
    /// What the certificate says. Mind [`Run::limits`](crate::Run::limits).
    pub statement: Statement,
    /// The SHA-256 of the statement.
    pub statement_sha256: Digest,
    /// The trusted keys that signed it.
    pub signers: Vec<VerifyingKey>,
    /// The entry of the log that records its issue.
    pub entry: Entry,
    /// The checkpoint that the entry is under, the log that signed it and the witnesses that have seen it.
    pub logged: Believed,
}

impl Proven {
    /// Whether somebody else has seen the log as it is in the evidence: not with the key of the log or of the certificate.
    /// If nobody has, all of it agrees with itself, but whoever holds the keys could have made it later, or could show
    /// others another log.
    #[must_use]
    pub fn is_witnessed(&self) -> bool {
        let is_own = |key: &VerifyingKey| key == self.logged.log.key() || self.signers.contains(key);
        self.logged.cosignatures.iter().any(|cosignature| !is_own(cosignature.witness.key()))
    }
}

/// Verifies a certificate and that its issue was logged.
///
/// # Errors
/// [`EvidenceError`] says which part of the evidence does not hold.
pub fn verify_certificate(evidence: Evidence<'_>, trust: &Trust) -> Result<Proven, EvidenceError> {
    let envelope = Envelope::parse(evidence.envelope)?;
    let signers = envelope.verify(STATEMENT_TYPE, &trust.signers, trust.threshold)?;
    let statement = Statement::parse(envelope.payload())?;
    let statement_sha256 = sha256(envelope.payload());

    let proof = TlogProof::parse(evidence.proof).map_err(EvidenceError::Proof)?;
    let bytes = proof.extra.as_deref().ok_or(EvidenceError::NoEntry)?;
    if evidence.entry.is_some_and(|entry| entry != bytes) {
        return Err(EvidenceError::OtherEntry);
    }
    if evidence.checkpoint.is_some_and(|checkpoint| checkpoint != proof.checkpoint.to_string().as_bytes()) {
        return Err(EvidenceError::OtherCheckpoint);
    }
    let logged = proof.verify(bytes, &trust.policy)?;
    let entry = Entry::parse(bytes).map_err(EvidenceError::Entry)?;
    if entry.seq != proof.index {
        return Err(EvidenceError::Misnumbered { seq: entry.seq, index: proof.index });
    }
    if !records(&entry, &statement_sha256) {
        return Err(EvidenceError::OtherCertificate { statement: statement_sha256 });
    }
    let start = &statement.run().log;
    if start.origin != logged.checkpoint.origin() || start.head.size > proof.index {
        return Err(EvidenceError::LogContradicted);
    }
    let run = statement.run();
    if let Some(seen) = logged.cosignatures.iter().map(|cosignature| cosignature.time).min()
        && is_before(seen, run.finished, run.clock.max_skew_ms.unwrap_or(0))
    {
        return Err(EvidenceError::Postdated { finished: run.finished, seen });
    }
    Ok(Proven { statement, statement_sha256, signers, entry, logged })
}

/// Whether one time is before another that may be off by so much, and not for want of a witness's accuracy.
fn is_before(seen: DateTime<Utc>, finished: DateTime<Utc>, skew_ms: u64) -> bool {
    let skew = i64::try_from(skew_ms).ok().and_then(TimeDelta::try_milliseconds);
    let latest = skew.and_then(|skew| seen.checked_add_signed(skew)?.checked_add_signed(WITNESS_SKEW));
    latest.is_some_and(|latest| latest < finished)
}

/// Whether an entry says that the certificate with this statement was issued.
fn records(entry: &Entry, statement: &Digest) -> bool {
    let event = &entry.event;
    let named = event.data.get("statement_sha256") == Some(&Json::text(statement.to_string()));
    event.action.as_str() == Action::CERTIFICATE_ISSUE && event.outcome == Outcome::Success && named
}

/// Which part of the evidence does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The certificate is no envelope.
    #[error("the certificate can't be read")]
    Certificate(#[from] Malformed),
    /// The certificate is not signed as it should be.
    #[error("the certificate's signatures do not hold")]
    Signatures(#[from] EnvelopeError),
    /// What was signed is no statement, or one of an unknown kind.
    #[error("the certificate's statement can't be read")]
    Statement(#[from] StatementError),
    /// The entry is not proven to be in a log to believe.
    #[error("the log does not bear the certificate out")]
    Log(#[from] TlogProofError),
    /// The proof can't be read.
    #[error("the proof can't be read")]
    Proof(#[source] Malformed),
    /// The proof comes without its entry.
    #[error("the proof does not contain the log entry")]
    NoEntry,
    /// The entry given is not that of the proof.
    #[error("the log entry is not the one in the proof")]
    OtherEntry,
    /// The checkpoint given is not that of the proof.
    #[error("the checkpoint is not the one in the proof")]
    OtherCheckpoint,
    /// The entry can't be read.
    #[error("the log entry can't be read")]
    Entry(#[source] Malformed),
    /// The entry says another number than its place.
    #[error("the log entry says that it is number {seq}, but is number {index}")]
    Misnumbered {
        /// What it says.
        seq: u64,
        /// Where it is.
        index: u64,
    },
    /// The entry is about something else.
    #[error("the log entry does not record the issue of the certificate with the statement {statement}")]
    OtherCertificate {
        /// The SHA-256 of the statement.
        statement: Digest,
    },
    /// The statement names another log, or a size that the log had not reached.
    #[error("what the certificate says of the log is not true of it")]
    LogContradicted,
    /// A witness saw the certificate in the log before the time at which it says that its run ended.
    #[error("a witness saw the certificate at {seen}, and it says that the run ended later, at {finished}")]
    Postdated {
        /// What the certificate says.
        finished: DateTime<Utc>,
        /// The earliest cosignature.
        seen: DateTime<Utc>,
    },
}
