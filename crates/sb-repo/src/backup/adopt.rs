//! Taking over what earlier runs stored before they were cut short.

use std::collections::BTreeSet;

use sb_crypto::{SigningKey, sha256};
use sb_store::{ObjectName, StoreError, create};

use crate::chunks::ChunkReader;
use crate::clock::{Counter, Progress};
use crate::collect::{Leases, condemned_lists, is_hopeless};
use crate::error::{Flaw, RepoError};
use crate::ids::{RunId, TableId};
use crate::live::{names_in, read};
use crate::locator::Locator;
use crate::name::{ObjectKind, ParsedName, TWIN, twin_of};
use crate::object::{Checked, check_object, trailer_of};
use crate::pack::read_pack_footer;
use crate::sessions::KeyFinder;
use crate::snapshots::read_snapshot;
use crate::vault::{Change, Vault};
use crate::verify::check_tree;
use crate::wire::journal::Added;

/// An object that no journal knows, whole and well signed.
pub(super) struct Orphan {
    pub(super) name: String,
    pub(super) parsed: ParsedName,
    checked: Checked,
}

/// What dead runs left, and no journal knows.
#[derive(Debug, Default)]
pub(crate) struct Leavings {
    /// What is whole: packs, their keys and locators, and snapshots that turn out complete.
    pub(crate) whole: Vec<Added>,
    /// Snapshots that are not complete, where nothing is damaged that they may need.
    incomplete: Vec<String>,
}

impl Leavings {
    /// True if there is a snapshot that somebody may have been told of: its entry may be lost.
    pub(crate) fn has_snapshots(&self) -> bool {
        self.whole.iter().any(|object| object.name.starts_with("snapshots/"))
    }
}

impl Vault {
    /// Enters into the journal what dead runs left and is whole, and makes twins anew that are missing. Returns how many objects
    /// that were.
    ///
    /// Entering something that another run enters too changes nothing, and a removal anywhere wins, so this needs no lock.
    pub(super) fn adopt(&mut self, writer: &SigningKey, progress: Progress<'_>) -> Result<u64, RepoError> {
        if self.view.live.is_incomplete() {
            // What the lost entries removed can't be told from what nobody has entered yet.
            progress
                .monitor
                .warning("journals are damaged, so nothing that interrupted runs left is used; `verify` names them");
            return Ok(0);
        }
        let own = Leases::readable(self)?.own;
        for lease in &own {
            // Only tidiness: a lease that stays expires.
            let _ = self.around.storage.remove(&ObjectName::new(lease.as_str())?);
        }
        if own.is_empty() && self.strays().next().is_none() && self.lone_twins().next().is_none() {
            return Ok(0);
        }
        // What became visible without being acknowledged may not be durable yet; after this it is.
        self.around.storage.sweep()?;
        let mut added = self.leavings(progress)?.whole;
        added.extend(self.complete_twins(&added)?);
        let count = added.len() as u64;
        self.take_over(writer, added, progress)?;
        Ok(count)
    }

    /// The same for a collection, which deletes what dead runs left unless a snapshot needs it: it takes everything over if there
    /// is one that is complete. Returns the snapshots that are hopeless.
    pub(crate) fn adopt_snapshots(
        &mut self,
        writer: &SigningKey,
        progress: Progress<'_>,
    ) -> Result<BTreeSet<String>, RepoError> {
        let is_snapshot = |(_, parsed): (_, ParsedName)| parsed.kind == ObjectKind::Snapshot;
        if self.view.live.is_incomplete() || !self.strays().any(is_snapshot) {
            return Ok(BTreeSet::new());
        }
        self.around.storage.sweep()?;
        let leavings = self.leavings(progress)?;
        let hopeless = self.hopeless(&leavings, progress)?;
        if leavings.has_snapshots() {
            self.take_over(writer, leavings.whole, progress)?;
        }
        Ok(hopeless)
    }

    /// Snapshots among these that can't be complete any more, so that nobody can have been told of them.
    pub(crate) fn hopeless(
        &mut self,
        leavings: &Leavings,
        progress: Progress<'_>,
    ) -> Result<BTreeSet<String>, RepoError> {
        let lists = condemned_lists(&self.view)?;
        self.as_if_live(&leavings.whole, |vault| {
            let mut hopeless = BTreeSet::new();
            for name in &leavings.incomplete {
                // A list without the snapshot may have come after its run's last check, and never be carried out.
                let lists = lists.iter().filter(|list| list.names.contains(name));
                let condemned = lists.flat_map(|list| list.names.iter().cloned()).collect();
                if is_hopeless(vault, name, &condemned, progress)? {
                    hopeless.insert(name.clone());
                }
            }
            Ok(hopeless)
        })
    }

