//! Damage: whatever happens to any object is found, the object is named, and with keys the documents that it touches.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::faulty::{Act, Faulty};
use common::{Machine, key, new_vault, noise, options};
use sb_crypto::{Lock, SigningKey, sha256};
use sb_repo::testing::{condemn, redact, rewrite};
use sb_repo::{
    CreateOptions, Flaw, Inline, Item, Monitor, Progress, RepoError, RestoreOptions, Snapshot, SnapshotId, State,
    Vault, VerifyLevel, VerifyReport, View, create,
};
use sb_source::MemorySource;
use sb_store::sim::SimDisk;
use sb_store::{LocalStorage, MemoryStorage, Storage};

/// Length of header, of what a pack has before its first segment, and of trailer and pointer (docs/format.md §2 and §8).
const HEADER: usize = 40;
const SEGMENTS_START: usize = HEADER + 64;
const TRAILER: usize = 88;
const POINTER: usize = 64;

type Documents = BTreeSet<(SnapshotId, Vec<u8>)>;

/// A small vault with every kind of object that there is, and what is in it.
struct Small {
    storage: MemoryStorage,
    machine: Machine,
    contents: BTreeMap<(SnapshotId, Vec<u8>), Vec<u8>>,
}

/// Keeps the lease of the run that it hears of.
#[derive(Debug)]
struct Keep<'a>(&'a LocalStorage, &'a MemoryStorage);

impl Monitor for Keep<'_> {
    fn at(&self, _: &[u8]) {
        for lease in self.0.list("leases").unwrap() {
            self.1.put_raw(lease.name.clone(), self.0.read(&lease.object_name().unwrap()).unwrap());
        }
    }
}

/// Two snapshots, a document disposed of, a reserve; a lease and a condemned list left behind.
fn small() -> Small {
    let (storage, machine) = build(21, 2);
    let vault = stranger(&storage).unwrap();
    let reader = vault.reader(Progress::none()).unwrap();
    let mut contents = BTreeMap::new();
    for snapshot in vault.snapshots().unwrap().snapshots {
        let (documents, lost) = read_all(&reader, &snapshot);
        assert!(lost.is_empty());
        contents.extend(documents.into_iter().map(|(path, bytes)| ((snapshot.id, path), bytes)));
    }
    assert_eq!(contents.len(), 2 + 4, "the older snapshot has lost one document");
    Small { storage, machine, contents }
}

fn build(seed: u64, backups: u32) -> (MemoryStorage, Machine) {
    let (disk, storage, machine) = (SimDisk::new(), MemoryStorage::new(), Machine::new(seed));
    // Only a storage with a size has a reserve.
    disk.set_capacity(Some(100 << 20));
    let local = disk.storage();
    let mut create_options = CreateOptions::default();
    create_options.reserve = 64;
    let around = machine.around(Arc::new(disk.storage()));
    let (mut vault, _) = create(around, &[Lock::KeyFile(key())], &create_options).unwrap();
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", &noise(1, 150)).file("/d/gone", b"to be disposed of").file("/d/sub/c", b"kept");
    let keep = Keep(&local, &storage);
    let stop = false.into();
    vault.backup(&source, &options(), Progress { monitor: &keep, stop: &stop }).unwrap();
    let oldest = vault.find_snapshot("latest").unwrap();
    if backups > 1 {
        source.file("/d/new", &noise(2, 60)).file("/d/sub/c", b"changed");
        vault.backup(&source, &options(), Progress::none()).unwrap();
    }
    redact(&mut vault, &oldest, b"/d", b"gone").unwrap();
    condemn(&mut vault, &["packs/none".to_owned()]).unwrap();
    for listed in local.list("").unwrap() {
        let name = listed.object_name().unwrap();
        storage.put_raw(name.to_string(), local.read(&name).unwrap());
    }
    (storage, machine)
}

/// Opens the vault on a machine that has never seen it.
fn stranger(storage: &MemoryStorage) -> Result<Vault, RepoError> {
    Machine::new(99).open(Arc::new(storage.clone()), &key())
}

fn verify_without_keys(storage: &MemoryStorage) -> VerifyReport {
    let view = View::open(Arc::new(storage.clone()), &State::in_memory(), None).unwrap();
    view.verify(Progress::none()).unwrap()
}

