//! Replaying the journals: which objects must be there (docs/format.md §10).

#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet};

use sb_audit::TreeHead;
use sb_crypto::Digest;
use sb_store::{ObjectName, Storage};

use crate::error::{Flaw, RepoError};
use crate::ids::KeyId;
use crate::name::{ObjectKind, ParsedName, Stem, TWIN};
use crate::object::trailer_of;
use crate::state::{Head, Remembered};
use crate::trust::Trust;
use crate::wire::cbor::Malformed;
use crate::wire::journal::{Added, JournalEntry, Loss};

/// Every name and size in a storage.
pub(crate) type Listing = BTreeMap<String, u64>;

/// The entries of one journal by sequence number; several of one number are a fork.
type Entries = BTreeMap<u64, Vec<(String, ParsedName)>>;

/// What a journal says of an object that must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) size: u64,
    pub(crate) digest: Option<Digest>,
}

/// The outcome of replaying all journals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live {
    added: BTreeMap<String, Recorded>,
    removed: BTreeSet<String>,
    pub(crate) heads: BTreeMap<KeyId, Head>,
    pub(crate) generation: u64,
    /// How far the audit logs had got when entries were written.
    pub(crate) logs: BTreeMap<KeyId, TreeHead>,
    /// What is gone, and is not to be missed.
    pub(crate) accepted: BTreeSet<Loss>,
    /// What is wrong with the journals, by name of the entry.
    pub(crate) flaws: Vec<(String, Flaw)>,
    /// Entries with the number of another: all of them count, so nothing that was said is lost.
    pub(crate) forks: Vec<(String, Flaw)>,
    /// Who says that there is a config of this name.
    pub(crate) configs: BTreeMap<String, BTreeSet<KeyId>>,
    /// Entries that nobody who may has written; they say nothing about the journals.
    pub(crate) intruders: Vec<(String, Flaw)>,
}

impl Live {
    /// Replays the journals in this listing. Damage is recorded, not returned.
    pub(crate) fn replay(storage: &dyn Storage, listing: &Listing, trust: &Trust, remembered: &Remembered) -> Self {
        let mut live = Self::default();
        let mut journals: BTreeMap<String, Entries> = BTreeMap::new();
        for name in names_in(listing, "journal/") {
            if let Some(parsed) = ParsedName::parse(name) {
                let journal = journals.entry(parsed.stem.folder().to_owned()).or_default();
                journal.entry(parsed.stem.generation()).or_default().push((name.to_owned(), parsed));
            }
        }
        for (folder, entries) in &journals {
            let writer = folder.strip_prefix("journal/").and_then(KeyId::from_hex);
            live.replay_one(storage, trust, writer.expect("parsed names have a writer"), entries);
        }
        live.compare(storage, remembered, &journals);
        live.miss_journals(storage, listing, trust);
        live
    }

    fn replay_one(&mut self, storage: &dyn Storage, trust: &Trust, writer: KeyId, entries: &Entries) {
        let mut before: Vec<Digest> = Vec::new();
        let mut next = 0;
        for (sequence, branches) in read_journal(storage, trust, entries) {
            let mut here = Vec::new();
            for Branch { name, digest, read } in branches {
                match read {
                    Ok(entry) => {
                        self.check_chain(&name, writer, &entry, next, &before);
                        if let Some(head) = entry.log {
                            let known = self.logs.entry(writer).or_insert(head);
                            *known = if known.size < head.size { head } else { *known };
                        }
                        let entry = if trust.authorises(&entry, writer) {
                            entry
                        } else {
                            self.intruders.push((name.clone(), Flaw::NotEntitled));
                            entry.stripped()
                        };
                        for object in entry.added.iter().filter(|object| object.name.starts_with("config/")) {
                            self.configs.entry(object.name.clone()).or_default().insert(writer);
                        }
                        if let Some(object) = self.apply(entry) {
                            self.intruders.push((name.clone(), Flaw::Contradiction(object)));
                        }
                        self.heads.insert(writer, Head { sequence, digest });
                    }
                    // Damage changes bytes, and then they do not fit the name.
                    Err(flaw @ (Flaw::WrongHash | Flaw::Unreadable(_))) => {
                        self.report_gap(writer, sequence, next);
                        self.flaws.push((name.clone(), flaw));
                    }
                    Err(flaw) => {
                        self.intruders.push((name.clone(), flaw));
                        continue;
                    }
                }
                here.push(digest);
                if here.len() > 1 {
                    self.forks.push((name, Flaw::Forked));
                }
            }
            if !here.is_empty() {
                before = here;
                next = sequence + 1;
            }
        }
    }

