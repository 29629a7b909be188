//! Nothing that is backed up stands in the clear in the vault, in the state folder or in temporary files.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::{Machine, key, new_vault, noise, options};
use sb_repo::testing::segments;
use sb_repo::{BackupOptions, Monitor, Progress, RepoError, State, VerifyLevel};
use sb_source::{Fault, MemorySource};
use sb_store::LocalStorage;

/// 64 random bytes that may stand in a name.
fn marker(number: u64) -> Vec<u8> {
    let bytes = noise(1_000_000 + number, 200).into_iter();
    bytes.filter(|byte| !matches!(byte, 0 | b'/')).take(64).collect()
}

fn marker_text(number: u64) -> String {
    marker(number)[..32].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn path(components: &[&[u8]]) -> Vec<u8> {
    components.iter().flat_map(|component| [b"/", *component].concat()).collect()
}

/// Markers in everything that has a name or a value.
struct Marked {
    source: MemorySource,
    options: BackupOptions,
    /// Those that stand in trees and contents.
    in_segments: Vec<Vec<u8>>,
    /// Those that stand in the snapshot.
    in_snapshot: Vec<Vec<u8>>,
}

fn marked() -> Marked {
    let [root, folder, text, big, denied, link, target] = [1, 2, 3, 4, 5, 6, 7].map(marker);
    let [xattr, value, user, group, content, last] = [8, 9, 10, 11, 12, 13].map(marker);
    let long_value = [&value[..], &noise(3, 6000)].concat();
    let top = path(&[&root]);
    let mut source = MemorySource::new(&[&top]);
    // More than a segment, in a folder that comes first, so that a pack is being written when the walk goes on.
    let mut much = noise(2, 5 << 20);
    much.chunks_mut(50_000).for_each(|part| part[..64].copy_from_slice(&content));
    let first = [&[1], &folder[1..]].concat();
    let z = [&[255], &last[1..]].concat();
    source.file(path(&[&root, &first, &big]), &much);
    source.file(path(&[&root, &z, &text]), &content);
    source.file(path(&[&root, &z, &denied]), b"never read").fault(path(&[&root, &z, &denied]), Fault::Denied);
    source.symlink(path(&[&root, &z, &link]), &target);
    source.edit(path(&[&root, &z, &text]), |metadata| {
        metadata.xattrs = vec![(xattr.clone(), long_value), (value.clone(), xattr.clone())];
        metadata.user = Some(user.clone());
        metadata.group = Some(group.clone());
    });
    let mut options = options();
    options.host = marker(20);
    options.tags = vec![marker_text(21)];
    options.version = marker_text(22);
    let in_snapshot = vec![marker(20), marker_text(21).into_bytes(), marker_text(22).into_bytes(), root.clone()];
    let in_segments = vec![root, first, z, text, big, denied, link, target, xattr, value, user, group, content];
    Marked { source, options, in_segments, in_snapshot }
}

impl Marked {
    fn all(&self) -> Vec<Vec<u8>> {
        let hex = |marker: &Vec<u8>| marker.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes();
        let raw: Vec<_> = self.in_segments.iter().chain(&self.in_snapshot).cloned().collect();
        raw.iter().map(hex).chain(raw.clone()).collect()
    }
}

/// How many of the markers stand somewhere in these bytes. A part of one is enough.
fn found(markers: &[Vec<u8>], bytes: &[u8]) -> usize {
    const PART: usize = 16;
    let mut by_start = std::collections::HashMap::new();
    for (number, marker) in markers.iter().enumerate() {
        for at in [0, marker.len() / 2, marker.len() - PART] {
            by_start.insert(&marker[at..at + PART], number);
        }
    }
    let hits: std::collections::HashSet<_> = bytes.windows(PART).filter_map(|part| by_start.get(part)).collect();
    hits.len()
}

/// Looks for the markers in every file below a folder and in the files' names; how many bytes were looked at.
fn assert_absent(markers: &[Vec<u8>], folder: &Path) -> u64 {
    let mut bytes_seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        assert_eq!(found(markers, name.as_encoded_bytes()), 0, "in the name {}", path.display());
        if path.is_dir() {
            bytes_seen += assert_absent(markers, &path);
        } else {
            let bytes = fs::read(&path).unwrap();
            assert_eq!(found(markers, &bytes), 0, "in {}", path.display());
            bytes_seen += bytes.len() as u64;
        }
    }
    bytes_seen
}