/// Documents with their contents, by path.
type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a reader gets out of a snapshot, and the paths of what it can't get.
fn read_all(reader: &sb_repo::Reader<'_>, snapshot: &Snapshot) -> (Contents, BTreeSet<Vec<u8>>) {
    let (mut documents, mut lost) = (Contents::new(), BTreeSet::new());
    let mut folders = vec![b"/".to_vec()];
    while let Some(folder) = folders.pop() {
        let mut files = Vec::new();
        let listed = reader.list(snapshot, &folder, false, &mut |path, entry| {
            match &entry.item {
                Item::File(file) => files.push((path.to_vec(), file.clone())),
                Item::Folder { .. } => folders.push(path.to_vec()),
                _ => {}
            }
            Ok(())
        });
        if listed.is_err() {
            lost.insert(folder);
        }
        for (path, file) in files {
            let mut bytes = Vec::new();
            let read = reader.content(&path, &file, Progress::none(), &mut |chunk| {
                bytes.extend_from_slice(chunk);
                Ok(())
            });
            match read {
                Ok(()) => drop(documents.insert(path, bytes)),
                Err(_) => drop(lost.insert(path)),
            }
        }
    }
    (documents, lost)
}

impl Small {
    /// Every object and its bytes.
    fn objects(&self) -> Vec<(String, Vec<u8>)> {
        self.storage.objects().into_iter().collect()
    }

    /// The vault with this object changed, `None` for taken away.
    fn with(&self, name: &str, bytes: Option<Vec<u8>>) -> MemoryStorage {
        let storage = self.storage.snapshot();
        match bytes {
            Some(bytes) => storage.put_raw(name, bytes),
            None => drop(storage.remove_raw(name)),
        }
        storage
    }

    /// What can't be read of the vault in `storage`; whatever can has to be right.
    fn lost(&self, vault: &Vault, context: &str) -> Documents {
        let reader = vault.reader(Progress::none()).unwrap_or_else(|error| panic!("{context}: {error}"));
        let mut lost = Documents::new();
        for snapshot in vault.snapshots().unwrap().snapshots {
            let (documents, missing) = read_all(&reader, &snapshot);
            for (path, bytes) in documents {
                let right = &self.contents[&(snapshot.id, path)];
                assert_eq!(&bytes, right, "{context}");
            }
            lost.extend(missing.into_iter().map(|path| (snapshot.id, path)));
        }
        lost
    }

    /// Verifies damage to these objects with keys: each is named, and with them exactly what can't be read any more.
    fn check_with_keys(&self, storage: &MemoryStorage, names: &[&str], context: &str) -> Documents {
        let vault = stranger(storage).unwrap_or_else(|error| panic!("{context}: {error}"));
        let report = vault.verify(VerifyLevel::Objects, Progress::none()).unwrap();
        for name in names {
            assert!(named(&report).contains(name), "{context}: {name} is not in {report:?}");
        }
        if names.iter().any(|name| name.starts_with("redactions/")) {
            let refused = vault.reader(Progress::none()).map(drop);
            assert!(matches!(&refused, Err(RepoError::Damaged { name, .. }) if names.contains(&&**name)), "{context}");
            return Documents::new();
        }
        let lost = self.lost(&vault, context);
        let touched: Documents = report
            .findings
            .iter()
            .filter(|finding| names.contains(&finding.object.as_str()))
            .flat_map(|finding| finding.documents.iter().map(|document| (document.snapshot, document.path.clone())))
            .collect();
        self.assert_told(&touched, &lost, context);
        lost
    }

    /// Of what is lost, every version of every document is named once.
    fn assert_told(&self, touched: &Documents, lost: &Documents, context: &str) {
        let version = |(snapshot, path): &(SnapshotId, Vec<u8>)| {
            (path.clone(), self.contents.get(&(*snapshot, path.clone())).map(|content| sha256(content)))
        };
        let versions = |documents: &Documents| documents.iter().map(version).collect::<BTreeSet<_>>();
        assert!(touched.is_subset(lost), "{context}: {touched:?} are named, {lost:?} are lost");
        assert_eq!(versions(touched), versions(lost), "{context}");
        let documents = touched.iter().filter(|document| self.contents.contains_key(document)).count();
        let told = versions(lost).into_iter().filter(|(_, content)| content.is_some()).count();
        assert_eq!(documents, told, "{context}: {touched:?}");
    }
}

fn named(report: &VerifyReport) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.object.as_str()).collect()
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    with_bit(bytes, at, at % 8)
}

fn with_bit(bytes: &[u8], at: usize, bit: usize) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    damaged[at] ^= 1 << bit;
    damaged
}

/// Runs `work` on all items, on two threads.
fn for_each<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

