//! Issuing certificates: of a backup, of a verification, and signing them once more.

use chrono::{DateTime, Utc};
use sb_audit::{
    Anchor, Backup, BackupCounts, ClockEvidence, DocumentTree, EnvelopeSignature, JournalHead, LogHead, Predicate,
    Referenced, Run, RunResult, STATEMENT_TYPE, Statement, Subject, Tool, TreeHead, Verification, VerificationCounts,
    VerifierKey, Written,
};
use sb_crypto::{Digest, SigningKey, sha256};
use sb_store::{ObjectName, create};

use super::read_back::{Rotten, read_back};
use crate::clock::Progress;
use crate::error::RepoError;
use crate::ids::{KeyId, RunId, SnapshotId};
use crate::name::{ObjectKind, Stem};
use crate::snapshots::Snapshot;
use crate::state::ClockMemory;
use crate::trust::key_id;
use crate::vault::{Change, Vault};
use crate::view::View;
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;
use crate::wire::proof::SignatureBody;

/// What a certificate says that the vault does not know itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateTerms {
    /// Who issues it, such as the firm's domain. Default: the vault's id, as `vault:…`.
    pub issuer: Option<String>,
    /// What is known of the clock. Default: that it is the system's, and nothing else.
    pub clock: ClockEvidence,
    /// The program. Default: this crate.
    pub tool: Tool,
    /// What the certificate does not prove, in sentences; at least one.
    pub limits: Vec<String>,
    /// SHA-256 of the rules of retention, where there are any.
    pub policy_sha256: Option<Digest>,
}

impl CertificateTerms {
    /// Terms with these limits.
    pub fn new(limits: Vec<String>) -> Self {
        let (name, version) = (env!("CARGO_PKG_NAME").to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let clock = ClockEvidence { source: "system".to_owned(), max_skew_ms: None, rollbacks: 0, anchor: None };
        Self { issuer: None, clock, tool: Tool { name, version }, limits, policy_sha256: None }
    }
}

/// A certificate that was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Certified {
    /// SHA-256 of the object, which is in its name.
    pub object: Digest,
    /// SHA-256 of the statement: what the log entry of its issue has to name.
    pub statement_sha256: Digest,
    /// How the run ended, as the certificate says.
    pub result: RunResult,
}

/// What a certificate says of a backup.
pub(crate) struct BackupFacts<'a> {
    pub(crate) snapshot: SnapshotId,
    pub(crate) started: DateTime<Utc>,
    pub(crate) tree: DocumentTree,
    pub(crate) bytes: u64,
    pub(crate) problems: u64,
    pub(crate) written: Written,
    pub(crate) referenced: Referenced,
    pub(crate) journal: JournalHead,
    pub(crate) terms: &'a CertificateTerms,
}

const WITNESSES: &str = "witnesses";
const AUTHORITIES: &str = "authorities.pem";
const PEM_END: &str = "-----END CERTIFICATE-----\n";

/// Of so many snapshots, the newest, a certificate of a verification can speak.
pub const VERIFIED_MAX: usize = 5000;

impl View {
    fn run(
        &self,
        terms: &CertificateTerms,
        writer: KeyId,
        times: (DateTime<Utc>, DateTime<Utc>),
        id: String,
        result: RunResult,
        document_tree: Option<DocumentTree>,
    ) -> Run {
        let (started, finished) = times;
        let issuer = terms.issuer.clone().unwrap_or_else(|| format!("vault:{}", self.id()));
        let log = self.log_key(writer).map_or_else(String::new, |key| key.name().to_owned());
        let head = self.remembered.logs.get(&writer).map_or_else(TreeHead::empty, |end| end.head);
        Run {
            certificate_id: id,
            issuer,
            result,
            started,
            // A clock that was set back meanwhile must not make the run end before it began.
            finished: finished.max(started),
            document_tree,
            log: LogHead { origin: log, head },
            clock: terms.clock.clone(),
            tool: terms.tool.clone(),
            limits: terms.limits.clone(),
        }
    }

    fn subject(&self, snapshot: SnapshotId) -> Subject {
        let name = format!("vault:{}/snapshot:{snapshot}", self.id());
        Subject { name, sha256: Digest::from_bytes(*snapshot.as_bytes()) }
    }