/// Looks at everything there is when the walk comes to a folder, and may stop it there.
#[derive(Debug)]
struct Spy<'a> {
    folder: &'a Path,
    markers: &'a [Vec<u8>],
    unfinished_max: AtomicUsize,
    stop_after: usize,
    seen: AtomicUsize,
    stop: AtomicBool,
    log: Mutex<String>,
}

impl<'a> Spy<'a> {
    fn new(folder: &'a Path, markers: &'a [Vec<u8>], stop_after: usize) -> Self {
        let (seen, stop, log) = (0.into(), false.into(), Mutex::default());
        Self { folder, markers, unfinished_max: 0.into(), stop_after, seen, stop, log }
    }

    fn progress(&self) -> Progress<'_> {
        Progress { monitor: self, stop: &self.stop }
    }
}

impl Monitor for Spy<'_> {
    fn at(&self, _: &[u8]) {
        let number = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        if number >= 3 {
            assert_absent(self.markers, self.folder);
            let temporary = self.folder.join("vault/tmp");
            let unfinished = if temporary.exists() { assert_absent(self.markers, &temporary) } else { 0 };
            self.unfinished_max.fetch_max(usize::try_from(unfinished).unwrap(), Ordering::Relaxed);
        }
        self.stop.fetch_or(number == self.stop_after, Ordering::Relaxed);
    }

    fn warning(&self, text: &str) {
        self.log.lock().unwrap().push_str(text);
    }
}

#[test]
fn no_marker_is_ever_found_in_vault_state_or_temporary_files() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(LocalStorage::create(folder.path().join("vault")).unwrap());
    let state = State::open(&folder.path().join("state")).unwrap();
    let machine = Machine { state, ..Machine::new(1) };
    let (mut vault, _) = new_vault(&machine, storage.clone());
    let marked = marked();
    let markers = marked.all();

    // A run that is stopped on the way, one that takes over what it left, and one that finds nothing new.
    let spy = Spy::new(folder.path(), &markers, 4);
    let stopped = vault.backup(&marked.source, &marked.options, spy.progress());
    assert!(matches!(stopped, Err(RepoError::Interrupted)), "{stopped:?}");
    assert_absent(&markers, folder.path());
    let spy = Spy::new(folder.path(), &markers, usize::MAX);
    let report = vault.backup(&marked.source, &marked.options, spy.progress()).unwrap();
    assert!(report.is_partial(), "the list of problems names a file");
    assert!(spy.unfinished_max.into_inner() > 3 << 20, "a pack was being written when the spy looked");
    vault.backup(&marked.source, &marked.options, Progress::none()).unwrap();
    vault.rebuild(false, Progress::none()).unwrap();
    assert!(vault.verify(VerifyLevel::Restore, Progress::none()).unwrap().is_good());
    assert!(assert_absent(&markers, folder.path()) > 5 << 20);
    assert_eq!(found(&markers, spy.log.into_inner().unwrap().as_bytes()), 0);

    // The same search finds every one of them in segments that are not sealed, and in what the snapshot says.
    let vault = machine.open(storage, &key()).unwrap();
    let open = segments(&vault).unwrap().concat();
    assert_eq!(found(&marked.in_segments, &open), marked.in_segments.len());
    let snapshot = vault.find_snapshot("latest").unwrap();
    let [source, tag, version] =
        [&snapshot.sources()[0][..], snapshot.tags()[0].as_bytes(), snapshot.program_version().as_bytes()];
    let said = [snapshot.host(), source, tag, version].concat();
    assert_eq!(found(&marked.in_snapshot, &said), marked.in_snapshot.len());
    fs::write(folder.path().join("state/leak"), &open[open.len() / 2..]).unwrap();
    assert!(std::panic::catch_unwind(|| assert_absent(&markers, folder.path())).is_err(), "files are looked at");
}

#[test]
fn what_is_printed_for_debugging_holds_no_key_and_no_content() {
    let storage = Arc::new(sb_store::MemoryStorage::new());
    let machine = Machine::new(2);
    let (mut vault, recovery) = new_vault(&machine, storage);
    let marked = marked();
    vault.backup(&marked.source, &marked.options, Progress::none()).unwrap();
    let printed =
        format!("{vault:?}{:?}{:?}{:?}", vault.view(), vault.reader(Progress::none()).unwrap(), machine.state);
    assert_eq!(found(&marked.all(), printed.as_bytes()), 0);
    let secrets = [key().to_string(), recovery.to_string()];
    assert!(secrets.iter().all(|secret| !printed.contains(secret.as_str())));
}