#[test]
fn the_small_vault_has_every_kind_of_object_and_no_flaw() {
    let small = small();
    let objects = small.objects();
    for folder in
        "config users writers keys sessions packs locator snapshots redactions journal leases condemned reserve"
            .split(' ')
    {
        assert!(objects.iter().any(|(name, _)| name.starts_with(&format!("{folder}/"))), "{folder}");
    }
    let report = verify_without_keys(&small.storage);
    assert!(report.is_good() && report.unfinished.is_empty(), "{report:?}");
    let vault = stranger(&small.storage).unwrap();
    for level in [VerifyLevel::Objects, VerifyLevel::Data, VerifyLevel::Restore] {
        let report = vault.verify(level, Progress::none()).unwrap();
        assert!(report.is_good() && report.unfinished.is_empty(), "{report:?}");
    }
}

#[test]
fn any_byte_that_changes_is_found_without_a_key() {
    let (storage, _) = build(20, 1);
    let objects: Vec<_> = storage.objects().into_iter().collect();
    // What decides how all else is judged is damaged alone, the rest four at a time, never with its twin.
    let judges = ["config/", "users/", "writers/", "journal/"];
    let (alone, together): (Vec<_>, Vec<_>) = objects
        .into_iter()
        .partition(|(name, _)| judges.iter().any(|folder| name.trim_start_matches("twin/").starts_with(folder)));
    let groups: Vec<_> = alone.chunks(1).chain(together.chunks(4)).collect();
    for_each(&groups, |group| {
        let storage = storage.snapshot();
        for at in 0..group.iter().map(|(_, bytes)| bytes.len()).max().unwrap() {
            let damaged: Vec<_> = group.iter().filter(|(_, bytes)| at < bytes.len()).collect();
            damaged.iter().for_each(|(name, bytes)| storage.put_raw(name, flipped(bytes, at)));
            let report = verify_without_keys(&storage);
            assert_eq!(named(&report), damaged.iter().map(|(name, _)| name).collect::<Vec<_>>(), "byte {at}");
            damaged.iter().for_each(|(name, bytes)| storage.put_raw(name, bytes.clone()));
        }
    });
}

#[test]
fn with_keys_what_is_named_is_what_cannot_be_read() {
    let small = small();
    let mut flips = Vec::new();
    for (name, bytes) in small.objects() {
        let (length, step) = (bytes.len(), if name.starts_with("packs/") { 11 } else { 61 });
        let edges = [0, HEADER, HEADER + 32, SEGMENTS_START, SEGMENTS_START + 48, length - 1];
        let ends = [TRAILER, TRAILER + 1, TRAILER + POINTER, TRAILER + POINTER + 1].map(|back| length - back);
        let offsets: BTreeSet<_> = (0..length).step_by(step).chain(edges).chain(ends).collect();
        flips.extend(offsets.into_iter().filter(|at| *at < length).map(|at| (name.clone(), bytes.clone(), at)));
    }
    for_each(&flips, |(name, bytes, at)| {
        let storage = small.with(name, Some(flipped(bytes, *at)));
        let lost = small.check_with_keys(&storage, &[name], &format!("{name} byte {at}"));
        let is_read_from = name.starts_with("packs/") && (0..bytes.len() - TRAILER - POINTER).contains(at);
        assert!(is_read_from || lost.is_empty(), "{name} byte {at} costs {lost:?}");
    });
}

#[test]
fn any_bit_of_a_packs_header_is_named_and_costs_what_is_in_the_pack() {
    let small = small();
    let packs = small.objects().into_iter().filter(|(name, _)| name.starts_with("packs/"));
    let flips: Vec<_> = packs
        .flat_map(|pack| (0..HEADER * 8).map(move |bit| (pack.clone(), bit)))
        .filter(|(_, bit)| !(64..192).contains(bit) || bit % 11 == 0)
        .collect();
    for_each(&flips, |((name, bytes), bit)| {
        let storage = small.with(name, Some(with_bit(bytes, bit / 8, bit % 8)));
        small.check_with_keys(&storage, &[name], &format!("{name} bit {bit}"));
    });
}

#[test]
fn a_damaged_segment_costs_the_documents_in_it_and_no_others() {
    let small = small();
    let packs: Vec<_> = small.objects().into_iter().filter(|(name, _)| name.starts_with("packs/")).collect();
    let lost: BTreeSet<BTreeSet<String>> = packs
        .iter()
        .map(|(name, bytes)| {
            let storage = small.with(name, Some(flipped(bytes, SEGMENTS_START + 60)));
            let lost = small.check_with_keys(&storage, &[name], name);
            lost.into_iter().map(|(_, path)| String::from_utf8(path).unwrap()).collect()
        })
        .collect();
    let sets = [&["/d/a", "/d/gone", "/d/sub/c"][..], &["/d/new", "/d/sub/c"], &["/"], &["/d"]];
    let expected = sets.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect());
    assert_eq!(lost, BTreeSet::from(expected), "two packs of contents, one with the roots, one with the redacted page");
}

