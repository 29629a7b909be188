//! A small vault with every kind of object, and what damage to it costs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sb_crypto::{KeyFile, Lock, SeededRandom, sha256};
use sb_repo::testing::{condemn, redact};
use sb_repo::{
    CertificateTerms, CreateOptions, Item, KeySet, Monitor, NewUser, Progress, RepoError, Snapshot, SnapshotId, State,
    Vault, VerifyLevel, VerifyReport, View, create,
};
use sb_source::MemorySource;
use sb_store::sim::SimDisk;
use sb_store::{LocalStorage, MemoryStorage, Storage};

use super::{Machine, event, key, noise, options};

/// Length of header, of what a pack has before its first segment, and of trailer and pointer (docs/format.md §2 and §8).
pub const HEADER: usize = 40;
pub const SEGMENTS_START: usize = HEADER + 64;
pub const TRAILER: usize = 88;
pub const POINTER: usize = 64;

pub type Documents = BTreeSet<(SnapshotId, Vec<u8>)>;

/// A small vault with every kind of object that there is, and what is in it.
pub struct Small {
    pub storage: MemoryStorage,
    pub machine: Machine,
    pub contents: BTreeMap<(SnapshotId, Vec<u8>), Vec<u8>>,
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

/// Two snapshots, a document disposed of, a label, a reserve, a log; a lease and a condemned list left behind.
pub fn small() -> Small {
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

pub fn build(seed: u64, backups: u32) -> (MemoryStorage, Machine) {
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
    let mut certified = options();
    certified.certificate = Some(CertificateTerms::new(vec!["Proves nothing but that the test ran.".to_owned()]));
    vault.backup(&source, &certified, Progress { monitor: &keep, stop: &stop }).unwrap();
    let oldest = vault.find_snapshot("latest").unwrap();
    if backups > 1 {
        source.file("/d/new", &noise(2, 60)).file("/d/sub/c", b"changed");
        vault.backup(&source, &options(), Progress::none()).unwrap();
    }
    vault.log(&[event(0)]).unwrap();
    let batch = vault.view().newest_batch(vault.own_writer().unwrap().unwrap()).unwrap();
    vault.file_checkpoint(batch.checkpoint(), &[b"the answer of an authority".to_vec()]).unwrap();
    vault.name("u_7", Some("Ann")).unwrap();
    let nina = Lock::KeyFile(KeyFile::generate(&SeededRandom::new(8)));
    vault.add_user(&NewUser::new("nina", nina, vec!["operator".to_owned()], KeySet::ADD)).unwrap();
    redact(&mut vault, &oldest, b"/d", b"gone").unwrap();
    vault.set_tags(vec![(oldest.id, vec!["audited".to_owned()])]).unwrap();
    condemn(&mut vault, &["packs/none".to_owned()]).unwrap();
    for batch in [&[1, 2][..], &[3]] {
        vault.log(&batch.iter().map(|n| event(*n)).collect::<Vec<_>>()).unwrap();
    }
    for listed in local.list("").unwrap() {
        let name = listed.object_name().unwrap();
        storage.put_raw(name.to_string(), local.read(&name).unwrap());
    }
    (storage, machine)
}

/// Opens the vault on a machine that has never seen it.
pub fn stranger(storage: &MemoryStorage) -> Result<Vault, RepoError> {
    Machine::new(99).open(Arc::new(storage.clone()), &key())
}

pub fn verify_without_keys(storage: &MemoryStorage) -> VerifyReport {
    let view = View::open(Arc::new(storage.clone()), &State::in_memory(), None).unwrap();
    view.verify(Progress::none()).unwrap()
}

/// Documents with their contents, by path.
pub type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a reader gets out of a snapshot, and the paths of what it can't get.
pub fn read_all(reader: &sb_repo::Reader<'_>, snapshot: &Snapshot) -> (Contents, BTreeSet<Vec<u8>>) {
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
    pub fn objects(&self) -> Vec<(String, Vec<u8>)> {
        self.storage.objects().into_iter().collect()
    }

    /// The vault with this object changed, `None` for taken away.
    pub fn with(&self, name: &str, bytes: Option<Vec<u8>>) -> MemoryStorage {
        let storage = self.storage.snapshot();
        match bytes {
            Some(bytes) => storage.put_raw(name, bytes),
            None => drop(storage.remove_raw(name)),
        }
        storage
    }

    /// What can't be read of the vault in `storage`; whatever can has to be right.
    pub fn lost(&self, vault: &Vault, context: &str) -> Documents {
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
    pub fn check_with_keys(&self, storage: &MemoryStorage, names: &[&str], context: &str) -> Documents {
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
    pub fn assert_told(&self, touched: &Documents, lost: &Documents, context: &str) {
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

pub fn named(report: &VerifyReport) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.object.as_str()).collect()
}

pub fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    with_bit(bytes, at, at % 8)
}

pub fn with_bit(bytes: &[u8], at: usize, bit: usize) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    damaged[at] ^= 1 << bit;
    damaged
}

/// Runs `work` on all items, on two threads.
pub fn for_each<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
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
