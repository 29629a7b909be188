//! The operations from outside: what they do, refuse and report.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![cfg(unix)]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use sb_core::crypto::{Credential, KeyFile, Lock, SystemRandom, sha256};
use sb_core::repo::FixedClock;
use sb_core::{
    BackupOptions, BackupReport, Change, CoreError, DiffOptions, FindOptions, InitOptions, InitReport, Item, Location,
    LsOptions, Monitor, Overwrite, Pattern, Progress, RebuildOptions, RepoError, RestoreOptions, Session, Silent,
    Snapshot, SnapshotId, SnapshotPath, SnapshotsOptions, SourceOptions, StatsOptions, TagOptions, Tagged, Vault,
    VerifyLevel, VerifyOptions, chrono,
};

/// A firm, a vault and a machine, in a folder of their own.
struct World {
    _temp: tempfile::TempDir,
    root: PathBuf,
    key: KeyFile,
    vault: Vault,
    made: InitReport,
}

fn vault_at(root: &Path) -> Vault {
    Vault::new(Location::parse(root.join("vault").as_os_str()).unwrap(), root.join("state"))
}

impl World {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("firm/miller/2025")).unwrap();
        fs::write(root.join("firm/miller/2025/ledger.csv"), "date;amount\n".repeat(1000)).unwrap();
        fs::write(root.join("firm/note.txt"), "remember").unwrap();
        std::os::unix::fs::symlink("note.txt", root.join("firm/link")).unwrap();
        let key = KeyFile::generate(&SystemRandom);
        let vault = vault_at(&root);
        let mut options = InitOptions::default();
        options.locks = vec![Lock::KeyFile(key.clone())];
        let made = vault.init(&options).unwrap();
        Self { _temp: temp, root, key, vault, made }
    }

    fn open(&self) -> Session {
        self.vault.open(&Credential::KeyFile(self.key.clone()), Some(self.made.root_fingerprint)).unwrap()
    }

    fn options(&self) -> BackupOptions {
        let mut options = BackupOptions::default();
        options.paths = vec![self.root.join("firm")];
        options.host = b"office".to_vec();
        options
    }

    fn backup(&self) -> BackupReport {
        self.open().backup(&self.options(), Progress::none()).unwrap()
    }

    fn at(&self, path: &str) -> SnapshotPath {
        let path = self.root.join(path).as_os_str().as_bytes().to_vec();
        SnapshotPath { snapshot: "latest".to_owned(), path: Some(path) }
    }
}

fn everything() -> SnapshotPath {
    SnapshotPath { snapshot: "latest".to_owned(), path: None }
}

fn listed(session: &Session, at: &SnapshotPath, recursive: bool) -> Vec<String> {
    let mut names = Vec::new();
    let mut options = LsOptions::default();
    options.recursive = recursive;
    let report = session.ls(at, options, Progress::none(), &mut |path, _| {
        names.push(String::from_utf8(path.to_vec()).unwrap());
        Ok(())
    });
    assert_eq!(report.unwrap().entries, names.len() as u64);
    names
}