    /// What is certified of a backup.
    pub(crate) fn backup_statement(&self, facts: &BackupFacts<'_>, finished: DateTime<Utc>) -> Statement {
        let result = if facts.problems == 0 { RunResult::Passed } else { RunResult::Partial };
        let id = format!("backup:{}", facts.snapshot);
        let writer = key_id(&facts.journal.writer);
        let run = self.run(facts.terms, writer, (facts.started, finished), id, result, Some(facts.tree));
        Statement {
            subjects: vec![self.subject(facts.snapshot)],
            predicate: Predicate::Backup(Backup {
                run,
                counts: BackupCounts { documents: facts.tree.size, bytes: facts.bytes, problems: facts.problems },
                written: facts.written,
                referenced: facts.referenced,
                journal: facts.journal,
                policy_sha256: facts.terms.policy_sha256,
                format_version: u64::from(crate::wire::frame::VERSION),
            }),
        }
    }
}

/// Writes a statement and the signature by this key, which are in no journal yet; at once, if more than one thread may.
pub(crate) fn write_certificate(
    view: &View,
    author: &Author<'_>,
    statement: &Statement,
    threads: usize,
) -> Result<(Certified, Vec<Added>), RepoError> {
    let payload = statement.to_bytes()?;
    let certify = || write_object(view, author, ObjectKind::Certificate, &payload);
    let sign = || write_signature(view, author, author.key, &payload);
    let (certificate, signature) = if threads > 1 {
        // Each is mostly waiting for the storage.
        std::thread::scope(|scope| {
            let signature = scope.spawn(sign);
            let certificate = certify();
            let signature = signature.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok::<_, RepoError>((certificate?, signature?))
        })?
    } else {
        (certify()?, sign()?)
    };
    let object = certificate.name.rsplit('/').next().and_then(|hash| hash.parse().ok()).expect("named by its hash");
    let result = statement.run().result;
    Ok((Certified { object, statement_sha256: sha256(&payload), result }, vec![certificate, signature]))
}

fn write_signature(view: &View, author: &Author<'_>, key: &SigningKey, payload: &[u8]) -> Result<Added, RepoError> {
    let signature = EnvelopeSignature::by(key, STATEMENT_TYPE, payload).bytes;
    let signature = signature.try_into().expect("an Ed25519 signature has 64 bytes");
    let body = SignatureBody { statement: sha256(payload), key: key.public(), signature };
    write_object(view, author, ObjectKind::Signature, &body.encode())
}

