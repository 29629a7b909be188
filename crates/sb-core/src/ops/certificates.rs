//! Certificates: listing and signing them, and handing them to an auditor.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sb_audit::{EvidenceFolder, Json, KeyChain, RootedStamp, ShownDocument, TlogProof, VERIFY_SH, VerifierKey};
use sb_crypto::{Digest, sha256};
use sb_rbac::Action;
use sb_repo::{Certificate, Certificates, FiledCheckpoint, KeyId, Progress, SnapshotId};

use crate::access::{Deed, deed};
use crate::error::CoreError;
use crate::record::{Told, vault_id};
use crate::session::Session;
use crate::snapshot_path::SnapshotPath;

/// What to hand to an auditor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EvidenceOptions {
    /// The certificate: the beginning of its id, or what names a snapshot, whose newest certificate of a backup it is then.
    pub certificate: String,
    /// Shows that this document is in the snapshot, and no other.
    pub document: Option<Vec<u8>>,
    /// Witnesses whose cosignatures go along, besides those that this machine believes.
    pub witnesses: Vec<VerifierKey>,
    /// Root certificates, in PEM, of authorities whose time stamps go along, besides those that this machine believes.
    pub authorities: Vec<Vec<u8>>,
}

impl EvidenceOptions {
    /// This certificate.
    pub fn new(certificate: impl Into<String>) -> Self {
        let certificate = certificate.into();
        Self { certificate, document: None, witnesses: Vec::new(), authorities: Vec::new() }
    }

    /// The certificate of the backup that has this document, which is shown.
    ///
    /// # Errors
    /// Without a path there is no document.
    pub fn of_document(at: &SnapshotPath) -> Option<Self> {
        let mut options = Self::new(at.snapshot.clone());
        options.document = Some(at.path.clone()?);
        Some(options)
    }
}

/// A certificate with what the vault knows of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShownCertificate {
    /// The certificate.
    pub certificate: Certificate,
    /// Where its issue is logged: whose log, and which entry. `None` if it is not, as the run was cut short before.
    pub logged: Option<(KeyId, u64)>,
    /// The first checkpoint after that which somebody else has signed.
    pub anchored: Option<FiledCheckpoint>,
}

/// What was handed over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EvidenceReport {
    /// The certificate.
    pub certificate: Certificate,
    /// Where.
    pub folder: PathBuf,
    /// The files.
    pub files: Vec<String>,
    /// How many witnesses' cosignatures are among them.
    pub witnesses: usize,
    /// How many time stamps.
    pub stamps: usize,
    /// The vault's fingerprint, which the auditor must know from elsewhere.
    pub root_fingerprint: Digest,
    /// SHA-256 of the script, for who takes it from elsewhere.
    pub script_sha256: Digest,
}

const SIGN: Deed = deed("Certificate.Sign", Action::SignCertificate);

impl Session {
    /// Lists all certificates.
    ///
    /// # Errors
    /// None now.
    pub fn certificates(&self) -> Result<Certificates, CoreError> {
        let list = deed("Certificate.List", Action::ListCertificates);
        self.look(list, |session| Ok(session.vault.view().certificates()), |_| None)
    }

    /// Finds a certificate as [`EvidenceOptions::certificate`] says, and what the vault knows of it.
    ///
    /// # Errors
    /// In [`CoreError::Repo`] no such certificate, and several snapshots of that name.
    pub fn certificate(&self, name: &str, progress: Progress<'_>) -> Result<ShownCertificate, CoreError> {
        let show = |session: &Self| Ok(session.shown(session.certificate_named(name, progress)?));
        self.look(deed("Certificate.Show", Action::ShowCertificate), show, |_| None)
    }

    /// Adds the signature of the user who opened the vault to a certificate. False if it was there.
    ///
    /// # Errors
    /// As [`certificate`](Self::certificate), a vault that was rolled back, and failures of storage and state.
    pub fn sign_certificate(&mut self, name: &str, progress: Progress<'_>) -> Result<(Certificate, bool), CoreError> {
        let certificate = match self.certificate_named(name, progress) {
            Ok(certificate) => certificate,
            Err(error) => return self.failed(SIGN, error),
        };
        let object = format!("certificate:{}", certificate.object);
        let sign = |session: &mut Self| Ok(session.vault.sign_certificate(&certificate)?);
        let statement = certificate.statement_sha256().to_string();
        let is_new = self.change(SIGN, &object, progress, sign, |is_new| Told {
            data: vec![("new", Json::Integer(u64::from(*is_new))), ("statement_sha256", Json::text(statement))],
            ..Told::default()
        })?;
        Ok((certificate, is_new))
    }

