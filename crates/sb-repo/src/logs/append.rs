//! Appending to this machine's own log.

use sb_audit::{Event, Json, LogTip, NoteSigner, TreeHead};
use sb_crypto::{Digest, SigningKey};
use sb_store::create;

use super::claims::{self, OTHERS_MAX};
use super::read::{LogReader, is_damage};
use super::{LogEnd, batches_in, verifier};
use crate::error::{Flaw, RepoError};
use crate::ids::{KeyId, VaultId};
use crate::live::names_in;
use crate::name::{ObjectKind, Stem};
use crate::state::{Locker, new_locker};
use crate::trust::key_id;
use crate::vault::{Surroundings, Vault};
use crate::view::View;
use crate::wire::frame::{Author, Header};

/// Of what was spooled so many events go into a batch: however long they are, they fit.
const SPOOLED_MAX: usize = 1000;
/// What an outcome calls the number of its intent where that is not in the same log.
const ANNOUNCED: &str = "announced";

/// Where events were logged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogPosition {
    /// Whose log: this machine's.
    pub writer: KeyId,
    /// The number of the first event's entry; the others follow. What had been spooled stands before.
    pub first: u64,
    /// The log's size and root with them.
    pub head: TreeHead,
    /// The batch.
    pub object: String,
    /// Why the machine goes on in a new log: what is wrong with the old one.
    pub anew: Option<Flaw>,
}

impl Vault {
    /// Appends these events to this machine's log, as one batch, which is durable when this returns. What was [spooled](Self::spool)
    /// goes before them. A machine that has not enrolled does; so does one whose log can't be continued because it forks (the machine
    /// was cloned, or restored) or has rotted at its end: what was logged stays as it is, and it goes on in a new log under a new name.
    ///
    /// The last event is given what this machine has seen last, of its journal and of the logs of others (docs/format.md §15).
    /// Processes of one machine wait for each other. The newest batch of this log is read, nothing else, and not even that if this vault
    /// has written it and nobody else on this machine has been at it since.
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
        let mut now = Appending { view: &mut self.view, around: &self.around, own: &mut self.own_log, opened: true };
        match now.log(&key, events) {
            Err(RepoError::Damaged { flaw, .. }) => {
                let key = self.enrol()?;
                let mut anew =
                    Appending { view: &mut self.view, around: &self.around, own: &mut self.own_log, opened: true };
                let position = anew.log(&key, events)?;
                Ok(LogPosition { anew: Some(flaw), ..position })
            }
            other => other,
        }
    }

    /// Keeps an event in this machine's state until something is [logged](Self::log) next. It is durable on return.
    ///
    /// # Errors
    /// [`RepoError::Unloggable`] and [`RepoError::State`].
    pub fn spool(&self, event: &Event) -> Result<(), RepoError> {
        self.around.state.spool(event)
    }

    /// How many events are still to be logged.
    pub fn spooled(&self) -> usize {
        self.around.state.spooled()
    }
}

/// Appends an event to this machine's log with no key to the vault: that somebody has tried to open it, for one. It is spooled if
/// the vault can't be written to, or does not know this machine, so that it has no log yet: then this is false.
///
/// # Errors
/// As [`View::open`] and [`Vault::log`].
pub fn log_unopened(around: &Surroundings, event: &Event) -> Result<bool, RepoError> {
    let mut view = View::open(around.storage.clone(), &around.state, None)?;
    let around = Surroundings { state: around.state.bound(view.id())?, ..around.clone() };
    let key = around.state.log_key()?.filter(|key| view.trust.writers.contains_key(&key_id(&key.public())));
    let Some(key) = key else { return around.state.spool(event).map(|()| false) };
    let mut own = OwnLog::default();
    let mut appending = Appending { view: &mut view, around: &around, own: &mut own, opened: false };
    match appending.log(&key, std::slice::from_ref(event)) {
        Ok(_) => Ok(true),
        Err(_) => around.state.spool(event).map(|()| true),
    }
}

/// Where an open vault has left this machine's log: as long as no other process has been at it, nothing has to be read to go on.
#[derive(Debug)]
pub(crate) struct OwnLog {
    pub(crate) locker: Locker,
    left: Option<(LogEnd, LogTip, NamedEntry)>,
}

impl Default for OwnLog {
    fn default() -> Self {
        Self { locker: new_locker(), left: None }
    }
}

/// An entry of a journal: its number and hash.
type NamedEntry = Option<(u64, Digest)>;

/// The end of a log, its newest batch, and the journal entry that it names.
type OwnTip = (LogTip, Option<LogEnd>, NamedEntry);

/// Whoever appends, with or without keys to the vault.
struct Appending<'a> {
    view: &'a mut View,
    around: &'a Surroundings,
    own: &'a mut OwnLog,
    /// Only who has opened the vault tells of what was entered into the journal and not logged; nobody else names those entries.
    opened: bool,
}