#[test]
fn a_vault_is_made_once_and_in_an_empty_folder() {
    let world = World::new();
    let again = world.vault.init(&InitOptions::default()).unwrap_err();
    assert!(matches!(again, CoreError::VaultExists { .. }), "{again}");
    let states: Vec<_> =
        fs::read_dir(world.root.join("state")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(states, [world.made.vault.to_string().as_str()], "a failed init leaves no state behind");

    let file = world.root.join("firm/note.txt");
    let file = Vault::new(Location::parse(file.as_os_str()).unwrap(), world.root.join("state"));
    let error = file.init(&InitOptions::default()).unwrap_err();
    assert!(matches!(error, CoreError::NoFolder { .. }), "{error}");
    let taken = Vault::new(Location::parse(world.root.join("firm").as_os_str()).unwrap(), world.root.join("state"));
    let error = taken.init(&InitOptions::default()).unwrap_err();
    assert!(
        matches!(&error, CoreError::NotEmpty { name, .. } if name.ends_with("ledger.csv") || name == "note.txt" || name == "link"),
        "{error}"
    );
}

#[test]
fn what_is_no_vault_is_said_to_be_none() {
    let world = World::new();
    for place in ["nothing", "firm", "firm/note.txt"] {
        let vault = Vault::new(Location::parse(world.root.join(place).as_os_str()).unwrap(), world.root.join("state"));
        let error = vault.open(&Credential::KeyFile(world.key.clone()), None).unwrap_err();
        assert!(matches!(error, CoreError::NoVault { .. }), "{place}: {error}");
        assert!(matches!(vault.verify_public(None, &[], Progress::none()), Err(CoreError::NoVault { .. })));
    }
}

#[test]
fn only_the_right_key_opens() {
    let world = World::new();
    let other = Credential::KeyFile(KeyFile::generate(&SystemRandom));
    let error = world.vault.open(&other, None).unwrap_err();
    assert!(matches!(error, CoreError::Repo(RepoError::WrongCredential)), "{error}");
    let recovery = Credential::Recovery(world.made.recovery.clone());
    let session = world.vault.open(&recovery, None).unwrap();
    assert_eq!((session.id(), session.root_fingerprint()), (world.made.vault, world.made.root_fingerprint));
    assert_eq!(session.vault().id(), session.id());
    let error = world.vault.open(&recovery, Some(sha256(b"another root"))).unwrap_err();
    assert!(matches!(error, CoreError::Repo(RepoError::RootMismatch { .. })), "{error}");
}

#[test]
fn the_vault_and_the_state_are_not_backed_up() {
    let world = World::new();
    let mut options = world.options();
    options.paths = vec![world.root.clone()];
    world.open().backup(&options, Progress::none()).unwrap();
    let names = listed(&world.open(), &world.at(""), false);
    let firm = world.root.join("firm").display().to_string();
    assert_eq!(names, [firm], "neither `vault` nor `state`");
    options.paths = vec![world.root.join("vault/config")];
    let error = world.open().backup(&options, Progress::none()).unwrap_err();
    assert!(matches!(error, CoreError::Selection(_)), "{error}");
}

#[test]
fn snapshots_are_found_by_host_path_tag_and_time() {
    let world = World::new();
    let time = |hour: i64| chrono::DateTime::from_timestamp(1_800_000_000 + hour * 3600, 0).unwrap();
    for (hour, host, tag, path) in
        [(0, "office", "daily", "firm"), (1, "office", "monthly", "firm/miller"), (2, "laptop", "daily", "firm")]
    {
        let mut options = world.options();
        options.host = host.into();
        options.tags = vec![tag.to_owned()];
        options.paths = vec![world.root.join(path)];
        let vault =
            world.vault.clone().with_clock(Arc::new(FixedClock(time(hour)))).with_random(Arc::new(SystemRandom));
        let mut session = vault.open(&Credential::KeyFile(world.key.clone()), None).unwrap();
        session.backup(&options, Progress::none()).unwrap();
    }
    let session = world.open();
    let count = |change: &dyn Fn(&mut SnapshotsOptions)| {
        let mut options = SnapshotsOptions::default();
        change(&mut options);
        session.snapshots(&options).unwrap().snapshots.iter().map(Snapshot::started).collect::<Vec<_>>()
    };
    assert_eq!(count(&|_| {}), [time(0), time(1), time(2)]);
    assert_eq!(count(&|options| options.latest = Some(2)), [time(1), time(2)]);
    assert_eq!(count(&|options| options.latest = Some(9)), [time(0), time(1), time(2)]);
    assert_eq!(count(&|options| options.host = Some(b"office".to_vec())), [time(0), time(1)]);
    assert_eq!(count(&|options| options.tag = Some("monthly".to_owned())), [time(1)]);
    assert_eq!(count(&|options| options.since = Some(time(1))), [time(1), time(2)]);
    assert_eq!(count(&|options| options.until = Some(time(1))), [time(0)]);
    let note = world.root.join("firm/note.txt").as_os_str().as_bytes().to_vec();
    assert_eq!(count(&|options| options.path = Some(note.clone())), [time(0), time(2)]);
}

#[test]
fn what_is_in_a_snapshot_is_listed_from_its_sources() {
    let world = World::new();
    world.backup();
    let session = world.open();
    let below =
        |names: &[&str]| names.iter().map(|name| world.root.join(name).display().to_string()).collect::<Vec<_>>();
    assert_eq!(listed(&session, &everything(), false), below(&["firm/link", "firm/miller", "firm/note.txt"]));
    assert_eq!(
        listed(&session, &everything(), true),
        below(&["firm/link", "firm/miller", "firm/miller/2025", "firm/miller/2025/ledger.csv", "firm/note.txt"])
    );
    assert_eq!(listed(&session, &world.at("firm/note.txt"), false), below(&["firm/note.txt"]));
    let none = session.ls(&world.at("firm/none"), LsOptions::default(), Progress::none(), &mut |_, _| Ok(()));
    assert!(matches!(none, Err(CoreError::Repo(RepoError::NoSuchPath { .. }))));
    let none = SnapshotPath { snapshot: "latest~7".to_owned(), path: None };
    let none = session.ls(&none, LsOptions::default(), Progress::none(), &mut |_, _| Ok(()));
    assert!(matches!(none, Err(CoreError::Repo(RepoError::NoSuchSnapshot { .. }))));
    let stopped = Progress { monitor: &Silent, stop: &AtomicBool::new(true) };
    let stopped = session.ls(&everything(), LsOptions::default(), stopped, &mut |_, _| Ok(()));
    assert!(matches!(stopped, Err(CoreError::Repo(RepoError::Interrupted))));
}

#[test]
fn a_source_that_was_gone_does_not_hide_the_others() {
    let world = World::new();
    let mut options = world.options();
    options.paths.push(world.root.join("unplugged"));
    let report = world.open().backup(&options, Progress::none()).unwrap();
    assert!(report.is_partial());
    assert_eq!(listed(&world.open(), &everything(), false).len(), 3);
}

#[test]
fn a_file_is_read_and_nothing_else_is() {
    let world = World::new();
    world.backup();
    let mut session = world.open();
    let mut content = Vec::new();
    let report = session.cat(&world.at("firm/note.txt"), Progress::none(), &mut |bytes| {
        content.extend_from_slice(bytes);
        Ok(())
    });
    let report = report.unwrap();
    assert_eq!((content.as_slice(), report.bytes, report.sha256), (&b"remember"[..], 8, sha256(b"remember")));
    for at in [world.at("firm"), world.at("firm/link"), everything()] {
        let error = session.cat(&at, Progress::none(), &mut |_| Ok(())).unwrap_err();
        assert!(matches!(error, CoreError::Repo(RepoError::WrongKind { expected: "file", .. })), "{error}");
    }
    let closed = |_: &[u8]| Err(std::io::ErrorKind::BrokenPipe.into());
    let error = session.cat(&world.at("firm/note.txt"), Progress::none(), &mut { closed }).unwrap_err();
    assert!(matches!(error, CoreError::Repo(RepoError::Output(_))), "{error}");
}

#[test]
fn a_restore_replaces_nothing_unless_told_to() {
    let world = World::new();
    world.backup();
    let mut session = world.open();
    let mut restore = |at: &SnapshotPath, to: &str, overwrite: bool| {
        let mut options = RestoreOptions::default();
        options.overwrite = overwrite.then_some(Overwrite::Always);
        session.restore(at, &world.root.join(to), options, Progress::none())
    };
    let report = restore(&world.at("firm"), "out", false).unwrap();
    assert_eq!((report.files, report.folders, report.others, report.problems.len()), (2, 2, 1, 0));
    assert_eq!(fs::read(world.root.join("out/note.txt")).unwrap(), b"remember");

    let again = restore(&world.at("firm"), "out", false).unwrap_err();
    assert!(matches!(again, CoreError::TargetNotEmpty { .. }), "{again}");
    fs::write(world.root.join("out/note.txt"), "edited").unwrap();
    let again = restore(&world.at("firm/note.txt"), "out", false).unwrap_err();
    assert!(matches!(&again, CoreError::TargetExists { path } if path.ends_with("out/note.txt")), "{again}");
    restore(&world.at("firm"), "out", true).unwrap();
    assert_eq!(fs::read(world.root.join("out/note.txt")).unwrap(), b"remember");

    fs::remove_file(world.root.join("out/note.txt")).unwrap();
    restore(&world.at("firm/note.txt"), "out", false).unwrap();
    assert_eq!(fs::read(world.root.join("out/note.txt")).unwrap(), b"remember");
    restore(&everything(), "all", false).unwrap();
    let whole = world.root.join("all").join(world.root.strip_prefix("/").unwrap());
    assert_eq!(fs::read(whole.join("firm/note.txt")).unwrap(), b"remember");

    for inside in ["vault", "vault/x/y"] {
        let error = restore(&world.at("firm"), inside, true).unwrap_err();
        assert!(matches!(error, CoreError::TargetInVault { .. }), "{error}");
    }
    let error = restore(&world.at("firm"), "firm/note.txt", true).unwrap_err();
    assert!(matches!(&error, CoreError::TargetIsFile { path } if path.ends_with("firm/note.txt")), "{error}");
}

#[test]
fn damage_is_found_with_and_without_a_key() {
    let world = World::new();
    world.backup();
    for level in [VerifyLevel::Objects, VerifyLevel::Data, VerifyLevel::Restore] {
        let mut options = VerifyOptions::default();
        options.level = level;
        assert!(world.open().verify(options, Progress::none()).unwrap().report.is_good());
    }
    let public = world.vault.verify_public(None, &[], Progress::none()).unwrap();
    assert!(public.verified.is_good() && public.root_known);
    assert_eq!(public.root_fingerprint, world.made.root_fingerprint);
    let folder = fs::read_dir(world.root.join("vault/packs")).unwrap().next().unwrap().unwrap().path();
    let pack = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&pack).unwrap();
    assert_eq!(world.vault.verify_public(None, &[], Progress::none()).unwrap().verified.findings.len(), 1);
    let report = world.open().verify(VerifyOptions::default(), Progress::none()).unwrap().report;
    let named = pack.file_name().unwrap().to_str().unwrap();
    assert!(report.findings.iter().any(|finding| finding.object.contains(named)), "{report:?}");
    let stranger = vault_at(&world.root);
    let stranger = Vault::new(stranger.location().clone(), world.root.join("elsewhere"));
    let public = stranger.verify_public(None, &[], Progress::none()).unwrap();
    assert!(public.verified.findings.len() == 1 && !public.root_known);
    let given = Some(world.made.root_fingerprint);
    assert!(stranger.verify_public(given, &[], Progress::none()).unwrap().root_known);
    assert!(!world.root.join("elsewhere").exists(), "looking leaves nothing behind");
}

