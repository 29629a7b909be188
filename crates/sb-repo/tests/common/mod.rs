//! A firm with its machines, for tests of whole vaults.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

pub mod faulty;
pub mod meddler;
#[cfg(target_os = "linux")]
pub mod place;
pub mod small;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
use sb_crypto::{Credential, KeyFile, Lock, RecoveryKey, SeededRandom};
use sb_repo::{
    BackupOptions, BackupReport, CertificateTerms, Clock, CreateOptions, Item, Progress, RepoError, Snapshot, State,
    Surroundings, Vault, create,
};
use sb_source::{Event, Kind, MemorySource, Metadata, Source};
use sb_store::{MemoryStorage, Storage};

/// A clock that goes on by a second whenever it is read.
#[derive(Debug)]
pub struct Ticking(AtomicI64);

impl Ticking {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_767_225_600)))
    }

    pub fn advance_hours(&self, hours: i64) {
        self.0.fetch_add(hours * 3600, Ordering::Relaxed);
    }
}

impl Clock for Ticking {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.fetch_add(1, Ordering::Relaxed), 0).expect("in range")
    }
}

/// A machine: its memory and its randomness.
#[derive(Clone, Debug)]
pub struct Machine {
    pub state: State,
    pub random: Arc<SeededRandom>,
    pub clock: Arc<Ticking>,
}

impl Machine {
    pub fn new(seed: u64) -> Self {
        Self { state: State::in_memory(), random: Arc::new(SeededRandom::new(seed)), clock: Ticking::new() }
    }

    pub fn around(&self, storage: Arc<dyn Storage>) -> Surroundings {
        Surroundings { storage, state: self.state.clone(), clock: self.clock.clone(), random: self.random.clone() }
    }

    pub fn open(&self, storage: Arc<dyn Storage>, key: &KeyFile) -> Result<Vault, RepoError> {
        Vault::open(self.around(storage), &Credential::KeyFile(key.clone()), None)
    }

    pub fn backup(
        &self,
        storage: Arc<dyn Storage>,
        key: &KeyFile,
        source: &MemorySource,
    ) -> Result<BackupReport, RepoError> {
        self.open(storage, key)?.backup(source, &options(), Progress::none())
    }
}

impl Machine {
    /// A backup as the program does it: announced in the log, certified, and told to the log. What is backed up is backed up, whether or
    /// not that can be told.
    pub fn session(
        &self,
        storage: Arc<dyn Storage>,
        key: &KeyFile,
        source: &MemorySource,
    ) -> Result<BackupReport, RepoError> {
        let mut vault = self.open(storage, key)?;
        vault.log(&[event(1)])?;
        let mut options = options();
        options.certificate = Some(CertificateTerms::new(vec!["Proves nothing but that the test ran.".to_owned()]));
        let report = vault.backup(source, &options, Progress::none())?;
        let _ = vault.log(&[event(2)]);
        Ok(report)
    }
}

/// The options of every backup here: any little space will do, and everything happens in the same order every time.
pub fn options() -> BackupOptions {
    let mut options = BackupOptions::default();
    options.threads = 1;
    options.free_min = Some(0);
    options.host = b"office".to_vec();
    options
}

/// A key file that is the same every time.
pub fn key() -> KeyFile {
    KeyFile::generate(&SeededRandom::new(4711))
}

/// Makes a vault that [`key`] opens.
pub fn new_vault(machine: &Machine, storage: Arc<dyn Storage>) -> (Vault, RecoveryKey) {
    let mut options = CreateOptions::default();
    options.reserve = 4096;
    create(machine.around(storage), &[Lock::KeyFile(key())], &options).expect("a new vault")
}

/// A vault with a backup of the firm in it, and its owner.
pub fn backed_up() -> (Arc<MemoryStorage>, Machine, Vault) {
    let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(1));
    let (mut vault, _) = new_vault(&machine, storage.clone());
    vault.backup(&firm(), &options(), Progress::none()).expect("a backup");
    (storage, machine, vault)
}

/// Something to be logged: the `n`-th that happens in a test.
pub fn event(n: u32) -> sb_audit::Event {
    let time = DateTime::from_timestamp(1_767_225_600 + i64::from(n), 0).expect("in range");
    let id = |text: &str| text.parse().expect("an id");
    let action = "Snapshot.Read".parse().expect("an action");
    sb_audit::Event::new(time, id("host:h_1/sb"), id("u_7"), action, id(&format!("s_{n}")), sb_audit::Outcome::Success)
}

/// Bytes that do not compress.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    sb_crypto::Random::fill(&SeededRandom::new(seed), &mut bytes);
    bytes
}

