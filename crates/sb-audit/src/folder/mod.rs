//! The folder that an auditor gets: everything that a certificate needs to be believed, in files, with a page that says
//! what it is and a script that checks it with `openssl` alone. docs/evidence.md has its layout.

mod error;
mod files;
mod page;
mod verify;

use sb_crypto::{Digest, VerifyingKey};

use crate::chain::KeyChain;
use crate::document::DocumentProof;
use crate::envelope::{Envelope, spki_pem};
use crate::note::{Note, VerifierKey};
use crate::timestamp::plain_answer;
use crate::tlog_proof::TlogProof;

pub use error::FolderError;
pub use verify::{FolderStamp, Known, ProvenFolder, Stamped};

use files::Files;
use verify::{root_pem, signatures_by};

/// The script that checks an evidence folder: `sh verify.sh FINGERPRINT`, in the folder. It is in every folder, and
/// whoever wants to be sure takes it from elsewhere.
pub const VERIFY_SH: &str = include_str!("verify.sh");

/// How many officers, witnesses and time stamps a folder has at the most, each.
const EACH_MAX: usize = 9;

/// What goes into an evidence folder: [`files`](Self::files) makes the files, and [`verify`](Self::verify) verifies them.
///
/// ```
/// use std::{fs, path::Path};
/// use sb_audit::{EvidenceFolder, Known, RunResult, parse_fingerprint};
/// # let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/evidence"));
/// // A folder that an auditor was given, and the fingerprint, known from elsewhere:
/// let fingerprint = "2438DD04 EFC1E4F7 F036F155 DD6E0603 18C3DB91 D8E1834C 4F04A24D 9191E910";
/// let mut files = Vec::new();
/// for inner in ["", "chain", "stamps"] {
///     for entry in fs::read_dir(folder.join(inner))? {
///         let path = entry?.path();
///         if path.is_file() {
///             let name = path.strip_prefix(folder)?.to_str().ok_or("a name that is no text")?.to_owned();
///             files.push((name, fs::read(&path)?));
///         }
///     }
/// }
/// let fingerprint = parse_fingerprint(fingerprint).ok_or("no fingerprint")?;
/// let proven = EvidenceFolder::verify(&files, &fingerprint, &Known::default())?;
/// assert_eq!(proven.evidence.statement.run().result, RunResult::Passed);
/// assert_eq!(proven.document.ok_or("no document")?.path, b"/clients/3.pdf");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct EvidenceFolder {
    /// The root key of the vault.
    pub root: VerifyingKey,
    /// The bytes of the object `users/X` of the user who vouches for the machine.
    pub user: Vec<u8>,
    /// The bytes of the object `writers/X` of the machine.
    pub writer: Vec<u8>,
    /// The certificate, signed by the machine. Signatures by others than the machine and the officers are left out.
    pub envelope: Envelope,
    /// The entry that records its issue, and the way up to a checkpoint of the machine's log. Cosignatures by others
    /// than the witnesses are left out.
    pub proof: TlogProof,
    /// The bytes of objects `users/X`, one for each user who has signed the certificate besides the machine; at most 9.
    pub officers: Vec<Vec<u8>>,
    /// The keys of witnesses that have cosigned the checkpoint; at most 9.
    pub witnesses: Vec<VerifierKey>,
    /// Time stamps of the checkpoint's text or of the statement; at most 9.
    pub stamps: Vec<RootedStamp>,
    /// One document of the snapshot, if the folder is to show one.
    pub document: Option<ShownDocument>,
}

/// A time stamp with the certificate of who vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootedStamp {
    /// The authority's answer, a `.tsr` file.
    pub response: Vec<u8>,
    /// One root certificate, in PEM.
    pub root: Vec<u8>,
}

/// A document that is shown, and its place among those that are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownDocument {
    /// The bytes of its leaf.
    pub leaf: Vec<u8>,
    /// Where the leaf is in the document tree.
    pub proof: DocumentProof,
}