#[test]
fn a_damaged_newer_snapshot_is_not_passed_over_in_silence() {
    #[derive(Debug, Default)]
    struct Ear(Mutex<Vec<String>>);
    impl Monitor for Ear {
        fn warning(&self, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
    let world = World::new();
    world.backup();
    let newest = world.backup().snapshot;
    let object = world.root.join("vault/snapshots").join(newest.to_string());
    fs::remove_file(&object).unwrap();
    fs::write(&object, b"SBV1 but not really").unwrap();
    let (ear, stop) = (Ear::default(), AtomicBool::new(false));
    let progress = Progress { monitor: &ear, stop: &stop };
    world.open().ls(&everything(), LsOptions::default(), progress, &mut |_, _| Ok(())).unwrap();
    let heard = ear.0.into_inner().unwrap();
    assert_eq!(heard.len(), 1);
    assert!(heard[0].contains(&newest.to_string()) && heard[0].contains("`latest` may not be"), "{heard:?}");
}

#[test]
fn a_vault_is_described_with_and_without_a_key() {
    let world = World::new();
    world.backup();
    let info = world.vault.info_public(None).unwrap();
    assert_eq!((info.vault, info.root_fingerprint), (world.made.vault, world.made.root_fingerprint));
    assert!(info.opened.is_none() && info.space.is_some());
    let objects = |folder: &str| info.usage.iter().find(|usage| usage.folder == folder).map(|usage| usage.objects);
    assert_eq!((objects("snapshots"), objects("keys"), objects("none")), (Some(1), Some(4), None));
    let opened = world.open().info().unwrap().opened.unwrap();
    assert_eq!((opened.snapshots, opened.flawed_snapshots, opened.is_administrator), (1, 0, true));
    assert!(opened.latest.is_some() && opened.slot.starts_with("keys/"));
    assert_eq!(opened.method, "key file");
}

#[test]
fn a_lost_state_folder_costs_a_new_name_only() {
    let world = World::new();
    world.backup();
    fs::remove_dir_all(world.root.join("state")).unwrap();
    let report = world.open().rebuild(RebuildOptions::default(), Progress::none()).unwrap();
    assert!(report.enrolled && report.lost.is_empty() && report.packs > 0);
    world.backup();
    assert_eq!(listed(&world.open(), &everything(), true).len(), 5);
}

#[test]
fn a_rolled_back_vault_is_not_written_to_unless_that_is_accepted() {
    let world = World::new();
    world.backup();
    let copy = world.root.join("copy");
    let copied = std::process::Command::new("cp").arg("-a").arg(world.root.join("vault")).arg(&copy).status().unwrap();
    assert!(copied.success());
    world.backup();
    fs::remove_dir_all(world.root.join("vault")).unwrap();
    fs::rename(&copy, world.root.join("vault")).unwrap();
    let error = world.open().backup(&world.options(), Progress::none()).unwrap_err();
    assert!(matches!(error, CoreError::Repo(RepoError::RolledBack { .. })) && error.is_damage(), "{error}");
    let mut options = RebuildOptions::default();
    options.accept_rollback = true;
    assert!(world.open().rebuild(options, Progress::none()).unwrap().accepted);
    world.backup();
}

#[test]
fn a_state_folder_that_cannot_be_is_an_error() {
    let world = World::new();
    let location = world.vault.location().clone();
    let vault = Vault::new(location, world.root.join("firm/note.txt"));
    let error = vault.open(&Credential::KeyFile(world.key.clone()), None).unwrap_err();
    assert!(matches!(error, CoreError::Repo(RepoError::State { .. })) && !error.is_damage(), "{error}");
}

#[test]
fn excludes_and_sizes_reach_the_source() {
    let world = World::new();
    let mut options = world.options();
    options.source = SourceOptions::default().exclude("*.csv");
    let report = world.open().backup(&options, Progress::none()).unwrap();
    assert_eq!(report.counts.files, 1);
    let mut kinds = Vec::new();
    let session = world.open();
    let at = world.at("firm/link");
    session
        .ls(&at, LsOptions::default(), Progress::none(), &mut |_, entry| {
            kinds.push(matches!(entry.item, Item::Symlink { .. }));
            Ok(())
        })
        .unwrap();
    assert_eq!(kinds, [true]);
}

#[test]
fn sources_that_are_links_and_misplaced_patterns_are_warned_of() {
    #[derive(Debug, Default)]
    struct Warned(Mutex<Vec<String>>);
    impl Monitor for Warned {
        fn warning(&self, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
    let world = World::new();
    std::os::unix::fs::symlink("firm", world.root.join("way")).unwrap();
    let backup = |path: &str, pattern: &str| {
        let (monitor, stop) = (Warned::default(), AtomicBool::new(false));
        let mut options = world.options();
        options.paths = vec![world.root.join(path)];
        options.source = SourceOptions::default().exclude(pattern);
        world.open().backup(&options, Progress { monitor: &monitor, stop: &stop }).unwrap();
        (monitor.0.into_inner().unwrap(), listed(&world.open(), &everything(), false).len())
    };
    let (warnings, entries) = backup("way", "*.tmp");
    assert!(
        matches!(&warnings[..], [text] if text.contains("way` is a symbolic link")) && entries == 1,
        "{warnings:?}"
    );
    let (warnings, entries) = backup("way/", "*.tmp");
    assert!(warnings.is_empty() && entries == 3, "{warnings:?}");
    let pattern = world.root.join("firm/miller").display().to_string();
    let (warnings, entries) = backup("firm", &pattern);
    assert!(matches!(&warnings[..], [text] if text.contains(&pattern)) && entries == 3, "{warnings:?}");
}

fn pattern(text: &str) -> FindOptions {
    let mut options = FindOptions::default();
    options.query.patterns = vec![Pattern::new(text.as_bytes(), false).unwrap()];
    options
}

/// Paths that are found, each with the beginning of its snapshot's id.
fn found(session: &Session, options: &FindOptions) -> Vec<(SnapshotId, PathBuf)> {
    let mut found = Vec::new();
    let report = session.find_entries(options, Progress::none(), &mut |snapshot, path, _| {
        found.push((snapshot.id, PathBuf::from(std::ffi::OsStr::from_bytes(path))));
        Ok(())
    });
    assert_eq!(report.unwrap().matches, found.len() as u64);
    found
}

#[test]
fn snapshots_are_searched_newest_first_or_one_alone() {
    let world = World::new();
    let (first, second) = (world.backup().snapshot, world.backup().snapshot);
    let session = world.open();
    let note = world.root.join("firm/note.txt");
    assert_eq!(found(&session, &pattern("note.*")), [(second, note.clone()), (first, note.clone())]);
    let mut options = pattern("note.*");
    options.snapshot = Some("latest~1".to_owned());
    assert_eq!(found(&session, &options), [(first, note)]);
    options.snapshot = Some("ffff".to_owned());
    let missing = session.find_entries(&options, Progress::none(), &mut |_, _, _| Ok(()));
    assert!(matches!(missing, Err(CoreError::Repo(RepoError::NoSuchSnapshot { .. }))), "{missing:?}");
    let full = session.find_entries(&pattern("*"), Progress::none(), &mut |_, _, _| Err(std::io::Error::other("full")));
    assert!(matches!(full, Err(CoreError::Repo(RepoError::Output(_)))), "{full:?}");
}

#[test]
fn a_session_as_of_a_time_knows_nothing_later() {
    let world = World::new();
    let at =
        |hour: u32| chrono::DateTime::parse_from_rfc3339(&format!("2026-03-31T{hour:02}:00:00Z")).unwrap().to_utc();
    let mut made = Vec::new();
    for hour in [8, 12] {
        let vault = world.vault.clone().with_clock(Arc::new(FixedClock(at(hour))));
        let mut session = vault.open(&Credential::KeyFile(world.key.clone()), None).unwrap();
        made.push(session.backup(&world.options(), Progress::none()).unwrap().snapshot);
    }
    let latest = |hour: u32| world.open().as_of(at(hour)).find("latest", Progress::none()).map(|snapshot| snapshot.id);
    assert_eq!([latest(8).unwrap(), latest(11).unwrap(), latest(12).unwrap()], [made[0], made[0], made[1]]);
    let none = latest(7).unwrap_err();
    assert!(matches!(none, CoreError::NoSnapshotThen { .. }), "{none}");
    let session = world.open().as_of(at(9));
    assert_eq!(session.snapshots(&SnapshotsOptions::default()).unwrap().snapshots.len(), 1);
    assert!(session.find(&made[1].to_string(), Progress::none()).is_err(), "it was not there then");
    assert_eq!(listed(&session, &world.at("firm"), false).len(), 3);
}

#[test]
fn tags_are_set_then_added_then_removed() {
    let world = World::new();
    let id = world.backup().snapshot;
    let mut session = world.open();
    let mut tag = |set: Option<&[&str]>, add: &[&str], remove: &[&str], dry_run: bool| {
        let owned = |tags: &[&str]| tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
        let mut options = TagOptions::default();
        options.set = set.map(owned);
        (options.add, options.remove, options.dry_run) = (owned(add), owned(remove), dry_run);
        let report = session.tag(&options, Progress::none()).unwrap();
        let now = session.snapshots(&SnapshotsOptions::default()).unwrap().snapshots[0].tags().to_vec();
        (report.changed.len(), report.unchanged, now)
    };
    let tags = |tags: &[&str]| tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
    assert_eq!(tag(None, &["a", "b", "a"], &[], false), (1, 0, tags(&["a", "b"])));
    assert_eq!(tag(None, &["b"], &["c"], false), (0, 1, tags(&["a", "b"])));
    assert_eq!(tag(Some(&["x"]), &["y"], &["x"], true), (1, 0, tags(&["a", "b"])));
    assert_eq!(tag(Some(&["x"]), &["y"], &["x"], false), (1, 0, tags(&["y"])));
    assert_eq!(tag(Some(&[""]), &[], &[], false), (1, 0, Vec::new()));
    let mut options = TagOptions::default();
    options.snapshots = vec![id.short(), "latest".to_owned()];
    options.add = tags(&["once"]);
    let report = session.tag(&options, Progress::none()).unwrap();
    let tagged = Tagged { snapshot: id, before: Vec::new(), after: tags(&["once"]) };
    assert_eq!(report.changed, [tagged], "a snapshot named twice is changed once");
}

#[test]
fn an_archive_without_its_end_is_not_taken_for_whole() {
    let world = World::new();
    world.backup();
    let mut session = world.open();
    let mut whole = Vec::new();
    let report = session.archive(&world.at("firm"), Progress::none(), &mut whole).unwrap();
    assert_eq!((report.entries, report.files, report.bytes), (6, 2, 12_008));
    assert_eq!((whole.len() % 512, whole[whole.len() - 1024..].iter().max()), (0, Some(&0)));
    assert!(session.is_folder(&world.at("firm"), Progress::none()).unwrap());
    assert!(session.is_folder(&everything(), Progress::none()).unwrap());
    assert!(!session.is_folder(&world.at("firm/note.txt"), Progress::none()).unwrap());
    let mut one = Vec::new();
    let report = session.archive(&world.at("firm/note.txt"), Progress::none(), &mut one).unwrap();
    assert_eq!((report.entries, report.files, &one[..9]), (1, 1, &b"././@PaxH"[..]));
    // The disk is full somewhere on the way.
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(std::io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for space in [0, 512, 4000, whole.len() - 1024, whole.len() - 1] {
        let failed = session.archive(&world.at("firm"), Progress::none(), &mut Full(space));
        assert!(matches!(failed, Err(CoreError::Repo(RepoError::Output(_)))), "{space}: {failed:?}");
    }
    let stop = AtomicBool::new(true);
    let stopped = Progress { monitor: &Silent, stop: &stop };
    let failed = session.archive(&world.at("firm"), stopped, &mut Vec::new());
    assert!(matches!(failed, Err(CoreError::Repo(RepoError::Interrupted))), "{failed:?}");
}

#[test]
fn snapshots_are_compared_and_measured() {
    let world = World::new();
    world.backup();
    fs::write(world.root.join("firm/note.txt"), "remember more").unwrap();
    world.backup();
    let session = world.open();
    let mut told = Vec::new();
    let options = DiffOptions::default();
    let summary = session.diff("latest~1", "latest", &options, Progress::none(), &mut |difference| {
        told.push((difference.change, difference.path.to_vec()));
        Ok(())
    });
    let summary = summary.unwrap();
    assert_eq!(told, [(Change::Content, world.root.join("firm/note.txt").as_os_str().as_bytes().to_vec())]);
    assert_eq!((summary.report.changed.bytes, summary.report.changed_bytes_before), (13, 8));
    let mut options = StatsOptions::default();
    let all = session.stats(&options, Progress::none()).unwrap();
    assert_eq!((all.snapshots, all.files, all.bytes, all.contents), (2, 4, 24_021, None));
    assert!(all.vault_bytes > all.stored.pack_bytes && all.stored.content.bytes == 12_021);
    options.snapshots = vec!["latest".to_owned(), "latest~0".to_owned()];
    options.contents = true;
    let one = session.stats(&options, Progress::none()).unwrap();
    assert_eq!((one.snapshots, one.files, one.contents.unwrap().content_bytes), (1, 2, 12_013));
    assert!(session.check_index(Progress::none()).unwrap().is_good());
}

/// A run that is cut between its journal entry and the log: all of it is there, and nothing tells of it yet.
fn cut_short(world: &World) {
    let storage = Arc::new(sb_core::store::LocalStorage::open(world.root.join("vault")).unwrap());
    let state = sb_core::repo::State::among(&world.root.join("state"));
    let (clock, random) = (Arc::new(sb_core::SystemClock), Arc::new(SystemRandom));
    let around = sb_core::repo::Surroundings { storage, state, clock, random };
    let mut vault = sb_core::repo::Vault::open(around, &Credential::KeyFile(world.key.clone()), None).unwrap();
    let mut options = sb_core::repo::BackupOptions::default();
    options.certificate = Some(sb_core::repo::CertificateTerms::new(vec!["nothing else".to_owned()]));
    let source = sb_core::source::FileSource::new(&[world.root.join("firm")], SourceOptions::default()).unwrap();
    vault.backup(&source, &options, Progress::none()).unwrap();
}

#[test]
fn what_a_run_did_that_was_cut_short_is_told_whatever_is_done_next() {
    let told = |next: &dyn Fn(&World)| {
        let world = World::new();
        world.backup();
        cut_short(&world);
        next(&world);
        world.backup();
        let log = world.open().read_log(Progress::none()).unwrap();
        let issues = log.entries.iter().filter(|logged| logged.entry.event.action.as_str() == "Certificate.Issue");
        let late = log.entries.iter().filter(|logged| logged.entry.event.data.contains_key("late"));
        let late = late.filter(|logged| logged.entry.event.action.as_str() == "Snapshot.Create");
        (issues.count(), late.count())
    };
    let read = |world: &World| {
        let at = world.at("firm/note.txt");
        world.open().cat(&at, Progress::none(), &mut |_| Ok(())).unwrap();
    };
    let fail = |world: &World| {
        let other = Credential::KeyFile(KeyFile::generate(&SystemRandom));
        assert!(world.vault.open(&other, None).is_err());
    };
    let look = |world: &World| (0..65).for_each(|_| drop(world.open().info().unwrap()));
    assert_eq!(told(&|_| ()), (3, 1));
    assert_eq!(told(&read), (3, 1));
    assert_eq!(told(&fail), (3, 1));
    assert_eq!(told(&look), (3, 1));
}

#[test]
fn what_is_refused_is_logged_too_and_a_rehearsal_asks_nobody() {
    let world = World::new();
    let rehearsed = world.vault.clone().rehearsing();
    let mut session = rehearsed.open(&Credential::KeyFile(world.key.clone()), None).unwrap();
    let asked = session.anchor(&sb_core::AnchorOptions::default(), Progress::none());
    assert!(matches!(asked, Err(CoreError::Unanchored { cause: None })), "{asked:?}");
    world.backup();
    assert!(world.open().sign_certificate("ffffffff", Progress::none()).is_err());
    world.backup();
    let log = world.open().read_log(Progress::none()).unwrap();
    assert!(log.entries.iter().any(|logged| logged.entry.event.action.as_str() == "Certificate.Sign"));
}
