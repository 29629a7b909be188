//! What `verify.sh` does, in Rust: the same checks in the same order, with the same verdict.
//!
//! Every byte of every file is checked but those of the page and the script: what can be written in more than one way
//! has to be written in the one that [`EvidenceFolder::files`](super::EvidenceFolder::files) chooses.

use base64ct::{Base64, Encoding};
use sb_crypto::{Digest, VerifyingKey};

use super::files::Files;
use super::{EACH_MAX, FolderError, policy_text};
use crate::chain::{KeyChain, UserKey};
use crate::checkpoint::Checkpoint;
use crate::document::{Document, DocumentError, DocumentProof};
use crate::envelope::{Envelope, EnvelopeSignature, envelope_key_id, pae, spki_pem};
use crate::evidence::{Evidence, EvidenceError, Proven, Trust, verify_certificate};
use crate::json::Json;
use crate::malformed::Malformed;
use crate::note::{Note, VerifierKey};
use crate::policy::{Cosignature, Policy};
use crate::predicate::{Predicate, VerificationCounts};
use crate::statement::{STATEMENT_TYPE, Statement};
use crate::timestamp::{Authorities, RootCertificate, TimeStamp, TimeStampError, plain_answer};
use crate::tlog_proof::TlogProof;

/// Sizes of logs and document trees end here: 18 digits, for the arithmetic of any shell.
const COUNT_END: u64 = 1_000_000_000_000_000_000;
/// The last second that four digits can say the year of.
const LAST_SECOND: i64 = 253_402_300_799;
const NAME_BYTES_MAX: usize = 255;
const KEY_BYTES_MAX: usize = 64;
/// Bytes of an Ed25519 key in DER, the last 32 of which are the key.
const SPKI_LENGTH: usize = 44;

/// What an auditor knows besides the fingerprint, from elsewhere than the folder.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Witnesses that must have cosigned.
    pub witnesses: Vec<VerifierKey>,
    /// Root certificates of which one must vouch for a time stamp, if there are any.
    pub authorities: Option<Authorities>,
}

/// What a folder proves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProvenFolder {
    /// The keys, from the root key to the machine.
    pub chain: KeyChain,
    /// The users who have signed the certificate besides the machine.
    pub officers: Vec<UserKey>,
    /// The certificate and its place in the log. Mind [`Run::limits`](crate::Run::limits).
    pub evidence: Proven,
    /// The witnesses among [`evidence`](Self::evidence)'s that the auditor knows; the keys of the others are known from
    /// the folder alone.
    pub known_witnesses: Vec<Cosignature>,
    /// The time stamps.
    pub stamps: Vec<FolderStamp>,
    /// The document that the folder shows, if it shows one. Compare a restored file with its size and SHA-256.
    pub document: Option<Document>,
}

/// A time stamp that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderStamp {
    /// What it says.
    pub stamp: TimeStamp,
    /// What it is of.
    pub stamped: Stamped,
    /// The SHA-256 of the root certificate, in DER, that the folder names for it.
    pub root_sha256: Digest,
    /// Whether the auditor knows a root certificate that vouches for it.
    pub is_known: bool,
}

/// What was stamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamped {
    /// The text of the checkpoint, without its signatures.
    Checkpoint,
    /// The statement.
    Statement,
}

impl ProvenFolder {
    /// Whether somebody outside has seen the certificate or its log, by keys that the folder names or the auditor knows.
    #[must_use]
    pub fn is_witnessed(&self) -> bool {
        self.evidence.is_witnessed() || !self.stamps.is_empty()
    }
}

/// Everything but the page, the script and the sums.
pub(super) fn prove(files: &Files, fingerprint: &Digest, known: &Known) -> Result<ProvenFolder, FolderError> {
    let root = read_root(files.need("root.pub.pem")?)?;
    if root.fingerprint() != *fingerprint {
        return Err(FolderError::OtherRoot { found: root.fingerprint() });
    }
    let (user, writer) = (files.need("chain/user.sbv1")?, files.need("chain/writer.sbv1")?);
    let chain_error = |name: &str| {
        let name = name.to_owned();
        move |source| FolderError::Chain { name, source }
    };
    let chain = KeyChain::verify(&root, user, writer).map_err(chain_error("chain/writer.sbv1"))?;
    let mut officers = Vec::new();
    for name in files.numbered("chain/officer-", ".sbv1") {
        officers.push(chain.other_user(files.need(&name)?).map_err(chain_error(&name))?);
    }
    let signers: Vec<_> = [*chain.log_key()].into_iter().chain(officers.iter().map(|officer| officer.key)).collect();
    check_envelope(files, &signers)?;
    let policy = read_policy(files, &chain, &officers)?;
    let evidence = check_certificate(files, signers, policy.clone())?;
    check_counts(&evidence.statement)?;
    let known_witnesses = check_witnesses(&evidence, known)?;
    let stamps = check_stamps(files, &evidence, known)?;
    let document = check_document(files, &evidence)?;
    Ok(ProvenFolder { chain, officers, evidence, known_witnesses, stamps, document })
}

