//! Appending to this machine's own log.

use sb_audit::{Event, LogTip, NoteSigner, TreeHead};
use sb_crypto::SigningKey;
use sb_store::create;

use super::read::{LogReader, is_damage};
use super::{LogEnd, batches_in, verifier};
use crate::error::{Flaw, RepoError};
use crate::ids::{KeyId, VaultId};
use crate::live::names_in;
use crate::name::{ObjectKind, Stem};
use crate::trust::key_id;
use crate::vault::Vault;
use crate::wire::frame::{Author, Header};

/// Where events were logged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogPosition {
    /// Whose log: this machine's.
    pub writer: KeyId,
    /// The number of the first event's entry; the others follow.
    pub first: u64,
    /// The log's size and root with them.
    pub head: TreeHead,
    /// The batch.
    pub object: String,
}

impl Vault {
    /// Appends these events to this machine's log, as one batch, which is durable when this returns. A machine that has not enrolled
    /// does; so does one whose log can't be continued because it forks (the machine was cloned, or restored) or has rotted at its end:
    /// what was logged stays as it is, and it goes on in a new log under a new name.
    ///
    /// Processes of one machine wait for each other. The newest batch of this log is read, nothing else.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use sb_crypto::{KeyFile, Lock, SeededRandom};
    /// # use sb_repo::*;
    /// # let random = Arc::new(SeededRandom::new(1));
    /// # let clock = Arc::new(FixedClock(chrono::DateTime::UNIX_EPOCH));
    /// # let storage = Arc::new(sb_store::MemoryStorage::new());
    /// # let around = Surroundings { storage, state: State::in_memory(), clock, random: random.clone() };
    /// # let (mut vault, _) = create(around, &[Lock::KeyFile(KeyFile::generate(&*random))], &CreateOptions::default())?;
    /// use sb_audit::{Event, Outcome};
    ///
    /// let (source, actor) = ("host:h_1/sb".parse()?, "u_7".parse()?);
    /// let (action, object) = ("Snapshot.Read".parse()?, "snapshot:s_1".parse()?);
    /// let event = Event::new(chrono::DateTime::UNIX_EPOCH, source, actor, action, object, Outcome::Denied);
    /// let position = vault.log(&[event.clone(), event])?;
    /// assert_eq!((position.first, position.head.size), (0, 2));
    ///
    /// let logs = vault.logs(Progress::none())?;
    /// assert_eq!(logs.entries[1].entry.event.actor.as_str(), "u_7");
    /// assert!(logs.findings.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RepoError::LogRolledBack`] if entries are gone that this machine has seen, [`RepoError::RolledBack`] if its journal is
    /// shorter than it was, [`RepoError::Unloggable`] if the events can't be written as a batch, and errors of storage and state.
    /// Nothing was acknowledged then; whether it is in the log, the log tells.
    pub fn log(&mut self, events: &[Event]) -> Result<LogPosition, RepoError> {
        let key = self.writer()?;
        match self.log_as(&key, events) {
            Err(RepoError::Damaged { .. }) => {
                let key = self.enrol()?;
                self.log_as(&key, events)
            }
            other => other,
        }
    }

    fn log_as(&mut self, key: &SigningKey, events: &[Event]) -> Result<LogPosition, RepoError> {
        let state = self.around.state.clone();
        let _locked = state.lock_journal()?;
        let writer = key_id(&key.public());
        let mut remembered = state.remembered()?;
        let known = remembered.logs.get(&writer).copied();
        let (tip, newest) = self.own_tip(writer, known)?;
        let (body, after) = tip.append(&signer(self.id(), key), events)?;
        if newest != known {
            // A batch that nobody was told of, as its writer died, must not be lost under the next one.
            self.around.storage.sweep()?;
        }
        let stem = Stem::log(writer, tip.size());
        let (bytes, digest) = Author::outside(key).frame(Header::clear(ObjectKind::Log, self.id()), &body, &stem);
        let name = stem.name(&digest);
        create(&*self.around.storage, &name, &bytes)?;
        self.view.listing.insert(name.to_string(), bytes.len() as u64);
        let end = LogEnd { head: after.head(), first: tip.size(), digest };
        self.view.remembered.logs.insert(writer, end);
        remembered.logs.insert(writer, end);
        // It is acknowledged whether or not this machine can remember it; if not, the next batch will be read with it.
        let _ = state.remember(&remembered);
        Ok(LogPosition { writer, first: end.first, head: end.head, object: name.to_string() })
    }

    /// Where this machine's log ends, and its newest batch: read from the one on that this machine remembers, which is the newest
    /// unless a process died, or forgot.
    fn own_tip(&mut self, writer: KeyId, known: Option<LogEnd>) -> Result<(LogTip, Option<LogEnd>), RepoError> {
        let folder = format!("log/{writer}/");
        let listed = self.view.storage.list(folder.trim_end_matches('/'))?;
        // What other processes have appended is seen with what is appended here, or it would seem to be missing before that.
        let before: Vec<String> = names_in(&self.view.listing, &folder).map(str::to_owned).collect();
        for name in &before {
            self.view.listing.remove(name);
        }
        self.view.listing.extend(listed.into_iter().map(|listed| (listed.name, listed.size)));
        let batches = batches_in(names_in(&self.view.listing, &folder));
        if let Some(known) = known.filter(|known| !self.view.listing.contains_key(&known.object(writer))) {
            return Err(RepoError::LogRolledBack { writer, size: known.head.size });
        }
        let from = known.map_or(0, |known| known.first);
        let (mut reader, mut tip) = (LogReader::new(&self.view, writer, known, from), LogTip::new());
        for (name, parsed) in batches.iter().filter(|(_, parsed)| parsed.stem.generation() >= from) {
            // One that says again what another says may end earlier.
            if let Some(batch) = reader.read(name, parsed).filter(|batch| batch.tip().size() > tip.size()) {
                tip = batch.tip().clone();
            }
        }
        let reading = reader.finish();
        // What others have put beside it counts for nothing.
        let ends_it = |flaw: &Flaw| matches!(flaw, Flaw::Log(_)) || is_damage(flaw);
        match reading.findings.into_iter().find(|finding| finding.is_damage() && ends_it(&finding.flaw)) {
            Some(finding) => Err(RepoError::Damaged { name: finding.object, flaw: finding.flaw }),
            None => Ok((tip, reading.newest)),
        }
    }
}

/// The log key as what signs the log.
pub(crate) fn signer(vault: VaultId, key: &SigningKey) -> NoteSigner {
    NoteSigner::new(verifier(vault, key.public()).name(), key.clone()).expect("the name of a key")
}
