//! What the locator answers, whatever is in the copy, in increments, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use sb_store::ObjectName;

use super::load::Limits;
use super::map::Place;
use super::{Levels, Locator, Scope};
use crate::ids::{ChunkId, PackId};
use crate::name;
use crate::state::State;
use crate::testing::locators::{Loaded, Locators, chunk, pack_id, writing_scope};
use crate::wire::locator::{LocatorEntry, prefix};

/// So little in memory that everything else is needed.
const TIGHT: Limits = Limits { recent: 30, share: 8, run: 100, increments: 4 };

/// Few chunks are many.
const SMALL: Limits = Limits { recent: 1_000, share: 8, run: 2_000, increments: 64 };

/// Ids of which many begin alike, so that whole blocks do.
fn id(number: u16) -> ChunkId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(u64::from(number % 5) << 61).to_be_bytes());
    bytes[8..10].copy_from_slice(&number.to_be_bytes());
    ChunkId::new(bytes)
}

/// What happens to a vault.
#[derive(Clone, Debug)]
enum Act {
    /// An increment of these packs comes, and of chunks: number, which of the packs, segment.
    Add(Vec<u64>, Vec<(u16, usize, u32)>),
    /// One of the increments goes.
    Drop(usize),
    /// A pack goes.
    Remove(u64),
    /// Somebody is about to delete a pack.
    Condemn(u64),
    /// Somebody loads the locator, to write or to read.
    Load(bool),
    /// The copy is lost.
    Lose,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let packs = prop::collection::btree_set(0u64..9, 1..4).prop_map(|packs| packs.into_iter().collect::<Vec<_>>());
    let chunks = prop::collection::vec((0u16..700, 0usize..3, 0u32..4), 0..400);
    let add = (packs, chunks).prop_map(|(packs, chunks)| Act::Add(packs, chunks));
    let act = prop_oneof![
        4 => add,
        1 => (0usize..9).prop_map(Act::Drop),
        1 => (0u64..9).prop_map(Act::Remove),
        1 => (0u64..9).prop_map(Act::Condemn),
        4 => any::<bool>().prop_map(Act::Load),
        1 => Just(Act::Lose),
    ];
    prop::collection::vec(act, 1..14)
}

type Said = BTreeSet<([u8; 16], PackId, u32)>;

/// The multimap that the locator is to be.
#[derive(Default)]
struct Model {
    increments: BTreeMap<String, Said>,
    removed: BTreeSet<PackId>,
    condemned: BTreeSet<String>,
}

impl Model {
    fn scope(&self, writing: bool) -> Scope {
        match writing_scope() {
            Scope::Writing { unusable_tables, .. } if writing => {
                Scope::Writing { condemned: self.condemned.clone(), unusable_tables }
            }
            _ => Scope::Reading,
        }
    }

    fn said(&self, writing: bool) -> Said {
        let all = self.increments.values().flatten().copied();
        all.filter(|(_, pack, _)| {
            let is_condemned = self.condemned.contains(name::pack(pack).as_str());
            !self.removed.contains(pack) && (!writing || !is_condemned)
        })
        .collect()
    }
}

fn said_by(locator: &Locator) -> Said {
    let of = |number| {
        let id = id(number);
        let places = locator.places(&id).unwrap();
        let mut once = places.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), places.len(), "each place once");
        places.into_iter().map(move |Place { pack, segment, .. }| (*prefix(&id), locator.pack(pack).id, segment))
    };
    (0..720).flat_map(of).collect()
}

fn check(loaded: &Loaded, said: &Said) {
    let Loaded(locator) = loaded;
    assert!(locator.flawed.is_empty());
    assert_eq!(&said_by(locator), said);
    let kinds: BTreeMap<[u8; 16], ()> = said.iter().map(|(chunk, ..)| (*chunk, ())).collect();
    let (content, metadata) = locator.chunks().unwrap();
    assert_eq!(content + metadata, kinds.len() as u64);
    for ordinal in 0..u32::try_from(locator.packs().len()).unwrap() {
        let pack = locator.pack(ordinal).id;
        let entries = locator.entries_in(ordinal, 77).unwrap();
        let found: Said = entries.iter().map(|entry| (*entry.prefix(), pack, entry.segment())).collect();
        assert!(entries.is_sorted() && entries.iter().all(|entry| entry.pack() == 77));
        assert_eq!(found, said.iter().filter(|(_, of, _)| *of == pack).copied().collect());
    }
}