/// Writes an object in the clear that is named by its hash.
pub(crate) fn write_object(
    view: &View,
    author: &Author<'_>,
    kind: ObjectKind,
    body: &[u8],
) -> Result<Added, RepoError> {
    let stem = Stem::immutable(kind);
    let (bytes, digest) = author.frame(Header::clear(kind, view.id()), body, &stem);
    let name = stem.name(&digest);
    match create(&*view.storage, &name, &bytes) {
        // The same was said before, to the bit.
        Ok(()) | Err(sb_store::StoreError::AlreadyExists { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Added { name: name.to_string(), size: bytes.len() as u64, digest: None })
}

/// What a verification came to, for its certificate.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifiedFacts {
    /// When it began.
    pub started: DateTime<Utc>,
    /// How it was done, such as `data`.
    pub method: String,
    /// How it ended.
    pub result: RunResult,
    /// What was found of documents.
    pub counts: VerificationCounts,
    /// Objects read in full that are as they should be.
    pub read: Written,
}

impl VerifiedFacts {
    /// These facts.
    pub fn new(
        started: DateTime<Utc>,
        method: String,
        result: RunResult,
        counts: VerificationCounts,
        read: Written,
    ) -> Self {
        Self { started, method, result, counts, read }
    }
}

impl Vault {
    /// What this machine knows of its clock.
    pub fn clock_evidence(&self) -> ClockEvidence {
        let ClockMemory { rollbacks, anchor, .. } = self.around.state.clock();
        ClockEvidence { source: "system".to_owned(), max_skew_ms: None, rollbacks, anchor }
    }

    /// Takes note of the time that the clock shows. The time that it had shown before, if it was set back since.
    ///
    /// # Errors
    /// [`RepoError::State`].
    pub fn note_time(&self) -> Result<Option<DateTime<Utc>>, RepoError> {
        self.around.state.note_time(self.around.clock.now())
    }

    /// The keys of the witnesses and the root certificates (PEM) of the authorities that this machine was told to believe.
    pub fn anchors_believed(&self) -> (Vec<VerifierKey>, Vec<Vec<u8>>) {
        let text =
            |name| self.around.state.small(name).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let witnesses = text(WITNESSES).lines().filter_map(|line| line.parse().ok()).collect();
        let roots = text(AUTHORITIES).split_inclusive(PEM_END).map(|pem| pem.as_bytes().to_vec()).collect();
        (witnesses, roots)
    }

    /// Believes these witnesses and these authorities besides those before.
    ///
    /// # Errors
    /// [`RepoError::State`].
    pub fn believe_anchors(&self, witnesses: &[VerifierKey], roots: &[Vec<u8>]) -> Result<(), RepoError> {
        let (mut keys, mut known) = self.anchors_believed();
        keys.extend(witnesses.iter().filter(|key| !keys.contains(key)).cloned().collect::<Vec<_>>());
        let lines: String = keys.iter().map(|key| format!("{key}\n")).collect();
        self.around.state.set_small(WITNESSES, lines.as_bytes())?;
        known.extend(roots.iter().filter(|root| !known.contains(root)).cloned().collect::<Vec<_>>());
        self.around.state.set_small(AUTHORITIES, &known.concat())
    }

    /// Takes note of a time that somebody else has signed, once it was verified.
    ///
    /// # Errors
    /// [`RepoError::State`].
    pub fn note_anchor(&self, anchor: Anchor) -> Result<(), RepoError> {
        self.around.state.note_anchor(anchor)
    }

    /// Certifies a verification of these snapshots, oldest first, of which it names the newest [`VERIFIED_MAX`]. It is durable and
    /// entered when this returns. Log its issue then.
    ///
    /// # Errors
    /// [`RepoError::RolledBack`], [`RepoError::Uncertifiable`] if the facts contradict each other, and errors of storage and state.
    pub fn certify_verification(
        &mut self,
        facts: VerifiedFacts,
        snapshots: &[Snapshot],
        terms: &CertificateTerms,
    ) -> Result<Certified, RepoError> {
        self.check_heads()?;
        let key = self.writer()?;
        let named = &snapshots[snapshots.len().saturating_sub(VERIFIED_MAX)..];
        let tree = match (named, facts.counts.documents) {
            ([one], 1..) => Some(one.document_tree()),
            _ => None,
        };
        let writer = key_id(&key.public());
        let run_id = RunId::random(&*self.around.random);
        let id = format!("verification:{writer}:{run_id}");
        let times = (facts.started, self.around.clock.now());
        let run = self.view.run(terms, writer, times, id, facts.result, tree);
        let mut subjects: Vec<Subject> = named.iter().map(|snapshot| self.view.subject(snapshot.id)).collect();
        if subjects.is_empty() {
            // Of a vault without snapshots, or whose snapshots the verifier can't read, the vault itself is what was checked.
            let sha256 = self.view.root_fingerprint();
            subjects.push(Subject { name: format!("vault:{}/root-key", self.id()), sha256 });
        }
        let VerifiedFacts { method, counts, read, .. } = facts;
        let verification = Verification { run, method, counts, read: Some(read), retention: None };
        let statement = Statement { subjects, predicate: Predicate::Verification(verification) };
        let (certified, added) = write_certificate(&self.view, &Author { key: &key, run: run_id }, &statement, 1)?;
        self.read_back_or_fail(&added)?;
        self.append(&key, run_id, Change { operation: "certify", added, removed: Vec::new(), ..Change::default() })?;
        Ok(certified)
    }

    /// Adds the signature of the user who opened the vault to a certificate, as a second pair of eyes. It is durable and entered when
    /// this returns. False if it was there already.
    ///
    /// # Errors
    /// [`RepoError::RolledBack`], and errors of storage and state.
    pub fn sign_certificate(&mut self, certificate: &super::Certificate) -> Result<bool, RepoError> {
        let user = self.keyring.signing.public();
        if certificate.signatures.iter().any(|signature| signature.key == user) {
            return Ok(false);
        }
        self.check_heads()?;
        let key = self.writer()?;
        let run = RunId::random(&*self.around.random);
        let author = Author { key: &key, run };
        let added = vec![write_signature(&self.view, &author, &self.keyring.signing, &certificate.payload)?];
        self.read_back_or_fail(&added)?;
        self.append(&key, run, Change { operation: "sign", added, removed: Vec::new(), ..Change::default() })?;
        Ok(true)
    }

    /// Reads back what was written, where there is no second attempt.
    pub(crate) fn read_back_or_fail(&self, added: &[Added]) -> Result<(), RepoError> {
        let added: Vec<&Added> = added.iter().collect();
        let (_, rotten) = read_back(&*self.around.storage, &added, Progress::none())?;
        self.discard(rotten)
    }

    /// Removes what has rotted as it was written, which no journal names, and fails if there is any.
    pub(crate) fn discard(&self, rotten: Rotten) -> Result<(), RepoError> {
        for (name, _) in rotten.iter().filter(|(name, _)| !self.view.live.contains(name)) {
            // No journal has it, so that nothing else might ever take it away.
            let _ = self.around.storage.remove(&ObjectName::new(name.as_str())?);
        }
        match rotten.into_iter().next() {
            Some((name, flaw)) => Err(RepoError::ReadBack { name, flaw }),
            None => Ok(()),
        }
    }
}