    /// Entries between the last and this one are missing; the newest of them is known by its hash.
    fn check_chain(&mut self, name: &str, writer: KeyId, entry: &JournalEntry, next: u64, before: &[Digest]) {
        if entry.sequence > next {
            self.report_gap(writer, entry.sequence - 1, next);
            let last = entry.previous.map_or_else(
                || missing_entry(writer, entry.sequence - 1),
                |digest| Stem::journal(writer, entry.sequence - 1).name(&digest).to_string(),
            );
            self.flaws.push((last, Flaw::Missing));
        } else if entry.sequence == 0 {
            if entry.previous.is_some() {
                self.flaws.push((name.to_owned(), Flaw::BrokenChain));
            }
        } else if !entry.previous.is_some_and(|digest| before.contains(&digest)) {
            self.flaws.push((name.to_owned(), Flaw::BrokenChain));
        }
    }

    fn report_gap(&mut self, writer: KeyId, sequence: u64, next: u64) {
        let flaw = match sequence.saturating_sub(next) {
            0 => return,
            1 => Flaw::Missing,
            more => Flaw::MissingEntries(more - 1),
        };
        self.flaws.push((missing_entry(writer, next), flaw));
    }

    /// Takes an entry's changes in. What is known of an object stays as it is: the name of one of which the entry says
    /// something else is returned.
    pub(crate) fn apply(&mut self, entry: JournalEntry) -> Option<String> {
        self.generation = self.generation.max(entry.generation);
        self.accepted.extend(entry.accepted);
        let mut contradicted = None;
        for object in entry.added {
            let recorded = Recorded { size: object.size, digest: object.digest };
            match self.added.entry(object.name) {
                Slot::Vacant(new) => drop(new.insert(recorded)),
                Slot::Occupied(known) if *known.get() == recorded => {}
                Slot::Occupied(known) => contradicted = Some(known.key().clone()),
            }
        }
        self.removed.extend(entry.removed.into_iter().map(|(name, _)| name));
        contradicted
    }

    /// A head that this machine has seen must still be there.
    fn compare(&mut self, storage: &dyn Storage, remembered: &Remembered, journals: &BTreeMap<String, Entries>) {
        for (writer, head) in &remembered.heads {
            let name = Stem::journal(*writer, head.sequence).name(&head.digest).to_string();
            let found = journals
                .get(&format!("journal/{writer}"))
                .and_then(|journal| journal.get(&head.sequence))
                .is_some_and(|branches| branches.iter().any(|(there, _)| *there == name));
            let reported = self.flaws.iter().any(|(flawed, _)| *flawed == name);
            // Another process of this machine may have written it since the listing.
            let came = || ObjectName::new(name.as_str()).is_ok_and(|name| storage.size(&name).is_ok());
            if !found && !reported && !came() {
                self.flaws.push((name, Flaw::RolledBack(head.sequence)));
            }
        }
    }

    /// A journal that is gone altogether leaves a certificate, and objects that its writer has signed and nobody knows of. Who
    /// was cut short between certificate and first entry has signed nothing yet.
    fn miss_journals(&mut self, storage: &dyn Storage, listing: &Listing, trust: &Trust) {
        let mut silent: BTreeSet<KeyId> =
            trust.writers.keys().copied().filter(|writer| !self.heads.contains_key(writer)).collect();
        for (name, size) in listing {
            if silent.is_empty() {
                return;
            }
            let is_entered = self.added.contains_key(name) || self.removed.contains(name);
            if is_entered || ParsedName::parse(name).is_none_or(|parsed| !parsed.kind.is_journaled()) {
                continue;
            }
            let Ok(Some(trailer)) = trailer_of(storage, name, *size) else { continue };
            if silent.remove(&trailer.signer) {
                // One that is new may have begun its journal since that was listed.
                let journal = storage.list(&format!("journal/{}", trailer.signer));
                if journal.is_ok_and(|entries| entries.iter().all(|entry| listing.contains_key(&entry.name))) {
                    self.flaws.push((missing_entry(trailer.signer, 0), Flaw::Missing));
                }
            }
        }
    }

    /// Lets these objects count as live, as if an entry said so.
    pub(crate) fn count(&mut self, objects: impl IntoIterator<Item = Added>) {
        for Added { name, size, digest } in objects {
            self.added.entry(name).or_insert(Recorded { size, digest });
        }
    }

    /// True if what the journals say is not all that they said once; readers then believe signatures alone.
    pub(crate) fn is_incomplete(&self) -> bool {
        !self.flaws.is_empty()
    }

    /// True if what is missing are whole journals. Taking over what their writers have signed makes up for that.
    pub(crate) fn lacks_whole_journals_only(&self) -> bool {
        let is_whole = |name: &str| {
            let writer = name.split('/').nth(1).and_then(KeyId::from_hex);
            writer.is_some_and(|writer| !self.heads.contains_key(&writer) && name == missing_entry(writer, 0))
        };
        self.is_incomplete() && self.flaws.iter().all(|(name, flaw)| *flaw == Flaw::Missing && is_whole(name))
    }