fn carry_out(act: Act, vault: &mut Locators, model: &mut Model) {
    match act {
        Act::Add(packs, chunks) => {
            let packs: Vec<u64> = packs.into_iter().filter(|pack| !model.removed.contains(&pack_id(*pack))).collect();
            if packs.is_empty() {
                return;
            }
            let at = |which: usize| which % packs.len();
            let listed: Vec<_> = chunks
                .iter()
                .map(|(number, which, segment)| (id(*number), u32::try_from(at(*which)).unwrap(), *segment, 9))
                .collect();
            let name = vault.add(&packs, &listed);
            let said =
                chunks.iter().map(|(n, which, segment)| (*prefix(&id(*n)), pack_id(packs[at(*which)]), *segment));
            model.increments.insert(name, said.collect());
        }
        Act::Drop(which) => {
            let Some(name) = model.increments.keys().nth(which).cloned() else { return };
            vault.change(Vec::new(), vec![(name.clone(), 1)]);
            model.increments.remove(&name);
        }
        Act::Remove(pack) => {
            let name = name::pack(&pack_id(pack)).to_string();
            // Those that are in no increment any more would be read themselves.
            vault.change(Vec::new(), vec![(name, 1)]);
            model.removed.insert(pack_id(pack));
        }
        Act::Condemn(pack) => drop(model.condemned.insert(name::pack(&pack_id(pack)).to_string())),
        Act::Load(writing) => {
            let mut loaded = vault.load_within(model.scope(writing), TIGHT).unwrap();
            // Here packs are but names: what no increment has can't be read.
            loaded.0.flawed.clear();
            check(&loaded, &model.said(writing));
        }
        Act::Lose => vault.around.state.remove_cache(&copy_name(vault)),
    }
}

fn copy_name(vault: &Locators) -> String {
    format!("{}.locator", vault.keys.id)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_locator_answers_what_a_multimap_would(acts in acts()) {
        let (mut vault, mut model) = (Locators::new(State::in_memory()), Model::default());
        for act in acts.into_iter().chain([Act::Load(true), Act::Load(false)]) {
            carry_out(act, &mut vault, &mut model);
        }
    }

    #[test]
    fn a_growing_set_has_what_was_added(adds in prop::collection::vec(prop::collection::btree_set(0u16..900, 1..60), 1..30)) {
        let vault = Locators::new(State::in_memory());
        let levels = Levels::new(&vault.around, &vault.view, &vault.keys);
        let mut model = BTreeSet::new();
        for numbers in adds {
            let mut entries: Vec<_> = numbers.iter().map(|number| LocatorEntry::new(&id(*number), 0, 0, 0)).collect();
            prop_assert!(levels.add(&mut entries));
            model.extend(numbers);
            prop_assert!((0..900).all(|number| levels.has(&id(number)) == model.contains(&number)));
        }
    }
}

/// A vault of many chunks on a machine whose memory is a folder, and its copy.
fn many(folder: &Path, chunks: u64) -> (Locators, std::path::PathBuf) {
    let mut vault = Locators::new(State::open(folder).unwrap());
    vault.fill(0..chunks);
    let copy = folder.join("cache").join(copy_name(&vault));
    (vault, copy)
}

fn all_are_found(loaded: &Loaded, chunks: u64) {
    for number in (0..chunks).step_by(37) {
        let places = loaded.0.places(&chunk(number)).unwrap();
        assert_eq!(places.len(), 1, "{number}");
        assert_eq!(loaded.0.pack(places[0].pack).id, pack_id(number / 512));
        assert!(!loaded.has(&chunk(number + chunks)).unwrap());
    }
}

#[test]
fn few_chunks_need_no_file_and_many_are_in_one_that_lasts() {
    let folder = tempfile::tempdir().unwrap();
    let (mut vault, copy) = many(folder.path(), 9_000);
    all_are_found(&vault.load(true).unwrap(), 9_000);
    assert!(!copy.exists());
    vault.fill(9_216..80_000);
    vault.fill(9_000..9_216);
    for writing in [true, false, true] {
        all_are_found(&vault.load(writing).unwrap(), 80_000);
    }
    let size = copy.metadata().unwrap().len();
    assert!((24 * 80_000..28 * 80_000).contains(&size), "{size} bytes on disk");
    // A reading run makes one that a writing run can use.
    std::fs::remove_file(&copy).unwrap();
    all_are_found(&vault.load(false).unwrap(), 80_000);
    assert!(vault.load(true).unwrap().0.main.is_some());
    assert!(copy.exists());
    // What is there is not read from the vault again.
    let increments = vault.around.storage.list("locator").unwrap();
    for increment in increments {
        vault.around.storage.remove(&ObjectName::new(increment.name).unwrap()).unwrap();
    }
    all_are_found(&vault.load(true).unwrap(), 80_000);
    // A check is of what is in the vault, and there nothing is left.
    let checked = vault.load_within(Scope::Checking, Limits::default()).unwrap();
    assert!(!checked.0.flawed.is_empty() && checked.0.packs().is_empty());
}

