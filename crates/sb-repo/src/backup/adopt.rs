//! Taking over what earlier runs stored before they were cut short.

use std::collections::BTreeSet;

use sb_crypto::{SigningKey, sha256};
use sb_store::{ObjectName, StoreError, create};

use crate::chunks::ChunkReader;
use crate::clock::{Counter, Progress};
use crate::error::{Flaw, RepoError};
use crate::ids::{RunId, TableId};
use crate::live::{names_in, read};
use crate::locator::Locator;
use crate::name::{ObjectKind, ParsedName, TWIN, twin_of};
use crate::object::{Checked, check_object};
use crate::pack::read_pack_footer;
use crate::snapshots::read_snapshot;
use crate::trust::key_id;
use crate::vault::{Change, Vault};
use crate::verify::check_tree;
use crate::wire::frame::{TRAILER, Trailer};
use crate::wire::journal::{Added, JournalEntry};
use crate::wire::lease::Lease;

/// An object that no journal knows, whole and well signed.
struct Orphan {
    name: String,
    parsed: ParsedName,
    checked: Checked,
}

impl Vault {
    /// Enters into the journal what dead runs left: packs, their keys and locators, and snapshots that turn out complete.
    /// Returns how many objects that were.
    ///
    /// Entering something that another run enters too changes nothing, and a removal anywhere wins, so this needs no lock.
    pub(super) fn adopt(&mut self, writer: &SigningKey, progress: Progress<'_>) -> Result<u64, RepoError> {
        let condemned = self.condemned()?;
        if self.view.live.is_incomplete() {
            // What the lost entries removed can't be told from what nobody has entered yet.
            progress
                .monitor
                .warning("journals are damaged, so nothing that interrupted runs left is used; `verify` names them");
            return Ok(0);
        }
        let (leases, dead) = self.leases(writer)?;
        if dead == 0 && self.strays().next().is_none() && self.lone_twins().next().is_none() {
            return Ok(0);
        }
        // What became visible without being acknowledged may not be durable yet; after this it is.
        self.around.storage.sweep()?;
        self.refresh()?;
        let mut orphans = self.orphans(&leases, progress)?;
        self.drop_packs_without_keys(&mut orphans)?;
        let mut added: Vec<Added> = Vec::new();
        let (snapshots, others): (Vec<_>, Vec<_>) =
            orphans.into_iter().partition(|orphan| orphan.parsed.kind == ObjectKind::Snapshot);
        added.extend(others.iter().map(Orphan::added));
        added.extend(self.complete_twins(&others)?);
        // Seen as live from here on, so that the snapshots can be checked; if the entry can't be written, the run ends.
        let _ = self.view.live.apply(provisional(&added, self));
        self.finder = crate::sessions::KeyFinder::new(&self.view);
        for snapshot in &snapshots {
            match self.is_complete(&snapshot.name, progress) {
                Ok(true) => added.push(snapshot.added()),
                Ok(false) => {
                    let text = format!("`{}` of an interrupted run is incomplete and not used", snapshot.name);
                    progress.monitor.warning(&text);
                }
                // Whoever can read will take it over, or the collector.
                Err(RepoError::NoReadingKey { .. }) => {}
                Err(RepoError::Damaged { name, flaw }) => {
                    progress.monitor.warning(&format!("`{name}` of an interrupted run is not used: {flaw}"));
                }
                Err(error) => return Err(error),
            }
        }
        // What a collector has deleted since the listing is not there, whatever the listing says; packs that it takes from under
        // the journal's entry cost nothing, but a snapshot must hold.
        if added.iter().any(|object| object.name.starts_with("snapshots/")) && !self.is_undisturbed(&condemned)? {
            progress.monitor.warning("a collection is at work, so that snapshots of interrupted runs are not used now");
            added.retain(|object| !object.name.starts_with("snapshots/"));
        }
        let count = added.len() as u64;
        if count > 0 {
            progress.monitor.count(Counter::Adopted, count);
            self.append(writer, RunId::new([0; 8]), Change { operation: "adopt", added, removed: Vec::new() })?;
        }
        Ok(count)
    }