#[test]
fn in_a_pack_of_several_segments_each_costs_its_own_documents() {
    let (storage, machine) = (MemoryStorage::new(), Machine::new(23));
    let (mut vault, _) = new_vault(&machine, Arc::new(storage.clone()));
    let mut source = MemorySource::new(&["/d"]);
    for n in 0..5 {
        source.file(format!("/d/{n}"), &noise(n, 2_000_000));
    }
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap().id;
    let contents = (0..5).map(|n| ((snapshot, format!("/d/{n}").into_bytes()), noise(n, 2_000_000))).collect();
    let small = Small { storage, machine, contents };
    let (name, bytes) = small.objects().into_iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let mut counts = Vec::new();
    for megabyte in [1, 5, 9] {
        let storage = small.with(&name, Some(flipped(&bytes, megabyte * 1_000_000)));
        counts.push(small.check_with_keys(&storage, &[&name], &format!("megabyte {megabyte}")).len());
    }
    assert_eq!(counts, [3, 3, 1], "segments of 4 MiB hold parts of three, three and one");
}

#[test]
fn an_object_that_is_gone_cut_or_swapped_is_found() {
    let small = small();
    let objects = small.objects();
    let newest = objects.iter().rfind(|(name, _)| name.starts_with("journal/")).unwrap().0.clone();
    let mut damages: Vec<(Vec<&str>, MemoryStorage, &str)> = Vec::new();
    for (name, bytes) in &objects {
        let is_transient = name.starts_with("leases/") || name.starts_with("condemned/");
        if *name != newest && !is_transient {
            damages.push((vec![name], small.with(name, None), "gone"));
        }
        for length in [bytes.len() - 1, bytes.len() / 2, HEADER, 0] {
            damages.push((vec![name], small.with(name, Some(bytes[..length].to_vec())), "cut"));
        }
        damages.push((vec![name], small.with(name, Some([bytes.as_slice(), &[0]].concat())), "longer"));
    }
    for (i, (a, x)) in objects.iter().enumerate() {
        for (j, (b, y)) in objects.iter().enumerate().skip(i + 1) {
            let folder = |name: &'static str, other: &str| other.starts_with(name);
            let same_kind = a.split('/').next() == b.split('/').next() && !folder("twin/", a);
            if (j == i + 1 || same_kind) && x != y {
                let storage = small.with(a, Some(y.clone()));
                storage.put_raw(b, x.clone());
                damages.push((vec![a, b], storage, "swapped"));
            }
        }
    }
    for_each(&damages, |(names, storage, what)| {
        let report = verify_without_keys(storage);
        let expected: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(named(&report).into_iter().collect::<BTreeSet<_>>(), expected, "{what}");
        small.check_with_keys(storage, names, what);
    });
}

/// A framed object as docs/format.md §2 has it, made without the crate's help.
fn framed(kind: u8, vault: &[u8], body: &[u8], signer: &SigningKey, stem: &str) -> Vec<u8> {
    let mut bytes = [b"SBV1", &[kind, 1, 0, 0][..], vault, &[0; 16], body, &signer.public().key_id(), &[0; 8]].concat();
    let message = [b"sbv1/object\0", sha256(&bytes).as_bytes().as_slice(), stem.as_bytes()].concat();
    bytes.extend_from_slice(&signer.sign(&message));
    bytes
}

/// The name without its hash, and the hash.
fn split(name: &str) -> (&str, &str) {
    name.split_at(name.rfind(['.', '/']).unwrap() + 1)
}

/// Names that an object could have but does not: another generation, sequence number, bucket, writer, copy or hash.
fn other_names(name: &str) -> Vec<String> {
    let (stem, hash) = split(name);
    let folders: Vec<&str> = name.split('/').collect();
    let without_twin = name.strip_prefix("twin/").unwrap_or(name);
    let mut names = Vec::new();
    match without_twin.split('/').next().unwrap() {
        "journal" => {
            names.push(format!("journal/{}/0000000004.{hash}", folders[1]));
            names.push(format!("journal/{}/{}", "ab".repeat(16), folders[2]));
        }
        "config" | "keys" | "sessions" | "leases" | "condemned" => {
            let (item, generation) = stem.trim_end_matches('.').rsplit_once('.').unwrap();
            names.push(format!("{item}.{}.{hash}", generation.parse::<u64>().unwrap() + 1));
            names.push(format!("{item}.18446744073709551615.{hash}"));
            if let Some((_, table)) = without_twin.split_once("sessions/") {
                names.push(format!("sessions/{}/{}", "cd".repeat(16), table.rsplit_once('/').unwrap().1));
            } else if !without_twin.starts_with("config") {
                let folder = without_twin.split_once('/').unwrap().0;
                names.push(format!("{folder}/0123456789abcdef.0.{hash}"));
            }
        }
        folder => {
            let other = sha256(name.as_bytes()).to_string();
            names.push(if folder == "packs" {
                format!("packs/{}/{other}", &other[..2])
            } else {
                format!("{folder}/{other}")
            });
        }
    }
    if without_twin == name {
        names.push(format!("twin/{name}x"));
    }
    names
}