impl EvidenceFolder {
    /// The files to write, by name with `/` between folder and file, in the order of their names: a pure function of
    /// what goes in. Only what verifies becomes a folder.
    ///
    /// # Errors
    /// [`FolderError`] says what does not hold.
    pub fn files(&self) -> Result<Vec<(String, Vec<u8>)>, FolderError> {
        let chain = KeyChain::verify(&self.root, &self.user, &self.writer)
            .map_err(|source| FolderError::Chain { name: "chain/writer.sbv1".to_owned(), source })?;
        let mut signers = vec![*chain.log_key()];
        let mut files = Files::default();
        for (number, officer) in (1..).zip(&self.officers) {
            let name = format!("chain/officer-{number}.sbv1");
            let read = chain.other_user(officer);
            signers.push(read.map_err(|source| FolderError::Chain { name: name.clone(), source })?.key);
            files.put(&name, officer.clone());
        }
        files.put("root.pub.pem", spki_pem(&self.root));
        files.put("chain/user.sbv1", self.user.clone());
        files.put("chain/writer.sbv1", self.writer.clone());
        files.put("statement.json", self.envelope.payload());
        files.put("certificate.dsse.json", signatures_by(&self.envelope, &signers)?.to_json().to_string());
        let proof = TlogProof { checkpoint: self.checkpoint(&chain)?, ..self.proof.clone() };
        files.put("certificate.tlog-proof", proof.to_string());
        files.put("witnesses.policy", policy_text(chain.log(), &self.witnesses));
        for (number, stamp) in (1..).zip(&self.stamps) {
            let name = format!("stamps/{number}.tsr");
            let failed = |source| FolderError::Stamp { name: name.clone(), source };
            files.put(&format!("stamps/{number}.ca.pem"), root_pem(&stamp.root).map_err(failed)?);
            files.put(&name, plain_answer(&stamp.response).map_err(failed)?);
        }
        if let Some(document) = &self.document {
            files.put("document.json", document.leaf.clone());
            files.put("document.proof", document.proof.to_string());
        }
        let proven = verify::prove(&files, &self.root.fingerprint(), &Known::default())?;
        files.put("README.html", page::page(&proven));
        files.put("verify.sh", VERIFY_SH);
        files.put("SHA256SUMS", files.sums());
        files.check_names()?;
        Ok(files.into_list())
    }

    /// Verifies the files of a folder, as `verify.sh` does: `fingerprint` is the SHA-256 of the root key and must come
    /// from elsewhere. Of the page and the script it is only known that they have not changed by accident.
    ///
    /// # Errors
    /// [`FolderError`] says what does not hold.
    pub fn verify(
        files: &[(String, Vec<u8>)],
        fingerprint: &Digest,
        known: &Known,
    ) -> Result<ProvenFolder, FolderError> {
        let files = Files::read(files)?;
        files.check_names()?;
        files.check_sums()?;
        verify::prove(&files, fingerprint, known)
    }

    /// The checkpoint with the signatures of the log and of the witnesses, in this order, and no others.
    fn checkpoint(&self, chain: &KeyChain) -> Result<Note, FolderError> {
        let note = &self.proof.checkpoint;
        let by = |key: &VerifierKey| {
            let signature = note.signatures().iter().find(|signature| signature.is_by(key));
            signature.cloned().ok_or_else(|| FolderError::NotCosigned { name: key.name().to_owned() })
        };
        let spelling = |_| FolderError::Spelling { name: "certificate.tlog-proof".to_owned() };
        let mut only = Note::new(note.text(), by(chain.log())?).map_err(spelling)?;
        for witness in &self.witnesses {
            only.add(by(witness)?);
        }
        Ok(only)
    }
}

/// Reads the fingerprint of a root key as people write it: 64 hexadecimal digits, in capitals or not, with spaces or
/// dashes between them or not. `None` if it is none.
///
/// ```
/// let key = sb_crypto::SigningKey::from_seed(&[1; 32]).public();
/// let text = key.fingerprint().to_string().to_uppercase();
/// let grouped = format!("{} {}-{}", &text[..4], &text[4..32], &text[32..]);
/// assert_eq!(sb_audit::parse_fingerprint(&grouped), Some(key.fingerprint()));
/// assert_eq!(sb_audit::parse_fingerprint("5be2"), None);
/// ```
#[must_use]
pub fn parse_fingerprint(text: &str) -> Option<Digest> {
    let digits: String = text.chars().filter(|character| !matches!(character, ' ' | '-')).collect();
    digits.to_ascii_lowercase().parse().ok()
}

/// The policy that names the log and asks for all of the witnesses (C2SP tlog-policy).
fn policy_text(log: &VerifierKey, witnesses: &[VerifierKey]) -> String {
    let lines: String =
        (1..).zip(witnesses).map(|(number, witness): (usize, _)| format!("witness w{number} {witness}\n")).collect();
    let members: String = (1..=witnesses.len()).map(|number| format!(" w{number}")).collect();
    let quorum = if witnesses.is_empty() {
        "quorum none\n".to_owned()
    } else {
        format!("group witnesses all{members}\nquorum witnesses\n")
    };
    format!("log {log}\n{lines}{quorum}")
}
