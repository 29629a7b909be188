//! A collection, step by step: everything it deletes goes through [`Collection::remove`].

use std::collections::BTreeSet;

use sb_store::{ObjectName, StoreError};

use super::condemn::{CondemnedList, fences};
use super::mark::Marked;
use super::scene::{Scene, Strays};
use super::{CollectOptions, CollectReport, OPERATION, count, is_table};
use crate::backup::Held;
use crate::clock::Progress;
use crate::error::{Flaw, RepoError};
use crate::ids::TableId;
use crate::live::{names_in, read};
use crate::name::ParsedName;
use crate::sessions::table_of;
use crate::vault::{Change, Vault};
use crate::view::with_twins;
use crate::wire::frame::{Author, HEADER, Header};
use crate::wire::journal::Added;

/// The most names that are condemned at once; less where there is little room for the list and the journal entry.
const NAMES_AT_ONCE: u64 = 20_000;
/// Bytes that a name takes in list and journal, generously.
const BYTES_PER_NAME: u64 = 400;

/// A collection that is going on.
pub(super) struct Collection<'a> {
    pub(super) vault: &'a mut Vault,
    pub(super) author: Author<'a>,
    pub(super) lease: &'a mut Held,
    pub(super) options: CollectOptions,
    pub(super) progress: Progress<'a>,
    pub(super) report: CollectReport,
    fence: ObjectName,
    strays: Strays,
    /// What collections and other removals that died had condemned.
    leftovers: Vec<CondemnedList>,
}

impl<'a> Collection<'a> {
    /// Collects, under a lease.
    pub(super) fn run(
        vault: &'a mut Vault,
        author: Author<'a>,
        lease: &'a mut Held,
        options: CollectOptions,
        strays: Strays,
        progress: Progress<'a>,
    ) -> Result<CollectReport, RepoError> {
        let fence = vault.raise_fence(&author)?;
        let (report, leftovers) = (CollectReport::default(), Vec::new());
        let mut collection = Self { vault, author, lease, options, progress, report, fence, strays, leftovers };
        let outcome = collection.steps().map_err(|error| collection.cause(error));
        collection.vault.lift(&collection.fence);
        outcome.map(|()| collection.report)
    }

    /// What another collection did that took this one for dead is told as that, whatever came of it.
    fn cause(&self, error: RepoError) -> RepoError {
        match self.vault.around.storage.size(&self.fence) {
            Err(StoreError::NotFound { .. }) => RepoError::Busy { since: self.vault.around.clock.now() },
            _ => error,
        }
    }

    fn steps(&mut self) -> Result<(), RepoError> {
        self.find_leftovers()?;
        let scene = self.look(None)?;
        let mut marked = self.mark(&scene, &BTreeSet::new())?;
        let plan = self.vault.plan(&scene, &marked, self.options.max_unused, None)?;
        self.report = plan.report.clone();
        // Whole packs first: that makes room, and takes none but for the list and the entry.
        let gone: BTreeSet<String> = plan.doomed.iter().cloned().collect();
        let mut doomed = plan.doomed;
        doomed.extend(self.vault.unused_tables(&scene, &marked, &gone)?);
        doomed.sort_by_key(|name| (rank(name), name.clone()));
        for names in self.portions(doomed)? {
            for (name, size) in self.remove(names, Vec::new(), &mut marked, false)? {
                self.report.count_deleted(&name, size);
            }
        }
        self.rewrite_all(&mut marked)?;
        self.compact_locator(&mut marked)?;
        let scene = self.look(Some(&BTreeSet::new()))?;
        self.tidy(&scene)?;
        self.vault.renew_reserve(&self.author)
    }

    /// Goes on, unless the caller wants to stop; so often that the lease never expires.
    pub(super) fn go_on(&mut self) -> Result<(), RepoError> {
        self.progress.check()?;
        self.lease.keep(&self.vault.around, &self.author)
    }

    pub(super) fn look(&mut self, condemned: Option<&BTreeSet<String>>) -> Result<Scene, RepoError> {
        self.go_on()?;
        self.vault.look(condemned, &mut self.strays)
    }

    pub(super) fn mark(&mut self, scene: &Scene, condemned: &BTreeSet<String>) -> Result<Marked, RepoError> {
        let condemned = condemned.iter().chain(self.leftovers.iter().flat_map(|list| &list.names)).cloned().collect();
        let Self { vault, author, lease, progress, .. } = self;
        let mut go_on = || {
            progress.check()?;
            lease.keep(&vault.around, author)
        };
        Marked::mark(vault, scene, &condemned, *progress, &mut go_on)
    }