impl Appending<'_> {
    fn log(&mut self, key: &SigningKey, events: &[Event]) -> Result<LogPosition, RepoError> {
        let state = self.around.state.clone();
        state.deliver(|spooled| {
            let mut all = spooled;
            while all.len() > SPOOLED_MAX {
                let later = all.split_off(SPOOLED_MAX);
                self.append(key, all, SPOOLED_MAX)?;
                all = later;
            }
            let count = all.len();
            all.extend(events.iter().cloned());
            let position = self.append(key, all, count)?;
            Ok(LogPosition { first: position.first + count as u64, ..position })
        })
    }

    /// Appends a batch, the first `spooled` events of which had been spooled.
    fn append(&mut self, key: &SigningKey, mut events: Vec<Event>, spooled: usize) -> Result<LogPosition, RepoError> {
        let state = self.around.state.clone();
        let (_locked, was_own) = state.lock_journal_as(&self.own.locker)?;
        let writer = key_id(&key.public());
        let mut remembered = state.remembered()?;
        let known = remembered.logs.get(&writer).copied();
        // Whatever comes of this, it is no longer where it was left.
        let left = self.own.left.take().filter(|(end, ..)| was_own && known == Some(*end));
        let (tip, newest, told) = match left {
            Some((end, tip, told)) => (tip, Some(end), told),
            None => self.own_tip(writer, known)?,
        };
        for (number, event) in (tip.size()..).zip(&mut events[..spooled]) {
            // It was announced in the log that this machine had before.
            if let Some(intent) = event.intent.take_if(|intent| *intent >= number) {
                event.data.insert(ANNOUNCED.to_owned(), Json::Integer(intent));
            }
        }
        let named = events.last_mut().and_then(|last| self.say_what_was_seen(writer, told, last));
        let (body, after) = tip.append(&signer(self.view.id(), key), &events)?;
        if newest != known {
            // A batch that nobody was told of, as its writer died, must not be lost under the next one.
            self.around.storage.sweep()?;
        }
        let stem = Stem::log(writer, tip.size());
        let (bytes, digest) = Author::outside(key).frame(Header::clear(ObjectKind::Log, self.view.id()), &body, &stem);
        let name = stem.name(&digest);
        create(&*self.around.storage, &name, &bytes)?;
        self.view.listing.insert(name.to_string(), bytes.len() as u64);
        let end = LogEnd { head: after.head(), first: tip.size(), digest };
        self.view.remembered.logs.insert(writer, end);
        remembered.logs.insert(writer, end);
        // It is acknowledged whether or not this machine can remember it; if not, the next batch will be read with it.
        if state.remember(&remembered).is_ok() {
            self.own.left = Some((end, after, named));
        }
        Ok(LogPosition { writer, first: end.first, head: end.head, object: name.to_string(), anew: None })
    }

    /// Enters the newest entry of this machine's journal, and where the logs of others end as far as they were heeded: a log that
    /// is cut short later contradicts this one. `told` is the entry that the log names already: who looked at the vault before that
    /// knows less.
    fn say_what_was_seen(&self, writer: KeyId, told: NamedEntry, event: &mut Event) -> NamedEntry {
        let number = |key: &str, number| (key.to_owned(), Json::Integer(number));
        let text = |key: &str, text: String| (key.to_owned(), Json::Text(text));
        let seen = self.view.live.heads.get(&writer).filter(|_| self.opened);
        let seen = seen.map(|head| (head.sequence, head.digest));
        let is_there = |(sequence, digest): &(u64, Digest)| {
            self.view.storage.size(&Stem::journal(writer, *sequence).name(digest)).is_ok()
        };
        // One that is gone is not named again.
        let named = seen.max(told.filter(|told| Some(*told) > seen && is_there(told)));
        if let Some((sequence, digest)) = named {
            let journal = [number(claims::NUMBER, sequence), text(claims::SHA256, digest.to_string())];
            event.data.insert(claims::JOURNAL.to_owned(), Json::Object(journal.into()));
        }
        let others = self.view.remembered.logs.iter().filter(|(other, _)| **other != writer).take(OTHERS_MAX);
        let others = others.map(|(other, end)| {
            let (size, root) = (number(claims::SIZE, end.head.size), text(claims::ROOT, end.head.root.to_string()));
            Json::Object([size, root, text(claims::WRITER, other.to_string())].into())
        });
        let others: Vec<Json> = others.collect();
        if !others.is_empty() {
            event.data.insert(claims::LOGS.to_owned(), Json::List(others));
        }
        named.or(told)
    }

    /// Where this machine's log ends, its newest batch, and the entry of the journal that it names: read from the one on that this
    /// machine remembers, which is the newest unless a process died, or forgot.
    fn own_tip(&mut self, writer: KeyId, known: Option<LogEnd>) -> Result<OwnTip, RepoError> {
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
        let (mut reader, mut tip) = (LogReader::new(self.view, writer, known, &[], from), LogTip::new());
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
            None => Ok((tip, reading.newest, reading.claims.newest_entry())),
        }
    }
}

/// The log key as what signs the log.
pub(crate) fn signer(vault: VaultId, key: &SigningKey) -> NoteSigner {
    NoteSigner::new(verifier(vault, key.public()).name(), key.clone()).expect("the name of a key")
}