    /// True if no collector has condemned or deleted anything since this was condemned and the packs were listed.
    fn is_undisturbed(&self, condemned: &BTreeSet<String>) -> Result<bool, RepoError> {
        if self.condemned()? != *condemned {
            return Ok(false);
        }
        let listed = self.around.storage.list("packs")?;
        let there: BTreeSet<&str> = listed.iter().map(|listed| listed.name.as_str()).collect();
        Ok(names_in(&self.view.listing, "packs/").all(|name| there.contains(name)))
    }

    /// Runs that may be going on, and how many of this machine's have died; their leases are taken away.
    fn leases(&self, writer: &SigningKey) -> Result<(BTreeSet<RunId>, u64), RepoError> {
        let (mut live, mut dead) = (BTreeSet::new(), 0);
        let now = self.around.clock.now();
        for listed in self.around.storage.list("leases")? {
            let Some(parsed) = ParsedName::parse(&listed.name) else { continue };
            let Ok(bytes) = read(&*self.around.storage, &listed.name) else { continue };
            let Ok(frame) = self.view.trust.check(&parsed, &bytes) else { continue };
            let Ok(lease) = Lease::decode(frame.body) else { continue };
            let signer = frame.trailer.signer;
            if signer == key_id(&writer.public()) {
                if self.around.state.is_alive(lease.run)? {
                    live.insert(lease.run);
                } else {
                    dead += 1;
                    // Only tidiness: a lease that stays expires.
                    let _ = self.around.storage.remove(&ObjectName::new(listed.name)?);
                }
            } else if lease.expires > now {
                live.insert(lease.run);
            }
        }
        Ok((live, dead))
    }

    /// What is listed and should be in a journal, but is in none.
    fn strays(&self) -> impl Iterator<Item = (&String, ParsedName)> {
        self.view.listing.keys().filter_map(|name| {
            let parsed = ParsedName::parse(name)?;
            let known = self.view.live.contains(name) || self.view.live.is_removed(name);
            let comes_and_goes = parsed.kind.is_transient() || parsed.kind == ObjectKind::Journal;
            (!known && !comes_and_goes).then_some((name, parsed))
        })
    }

    fn orphans(&self, leases: &BTreeSet<RunId>, progress: Progress<'_>) -> Result<Vec<Orphan>, RepoError> {
        let mut orphans = Vec::new();
        for (name, parsed) in self.strays() {
            progress.check()?;
            // Another machine's upload may be large, so its end is looked at first; whoever lies there is passed over.
            if self.run_of(name).is_some_and(|run| leases.contains(&run)) {
                continue;
            }
            let checked = match check_object(&self.view, &parsed, name) {
                Ok(checked) => checked,
                // Damaged or foreign: nothing that anybody was promised.
                Err(Flaw::Unreadable(_)) => continue,
                Err(flaw) => {
                    progress.monitor.warning(&format!("`{name}` is in no journal and not used: {flaw}"));
                    continue;
                }
            };
            let alive = leases.contains(&checked.run) || self.around.state.is_alive(checked.run)?;
            if !alive {
                orphans.push(Orphan { name: name.clone(), parsed, checked });
            }
        }
        Ok(orphans)
    }

    /// The run that an object says it is of.
    pub(crate) fn run_of(&self, name: &str) -> Option<RunId> {
        let (length, size) = (TRAILER as u64, *self.view.listing.get(name)?);
        let object = ObjectName::new(name).ok()?;
        let bytes = self.around.storage.read_range(&object, size.checked_sub(length)?, TRAILER).ok()?;
        Trailer::parse(&bytes).ok().map(|trailer| trailer.run)
    }

