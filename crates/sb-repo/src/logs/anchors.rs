//! Checkpoints of logs that others have seen: cosigned by witnesses, stamped by authorities, and filed in the vault (docs/format.md §16).

use sb_audit::{Action, Batch, Checkpoint, Entry, Json, LogStretch, Note, TreeHead};
use sb_crypto::{Digest, sha256};

use super::read::LogReader;
use super::{batches_in, newest_first, verifier};
use crate::certificates::{Certificate, write_object};
use crate::error::{Flaw, RepoError};
use crate::ids::{KeyId, RunId};
use crate::live::{names_in, read};
use crate::name::{ObjectKind, ParsedName};
use crate::trust::key_id;
use crate::vault::{Change, Vault};
use crate::view::View;
use crate::wire::cbor::Malformed;
use crate::wire::frame::Author;
use crate::wire::proof::StampBody;

/// The highest number that a name has room for.
pub(super) const LAST: u64 = 9_999_999_999;

/// A checkpoint that is filed in the vault. Its log has signed it; whose cosignatures and stamps are to be believed is not known here.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FiledCheckpoint {
    /// The object.
    pub object: String,
    /// Whose log.
    pub writer: KeyId,
    /// How long the log was.
    pub head: TreeHead,
    /// The checkpoint with all its signatures.
    pub note: Note,
    /// Answers of time-stamping authorities (RFC 3161) about its text.
    pub stamps: Vec<Vec<u8>>,
}

/// All filed checkpoints, shorter ones of a log first, and what is wrong with others.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FiledCheckpoints {
    /// The good ones.
    pub checkpoints: Vec<FiledCheckpoint>,
    /// Answers of authorities about statements of certificates: SHA-256 of the statement, and the answer.
    pub statement_stamps: Vec<(Digest, Vec<u8>)>,
    /// Objects that should be checkpoints or stamps, and what is wrong with them.
    pub flawed: Vec<(String, Flaw)>,
}

impl View {
    /// Reads all checkpoints that are filed.
    pub fn checkpoints(&self) -> FiledCheckpoints {
        let mut filed = FiledCheckpoints::default();
        for (name, parsed) in self.entered("checkpoints/") {
            match self.checkpoint(name, &parsed) {
                Ok(checkpoint) => filed.checkpoints.push(checkpoint),
                Err(flaw) => filed.flawed.push((name.to_owned(), flaw)),
            }
        }
        for (name, parsed) in self.entered("stamps/") {
            let stamp = read(&*self.storage, name)
                .and_then(|bytes| Ok(StampBody::decode(self.trust.check(&parsed, &bytes)?.body)?));
            match stamp {
                Ok(StampBody { stamped, response }) => {
                    let of = |checkpoint: &&mut FiledCheckpoint| sha256(checkpoint.note.text().as_bytes()) == stamped;
                    match filed.checkpoints.iter_mut().find(of) {
                        Some(checkpoint) => checkpoint.stamps.push(response),
                        None => filed.statement_stamps.push((stamped, response)),
                    }
                }
                Err(flaw) => filed.flawed.push((name.to_owned(), flaw)),
            }
        }
        filed.checkpoints.sort_by_key(|checkpoint| (checkpoint.writer, checkpoint.head.size));
        filed
    }