    /// What the journals say of this object, if it must be there.
    pub(crate) fn get(&self, name: &str) -> Option<Recorded> {
        if self.is_removed(name) { None } else { self.added.get(name).copied() }
    }

    /// True if the object must be there.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// True if a journal says that it was removed.
    pub(crate) fn is_removed(&self, name: &str) -> bool {
        self.removed.contains(name)
    }

    /// True if a journal says that something was removed whose name begins like this.
    pub(crate) fn has_removed(&self, prefix: &str) -> bool {
        self.removed.range(prefix.to_owned()..).next().is_some_and(|name| name.starts_with(prefix))
    }

    /// True if a reader may use the object: it is live, or the journals are damaged and do not deny it.
    pub(crate) fn is_readable(&self, name: &str) -> bool {
        !self.is_removed(name) && (self.is_incomplete() || self.added.contains_key(name))
    }

    /// All objects that must be there.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Recorded)> {
        let live = self.added.iter().filter(|(name, _)| !self.removed.contains(*name));
        live.map(|(name, recorded)| (name.as_str(), *recorded))
    }
}

fn missing_entry(writer: KeyId, sequence: u64) -> String {
    Stem::journal(writer, sequence).signed_text()
}

/// The names in a listing that begin with `prefix`.
pub(crate) fn names_in<'a>(listing: &'a Listing, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    listing.range(prefix.to_owned()..).map(|(name, _)| name.as_str()).take_while(move |name| name.starts_with(prefix))
}

/// An entry of a journal; another of its number is a fork.
struct Branch {
    name: String,
    digest: Digest,
    read: Result<JournalEntry, Flaw>,
}

/// Reads a journal from its end on, and returns it from its beginning. An entry has the hash of the one before: who signed the
/// one has signed the other, too, so that only the last needs its own signature looked at.
fn read_journal(storage: &dyn Storage, trust: &Trust, entries: &Entries) -> Vec<(u64, Vec<Branch>)> {
    let mut vouched: BTreeSet<Digest> = BTreeSet::new();
    let mut journal = Vec::new();
    for (&sequence, branches) in entries.iter().rev() {
        let mut here = Vec::new();
        for (name, parsed) in branches {
            let digest: Digest = parsed.hash.parse().expect("a parsed name has 64 digits");
            let read = read_entry(storage, trust, name, parsed, vouched.remove(&digest));
            vouched.extend(read.as_ref().ok().and_then(|entry| entry.previous));
            here.push(Branch { name: name.clone(), digest, read });
        }
        journal.push((sequence, here));
    }
    journal.reverse();
    journal
}

fn read_entry(
    storage: &dyn Storage,
    trust: &Trust,
    name: &str,
    parsed: &ParsedName,
    is_vouched: bool,
) -> Result<JournalEntry, Flaw> {
    let bytes = read(storage, name)?;
    let frame = if is_vouched { trust.check_unsigned(parsed, &bytes)? } else { trust.check(parsed, &bytes)? };
    let entry = JournalEntry::decode(frame.body)?;
    if parsed.kind != ObjectKind::Journal || entry.sequence != parsed.stem.generation() {
        return Err(Flaw::Foreign);
    }
    Ok(entry)
}

/// The most bytes of objects that are read whole: of a journal entry, which for 100 TB of packs has 300 MB, and of what is
/// decoded before anybody knows whose word it is.
const WHOLE_MAX: u64 = 512 << 20;
const UNTRUSTED_MAX: u64 = 1 << 20;

/// Reads a whole object; that it can't be read is a flaw.
pub(crate) fn read(storage: &dyn Storage, name: &str) -> Result<Vec<u8>, Flaw> {
    let unreadable = |error: &dyn std::fmt::Display| Flaw::Unreadable(error.to_string());
    let object = name.strip_prefix(TWIN).unwrap_or(name);
    let is_untrusted = ["config/", "users/", "writers/", "keys/", "grants/", "roles/", "requests/"]
        .iter()
        .any(|folder| object.starts_with(folder));
    let name = ObjectName::new(name).map_err(|error| unreadable(&error))?;
    let size = storage.size(&name).map_err(|error| unreadable(&error))?;
    if size > if is_untrusted { UNTRUSTED_MAX } else { WHOLE_MAX } {
        return Err(Malformed("too large for what it is").into());
    }
    storage.read(&name).map_err(|error| unreadable(&error))
}

/// Lists a whole storage.
pub(crate) fn list(storage: &dyn Storage) -> Result<Listing, RepoError> {
    Ok(storage.list("")?.into_iter().map(|listed| (listed.name, listed.size)).collect())
}
