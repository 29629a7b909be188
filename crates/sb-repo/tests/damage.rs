//! Damage: whatever happens to any object is found, the object is named, and with keys the documents that it touches.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Machine, key, new_vault, noise, options};
use sb_crypto::{SigningKey, sha256};
use sb_repo::testing::{condemn, redact, rewrite};
use sb_repo::{
    Flaw, Item, Monitor, Progress, RepoError, Snapshot, SnapshotId, State, Vault, VerifyLevel, VerifyReport, View,
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
    let (disk, storage, machine) = (SimDisk::new(), MemoryStorage::new(), Machine::new(21));
    disk.set_capacity(Some(100 << 20));
    let local = disk.storage();
    let (mut vault, _) = new_vault(&machine, Arc::new(disk.storage()));
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", &noise(1, 150)).file("/d/gone", b"to be disposed of").file("/d/sub/c", b"kept");
    let keep = Keep(&local, &storage);
    let stop = false.into();
    vault.backup(&source, &options(), Progress { monitor: &keep, stop: &stop }).unwrap();
    source.file("/d/new", &noise(2, 60)).file("/d/sub/c", b"changed");
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let oldest = vault.find_snapshot("latest~1").unwrap();
    redact(&mut vault, &oldest, b"/d", b"gone").unwrap();
    condemn(&mut vault, &["packs/none".to_owned()]).unwrap();
    for listed in local.list("").unwrap() {
        let name = listed.object_name().unwrap();
        storage.put_raw(name.to_string(), local.read(&name).unwrap());
    }
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

    /// Verifies damage to `name` with keys: the object is named, and so is exactly what can't be read any more.
    fn check_with_keys(&self, storage: &MemoryStorage, name: &str, context: &str) -> Documents {
        let vault = stranger(storage).unwrap_or_else(|error| panic!("{context}: {error}"));
        let report = vault.verify(VerifyLevel::Objects, Progress::none()).unwrap();
        assert!(report.findings.iter().any(|finding| finding.object == name), "{context}: {report:?}");
        if name.starts_with("redactions/") {
            let refused = vault.reader(Progress::none()).map(drop);
            assert!(matches!(&refused, Err(RepoError::Damaged { name: told, .. }) if told == name), "{context}");
            return Documents::new();
        }
        let lost = self.lost(&vault, context);
        let named: Documents = report
            .findings
            .iter()
            .filter(|finding| finding.object == name)
            .flat_map(|finding| finding.documents.iter().map(|document| (document.snapshot, document.path.clone())))
            .collect();
        let paths = |documents: &Documents| -> BTreeSet<Vec<u8>> {
            documents.iter().map(|(_, path)| path.clone()).collect()
        };
        assert!(named.is_subset(&lost), "{context}: {named:?} are named, {lost:?} are lost");
        assert_eq!(paths(&named), paths(&lost), "{context}");
        lost
    }
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
    let small = small();
    for_each(&small.objects(), |(name, bytes)| {
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            let report = verify_without_keys(&small.with(name, Some(damaged)));
            let named: Vec<&str> = report.findings.iter().map(|finding| finding.object.as_str()).collect();
            assert_eq!(named, [name], "byte {at}");
        }
    });
}