    fn take_over(&mut self, writer: &SigningKey, added: Vec<Added>, progress: Progress<'_>) -> Result<(), RepoError> {
        self.enter(writer, Change { operation: "adopt", added, removed: Vec::new(), ..Change::default() }, progress)
    }

    pub(super) fn enter(
        &mut self,
        writer: &SigningKey,
        change: Change,
        progress: Progress<'_>,
    ) -> Result<(), RepoError> {
        if change.added.is_empty() {
            return Ok(());
        }
        progress.monitor.count(Counter::Adopted, change.added.len() as u64);
        self.append(writer, RunId::new([0; 8]), change)
    }

    /// Looks anew at what dead runs left.
    pub(crate) fn leavings(&mut self, progress: Progress<'_>) -> Result<Leavings, RepoError> {
        if self.view.live.is_incomplete() { Ok(Leavings::default()) } else { self.judged(progress) }
    }

    /// The same where journals are gone.
    pub(super) fn judged(&mut self, progress: Progress<'_>) -> Result<Leavings, RepoError> {
        let condemned = self.condemned()?;
        self.refresh()?;
        let (mut orphans, mut is_damaged) = self.orphans(self.strays(), progress)?;
        self.drop_tables_without_keys(&mut orphans)?;
        is_damaged |= self.drop_packs_without_keys(&mut orphans)?;
        let (snapshots, others): (Vec<_>, Vec<_>) =
            orphans.into_iter().partition(|orphan| orphan.parsed.kind == ObjectKind::Snapshot);
        let mut leavings = Leavings { whole: others.iter().map(Orphan::added).collect(), ..Leavings::default() };
        let (mut complete, mut incomplete) = (Vec::new(), Vec::new());
        self.as_if_live(&leavings.whole, |vault| {
            for snapshot in &snapshots {
                if vault.is_complete(&snapshot.name, progress)? {
                    complete.push(snapshot.added());
                } else if !is_damaged {
                    incomplete.push(snapshot.name.clone());
                }
            }
            Ok(())
        })?;
        leavings.incomplete = incomplete;
        // What a collector has deleted since the listing is not there, whatever the listing says; packs that it takes from under
        // the journal's entry cost nothing, but a snapshot must hold.
        if !complete.is_empty() && !self.is_undisturbed(&condemned)? {
            progress.monitor.warning("a collection is at work, so that snapshots of interrupted runs are not used now");
            complete.clear();
        }
        leavings.whole.append(&mut complete);
        Ok(leavings)
    }