    /// Condemns these objects, looks who needs them after all, and deletes the others. `added` goes into the same journal
    /// entry. With `anew` what is needed is found out again whether or not anything has come.
    ///
    /// Every snapshot in no journal that is to go must be in the first portion: see the decision record.
    pub(super) fn remove(
        &mut self,
        names: Vec<String>,
        added: Vec<Added>,
        marked: &mut Marked,
        anew: bool,
    ) -> Result<Vec<(String, u64)>, RepoError> {
        if names.is_empty() && added.is_empty() {
            return Ok(Vec::new());
        }
        self.go_on()?;
        let list = self.vault.condemn(&self.author, &names)?;
        let confirmed = match self.confirm(names, &list, marked, anew) {
            Ok(confirmed) => confirmed,
            Err(error) => {
                // Nothing was entered, so nothing will be deleted.
                self.vault.lift(&list);
                return Err(error);
            }
        };
        let live = &self.vault.view.live;
        let removed = confirmed.iter().filter(|(name, _)| !live.is_removed(name)).cloned().collect();
        let doomed: Vec<String> = confirmed.iter().map(|(name, _)| name.clone()).collect();
        self.vault.carry_out(
            &self.author,
            &list,
            Change { operation: OPERATION, added, removed, ..Change::default() },
            &doomed,
        )?;
        count(self.progress, doomed.len());
        Ok(confirmed)
    }

    /// Those of the condemned objects that nothing needs, and their sizes.
    fn confirm(
        &mut self,
        names: Vec<String>,
        list: &ObjectName,
        marked: &mut Marked,
        anew: bool,
    ) -> Result<Vec<(String, u64)>, RepoError> {
        let condemned: BTreeSet<String> = names.iter().cloned().collect();
        let scene = self.look(Some(&condemned))?;
        self.refuse_rivals(list)?;
        if anew || !marked.holds_in(&scene) {
            *marked = self.mark(&scene, &condemned)?;
        }
        let may_go = |name: &String| {
            if scene.held.contains(name) || scene.roots.contains(name) {
                return false;
            }
            if name.starts_with("packs/") && self.vault.view.live.contains(name) {
                return marked.ordinal(name).is_some_and(|pack| marked.uses_of(pack).is_empty());
            }
            name.starts_with("locator/") || scene.trash.contains(name)
        };
        let going: BTreeSet<String> = names.iter().filter(|name| !is_table(name) && may_go(name)).cloned().collect();
        let tables: BTreeSet<String> = if names.iter().any(|name| is_table(name)) {
            self.vault.unused_tables(&scene, marked, &going)?.into_iter().collect()
        } else {
            BTreeSet::new()
        };
        self.check_still_ours(list)?;
        let goes = |name: &String| going.contains(name) || tables.contains(name);
        let size = |name: String| self.vault.view.listing.get(&name).copied().map(|size| (name, size));
        Ok(names.into_iter().filter(goes).filter_map(size).collect())
    }

    /// Fails if another collection has begun, which took this one for dead.
    pub(super) fn refuse_rivals(&self, list: &ObjectName) -> Result<(), RepoError> {
        let (fence, now) = (self.fence.as_str(), self.vault.around.clock.now());
        let is_known = |object: &str| self.leftovers.iter().any(|list| list.object == object);
        for rival in fences(&self.vault.view)? {
            let is_dead = self.leftovers.iter().any(|list| list.object == rival.object);
            if rival.object != fence && !is_dead {
                return Err(RepoError::Busy { since: rival.began });
            }
        }
        for rival in super::condemned_lists(&self.vault.view)? {
            let is_forgetting = rival.names.iter().all(|name| is_forgotten(name));
            if rival.object != list.as_str() && !is_known(&rival.object) && !is_forgetting {
                return Err(RepoError::Busy { since: now });
            }
        }
        Ok(())
    }

