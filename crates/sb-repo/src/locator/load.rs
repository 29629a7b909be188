//! Reading the locator: this machine's copy, the increments it lacks, the packs that no increment has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sb_store::ObjectName;

use super::copy::{Copy, Occurrence};
use super::map::{Main, Origin, Row};
use super::read_locator;
use super::seal::{Local, Unfit};
use super::sorter::{Entries, Sorter, merge};
use super::table::Table;
use super::{Locator, Scope, entries_of};
use crate::clock::Monitor;
use crate::error::RepoError;
use crate::ids::{PackId, TableId};
use crate::keys::CompartmentKeys;
use crate::live::names_in;
use crate::name::{self, ParsedName};
use crate::pack::read_pack_footer;
use crate::vault::Surroundings;
use crate::view::{View, with_twins};
use crate::wire::locator::{LocatorEntry, PackPlaces};

/// More packs than this without an increment are worth a word.
const UNCOVERED_MANY: usize = 100;

/// How much of the locator is in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// So many entries that are not in the copy are held in memory in any case.
    pub(crate) recent: usize,
    /// And so many for one in the copy: the fewer, the oftener the copy is written anew.
    pub(crate) share: u64,
    /// So many increments are read each time rather than copied.
    pub(crate) increments: usize,
    /// Entries that are sorted in memory at once.
    pub(crate) run: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { recent: 1 << 16, share: 64, run: 1 << 19, increments: 64 }
    }
}

impl Limits {
    /// Everything is in memory.
    const NO_FILES: Self = Self { recent: usize::MAX, share: 1, run: usize::MAX, increments: usize::MAX };
}

/// The locator in the making.
struct Loading<'a> {
    view: &'a View,
    local: &'a Local,
    locator: Locator,
    /// The increments that count, and what is in them.
    increments: Vec<String>,
    slots: Vec<Slot>,
}

/// A pack in an increment.
struct Slot {
    increment: u32,
    /// Its ordinal among the packs that count.
    ordinal: Option<u32>,
    /// What the increment says of it, where that is not what is said there.
    own: Option<PackPlaces>,
}

impl Locator {
    /// Reads all increments that may be used, those that this machine has a copy of from there; what they do not cover comes
    /// from the packs' footers. Packs out of scope are as good as gone.
    pub(crate) fn load(
        around: &Surroundings,
        view: &View,
        keys: &Arc<CompartmentKeys>,
        monitor: &dyn Monitor,
        scope: Scope,
    ) -> Result<Self, RepoError> {
        Self::load_within(around, view, keys, monitor, scope, Limits::default())
    }

    /// The same with other limits.
    pub(crate) fn load_within(
        around: &Surroundings,
        view: &View,
        keys: &Arc<CompartmentKeys>,
        monitor: &dyn Monitor,
        scope: Scope,
        limits: Limits,
    ) -> Result<Self, RepoError> {
        let local = Local::new(around, view.id(), keys);
        // A check is of what anybody finds in the vault.
        let mut copy = if scope == Scope::Checking { None } else { Copy::open(&local, scope.is_writing()) };
        let mut limits = limits;
        for attempt in 0.. {
            let origin = Origin { storage: view.storage.clone(), keys: keys.clone(), local: local.clone() };
            let mut loading = Loading {
                view,
                local: &local,
                locator: Self::new(scope.clone(), tables(view), origin),
                increments: Vec::new(),
                slots: Vec::new(),
            };
            match loading.read(copy.take(), keys, limits)? {
                Ok(()) => return loading.finish(keys, monitor),
                Err(Unfit) => local.state().remove_cache(local.copy()),
            }
            if attempt > 0 {
                // What this machine writes can't be read back.
                limits = Limits::NO_FILES;
            }
        }
        unreachable!("without files there is nothing to be unfit")
    }
}

/// Tables of keys that are there.
fn tables(view: &View) -> BTreeSet<TableId> {
    let tables = with_twins(&view.listing, "sessions/").into_iter().filter_map(ParsedName::parse);
    tables.filter_map(|parsed| TableId::from_hex(parsed.stem.id())).collect()
}