/// Objects that do not belong into the vault, with their names.
fn intruders(small: &Small) -> Vec<(String, Vec<u8>)> {
    let objects = small.objects();
    let mut added: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, bytes) in &objects {
        added.extend(other_names(name).into_iter().map(|other| (other, bytes.clone())));
    }
    let (journal, vault) = (objects.iter().find(|(name, _)| name.starts_with("journal/")).unwrap(), small.vault_id());
    let writer = journal.0.split('/').nth(1).unwrap();
    let stems = [
        (1, "config/vault.7.".to_owned()),
        (2, "users/".to_owned()),
        (3, "writers/".to_owned()),
        (4, "keys/00112233445566aa.0.".to_owned()),
        (5, format!("sessions/{}/00112233445566aa.0.", "0f".repeat(16))),
        (8, "locator/".to_owned()),
        (9, "snapshots/".to_owned()),
        (10, "redactions/".to_owned()),
        (11, format!("journal/{writer}/0000000004.")),
        (12, "leases/00112233445566aa.0.".to_owned()),
        (13, "fences/00112233445566aa.0.".to_owned()),
        (15, "reserve/".to_owned()),
    ];
    let nobody = SigningKey::from_seed(&[0x77; 32]);
    let body_of = |kind: u8| {
        let (_, bytes) = objects.iter().find(|(_, bytes)| bytes[4] == kind).unwrap_or(journal);
        bytes[HEADER..bytes.len() - TRAILER].to_vec()
    };
    for (kind, stem) in stems {
        for bytes in [noise(kind.into(), 300), framed(kind, &vault, &body_of(kind), &nobody, &stem)] {
            let hash = sha256(&bytes).to_string();
            let digits = if stem.ends_with('.') && !stem.starts_with("journal") { 16 } else { 64 };
            added.push((format!("{stem}{}", &hash[..digits]), bytes));
        }
    }
    let pack = framed(6, &vault, &body_of(6), &nobody, "packs/");
    let hash = sha256(&pack).to_string();
    added.push((format!("packs/{}/{hash}", &hash[..2]), pack));
    for name in
        ["readme.txt", "packs/x", ".hidden", "Packs/a b", "config/vault.0", "keys", "twin/readme", "locator/\u{fc}"]
    {
        added.push((name.to_owned(), b"anything".to_vec()));
    }
    added
}

impl Small {
    fn vault_id(&self) -> Vec<u8> {
        self.objects()[0].1[8..24].to_vec()
    }

    /// That what was added is named, and costs nothing: the vault opens, restores and takes a backup.
    fn check_added(&self, added: &[(String, Vec<u8>)], pinned: bool) {
        let root = stranger(&self.storage).unwrap().view().root_fingerprint();
        let storage = self.storage.snapshot();
        added.iter().for_each(|(name, bytes)| storage.put_raw(name, bytes.clone()));
        let view = View::open(Arc::new(storage.clone()), &State::in_memory(), pinned.then_some(root)).unwrap();
        let report = view.verify(Progress::none()).unwrap();
        let names: BTreeSet<&str> = added.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(named(&report).into_iter().collect::<BTreeSet<_>>(), names);
        let vault = stranger(&storage).unwrap_or_else(|error| panic!("{names:?}: {error}"));
        let report = vault.verify(VerifyLevel::Restore, Progress::none()).unwrap();
        assert_eq!(named(&report).into_iter().collect::<BTreeSet<_>>(), names);
        assert!(self.lost(&vault, &format!("{names:?}")).is_empty());
    }
}

#[test]
fn what_was_added_is_found_and_costs_nothing() {
    let small = small();
    for_each(&intruders(&small), |added| small.check_added(std::slice::from_ref(added), false));
}

#[test]
fn objects_of_another_vault_are_found_and_cost_nothing() {
    let small = small();
    let (other, _) = build(22, 1);
    let foreign: Vec<_> = other.objects().into_iter().collect();
    // Who knows neither root key nor its fingerprint can't tell which of two configs is the right one.
    for_each(&foreign, |added| small.check_added(std::slice::from_ref(added), added.0.contains("config/")));
    small.check_added(&foreign, true);
}