    /// Writes a folder with everything that an auditor needs to believe a certificate without believing us; docs/evidence.md has its
    /// layout. The folder must be new or empty.
    ///
    /// # Errors
    /// [`CoreError::NotLogged`] for a certificate whose issue is not in the log, [`CoreError::Evidence`] if what should go in does not hold,
    /// [`CoreError::EvidenceNotEmpty`], [`CoreError::EvidenceFile`]; in [`CoreError::Repo`] no such certificate or document, keys that
    /// do not read names, and damage.
    pub fn export_evidence(
        &mut self,
        options: &EvidenceOptions,
        folder: &Path,
        progress: Progress<'_>,
    ) -> Result<EvidenceReport, CoreError> {
        let vault = vault_id(self.id());
        let export = |session: &mut Self| session.write_evidence(options, folder, progress);
        self.disclose(deed("Certificate.Export", Action::ExportEvidence), &vault, progress, export, |report| Told {
            object: Some(format!("certificate:{}", report.certificate.object)),
            data: vec![("documents", Json::Integer(u64::from(options.document.is_some())))],
            ..Told::default()
        })
    }

    fn write_evidence(
        &self,
        options: &EvidenceOptions,
        folder: &Path,
        progress: Progress<'_>,
    ) -> Result<EvidenceReport, CoreError> {
        if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(CoreError::EvidenceNotEmpty { folder: folder.to_owned() });
        }
        let certificate = self.certificate_named(&options.certificate, progress)?;
        let document = options.document.as_ref().map(|path| self.shown_document(&certificate, path, progress));
        let document = document.transpose()?;
        let evidence = EvidenceFolder { document, ..self.evidence(&certificate, options)? };
        let files = evidence.files()?;
        for (name, bytes) in &files {
            write_new(folder, name, bytes)?;
        }
        Ok(EvidenceReport {
            certificate,
            folder: folder.to_owned(),
            files: files.into_iter().map(|(name, _)| name).collect(),
            witnesses: evidence.witnesses.len(),
            stamps: evidence.stamps.len(),
            root_fingerprint: self.root_fingerprint(),
            script_sha256: sha256(VERIFY_SH.as_bytes()),
        })
    }

    /// All but a document.
    fn evidence(&self, certificate: &Certificate, options: &EvidenceOptions) -> Result<EvidenceFolder, CoreError> {
        let view = self.vault.view();
        let not_logged = || CoreError::NotLogged { certificate: certificate.object };
        let (user, writer) = view.chain(certificate.writer).ok_or_else(not_logged)?;
        let root = view.root_key();
        let (proof, filed) = self.proof(certificate).ok_or_else(not_logged)?;
        let (mut witnesses, mut roots) = self.vault.anchors_believed();
        witnesses.extend(options.witnesses.iter().filter(|key| !witnesses.contains(key)).cloned().collect::<Vec<_>>());
        roots.extend(options.authorities.iter().cloned());
        let signatures = proof.checkpoint.signatures();
        witnesses.retain(|key| signatures.iter().any(|signature| signature.is_by(key)));
        let officers = self.officers(certificate, &user, &writer);
        let stamps = filed.map_or_else(Vec::new, |filed| rooted(&filed, &roots));
        let envelope = certificate.envelope();
        Ok(EvidenceFolder { root, user, writer, envelope, proof, officers, witnesses, stamps, document: None })
    }

    /// The certificates of the users who have signed besides the machine.
    fn officers(&self, certificate: &Certificate, user: &[u8], writer: &[u8]) -> Vec<Vec<u8>> {
        let view = self.vault.view();
        let Ok(chain) = KeyChain::verify(&view.root_key(), user, writer) else { return Vec::new() };
        let others = certificate.signatures.iter().filter(|signature| signature.key != *chain.log_key());
        others.filter_map(|signature| view.user_certificate(KeyId::new(signature.key.key_id()))).collect()
    }

    fn shown_document(
        &self,
        certificate: &Certificate,
        path: &[u8],
        progress: Progress<'_>,
    ) -> Result<ShownDocument, CoreError> {
        let subject = certificate.statement.subjects.first().map(|subject| subject.sha256.to_string());
        let snapshot = self.found(&subject.unwrap_or_default(), progress)?;
        let shown = self.vault.reader(progress)?.prove_document(&snapshot, path, progress)?;
        Ok(ShownDocument { leaf: shown.leaf.into_bytes(), proof: shown.proof })
    }

    fn certificate_named(&self, name: &str, progress: Progress<'_>) -> Result<Certificate, CoreError> {
        // What looks like an id may be a certificate's as well as a snapshot's, of which there may be nothing left.
        let is_word =
            name.starts_with("latest") || SnapshotId::from_hex(name).is_none() && self.found(name, progress).is_ok();
        let name = if is_word { self.found(name, progress)?.id.to_string() } else { name.to_owned() };
        Ok(self.vault.find_certificate(&name)?)
    }

    fn shown(&self, certificate: Certificate) -> ShownCertificate {
        let view = self.vault.view();
        let issue = view.issue_of(&certificate);
        let logged = issue.map(|(seq, _)| (certificate.writer, seq));
        let anchored = logged.and_then(|(writer, seq)| self.anchor_of(writer, seq));
        ShownCertificate { certificate, logged, anchored }
    }

    /// The first filed checkpoint that has this entry, with what all that were filed of the same size have been given.
    fn anchor_of(&self, writer: KeyId, seq: u64) -> Option<FiledCheckpoint> {
        let filed = self.vault.view().checkpoints().checkpoints;
        let mut later = filed.into_iter().filter(|filed| filed.writer == writer && filed.head.size > seq);
        let mut first = later.next()?;
        let text = first.note.text().to_owned();
        for other in later.filter(|other| other.note.text() == text) {
            for signature in other.note.signatures() {
                if !first.note.signatures().contains(signature) {
                    first.note.add(signature.clone());
                }
            }
            first.stamps.extend(other.stamps);
        }
        Some(first)
    }

    /// The way up from the entry of its issue to a checkpoint: the first that somebody else has signed, or else the log's own.
    fn proof(&self, certificate: &Certificate) -> Option<(TlogProof, Option<FiledCheckpoint>)> {
        let (view, writer) = (self.vault.view(), certificate.writer);
        let (seq, batch) = view.issue_of(certificate)?;
        let own = batch.prove(seq)?;
        let anchored = self.anchor_of(writer, seq).and_then(|filed| {
            let path = view.log_stretch(writer, seq, filed.head.size)?.prove_inclusion(seq)?;
            let proof = TlogProof { path, checkpoint: filed.note.clone(), ..own.clone() };
            Some((proof, Some(filed)))
        });
        Some(anchored.unwrap_or((own, None)))
    }
}

/// Those time stamps that one of these roots vouches for, with that root.
fn rooted(filed: &FiledCheckpoint, roots: &[Vec<u8>]) -> Vec<RootedStamp> {
    let text = filed.note.text().as_bytes();
    let vouches = |root: &Vec<u8>, response: &[u8]| {
        sb_audit::Authorities::from_pem(root).is_ok_and(|authorities| authorities.verify(response, text).is_ok())
    };
    let stamps = filed.stamps.iter().filter_map(|response| {
        let root = roots.iter().find(|root| vouches(root, response))?;
        Some(RootedStamp { response: response.clone(), root: root.clone() })
    });
    stamps.collect()
}

/// Writes a file that is not there, and the folders above it.
fn write_new(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), CoreError> {
    let path = folder.join(name);
    let failed = |source| CoreError::EvidenceFile { path: path.clone(), source };
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).map_err(failed)?;
    }
    let mut file = fs::File::create_new(&path).map_err(failed)?;
    match std::io::Write::write_all(&mut file, bytes) {
        Err(error) if error.kind() == ErrorKind::Interrupted => Err(failed(error)),
        written => written.map_err(failed),
    }
}
