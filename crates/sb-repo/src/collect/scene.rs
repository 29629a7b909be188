//! What a collection sees: who is writing, which snapshots need their chunks, and what is nobody's.

use std::collections::{BTreeMap, BTreeSet};

use sb_store::{ObjectName, StoreError};

use super::leases::Leases;
use crate::error::{Flaw, RepoError};
use crate::ids::RunId;
use crate::live::{Listing, list, names_in};
use crate::name::{ObjectKind, ParsedName, snapshot};
use crate::vault::Vault;
use crate::view::View;
use crate::wire::frame::{TRAILER, Trailer};
use crate::wire::journal::{Added, JournalEntry};

/// The vault at one moment, as far as it matters to what may be deleted.
pub(super) struct Scene {
    /// The vault; what unfinished runs have stored so far counts in it as live, so that their snapshots can be read.
    pub(super) view: View,
    /// Names of what unfinished runs have stored: it is not deleted, and nothing else relies on it.
    pub(super) held: BTreeSet<String>,
    /// Objects that are there and count for nothing: removed, or in no journal and of no run that goes on.
    pub(super) trash: BTreeSet<String>,
    /// Snapshots whose chunks are needed.
    pub(super) roots: BTreeSet<String>,
    /// Redactions that readers go through.
    pub(super) redactions: BTreeSet<String>,
    /// True if one of the roots is in no journal yet.
    pub(super) has_unfinished: bool,
    pub(super) leases: Leases,
}

/// The runs that objects outside the journals say they are of; none for what says nothing.
pub(super) type RunsKnown = BTreeMap<String, Option<RunId>>;

impl Vault {
    /// Looks at the vault anew, in the order that the protocol needs: leases, snapshots and journals, everything else.
    ///
    /// `condemned` is what this collection has condemned. A snapshot in no journal that is not among it counts whoever wrote
    /// it, for it may have come since: its run may not have seen the list.
    pub(super) fn look(
        &mut self,
        condemned: Option<&BTreeSet<String>>,
        known: &mut RunsKnown,
    ) -> Result<Scene, RepoError> {
        match self.look_once(condemned, known) {
            // Forgotten between two listings, if it is not missing the next time.
            Err(RepoError::Undecided { flaw: Flaw::Missing, .. }) => self.look_once(condemned, known),
            other => other,
        }
    }

    fn look_once(&mut self, condemned: Option<&BTreeSet<String>>, known: &mut RunsKnown) -> Result<Scene, RepoError> {
        let leases = Leases::read(self)?;
        let mut early = Listing::new();
        for folder in ["snapshots", "journal"] {
            early.extend(self.around.storage.list(folder)?.into_iter().map(|listed| (listed.name, listed.size)));
        }
        let is_early = |name: &str| name.starts_with("snapshots/") || name.starts_with("journal/");
        let mut listing = list(&*self.around.storage)?;
        // A snapshot that is gone by now was forgotten meanwhile; one that came is of a run that sees what is condemned.
        early.retain(|name, _| listing.contains_key(name));
        listing.retain(|name, _| !is_early(name));
        listing.extend(early);
        self.see(listing)?;
        if let Some((name, flaw)) = self.view.live.flaws.first() {
            return Err(RepoError::Undecided { name: name.clone(), flaw: flaw.clone() });
        }
        let mut scene = self.sort_out(leases, condemned, known)?;
        let missing = self.view.live.iter().map(|(name, _)| name);
        let missing = missing.filter(|name| name.starts_with("snapshots/") && !self.view.listing.contains_key(*name));
        if let Some(name) = missing.into_iter().next() {
            return Err(RepoError::Undecided { name: name.to_owned(), flaw: Flaw::Missing });
        }
        for base in scene.leases.bases() {
            // One that is gone altogether costs the run that builds on it salts, nothing else.
            let name = snapshot(&base).to_string();
            if self.view.listing.contains_key(&name) {
                scene.trash.remove(&name);
                scene.roots.insert(name);
            }
        }
        Ok(scene)
    }

    fn sort_out(
        &self,
        leases: Leases,
        condemned: Option<&BTreeSet<String>>,
        known: &mut RunsKnown,
    ) -> Result<Scene, RepoError> {
        let live = &self.view.live;
        let mut unentered: Vec<(String, RunId)> = Vec::new();
        let mut scene = Scene {
            view: self.view.clone(),
            held: BTreeSet::new(),
            trash: BTreeSet::new(),
            roots: names_in(&self.view.listing, "snapshots/")
                .filter(|name| live.contains(name))
                .map(str::to_owned)
                .collect(),
            redactions: live
                .iter()
                .map(|(name, _)| name.to_owned())
                .filter(|name| name.starts_with("redactions/"))
                .collect(),
            has_unfinished: false,
            leases,
        };
        for name in self.view.listing.keys() {
            if !ParsedName::parse(name).is_some_and(|parsed| is_collected(parsed.kind)) {
                continue;
            }
            if live.is_removed(name) {
                scene.trash.insert(name.clone());
            } else if !live.contains(name) {
                let run = match known.get(name) {
                    Some(run) => *run,
                    None => *known.entry(name.clone()).or_insert(self.author_of(name)?),
                };
                // What does not even end like an object is for verify to name.
                unentered.extend(run.map(|run| (name.clone(), run)));
            }
        }
        let mut going = BTreeSet::new();
        for (name, run) in &unentered {
            let may_have_come =
                |condemned: &BTreeSet<String>| name.starts_with("snapshots/") && !condemned.contains(name);
            if scene.leases.has(*run) || self.around.state.is_alive(*run)? || condemned.is_some_and(may_have_come) {
                going.insert(*run);
            }
        }
        for (name, run) in unentered {
            if !going.contains(&run) {
                scene.trash.insert(name);
                continue;
            }
            if name.starts_with("snapshots/") {
                scene.has_unfinished = true;
                scene.roots.insert(name.clone());
            }
            scene.held.insert(name);
        }
        scene.count_held();
        Ok(scene)
    }

    /// The run that an object says it is of; none if it does not end like an object, or is gone.
    fn author_of(&self, name: &str) -> Result<Option<RunId>, RepoError> {
        let size = self.view.listing.get(name).copied().unwrap_or(0);
        let Some(offset) = size.checked_sub(TRAILER as u64) else { return Ok(None) };
        match self.around.storage.read_range(&ObjectName::new(name)?, offset, TRAILER) {
            Ok(bytes) => Ok(Trailer::parse(&bytes).ok().map(|trailer| trailer.run)),
            Err(StoreError::NotFound { .. } | StoreError::Short { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Scene {
    /// Lets what unfinished runs have stored count as live.
    fn count_held(&mut self) {
        let size = |name: &String| self.view.listing.get(name).copied().unwrap_or(0);
        let added = self.held.iter().map(|name| Added { name: name.clone(), size: size(name), digest: None }).collect();
        let _ = self.view.live.apply(JournalEntry {
            sequence: 0,
            previous: None,
            time: chrono::DateTime::UNIX_EPOCH,
            operation: String::new(),
            generation: 0,
            added,
            removed: Vec::new(),
            authority: None,
        });
    }
}

/// True for the kinds that a collection deletes. Keys, certificates and config are root's to remove, redactions nobody's.
pub(super) fn is_collected(kind: ObjectKind) -> bool {
    matches!(
        kind,
        ObjectKind::ContentPack
            | ObjectKind::MetaPack
            | ObjectKind::Locator
            | ObjectKind::Snapshot
            | ObjectKind::SessionTable
            | ObjectKind::Reserve
    )
}