#[test]
fn backups_go_on_whatever_was_added() {
    let small = small();
    for (name, bytes) in intruders(&small) {
        let storage = small.with(&name, Some(bytes));
        let machine = Machine::new(24);
        let mut source = MemorySource::new(&["/d"]);
        source.file("/d/later", b"after the intrusion");
        let outcome = machine.backup(Arc::new(storage.clone()), &key(), &source);
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
}

#[test]
fn what_a_journal_says_was_removed_is_found_when_it_is_back() {
    let small = small();
    let before = small.objects();
    let mut vault = stranger(&small.storage).unwrap();
    vault.rebuild(false, Progress::none()).unwrap();
    let removed: Vec<_> = before.into_iter().filter(|(name, _)| !small.storage.objects().contains_key(name)).collect();
    assert_eq!(removed.len(), 3, "the increments of the locator that were replaced");
    for (name, bytes) in removed {
        assert!(name.starts_with("locator/"));
        let storage = small.with(&name, Some(bytes));
        let report = verify_without_keys(&storage);
        assert_eq!(named(&report), [&name]);
        assert_eq!(report.findings[0].flaw, Flaw::Resurrected);
        assert!(small.check_with_keys(&storage, &[&name], &name).is_empty());
    }
}

#[test]
fn the_newest_journal_entry_is_missed_by_who_remembers_it_and_by_nobody_else() {
    let small = small();
    let newest = small.objects().into_iter().rfind(|(name, _)| name.starts_with("journal/")).unwrap().0;
    let storage = small.with(&newest, None);
    // The machine that wrote it, and one that has only read.
    let visitor = Machine::new(98);
    visitor.open(Arc::new(small.storage.clone()), &key()).unwrap();
    for known in [&small.machine.state, &visitor.state] {
        let view = View::open(Arc::new(storage.clone()), known, None).unwrap();
        let report = view.verify(Progress::none()).unwrap();
        assert_eq!(named(&report), [&newest]);
        assert_eq!(report.findings[0].flaw, Flaw::RolledBack(3));
    }
    let vault = small.machine.open(Arc::new(storage.clone()), &key()).unwrap();
    assert!(matches!(vault.check_heads(), Err(RepoError::RolledBack { sequence: 3, .. })));
    // A stranger sees a vault as it was before; only what the entry listed looks like that of a run cut short.
    let report = verify_without_keys(&storage);
    assert!(report.is_good() && !report.unfinished.is_empty(), "{report:?}");
}

#[test]
fn deeper_levels_find_what_is_damaged_too() {
    let small = small();
    let packs: Vec<_> = small.objects().into_iter().filter(|(name, _)| name.starts_with("packs/")).collect();
    let flips: Vec<_> = packs.iter().flat_map(|pack| (0..pack.1.len()).step_by(61).map(move |at| (pack, at))).collect();
    for_each(&flips, |((name, bytes), at)| {
        let vault = stranger(&small.with(name, Some(flipped(bytes, *at)))).unwrap();
        let lost = small.lost(&vault, name);
        for level in [VerifyLevel::Data, VerifyLevel::Restore] {
            let report = vault.verify(level, Progress::none()).unwrap();
            assert!(named(&report).contains(&name.as_str()), "{name} byte {at}");
            let touched: Documents = report
                .findings
                .iter()
                .flat_map(|finding| finding.documents.iter().map(|d| (d.snapshot, d.path.clone())))
                .collect();
            small.assert_told(&touched, &lost, &format!("{name} byte {at} at {level:?}"));
        }
    });
}

#[test]
fn a_document_that_is_not_what_it_was_is_found() {
    let falsify = |change: fn(&mut sb_repo::FileItem)| {
        let small = small();
        let mut vault = stranger(&small.storage).unwrap();
        let latest = vault.find_snapshot("latest").unwrap();
        rewrite(&mut vault, &latest, b"/d", b"new", &mut |_, entry| {
            let Item::File(file) = &mut entry.item else { panic!("not a file") };
            change(file);
        })
        .unwrap();
        let snapshot = format!("snapshots/{}", latest.id);
        let report = |level| vault.verify(level, Progress::none()).unwrap();
        assert!(report(VerifyLevel::Objects).is_good(), "every object is as it was written");
        (snapshot, report(VerifyLevel::Data), report(VerifyLevel::Restore))
    };
    let (snapshot, data, restore) = falsify(|file| file.salt = [0; 16]);
    for report in [data, restore] {
        assert_eq!(named(&report), [&snapshot]);
        assert_eq!(report.findings[0].flaw, Flaw::WrongDocumentRoot);
    }
    let (snapshot, data, restore) = falsify(|file| file.sha256 = sha256(b"another content"));
    assert_eq!(data.findings[0].flaw, Flaw::WrongDocumentRoot);
    assert_eq!(named(&restore), [&snapshot]);
    let paths: Vec<_> = restore.findings[0].documents.iter().map(|document| document.path.as_slice()).collect();
    assert_eq!(paths, [b"/d/new"]);
    assert_ne!(restore.findings[0].flaw, Flaw::Missing, "the object is there, the document is not right");
}

#[test]
fn a_rebuilt_locator_forgets_nothing_that_the_old_one_knew() {
    let small = small();
    for (name, bytes) in small.objects().into_iter().filter(|(name, _)| name.starts_with("packs/")) {
        // The pointer leads to the footer; without it only the locator knows what is where.
        let storage = small.with(&name, Some(flipped(&bytes, bytes.len() - TRAILER - 1)));
        let machine = Machine { state: State::in_memory(), ..small.machine.clone() };
        let mut vault = machine.open(Arc::new(storage.clone()), &key()).unwrap();
        assert!(small.lost(&vault, &name).is_empty(), "{name}");
        for _ in 0..2 {
            let report = vault.rebuild(false, Progress::none()).unwrap();
            assert!(report.lost.is_empty(), "{report:?}");
            assert_eq!(report.kept.iter().map(|(kept, _)| kept).collect::<Vec<_>>(), [&name]);
            assert!(small.lost(&stranger(&storage).unwrap(), &name).is_empty(), "{name}");
        }
        // Where the old locator is gone too, it says so.
        for listed in storage.list("locator").unwrap() {
            storage.remove_raw(&listed.name);
        }
        let mut vault = machine.open(Arc::new(storage.clone()), &key()).unwrap();
        let report = vault.rebuild(false, Progress::none()).unwrap();
        assert_eq!(report.lost.iter().map(|(lost, _)| lost).collect::<Vec<_>>(), [&name]);
    }
}

#[test]
fn increments_that_a_rebuild_could_not_delete_are_deleted_by_the_next() {
    let small = small();
    let storage = Arc::new(small.storage.snapshot());
    let old = storage.list("locator").unwrap();
    let keeps = Faulty::new(&storage, |act, name| act == Act::Remove && name.starts_with("locator/"));
    let machine = Machine { state: State::in_memory(), ..small.machine.clone() };
    machine.open(keeps, &key()).unwrap().rebuild(false, Progress::none()).unwrap();
    let report = stranger(&storage).unwrap().verify(VerifyLevel::Objects, Progress::none()).unwrap();
    assert_eq!(report.findings.len(), old.len(), "{report:?}");
    machine.open(storage.clone(), &key()).unwrap().rebuild(false, Progress::none()).unwrap();
    let report = stranger(&storage).unwrap().verify(VerifyLevel::Restore, Progress::none()).unwrap();
    assert!(report.is_good(), "{report:?}");
}

#[test]
fn a_snapshot_that_is_gone_is_missed_by_whoever_lists_them() {
    let small = small();
    let newest = stranger(&small.storage).unwrap().find_snapshot("latest").unwrap().id;
    let name = format!("snapshots/{newest}");
    let vault = stranger(&small.with(&name, None)).unwrap();
    let snapshots = vault.snapshots().unwrap();
    assert_eq!((snapshots.snapshots.len(), snapshots.flawed), (1, vec![(name, Flaw::Missing)]));
}

#[test]
fn a_document_lost_in_several_snapshots_is_named_once_in_the_newest() {
    let (storage, machine) = (MemoryStorage::new(), Machine::new(24));
    let (mut vault, _) = new_vault(&machine, Arc::new(storage.clone()));
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", &noise(1, 5000));
    for day in 0..3 {
        source.file("/d/day", format!("{day}").as_bytes());
        vault.backup(&source, &options(), Progress::none()).unwrap();
    }
    let pack = storage.list("packs").unwrap().into_iter().max_by_key(|listed| listed.size).unwrap().name;
    storage.remove_raw(&pack);
    let vault = stranger(&storage).unwrap();
    let newest = vault.find_snapshot("latest").unwrap().id;
    let oldest = vault.find_snapshot("latest~2").unwrap().id;
    for level in [VerifyLevel::Objects, VerifyLevel::Data, VerifyLevel::Restore] {
        let report = vault.verify(level, Progress::none()).unwrap();
        let mut lost = report.findings.into_iter().find(|finding| finding.object == pack).unwrap().documents;
        lost.sort_by(|a, b| a.path.cmp(&b.path));
        let lost: Vec<_> = lost.iter().map(|lost| (lost.snapshot, lost.path.as_slice(), lost.is_folder)).collect();
        assert_eq!(lost, [(newest, &b"/d/a"[..], false), (oldest, b"/d/day", false)], "{level:?}");
    }
}

#[test]
fn why_a_storage_does_not_give_something_is_said() {
    let small = small();
    let storage = Arc::new(small.storage.snapshot());
    let broken = Faulty::new(&storage, |act, name| act == Act::Read && name.starts_with("packs/"));
    let vault = Machine::new(97).open(broken, &key()).unwrap();
    let reader = vault.reader(Progress::none()).unwrap();
    let error = reader.entry(&vault.find_snapshot("latest").unwrap(), b"/d").unwrap_err().to_string();
    assert!(error.contains("cannot be read from `packs/") && error.contains("cannot reach"), "{error}");
}

#[test]
fn a_disk_that_has_lost_its_config_is_no_empty_disk() {
    let small = small();
    let storage = small.storage.snapshot();
    for name in ["config", "twin/config"] {
        storage.list(name).unwrap().iter().for_each(|listed| drop(storage.remove_raw(&listed.name)));
    }
    let lost = |opened: Result<(), RepoError>| {
        assert!(
            matches!(&opened, Err(RepoError::Damaged { name, flaw: Flaw::Missing }) if name == "config"),
            "{opened:?}"
        );
    };
    lost(stranger(&storage).map(drop));
    lost(View::open(Arc::new(storage.clone()), &State::in_memory(), None).map(drop));
    // Without the certificates no slot counts, which is no matter of the right credential.
    let storage = small.storage.snapshot();
    for name in ["users", "twin/users"] {
        storage.list(name).unwrap().iter().for_each(|listed| drop(storage.remove_raw(&listed.name)));
    }
    let opened = stranger(&storage);
    assert!(matches!(opened, Err(RepoError::Damaged { flaw: Flaw::UnknownSigner, .. })), "{opened:?}");
}

#[test]
fn lost_attributes_and_wrong_holes_cost_no_content() {
    let (storage, machine) = (MemoryStorage::new(), Machine::new(25));
    let (mut vault, _) = new_vault(&machine, Arc::new(storage.clone()));
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/one/a", b"content").file("/d/two/b", &noise(3, 9000));
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let latest = vault.find_snapshot("latest").unwrap();
    let nowhere = sb_repo::Reference { id: sb_repo::ChunkId::new([9; 32]), length: 5 };
    rewrite(&mut vault, &latest, b"/d/one", b"a", &mut |_, entry| entry.xattrs = Inline::At(nowhere)).unwrap();
    rewrite(&mut vault, &latest, b"/d/two", b"b", &mut |_, entry| {
        let Item::File(file) = &mut entry.item else { panic!("not a file") };
        file.holes = Inline::Here(vec![(100, 4000)]);
    })
    .unwrap();
    let vault = stranger(&storage).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let target = sb_source::Target::create(folder.path()).unwrap();
    let reader = vault.reader(Progress::none()).unwrap();
    let report = reader
        .restore(&vault.find_snapshot("latest").unwrap(), b"/d", &target, RestoreOptions::default(), Progress::none())
        .unwrap();
    let degraded: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    assert!(
        degraded.iter().any(|text| text.starts_with("`/d/one/a` is restored without its extended attributes")),
        "{degraded:?}"
    );
    assert!(report.is_damaged());
    assert_eq!(std::fs::read(folder.path().join("one/a")).unwrap(), b"content");
    assert_eq!(std::fs::read(folder.path().join("two/b")).unwrap(), noise(3, 9000));
}

#[test]
fn a_content_that_another_shares_its_hash_and_beginning_with_is_rebuilt_too() {
    let (storage, machine) = (MemoryStorage::new(), Machine::new(26));
    let (mut vault, _) = new_vault(&machine, Arc::new(storage.clone()));
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/one/a", &noise(5, 200_000)).file("/d/two/a", &noise(5, 200_000));
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let latest = vault.find_snapshot("latest").unwrap();
    rewrite(&mut vault, &latest, b"/d/two", b"a", &mut |_, entry| {
        let Item::File(file) = &mut entry.item else { panic!("not a file") };
        assert!(file.parts.len() > 3);
        file.parts.swap(1, 2);
    })
    .unwrap();
    let report = stranger(&storage).unwrap().verify(VerifyLevel::Restore, Progress::none()).unwrap();
    let lost: Vec<_> = report.findings.iter().flat_map(|finding| &finding.documents).collect();
    assert!(matches!(&lost[..], [lost] if lost.path == b"/d/two/a"), "{report:?}");
}