    /// The objects of a folder that count.
    pub(crate) fn entered<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, ParsedName)> {
        let there = names_in(&self.listing, folder).filter(|name| self.live.is_readable(name));
        there.filter_map(|name| Some((name, ParsedName::parse(name)?)))
    }

    fn checkpoint(&self, name: &str, parsed: &ParsedName) -> Result<FiledCheckpoint, Flaw> {
        let bytes = read(&*self.storage, name)?;
        let note = Note::parse(self.trust.check(parsed, &bytes)?.body).map_err(|_| Malformed("not a signed note"))?;
        let (writer, head) = self.writer_of(&note)?;
        Ok(FiledCheckpoint { object: name.to_owned(), writer, head, note, stamps: Vec::new() })
    }

    /// Whose log a checkpoint is of, and how long that was, if a log of this vault has signed it.
    fn writer_of(&self, note: &Note) -> Result<(KeyId, TreeHead), Flaw> {
        let checkpoint = Checkpoint::parse(note.text()).map_err(|_| Malformed("not a checkpoint"))?;
        let keys = self.trust.writers.iter().map(|(writer, certificate)| (*writer, certificate.key));
        let of = keys.map(|(writer, key)| (writer, verifier(self.id(), key)));
        let (writer, key) = of.into_iter().find(|(_, key)| key.name() == checkpoint.origin()).ok_or(Flaw::Foreign)?;
        note.verify([&key]).map_err(|_| Flaw::BadSignature)?;
        Ok((writer, checkpoint.head()))
    }

    /// Compares the logs from now on with a checkpoint that somebody else has kept: a witness, or an auditor. A log that does not
    /// contain what they have seen is a finding.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] if it is no checkpoint that a log of this vault has signed.
    pub fn heed_checkpoint(&mut self, note: &Note) -> Result<(), RepoError> {
        let damaged = |flaw| RepoError::Damaged { name: "the checkpoint".to_owned(), flaw };
        let (writer, head) = self.writer_of(note).map_err(damaged)?;
        self.witnessed.push((writer, head));
        Ok(())
    }

    /// The batches of a log from the one with entry `from` on until it has `to` entries, as far as they are good and follow each
    /// other. `None` if they do not get that far, or no batch ends there.
    pub fn log_stretch(&self, writer: KeyId, from: u64, to: u64) -> Option<LogStretch> {
        if from >= to {
            return None;
        }
        let folder = format!("log/{writer}/");
        let names = batches_in(names_in(&self.listing, &folder));
        let begin = names.iter().rposition(|(_, parsed)| parsed.stem.generation() <= from)?;
        let mut reader = LogReader::new(self, writer, None, &[], names[begin].1.stem.generation());
        let mut stretch: Option<LogStretch> = None;
        for (name, parsed) in &names[begin..] {
            if stretch.as_ref().is_some_and(|stretch| stretch.head().size >= to) {
                break;
            }
            let Some(batch) = reader.read(name, parsed) else { continue };
            match &mut stretch {
                Some(stretch) => drop(stretch.extend(&batch)),
                None => stretch = Some(LogStretch::of(&batch)),
            }
        }
        stretch.filter(|stretch| stretch.first() <= from && stretch.head().size == to)
    }

    /// The first entry of its machine's log that records the issue of a certificate, and the batch it is in. Reads what was logged since
    /// the certificate was made, up to there.
    pub fn issue_of(&self, certificate: &Certificate) -> Option<(u64, Batch)> {
        let writer = certificate.writer;
        let folder = format!("log/{writer}/");
        let names = batches_in(names_in(&self.listing, &folder));
        let since = certificate.statement.run().log.head.size;
        // A batch that begins before may go on after it.
        let begin = names.iter().rposition(|(_, parsed)| parsed.stem.generation() <= since).unwrap_or(0);
        let said = Json::text(certificate.statement_sha256().to_string());
        names[begin..].iter().find_map(|(name, parsed)| {
            let batch = LogReader::new(self, writer, None, &[], parsed.stem.generation()).read(name, parsed)?;
            let records = |entry: &&Entry| {
                entry.event.action.as_str() == Action::CERTIFICATE_ISSUE
                    && entry.event.data.get("statement_sha256") == Some(&said)
            };
            let seq = batch.entries().iter().find(records)?.seq;
            Some((seq, batch))
        })
    }

    /// The newest good batch of a log.
    pub fn newest_batch(&self, writer: KeyId) -> Option<Batch> {
        newest_first(self, writer, LAST).find_map(|(name, parsed)| {
            LogReader::new(self, writer, None, &[], parsed.stem.generation()).read(name, &parsed)
        })
    }
}

impl Vault {
    /// Compares the logs from now on with a checkpoint that somebody else has kept, as [`View::heed_checkpoint`] does.
    ///
    /// # Errors
    /// [`RepoError::Damaged`].
    pub fn heed_checkpoint(&mut self, note: &Note) -> Result<(), RepoError> {
        self.view.heed_checkpoint(note)
    }

    /// This machine's name as a writer; `None` if it has not enrolled.
    ///
    /// # Errors
    /// Errors of the state.
    pub fn own_writer(&self) -> Result<Option<KeyId>, RepoError> {
        let key = self.around.state.log_key()?.filter(|key| self.knows_writer(key));
        Ok(key.map(|key| key_id(&key.public())))
    }

    /// Files a checkpoint of a log of this vault with what others have added to it. It is durable and entered when this returns.
    ///
    /// # Errors
    /// [`RepoError::Damaged`] if it is none, [`RepoError::RolledBack`], and errors of storage and state.
    pub fn file_checkpoint(&mut self, note: &Note, stamps: &[Vec<u8>]) -> Result<(), RepoError> {
        let damaged = |flaw| RepoError::Damaged { name: "the checkpoint".to_owned(), flaw };
        self.view.writer_of(note).map_err(damaged)?;
        self.check_heads()?;
        let key = self.writer()?;
        let run = RunId::random(&*self.around.random);
        let author = Author { key: &key, run };
        let checkpoint = note.to_string();
        let mut added = vec![write_object(&self.view, &author, ObjectKind::Checkpoint, checkpoint.as_bytes())?];
        for response in stamps {
            let body = StampBody { stamped: sha256(note.text().as_bytes()), response: response.clone() };
            added.push(write_object(&self.view, &author, ObjectKind::Stamp, &body.encode())?);
        }
        self.read_back_or_fail(&added)?;
        self.append(&key, run, Change { operation: "anchor", added, removed: Vec::new(), ..Change::default() })
    }
}