    /// Does something with a view in which these objects count as live.
    pub(crate) fn as_if_live<T>(
        &mut self,
        objects: &[Added],
        act: impl FnOnce(&mut Self) -> Result<T, RepoError>,
    ) -> Result<T, RepoError> {
        if objects.is_empty() {
            return act(self);
        }
        let view = self.view.clone();
        self.view.live.count(objects.iter().cloned());
        self.finder = KeyFinder::new(&self.view);
        let outcome = act(self);
        self.finder = KeyFinder::new(&view);
        self.view = view;
        outcome
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

    /// What is listed and should be in a journal, but is in none. Not what says nothing then: tags are given to all snapshots or to
    /// none, and what was certified of a run that did not end well is not true.
    fn strays(&self) -> impl Iterator<Item = (&String, ParsedName)> {
        self.unknown().filter(|(_, parsed)| !parsed.kind.counts_only_if_entered())
    }

    /// The same with those.
    pub(super) fn unknown(&self) -> impl Iterator<Item = (&String, ParsedName)> {
        self.view.listing.keys().filter_map(|name| {
            let parsed = ParsedName::parse(name)?;
            let known = self.view.live.contains(name) || self.view.live.is_removed(name);
            (!known && parsed.kind.is_journaled()).then_some((name, parsed))
        })
    }

    /// What of these is whole, but for what runs that go on have stored; and whether something is not what it was.
    pub(super) fn orphans<'a>(
        &self,
        strays: impl Iterator<Item = (&'a String, ParsedName)>,
        progress: Progress<'_>,
    ) -> Result<(Vec<Orphan>, bool), RepoError> {
        let leases = Leases::readable(self)?;
        let (mut orphans, mut is_damaged) = (Vec::new(), false);
        for (name, parsed) in strays {
            progress.check()?;
            // Another machine's upload may be large, so its end is looked at first; whoever lies there is passed over.
            let trailer = trailer_of(&*self.around.storage, name, self.view.listing[name]).ok().flatten();
            if trailer.is_some_and(|trailer| leases.has(trailer.run)) {
                continue;
            }
            let checked = match check_object(&self.view, &parsed, name) {
                Ok(checked) => checked,
                // Gone since, or damaged or foreign: nothing that can be relied on.
                Err(Flaw::Unreadable(_)) => {
                    is_damaged = true;
                    continue;
                }
                Err(flaw) => {
                    is_damaged |= flaw == Flaw::WrongHash;
                    progress.monitor.warning(&format!("`{name}` is in no journal and not used: {flaw}"));
                    continue;
                }
            };
            let alive = leases.has(checked.run) || self.around.state.is_alive(checked.run)?;
            if !alive {
                orphans.push(Orphan { name: name.clone(), parsed, checked });
            }
        }
        Ok((orphans, is_damaged))
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
    fn complete_twins(&self, orphans: &[Added]) -> Result<Vec<Added>, RepoError> {
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

    /// A table is of use only if the key that it is sealed to is not destroyed: the config names it, also after the table was seen.
    fn drop_tables_without_keys(&self, orphans: &mut Vec<Orphan>) -> Result<(), RepoError> {
        let is_table = |orphan: &Orphan| orphan.parsed.kind == ObjectKind::SessionTable;
        if !orphans.iter().any(is_table) {
            return Ok(());
        }
        let newer = self.newer_config()?;
        let compartments = &newer.as_ref().unwrap_or(&self.view.config).compartments;
        let is_named = |orphan: &Orphan| compartments.iter().any(|c| c.names(orphan.checked.header.key));
        orphans.retain(|orphan| !is_table(orphan) || is_named(orphan));
        Ok(())
    }

    /// A pack is of use only if its footer opens and the table with its key is there. True if there is one that is not.
    fn drop_packs_without_keys(&self, orphans: &mut Vec<Orphan>) -> Result<bool, RepoError> {
        let mut tables: Vec<TableId> = Vec::new();
        for name in names_in(&self.view.listing, "sessions/") {
            let usable = self.view.live.contains(name) || orphans.iter().any(|orphan| orphan.name == name);
            if let Some(parsed) = ParsedName::parse(name).filter(|_| usable) {
                tables.extend(TableId::from_hex(parsed.stem.id()));
            }
        }
        let (mut keep, count) = (Vec::new(), orphans.len());
        for orphan in orphans.drain(..) {
            if !matches!(orphan.parsed.kind, ObjectKind::ContentPack | ObjectKind::MetaPack) {
                keep.push(orphan);
                continue;
            }
            let name = ObjectName::new(orphan.name.as_str())?;
            let id = crate::ids::PackId::from_hex(&orphan.parsed.hash).expect("a parsed name");
            match read_pack_footer(&*self.around.storage, &name, id, self.keys()?) {
                Ok((places, _)) if tables.iter().any(|table| table.as_bytes()[..] == places.key[..8]) => {
                    keep.push(orphan);
                }
                Ok(_) | Err(RepoError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        *orphans = keep;
        Ok(orphans.len() < count)
    }

    /// True if everything that an orphaned snapshot needs is there, and this user can tell.
    fn is_complete(&self, name: &str, progress: Progress<'_>) -> Result<bool, RepoError> {
        let check = || {
            let snapshot = read_snapshot(&self.view, self.keys()?, name)?;
            let scope = self.writing()?;
            let locator = Locator::load(&self.around, &self.view, self.keys()?, progress.monitor, scope)?;
            let chunks = ChunkReader::new(&self.view, self.keys()?, &self.finder);
            check_tree(&self.view, self.keys()?, &chunks, &locator, &snapshot, progress)
        };
        match check() {
            Ok(false) => {
                progress.monitor.warning(&format!("`{name}` of an interrupted run is incomplete and not used"));
                Ok(false)
            }
            // Whoever can read will take it over.
            Err(RepoError::NoReadingKey { .. }) => Ok(false),
            Err(RepoError::Damaged { name, flaw }) => {
                progress.monitor.warning(&format!("`{name}` of an interrupted run is not used: {flaw}"));
                Ok(false)
            }
            other => other,
        }
    }
}

impl Orphan {
    /// As an entry names it.
    pub(super) fn added(&self) -> Added {
        let short = self.parsed.hash.len() < 64;
        let digest = short.then_some(self.checked.digest);
        Added { name: self.name.clone(), size: self.checked.size, digest }
    }
}