fn spelling(name: &str) -> FolderError {
    FolderError::Spelling { name: name.to_owned() }
}

fn malformed(name: &str) -> impl Fn(Malformed) -> FolderError {
    move |source| FolderError::Malformed { name: name.to_owned(), source }
}

fn read_root(pem: &[u8]) -> Result<VerifyingKey, FolderError> {
    let key = || {
        let der = Base64::decode_vec(str::from_utf8(pem).ok()?.lines().nth(1)?).ok()?;
        let key = VerifyingKey::from_bytes(*der.last_chunk()?);
        (der.len() == SPKI_LENGTH && spki_pem(&key).as_bytes() == pem).then_some(key)
    };
    key().ok_or_else(|| spelling("root.pub.pem"))
}

/// The envelope with one good signature by each of these keys, in this order.
pub(super) fn signatures_by(envelope: &Envelope, signers: &[VerifyingKey]) -> Result<Envelope, FolderError> {
    let signed = pae(envelope.payload_type(), envelope.payload());
    let mut only = Envelope::new(envelope.payload_type(), envelope.payload().to_vec());
    for (number, key) in signers.iter().enumerate() {
        let is_good = |signature: &&EnvelopeSignature| {
            signature.bytes.as_slice().try_into().is_ok_and(|bytes| key.verify(&signed, bytes).is_ok())
        };
        let found = envelope.signatures().iter().find(is_good).filter(|_| !signers[..number].contains(key));
        let name = if number == 0 { "chain/writer.sbv1".to_owned() } else { format!("chain/officer-{number}.sbv1") };
        let bytes = found.ok_or(FolderError::Unsigned { name })?.bytes.clone();
        only.add(EnvelopeSignature { key_id: envelope_key_id(key).to_string(), bytes });
    }
    Ok(only)
}

fn check_envelope(files: &Files, signers: &[VerifyingKey]) -> Result<(), FolderError> {
    let name = "certificate.dsse.json";
    let bytes = files.need(name)?;
    let envelope = Envelope::parse(bytes).map_err(malformed(name))?;
    if envelope.payload() != files.need("statement.json")? {
        return Err(spelling("statement.json"));
    }
    let only = signatures_by(&envelope, signers)?;
    if envelope.payload_type() != STATEMENT_TYPE || only.to_json().to_string().as_bytes() != bytes {
        return Err(spelling(name));
    }
    Ok(())
}

/// The policy, which names the machine's log and the witnesses; none of them may be a key of the vault's own.
fn read_policy(files: &Files, chain: &KeyChain, officers: &[UserKey]) -> Result<Policy, FolderError> {
    let name = "witnesses.policy";
    let bytes = files.need(name)?;
    let policy = Policy::parse(bytes).map_err(malformed(name))?;
    let witnesses = policy.witnesses();
    if witnesses.len() > EACH_MAX || policy_text(chain.log(), witnesses).as_bytes() != bytes {
        return Err(spelling(name));
    }
    let mut own = vec![chain.root(), &chain.user().key, chain.log_key()];
    own.extend(officers.iter().map(|officer| &officer.key));
    for witness in witnesses {
        let no = |fault| Err(FolderError::NoWitness { name: witness.name().to_owned(), fault });
        if own.contains(&witness.key()) {
            return no("is a key of the vault itself");
        }
        if witness.name().len() > NAME_BYTES_MAX || !witness.name().bytes().all(|byte| byte.is_ascii_graphic()) {
            return no("has a name that is too long or is not ASCII");
        }
    }
    Ok(policy)
}

fn check_certificate(files: &Files, signers: Vec<VerifyingKey>, policy: Policy) -> Result<Proven, FolderError> {
    let name = "certificate.tlog-proof";
    let bytes = files.need(name)?;
    let proof = TlogProof::parse(bytes).map_err(malformed(name))?;
    let keys = [policy.logs(), policy.witnesses()].concat();
    let trust = Trust { threshold: signers.len(), signers, policy };
    let envelope = files.need("certificate.dsse.json")?;
    let proven = verify_certificate(Evidence { envelope, proof: bytes, entry: None, checkpoint: None }, &trust)?;
    let in_time = |seen: &Cosignature| seen.time.timestamp() <= LAST_SECOND;
    if proof.to_string().as_bytes() != bytes
        || !is_plain(&proof.checkpoint, &keys)
        || proven.logged.checkpoint.head().size >= COUNT_END
        || !proven.logged.cosignatures.iter().all(in_time)
    {
        return Err(spelling(name));
    }
    let entry = proof.extra.as_deref().ok_or(EvidenceError::NoEntry)?;
    for (name, json) in [("statement.json", files.need("statement.json")?), (name, entry)] {
        if !has_plain_keys(&Json::parse(json).map_err(malformed(name))?) {
            return Err(spelling(name));
        }
    }
    Ok(proven)
}

