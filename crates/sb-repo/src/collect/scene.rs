//! What a collection sees: who is writing, which snapshots need their chunks, and what is nobody's.

use std::collections::{BTreeMap, BTreeSet};

use sb_store::{ObjectName, StoreError};

use super::leases::Leases;
use crate::error::{Flaw, RepoError};
use crate::ids::RunId;
use crate::labels::idle_labels;
use crate::live::{Listing, list, names_in};
use crate::name::{ObjectKind, ParsedName, snapshot};
use crate::object::{check_object, trailer_of};
use crate::vault::Vault;
use crate::view::View;
use crate::wire::journal::Added;

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

/// What a collection knows of objects that are in no journal.
#[derive(Debug, Default)]
pub(super) struct Strays {
    /// The runs that they say they are of; of those only that a writer of the vault has signed.
    runs: BTreeMap<String, RunId>,
    /// Snapshots that lack something: nobody was ever told of them.
    hopeless: BTreeSet<String>,
}

impl Strays {
    pub(super) fn new(hopeless: BTreeSet<String>) -> Self {
        Self { runs: BTreeMap::new(), hopeless }
    }
}

impl Vault {
    /// Looks at the vault anew, in the order that the protocol needs: leases, snapshots and journals, everything else.
    ///
    /// `condemned` is what this collection has condemned. A snapshot in no journal that is not among it counts whoever wrote
    /// it, for it may have come since: its run may not have seen the list. Nor does one go that is not known to be hopeless.
    pub(super) fn look(
        &mut self,
        condemned: Option<&BTreeSet<String>>,
        strays: &mut Strays,
    ) -> Result<Scene, RepoError> {
        let mut missed = None;
        loop {
            match self.look_once(condemned, strays) {
                // Forgotten between two listings, if it is not missing the next time.
                Err(RepoError::Undecided { name, flaw: Flaw::Missing }) if missed.as_ref() != Some(&name) => {
                    missed = Some(name);
                }
                other => return other,
            }
        }
    }

    fn look_once(&mut self, condemned: Option<&BTreeSet<String>>, strays: &mut Strays) -> Result<Scene, RepoError> {
        let leases = Leases::read(self)?;
        let remembered = self.around.state.remembered()?;
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
        self.see(listing, remembered)?;
        self.check_witnesses()?;
        self.find_entered_since()?;
        let mut scene = self.sort_out(leases, condemned, strays)?;
        scene.trash.extend(idle_labels(&scene.view, self.keys()?)?);
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

    /// A snapshot may be entered between the listing of snapshots and that of journals; one that is not there now is missing.
    fn find_entered_since(&mut self) -> Result<(), RepoError> {
        let View { live, listing, storage, .. } = &mut self.view;
        for (name, _) in live.iter().filter(|(name, _)| name.starts_with("snapshots/")) {
            if listing.contains_key(name) {
                continue;
            }
            match storage.size(&ObjectName::new(name)?) {
                Ok(size) => drop(listing.insert(name.to_owned(), size)),
                Err(StoreError::NotFound { .. }) => {
                    return Err(RepoError::Undecided { name: name.to_owned(), flaw: Flaw::Missing });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn sort_out(
        &self,
        leases: Leases,
        condemned: Option<&BTreeSet<String>>,
        strays: &mut Strays,
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
        for (name, size) in &self.view.listing {
            let Some(parsed) = ParsedName::parse(name) else { continue };
            // Who may say that something is removed was asked when the journals were read.
            let is_removed = live.is_removed(name);
            if !is_collected(parsed.kind) && !is_removed {
                continue;
            }
            if is_removed {
                scene.trash.insert(name.clone());
            // Who gives tags holds no lease: whether a label's run is over cannot be told.
            } else if !live.contains(name) && !parsed.kind.counts_only_if_entered() {
                let known = strays.runs.get(name).copied();
                // What no writer of the vault has signed is for verify to name.
                let run = if known.is_some() { known } else { self.run_of(&parsed, name, *size)? };
                unentered.extend(run.map(|run| (name.clone(), run)));
            }
        }
        let mut going = BTreeSet::new();
        for (name, run) in &unentered {
            let goes = |condemned: &BTreeSet<String>| condemned.contains(name);
            let counts =
                name.starts_with("snapshots/") && !(strays.hopeless.contains(name) && condemned.is_none_or(goes));
            if scene.leases.has(*run) || self.around.state.is_alive(*run)? || counts {
                going.insert(*run);
            }
        }
        strays.runs.extend(unentered.iter().cloned());
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
        // What unfinished runs have stored counts, for themselves.
        let size = |name: &String| self.view.listing.get(name).copied().unwrap_or(0);
        scene.view.live.count(scene.held.iter().map(|name| Added {
            name: name.clone(),
            size: size(name),
            digest: None,
        }));
        Ok(scene)
    }

    /// The run of an object that says it was signed by a writer of the vault; of a snapshot, also its signature is looked at, for
    /// anybody could make one that can't be read and so seem to need anything.
    fn run_of(&self, parsed: &ParsedName, name: &str, size: u64) -> Result<Option<RunId>, RepoError> {
        if parsed.kind == ObjectKind::Snapshot {
            match check_object(&self.view, parsed, name) {
                Ok(_) | Err(Flaw::WrongHash | Flaw::Unreadable(_)) => {}
                Err(_) => return Ok(None),
            }
        }
        let trailer = trailer_of(&*self.around.storage, name, size)?;
        Ok(trailer.filter(|trailer| self.view.trust.writers.contains_key(&trailer.signer)).map(|trailer| trailer.run))
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
            | ObjectKind::Label
            | ObjectKind::Certificate
            | ObjectKind::Signature
    )
}