#[test]
fn many_chunks_take_three_bytes_of_memory_each() {
    let folder = tempfile::tempdir().unwrap();
    let chunks = 1 << 20;
    let (mut vault, _) = many(folder.path(), chunks);
    let blocks = 64 * (256 * 24 + 64);
    let per_chunk = |loaded: &Loaded| (loaded.resident().0 - blocks) as f64 / chunks as f64;
    assert!(per_chunk(&vault.load(true).unwrap()) < 2.5);
    assert!(per_chunk(&vault.load(false).unwrap()) < 0.1, "who reads needs no filter");
    // What has come since is in memory, up to a bound.
    vault.fill(chunks..chunks + 60_000);
    let loaded = vault.load(true).unwrap();
    assert_eq!(loaded.0.recent.len(), 60_000);
    vault.fill(chunks + 60_000..chunks + 70_000);
    let loaded = vault.load(true).unwrap();
    assert!(loaded.0.recent.is_empty() && per_chunk(&loaded) < 2.7);
    let stored = vault.stored();
    (0..8).for_each(|part| assert!(stored.add(part << 16..(part + 1) << 16)));
    assert!(stored.has(&chunk(99)) && !stored.has(&chunk(1 << 30)));
    assert!(stored.resident() < (1 << 19) * 3 + blocks, "{}", stored.resident());
}

#[test]
fn a_damaged_copy_costs_reading_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (mut vault, copy) = many(folder.path(), 6_000);
    let scope = |writing| if writing { writing_scope() } else { Scope::Reading };
    let load = |vault: &Locators, writing| vault.load_within(scope(writing), SMALL).unwrap();
    drop(load(&vault, true));
    let good = std::fs::read(&copy).unwrap();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let blocks = 24 * 6_000 + 48 * 24;
    let parts = [0, 9_000, blocks - 1, blocks, blocks + 9_000, good.len() - 1, good.len() - 5, good.len() - 300];
    let mut damaged: Vec<Vec<u8>> = parts.map(flipped).into();
    damaged.extend([vec![], vec![0xff; 9_000], good[..good.len() / 2].to_vec(), good[1..].to_vec()]);
    for bytes in damaged {
        for writing in [true, false] {
            std::fs::write(&copy, &bytes).unwrap();
            let loaded = load(&vault, writing);
            let (content, metadata) = loaded.0.chunks().unwrap();
            assert_eq!(content + metadata, 6_000);
            assert!((0..6_000).all(|number| loaded.has(&chunk(number)).unwrap()));
            all_are_found(&load(&vault, writing), 6_000);
        }
        // Who reads does not look at the filter.
        assert_eq!(load(&vault, true).0.main.unwrap().increments.len(), 2, "it was made anew");
        assert_eq!(std::fs::metadata(&copy).unwrap().len(), good.len() as u64);
    }
    // The same where the increments of the damaged copy can't be read again, one by one.
    std::fs::write(&copy, flipped(9_000)).unwrap();
    let loaded = load(&vault, true);
    for increment in vault.around.storage.list("locator").unwrap() {
        vault.around.storage.remove(&ObjectName::new(increment.name).unwrap()).unwrap();
    }
    assert!((0..6_000).any(|number| loaded.has(&chunk(number)).is_err()), "packs are but names here");
    // Damage that is met while the copy is written anew.
    let (more, copy) = many(folder.path(), 6_000);
    vault = more;
    drop(load(&vault, true));
    let mut bytes = std::fs::read(&copy).unwrap();
    bytes[9_000] ^= 1;
    std::fs::write(&copy, bytes).unwrap();
    vault.fill(6_144..12_000);
    vault.fill(6_000..6_144);
    all_are_found(&load(&vault, true), 12_000);
}

#[test]
fn the_copy_of_another_vault_is_not_believed() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [(a, own), (b, foreign)] = [many(folders[0].path(), 66_000), many(folders[1].path(), 70_000)];
    // The same keys, as vaults of one seed have them, and other increments.
    [&a, &b].iter().for_each(|vault| drop(vault.load(true).unwrap()));
    std::fs::copy(&foreign, &own).unwrap();
    let loaded = a.load(true).unwrap();
    assert!((0..70_000).all(|number| loaded.has(&chunk(number)).unwrap() == (number < 66_000)));
}

#[test]
fn where_no_file_can_be_written_all_is_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cache"), b"no folder").unwrap();
    let (vault, _) = many(folder.path(), 70_000);
    for writing in [true, false] {
        let loaded = vault.load_within(if writing { writing_scope() } else { Scope::Reading }, TIGHT).unwrap();
        all_are_found(&loaded, 70_000);
        assert_eq!(loaded.0.recent.len(), 70_000);
    }
    let stored = vault.stored();
    assert!(!stored.add(0..10) && !stored.has(&chunk(3)));
}