/// Whether a checkpoint has three lines, and the signatures of these keys alone, in this order.
fn is_plain(note: &Note, keys: &[VerifierKey]) -> bool {
    let signatures = note.signatures();
    let extended = Checkpoint::parse(note.text()).is_ok_and(|checkpoint| !checkpoint.extensions().is_empty());
    !extended && signatures.len() == keys.len() && signatures.iter().zip(keys).all(|(by, key)| by.is_by(key))
}

/// Whether all keys consist of at most 64 letters, digits, `_`, `.` and `-`, so that a shell can tell them from what is
/// around.
fn has_plain_keys(json: &Json) -> bool {
    let is_plain = |key: &str| {
        (1..=KEY_BYTES_MAX).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
    };
    match json {
        Json::Object(fields) => fields.iter().all(|(key, value)| is_plain(key) && has_plain_keys(value)),
        Json::List(values) => values.iter().all(has_plain_keys),
        _ => true,
    }
}

/// Those among the witnesses that are known; all that are known must be among them.
fn check_witnesses(evidence: &Proven, known: &Known) -> Result<Vec<Cosignature>, FolderError> {
    let seen = &evidence.logged.cosignatures;
    for witness in &known.witnesses {
        if !seen.iter().any(|cosignature| cosignature.witness == *witness) {
            return Err(FolderError::NotCosigned { name: witness.name().to_owned() });
        }
    }
    Ok(seen.iter().filter(|cosignature| known.witnesses.contains(&cosignature.witness)).cloned().collect())
}

/// The root certificate of a time stamp in the one spelling that a folder has it in.
pub(super) fn root_pem(pem: &[u8]) -> Result<String, TimeStampError> {
    Ok(RootCertificate::from_pem(pem)?.to_pem())
}

fn check_stamps(files: &Files, evidence: &Proven, known: &Known) -> Result<Vec<FolderStamp>, FolderError> {
    let checkpoint = evidence.logged.checkpoint.to_string();
    let statement = files.need("statement.json")?;
    let mut stamps = Vec::new();
    for name in files.numbered("stamps/", ".tsr") {
        let failed = |source| FolderError::Stamp { name: name.clone(), source };
        let (response, pem_name) = (files.need(&name)?, name.replace(".tsr", ".ca.pem"));
        let pem = files.need(&pem_name)?;
        let root = RootCertificate::from_pem(pem).map_err(failed)?;
        if root.to_pem().as_bytes() != pem {
            return Err(spelling(&pem_name));
        }
        if plain_answer(response).map_err(failed)? != response {
            return Err(spelling(&name));
        }
        let root_sha256 = root.sha256();
        let authorities = Authorities::from(root);
        let (stamped, message) = match authorities.verify(response, checkpoint.as_bytes()) {
            Err(TimeStampError::OtherMessage) => (Stamped::Statement, statement),
            _ => (Stamped::Checkpoint, checkpoint.as_bytes()),
        };
        let stamp = authorities.verify(response, message).map_err(failed)?;
        let is_known = known.authorities.as_ref().is_some_and(|known| known.verify(response, message).is_ok());
        stamps.push(FolderStamp { stamp, stamped, root_sha256, is_known });
    }
    if known.authorities.is_some() && !stamps.iter().any(|stamp| stamp.is_known) {
        return Err(FolderError::NotVouched);
    }
    Ok(stamps)
}

/// The script adds these up.
fn check_counts(statement: &Statement) -> Result<(), FolderError> {
    let Predicate::Verification(verification) = &statement.predicate else { return Ok(()) };
    let VerificationCounts { documents, verified, missing, corrupt, .. } = verification.counts;
    match [documents, verified, missing, corrupt].iter().all(|count| *count < COUNT_END) {
        true => Ok(()),
        false => Err(FolderError::Spelling { name: "statement.json".to_owned() }),
    }
}

fn check_document(files: &Files, evidence: &Proven) -> Result<Option<Document>, FolderError> {
    let Some(leaf) = files.get("document.json") else { return Ok(None) };
    let proof = DocumentProof::parse(files.need("document.proof")?).map_err(malformed("document.proof"))?;
    let tree = evidence.statement.run().document_tree.as_ref();
    let tree = tree.ok_or(DocumentError::NotIncluded { index: proof.index, size: 0 })?;
    if tree.size >= COUNT_END {
        return Err(DocumentError::NotIncluded { index: proof.index, size: tree.size }.into());
    }
    Ok(Some(proof.verify(leaf, tree)?))
}