impl Loading<'_> {
    /// Reads the increments, and writes the copy anew if it lacks many of them.
    fn read(
        &mut self,
        copy: Option<Copy>,
        keys: &CompartmentKeys,
        limits: Limits,
    ) -> Result<Result<(), Unfit>, RepoError> {
        let names = names_in(&self.view.listing, "locator/")
            .filter(|name| ParsedName::parse(name).is_some() && self.view.live.is_readable(name));
        let mut names: BTreeSet<&str> = names.collect();
        let old = copy.map(|Copy { table, increments, packs }| {
            let kept: Vec<Option<u32>> = increments
                .into_iter()
                .map(|name| {
                    let counts = names.remove(name.as_str());
                    counts.then(|| {
                        self.increments.push(name);
                        as_u32(self.increments.len() - 1)
                    })
                })
                .collect();
            let slots = packs.into_iter().map(|Occurrence { increment, pack }| {
                let increment = kept.get(increment as usize).copied().flatten();
                increment.map(|increment| self.add_slot(increment, pack))
            });
            // Which slot each of its pack ordinals is now.
            (table, slots.collect::<Vec<Option<u32>>>())
        });
        let mut sorter = Sorter::new(self.local, limits.run);
        let is_small = names.len() <= limits.increments;
        for name in names {
            match read_locator(&*self.view.storage, &ObjectName::new(name)?, keys) {
                Ok((packs, entries)) => {
                    self.increments.push(name.to_owned());
                    let increment = as_u32(self.increments.len() - 1);
                    let slots: Vec<u32> = packs.into_iter().map(|pack| self.add_slot(increment, pack)).collect();
                    sorter.add(entries.into_iter().map(|entry| entry.with_pack(slots[entry.pack() as usize])));
                }
                Err(error) => self.locator.flawed.push(error),
            }
        }
        let stored = old.as_ref().map_or(0, |(table, _)| table.len());
        let stale = old.as_ref().map_or(0, |(_, slots)| slots.iter().filter(|slot| slot.is_none()).count());
        let few = limits.recent.max(usize::try_from(stored / limits.share).unwrap_or(usize::MAX));
        let is_fresh = old.as_ref().is_none_or(|(_, slots)| stale * 4 <= slots.len());
        if is_small && sorter.is_in_memory() && sorter.pending() <= few && is_fresh {
            let (_, recent) = sorter.finish();
            self.take_recent(recent);
            if let Some((table, slots)) = old {
                let rows = slots.iter().map(|slot| slot.map_or(Row::GONE, |slot| self.row(slot))).collect();
                self.locator.main = Some(Main { table, rows, increments: std::mem::take(&mut self.increments) });
            }
            return Ok(Ok(()));
        }
        Ok(self.write_copy(old, sorter))
    }

    /// Puts the old copy and what has come since into a new one.
    fn write_copy(&mut self, old: Option<(Table, Vec<Option<u32>>)>, sorter: Sorter<'_>) -> Result<(), Unfit> {
        let (runs, recent) = sorter.finish();
        let slots = &self.slots;
        // What a journal has removed never comes back.
        let is_gone = |slot: &Slot| {
            let pack = self.pack(slot);
            self.view.live.is_removed(name::pack(&pack.id).as_str())
        };
        let mut packs = Vec::new();
        let mut renumbered: Vec<Option<u32>> = Vec::with_capacity(slots.len());
        for slot in slots {
            renumbered.push((!is_gone(slot)).then(|| {
                packs.push(Occurrence { increment: slot.increment, pack: self.pack(slot).clone() });
                as_u32(packs.len() - 1)
            }));
        }
        let entries = || {
            // In order: old ordinals and new ones stand in the same order.
            let old = old.iter().map(|(table, slots)| {
                let entries = table.scan().filter_map(|entry| match entry {
                    Ok(entry) => slots[entry.pack() as usize].map(|slot| Ok(entry.with_pack(slot))),
                    Err(unfit) => Some(Err(unfit)),
                });
                Box::new(entries) as Entries<'_>
            });
            let runs = runs.iter().map(|run| Box::new(run.scan()) as Entries<'_>);
            let recent = Box::new(recent.iter().copied().map(Ok)) as Entries<'_>;
            merge(old.chain(runs).chain([recent]).collect())
        };
        let kept = entries().filter_map(|entry| match entry {
            Ok(entry) => renumbered[entry.pack() as usize].map(|pack| Ok(entry.with_pack(pack))),
            Err(unfit) => Some(Err(unfit)),
        });
        match Copy::write(self.local, &self.locator.scope, self.increments.clone(), packs, kept) {
            Ok(Ok(copy)) => {
                let kept = slots.iter().zip(&renumbered).filter(|(_, new)| new.is_some());
                let rows =
                    kept.map(|(slot, _)| Row { increment: slot.increment, pack: slot.ordinal.unwrap_or(Row::NONE) });
                let rows = rows.collect();
                self.locator.main = Some(Main { table: copy.table, rows, increments: copy.increments });
                Ok(())
            }
            Ok(Err(Unfit)) => Err(Unfit),
            // No room for a file: then it is all in memory.
            Err(_) => {
                let all = entries().collect::<Result<Vec<_>, _>>()?;
                self.take_recent(all);
                Ok(())
            }
        }
    }

    fn add_slot(&mut self, increment: u32, pack: PackPlaces) -> u32 {
        let counts = self.locator.may_use(self.view, name::pack(&pack.id).as_str()) && self.locator.has_key(&pack);
        let ordinal = counts.then(|| self.locator.add_pack(&pack));
        let is_said = ordinal.is_some_and(|ordinal| *self.locator.pack(ordinal) == pack);
        self.slots.push(Slot { increment, ordinal, own: (!is_said).then_some(pack) });
        as_u32(self.slots.len() - 1)
    }

    /// What the increment says of a pack.
    fn pack<'s>(&'s self, slot: &'s Slot) -> &'s PackPlaces {
        let known = || self.locator.pack(slot.ordinal.expect("one or the other"));
        slot.own.as_ref().unwrap_or_else(known)
    }

    fn row(&self, slot: u32) -> Row {
        let slot = &self.slots[slot as usize];
        Row { increment: slot.increment, pack: slot.ordinal.unwrap_or(Row::NONE) }
    }

    /// Entries that are held in memory, by slot.
    fn take_recent(&mut self, entries: Vec<LocatorEntry>) {
        let mut recent = entries;
        recent.retain_mut(|entry| {
            let pack = self.slots[entry.pack() as usize].ordinal;
            *entry = entry.with_pack(pack.unwrap_or(Row::NONE));
            pack.is_some()
        });
        self.locator.recent = recent;
    }

    /// Adds the packs that are in no increment.
    fn finish(self, keys: &CompartmentKeys, monitor: &dyn Monitor) -> Result<Locator, RepoError> {
        let Self { view, mut locator, .. } = self;
        let uncovered: Vec<String> = names_in(&view.listing, "packs/")
            .filter(|name| locator.may_use(view, name) && !locator.covers(name))
            .map(str::to_owned)
            .collect();
        if uncovered.len() > UNCOVERED_MANY {
            let count = uncovered.len();
            monitor.warning(&format!("reading the footers of {count} packs; `db rebuild` makes an index of them"));
        }
        locator.covered = locator.packs().len();
        for name in uncovered {
            if let Err(error) = locator.add_from_footer(view, keys, &name) {
                locator.flawed.push(error);
            }
        }
        locator.recent.sort_unstable();
        locator.recent.dedup();
        locator.shrink();
        Ok(locator)
    }
}

