//! Having this machine's log signed by others: cosigned by witnesses, stamped by authorities.

use chrono::{DateTime, Utc};
use sb_audit::{AddCheckpoint, Anchor, AnchorKind, Authorities, Batch, Json, Note, TreeHead, VerifierKey};
use sb_rbac::Action;
use sb_repo::{KeyId, Progress};
use sb_witness::{Client, SubmitError};

use crate::access::deed;
use crate::error::CoreError;
use crate::record::{Told, vault_id};
use crate::session::Session;

/// Whom to ask.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AnchorOptions {
    /// Witnesses: where each is, and its key.
    pub witnesses: Vec<(String, VerifierKey)>,
    /// Time-stamping authorities: where each is, and the root certificate, in PEM, that vouches for it.
    pub authorities: Vec<(String, Vec<u8>)>,
}

/// What others have signed.
#[derive(Debug)]
#[non_exhaustive]
pub struct AnchorReport {
    /// Which log.
    pub writer: KeyId,
    /// How long it was.
    pub head: TreeHead,
    /// Who signed, and when by their clocks.
    pub anchors: Vec<Anchor>,
    /// Who did not, and why.
    pub failures: Vec<(String, CoreError)>,
}

/// What is gathered for a checkpoint.
struct Gathered {
    note: Note,
    stamps: Vec<Vec<u8>>,
    anchors: Vec<Anchor>,
    failures: Vec<(String, CoreError)>,
}

impl Session {
    /// Has the newest checkpoint of this machine's log cosigned and stamped, and files what others have signed. From then on this
    /// machine believes these witnesses and authorities.
    ///
    /// # Errors
    /// [`CoreError::Unanchored`] if nobody signs; [`CoreError::LogRefused`] if a witness has seen more of the log than there is, or another one; in
    /// [`CoreError::Repo`] a vault that was rolled back, and failures of storage and state. Who else does not sign is in the report.
    pub fn anchor(&mut self, options: &AnchorOptions, progress: Progress<'_>) -> Result<AnchorReport, CoreError> {
        let vault = vault_id(self.id());
        let anchor = |session: &mut Self| session.gather_anchors(options);
        self.change(deed("Log.Anchor", Action::AnchorLog), &vault, progress, anchor, |report| Told {
            data: vec![
                ("anchors", Json::Integer(report.anchors.len() as u64)),
                ("failures", Json::Integer(report.failures.len() as u64)),
                ("size", Json::Integer(report.head.size)),
            ],
            ..Told::default()
        })
    }

    fn gather_anchors(&mut self, options: &AnchorOptions) -> Result<AnchorReport, CoreError> {
        let client = Client::new();
        // A rehearsal may be of a log with nothing in it, and what was written just now may not be readable.
        let no_log = || CoreError::Unanchored { cause: None };
        let writer = self.vault.own_writer()?.ok_or_else(no_log)?;
        let batch = self.vault.view().newest_batch(writer).ok_or_else(no_log)?;
        let note = batch.checkpoint().clone();
        let mut all = Gathered { note, stamps: Vec::new(), anchors: Vec::new(), failures: Vec::new() };
        for (url, key) in &options.witnesses {
            match self.cosigned(&client, url, key, writer, &batch) {
                Ok((signatures, anchor)) => {
                    signatures.into_iter().for_each(|signature| all.note.add(signature));
                    all.anchors.push(anchor);
                }
                Err(error @ CoreError::LogRefused { .. }) => return Err(error),
                Err(error) => all.failures.push((url.clone(), error)),
            }
        }
        for (url, root) in &options.authorities {
            match self.stamped(&client, url, root, &all.note) {
                Ok((response, anchor)) => {
                    all.stamps.push(response);
                    all.anchors.push(anchor);
                }
                Err(error) => all.failures.push((url.clone(), error)),
            }
        }
        if all.anchors.is_empty() {
            let first = all.failures.into_iter().next();
            return Err(CoreError::Unanchored { cause: first.map(|(_, error)| Box::new(error)) });
        }
        self.vault.file_checkpoint(&all.note, &all.stamps)?;
        let witnesses: Vec<VerifierKey> = options.witnesses.iter().map(|(_, key)| key.clone()).collect();
        let roots: Vec<Vec<u8>> = options.authorities.iter().map(|(_, root)| root.clone()).collect();
        self.vault.believe_anchors(&witnesses, &roots)?;
        for anchor in &all.anchors {
            self.vault.note_anchor(anchor.clone())?;
        }
        Ok(AnchorReport { writer, head: batch.tip().head(), anchors: all.anchors, failures: all.failures })
    }

    /// A cosignature, for a log that has grown from what the witness has seen.
    fn cosigned(
        &self,
        client: &Client,
        url: &str,
        key: &VerifierKey,
        writer: KeyId,
        batch: &Batch,
    ) -> Result<(Vec<sb_audit::NoteSignature>, Anchor), CoreError> {
        let size = batch.tip().size();
        let mut old = self.last_cosigned(writer, key).min(size);
        let mut asked_again = false;
        loop {
            let note = batch.checkpoint().clone();
            let proof = self.growth(writer, old, size).ok_or(CoreError::LogUnproven { old, size })?;
            let request =
                AddCheckpoint::new(old, proof, note.clone()).expect("a checkpoint, and hashes as a tree has levels");
            match client.submit(url, &request, std::slice::from_ref(key)) {
                Ok(signatures) => {
                    let mut signed = note;
                    signatures.iter().for_each(|signature| signed.add(signature.clone()));
                    let verified = signed.verify([key]).map_err(|_| CoreError::Unanchored { cause: None })?;
                    let time = verified.iter().find_map(|by| by.time).unwrap_or(DateTime::UNIX_EPOCH);
                    return Ok((signatures, anchored(AnchorKind::Witness, key.name(), time)));
                }
                Err(SubmitError::Stale { latest }) if latest <= size && !asked_again => {
                    (old, asked_again) = (latest, true);
                }
                Err(SubmitError::Stale { latest }) => {
                    return Err(CoreError::LogRefused { url: url.to_owned(), seen: latest, size });
                }
                Err(SubmitError::OtherRoot { latest, .. }) => {
                    return Err(CoreError::LogRefused { url: url.to_owned(), seen: latest, size });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn stamped(&self, client: &Client, url: &str, root: &[u8], note: &Note) -> Result<(Vec<u8>, Anchor), CoreError> {
        let message = note.text().as_bytes();
        let response = client.time_stamp(url, message, &*self.place.random)?;
        let stamp = Authorities::from_pem(root)?.verify(&response, message)?;
        Ok((response, anchored(AnchorKind::TimeStamp, &stamp.authority, stamp.time)))
    }

    /// How long the log was when this witness last cosigned it, as far as that is filed.
    fn last_cosigned(&self, writer: KeyId, key: &VerifierKey) -> u64 {
        let filed = self.vault.view().checkpoints().checkpoints;
        let own = filed.iter().filter(|filed| filed.writer == writer);
        let by = own.filter(|filed| filed.note.signatures().iter().any(|signature| signature.is_by(key)));
        by.map(|filed| filed.head.size).max().unwrap_or(0)
    }

    /// The hashes that prove the log to have grown from one size to another.
    fn growth(&self, writer: KeyId, old: u64, size: u64) -> Option<Vec<sb_crypto::Digest>> {
        if old == 0 || old == size {
            return Some(Vec::new());
        }
        self.vault.view().log_stretch(writer, old, size)?.prove_consistency(old)
    }
}

fn anchored(kind: AnchorKind, by: &str, time: DateTime<Utc>) -> Anchor {
    Anchor { kind, by: by.to_owned(), time }
}