    /// Fails if what says that this collection goes on has been taken away: somebody took it for dead.
    fn check_still_ours(&self, list: &ObjectName) -> Result<(), RepoError> {
        for object in [&self.fence, list] {
            match self.vault.around.storage.size(object) {
                Err(StoreError::NotFound { .. }) => {
                    return Err(RepoError::Busy { since: self.vault.around.clock.now() });
                }
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// Finds what removals that died have condemned, and the fences of collections that did.
    fn find_leftovers(&mut self) -> Result<(), RepoError> {
        let (lists, fences) = (super::condemned_lists(&self.vault.view)?, fences(&self.vault.view)?);
        let leases = super::Leases::read(self.vault)?;
        let state = &self.vault.around.state;
        for list in lists {
            if !leases.has(list.run) && !state.is_alive(list.run)? {
                self.leftovers.push(list);
            }
        }
        for fence in fences {
            if fence.object != self.fence.as_str() && !leases.has(fence.run) && !state.is_alive(fence.run)? {
                self.leftovers.push(CondemnedList { object: fence.object, run: fence.run, names: Vec::new() });
            }
        }
        Ok(())
    }

    /// Takes away what is left of runs that are over. A list stays while something that it names was removed and is there all
    /// the same, and while a snapshot is in no journal yet: its run may not have seen the list, and who wrote the list may
    /// not be as dead as it seems.
    fn tidy(&mut self, scene: &Scene) -> Result<(), RepoError> {
        for lease in &scene.leases.spent {
            self.vault.lift(&ObjectName::new(lease.as_str())?);
        }
        let view = &self.vault.view;
        for list in &self.leftovers {
            let is_undone = |name: &String| view.live.is_removed(name) && view.listing.contains_key(name);
            if !scene.has_unfinished && !list.names.iter().any(is_undone) {
                self.vault.lift(&ObjectName::new(list.object.as_str())?);
            }
        }
        Ok(())
    }

    /// Names in portions that there is room to condemn and to enter into the journal.
    pub(super) fn portions(&self, names: Vec<String>) -> Result<Vec<Vec<String>>, RepoError> {
        let room = self.vault.around.storage.space()?.map_or(u64::MAX, |space| space.free) / BYTES_PER_NAME;
        let size = usize::try_from(room.clamp(16, NAMES_AT_ONCE)).unwrap_or(usize::MAX);
        let snapshots = names.iter().take_while(|name| name.starts_with("snapshots/")).count();
        let (first, rest) = names.split_at(size.max(snapshots).min(names.len()));
        Ok([first].into_iter().chain(rest.chunks(size)).map(<[String]>::to_vec).collect())
    }
}

/// True for what a run that forgets condemns: snapshots and their labels.
fn is_forgotten(name: &str) -> bool {
    ["snapshots/", "labels/", "twin/labels/"].iter().any(|folder| name.starts_with(folder))
}

/// Snapshots go first, keys last.
fn rank(name: &str) -> u8 {
    match name {
        _ if name.starts_with("snapshots/") => 0,
        _ if name.starts_with("packs/") => 1,
        _ if is_table(name) => 3,
        _ => 2,
    }
}

impl Vault {
    /// The objects of all tables of keys that no pack uses, once these packs are gone.
    pub(super) fn unused_tables(
        &self,
        scene: &Scene,
        marked: &Marked,
        going: &BTreeSet<String>,
    ) -> Result<Vec<String>, RepoError> {
        let mut used: BTreeSet<TableId> = BTreeSet::new();
        for name in names_in(&self.view.listing, "packs/").filter(|name| !going.contains(*name)) {
            let table = match marked.ordinal(name) {
                Some(pack) => Some(table_of(&marked.locator.pack(pack).key)),
                None => self.table_in_header(name)?,
            };
            used.extend(table);
        }
        let tables: Vec<(&str, TableId)> = with_twins(&self.view.listing, "sessions/")
            .into_iter()
            .filter_map(|name| Some((name, TableId::from_hex(ParsedName::parse(name)?.stem.id())?)))
            .collect();
        used.extend(tables.iter().filter(|(name, _)| scene.held.contains(*name)).map(|(_, table)| *table));
        Ok(tables.iter().filter(|(_, table)| !used.contains(table)).map(|(name, _)| (*name).to_owned()).collect())
    }

    /// The table that a pack's own header names: of packs whose footers can't be read, or are no business of this user's.
    fn table_in_header(&self, name: &str) -> Result<Option<TableId>, RepoError> {
        let header = match self.around.storage.read_range(&ObjectName::new(name)?, 0, HEADER) {
            Ok(bytes) => Header::parse(&bytes).ok(),
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(StoreError::Short { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        match header {
            Some(header) => Ok(Some(table_of(&header.key))),
            None if self.view.live.contains(name) => {
                let flaw = read(&*self.around.storage, name).err().unwrap_or(Flaw::WrongHash);
                Err(RepoError::Undecided { name: name.to_owned(), flaw })
            }
            None => Ok(None),
        }
    }
}