    /// What is stored twice and listed once, with the name of the copy that is missing.
    fn lone_twins(&self) -> impl Iterator<Item = (&String, ParsedName, ObjectName)> {
        self.view.listing.keys().filter_map(|name| {
            let parsed = ParsedName::parse(name).filter(|parsed| parsed.kind.has_twin())?;
            let other = match name.strip_prefix(TWIN) {
                Some(first) => ObjectName::new(first).ok()?,
                None => twin_of(&ObjectName::new(name.as_str()).ok()?),
            };
            let is_lone = !self.view.listing.contains_key(other.as_str()) && !self.view.live.is_removed(other.as_str());
            is_lone.then_some((name, parsed, other))
        })
    }

    /// Writes the second copy of what is stored twice where a run was cut between the two, or one has been lost since.
    fn complete_twins(&self, orphans: &[Orphan]) -> Result<Vec<Added>, RepoError> {
        let mut added = Vec::new();
        for (name, parsed, other) in self.lone_twins() {
            let live = &self.view.live;
            if !live.contains(name) && !orphans.iter().any(|orphan| orphan.name == *name) {
                continue;
            }
            let Ok(bytes) = read(&*self.around.storage, name) else { continue };
            if self.view.trust.check(&parsed, &bytes).is_err() {
                continue;
            }
            match create(&*self.around.storage, &other, &bytes) {
                Ok(()) | Err(StoreError::AlreadyExists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            if !live.contains(other.as_str()) {
                let digest = (parsed.hash.len() < 64).then(|| sha256(&bytes));
                added.push(Added { name: other.to_string(), size: bytes.len() as u64, digest });
            }
        }
        Ok(added)
    }

    /// A pack is of use only if its footer opens and the table with its key is there.
    fn drop_packs_without_keys(&self, orphans: &mut Vec<Orphan>) -> Result<(), RepoError> {
        let mut tables: Vec<TableId> = Vec::new();
        for name in names_in(&self.view.listing, "sessions/") {
            let usable = self.view.live.contains(name) || orphans.iter().any(|orphan| orphan.name == name);
            if let Some(parsed) = ParsedName::parse(name).filter(|_| usable) {
                tables.extend(TableId::from_hex(parsed.stem.id()));
            }
        }
        let mut keep = Vec::new();
        for orphan in orphans.drain(..) {
            if !matches!(orphan.parsed.kind, ObjectKind::ContentPack | ObjectKind::MetaPack) {
                keep.push(orphan);
                continue;
            }
            let name = ObjectName::new(orphan.name.as_str())?;
            let id = crate::ids::PackId::from_hex(&orphan.parsed.hash).expect("a parsed name");
            match read_pack_footer(&*self.around.storage, &name, id, &self.keys) {
                Ok((places, _)) if tables.iter().any(|table| table.as_bytes()[..] == places.key[..8]) => {
                    keep.push(orphan);
                }
                Ok(_) | Err(RepoError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        *orphans = keep;
        Ok(())
    }

    /// True if everything that an orphaned snapshot needs is there.
    fn is_complete(&self, name: &str, progress: Progress<'_>) -> Result<bool, RepoError> {
        let snapshot = read_snapshot(&self.view, &self.keys, name)?;
        let scope = self.writing()?;
        let locator = Locator::load(&self.around, &self.view, &self.keys, progress.monitor, scope)?;
        let chunks = ChunkReader::new(&self.view, &self.keys, &self.finder);
        check_tree(&self.view, &self.keys, &chunks, &locator, &snapshot, progress)
    }
}

impl Orphan {
    fn added(&self) -> Added {
        let short = self.parsed.hash.len() < 64;
        let digest = short.then_some(self.checked.digest);
        Added { name: self.name.clone(), size: self.checked.size, digest }
    }
}

fn provisional(added: &[Added], vault: &Vault) -> JournalEntry {
    JournalEntry {
        sequence: 0,
        previous: None,
        time: vault.around.clock.now(),
        operation: String::new(),
        generation: 0,
        added: added.to_vec(),
        removed: Vec::new(),
        authority: None,
    }
}