impl Origin {
    /// The entries of these increments, straight from the vault; what an increment can't say any more, the packs' footers do.
    pub(super) fn read_again(
        &self,
        main: &Main,
        ordinal: &dyn Fn(&PackId) -> Option<u32>,
        id: &dyn Fn(u32) -> PackId,
        run: usize,
    ) -> Result<(Vec<Table>, Vec<LocatorEntry>), RepoError> {
        let mut sorter = Sorter::new(&self.local, run);
        let mut packs: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for row in main.rows.iter().filter(|row| row.pack != Row::NONE) {
            packs.entry(row.increment).or_default().insert(row.pack);
        }
        for (number, wanted) in packs {
            let name = &main.increments[number as usize];
            if let Ok((listed, entries)) = read_locator(&*self.storage, &ObjectName::new(name.as_str())?, &self.keys) {
                let ordinals: Vec<Option<u32>> = listed.iter().map(|pack| ordinal(&pack.id)).collect();
                let entries = entries.into_iter();
                sorter
                    .add(entries.filter_map(|entry| ordinals[entry.pack() as usize].map(|pack| entry.with_pack(pack))));
                continue;
            }
            for ordinal in wanted {
                let id = id(ordinal);
                match read_pack_footer(&*self.storage, &name::pack(&id), id, &self.keys) {
                    Ok((_, footer)) => sorter.add(entries_of(&footer, ordinal)),
                    Err(RepoError::Damaged { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(sorter.finish())
    }
}

fn as_u32(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2³² packs")
}