/// A small firm.
pub fn firm() -> MemorySource {
    let mut source = MemorySource::new(&["/firm"]);
    source.directory("/firm");
    source.directory("/firm/acme").directory("/firm/acme/2025").directory("/firm/empty");
    source.file("/firm/acme/2025/ledger.csv", &b"date;account;amount\n".repeat(3000));
    source.file("/firm/acme/2025/scan.pdf", &noise(1, 70_000));
    source.file("/firm/acme/2025.txt", b"sorts between the folder and what is in it");
    source.file(b"/firm/acme/b\xfcro", b"a name that is not UTF-8");
    source.file("/firm/acme/nothing", b"");
    source.sparse_file("/firm/acme/sparse", 300_000, &[(100_000, &[7; 5000]), (250_000, b"end")]);
    source.symlink("/firm/link", b"acme/2025");
    source.hard_link("/firm/acme/2025/scan.pdf", "/firm/same.pdf");
    source.special("/firm/pipe", Kind::Fifo).special("/firm/tty", Kind::CharDevice { major: 5, minor: 1 });
    source.edit("/firm/acme/2025/ledger.csv", |metadata| {
        metadata.mode = 0o640;
        metadata.uid = 1000;
        metadata.xattrs = vec![(b"user.client".to_vec(), b"acme".to_vec())];
    });
    source
}

/// What a tree holds: path → kind, what is kept of the metadata, content and holes.
pub type Tree = BTreeMap<Vec<u8>, (Kind, Metadata, Vec<u8>, Vec<(u64, u64)>)>;

/// What is kept of an entry's metadata. Of a folder that is only an ancestor everything is, too.
fn kept(metadata: &Metadata, kind: &Kind) -> Metadata {
    let size = if *kind == Kind::File { metadata.size } else { 0 };
    let nothing = Metadata::default();
    Metadata { device: 0, inode: 0, links: nothing.links, ctime: nothing.ctime, size, ..metadata.clone() }
}

/// What a source holds, leaving out what can't be read.
pub fn expected(source: &MemorySource) -> Tree {
    let mut tree = Tree::new();
    for event in source.walk() {
        let entry = match event {
            Event::Enter(entry) | Event::Entry(entry) => entry,
            _ => continue,
        };
        let (mut content, mut holes) = (Vec::new(), Vec::new());
        if entry.kind == Kind::File {
            let mut open = source.open(&entry).expect("readable");
            holes = open.holes().to_vec();
            let mut buffer = [0; 4096];
            loop {
                match open.read(&mut buffer).expect("readable") {
                    0 => break,
                    read => content.extend_from_slice(&buffer[..read]),
                }
            }
        }
        if !entry.path.is_root() {
            let metadata = kept(&source.details(&entry).0, &entry.kind);
            tree.insert(entry.path.as_bytes().to_vec(), (entry.kind, metadata, content, holes));
        }
    }
    tree
}

/// What a snapshot holds, read from the vault.
pub fn stored(vault: &Vault, snapshot: &Snapshot) -> Result<Tree, RepoError> {
    let reader = vault.reader(Progress::none())?;
    let mut entries = Vec::new();
    reader.list(snapshot, b"/", true, &mut |path, entry| {
        entries.push((path.to_vec(), entry.clone()));
        Ok(())
    })?;
    let mut tree = Tree::new();
    for (path, entry) in entries {
        let (mut content, mut holes) = (Vec::new(), Vec::new());
        if let Item::File(file) = &entry.item {
            reader.content(&path, file, Progress::none(), &mut |bytes| {
                content.extend_from_slice(bytes);
                Ok(())
            })?;
            if let sb_repo::Inline::Here(list) = &file.holes {
                holes = list.clone();
            }
        }
        let kind = entry.kind().expect("not redacted");
        let metadata = kept(&entry.metadata(reader.attributes(&entry)?), &kind);
        tree.insert(path, (kind, metadata, content, holes));
    }
    Ok(tree)
}

/// Panics unless the snapshot holds exactly this.
pub fn assert_holds(vault: &Vault, id: &str, tree: &Tree) {
    let snapshot = vault.find_snapshot(id).unwrap_or_else(|error| panic!("{id}: {error}"));
    let found = stored(vault, &snapshot).unwrap_or_else(|error| panic!("{id}: {error}"));
    let differing: Vec<_> = tree
        .keys()
        .chain(found.keys())
        .filter(|path| tree.get(*path) != found.get(*path))
        .map(|path| String::from_utf8_lossy(path))
        .collect();
    assert!(differing.is_empty(), "{id} differs in {differing:?}");
}
