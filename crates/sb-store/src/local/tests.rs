use std::fs;
use std::mem;
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;

use super::*;
use crate::sim::{Failure, SimDisk};
use crate::{MemoryStorage, create};

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).unwrap()
}

fn local() -> (LocalStorage, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (LocalStorage::open(folder.path()).unwrap(), folder)
}

fn names(storage: &LocalStorage) -> Vec<String> {
    storage.list("").unwrap().into_iter().map(|found| found.name).collect()
}

#[test]
fn a_folder_is_opened_only_if_it_is_one() {
    let (_, folder) = local();
    let absent = folder.path().join("a/b/c");
    assert!(matches!(LocalStorage::open(&absent), Err(StoreError::NotFound { .. })));
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(LocalStorage::open(&file), Err(StoreError::NotFound { .. })));
    assert!(matches!(LocalStorage::create(file.join("below")), Err(StoreError::Io { .. })));

    create(&LocalStorage::create(&absent).unwrap(), &name("a"), b"1").unwrap();
    assert_eq!(LocalStorage::create(&absent).unwrap().read(&name("a")).unwrap(), b"1");
    assert_eq!(fs::metadata(&absent).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn objects_are_plain_files_that_only_their_owner_may_read() {
    let (storage, folder) = local();
    create(&storage, &name("packs/aa/1"), b"bytes").unwrap();
    let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(fs::read(folder.path().join("packs/aa/1")).unwrap(), b"bytes");
    assert_eq!((mode("packs"), mode("packs/aa"), mode("packs/aa/1"), mode("tmp")), (0o700, 0o700, 0o400, 0o700));
}

#[test]
fn what_a_live_process_uploads_is_never_swept() {
    let (storage, folder) = local();
    let mut upload = storage.begin().unwrap();
    upload.write(b"by").unwrap();
    assert_eq!(LocalStorage::open(folder.path()).unwrap().sweep().unwrap(), 0);
    upload.write(b"tes").unwrap();
    upload.finish(&name("a")).unwrap();
    assert_eq!(storage.read(&name("a")).unwrap(), b"bytes");
}

#[test]
fn what_a_dead_process_left_is_swept() {
    let (storage, folder) = local();
    drop(storage.begin().unwrap());
    let uploads = folder.path().join("tmp");
    assert_eq!(fs::read_dir(&uploads).unwrap().count(), 0, "an aborted upload leaves nothing");
    fs::write(uploads.join("1-a"), "half").unwrap();
    fs::write(uploads.join("2-b"), "").unwrap();
    fs::create_dir(uploads.join("no-file")).unwrap();
    let live = storage.begin().unwrap();
    assert!(names(&storage).is_empty());
    assert_eq!(storage.sweep().unwrap(), 2);
    assert_eq!(storage.sweep().unwrap(), 0);
    live.finish(&name("a")).unwrap();
}

#[test]
fn a_swept_upload_fails_and_harms_nobody() {
    let (storage, folder) = local();
    let mut upload = storage.begin().unwrap();
    upload.write(b"bytes").unwrap();
    fs::remove_dir_all(folder.path().join("tmp")).unwrap();
    assert!(matches!(upload.finish(&name("a")), Err(StoreError::Io { .. })));
    assert!(names(&storage).is_empty());
    create(&storage, &name("a"), b"1").unwrap();
}

#[test]
fn strange_files_are_listed_and_are_no_objects() {
    let (storage, folder) = local();
    create(&storage, &name("packs/1"), b"1").unwrap();
    fs::write(folder.path().join("packs/READ ME"), "strange").unwrap();
    fs::write(folder.path().join(".hidden"), "").unwrap();
    symlink("/etc/passwd", folder.path().join("packs/link")).unwrap();
    fs::create_dir(folder.path().join("packs/tmp")).unwrap();
    fs::write(folder.path().join("packs/tmp/2"), "2").unwrap();
    assert_eq!(names(&storage), [".hidden", "packs/1", "packs/READ ME", "packs/link", "packs/tmp/2"]);
    let objects: Vec<_> = storage.list("").unwrap().iter().filter_map(Listed::object_name).collect();
    assert_eq!(objects, [name("packs/1"), name("packs/link"), name("packs/tmp/2")]);
    assert!(matches!(storage.size(&name("packs/link")), Err(StoreError::NotFound { .. })));
    assert!(storage.read(&name("packs/link")).is_err(), "a link is not followed");
}

#[test]
fn a_name_that_is_not_utf8_is_listed_lossily() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let (storage, folder) = local();
    let strange = folder.path().join(OsStr::from_bytes(b"f\xffolder"));
    fs::create_dir(&strange).unwrap();
    fs::write(strange.join("x"), "1").unwrap();
    assert_eq!(storage.list("").unwrap(), [Listed { name: "f\u{fffd}older/x".to_owned(), size: 1 }]);
    assert_eq!(storage.sweep().unwrap(), 0);
}

#[test]
fn errors_name_the_object() {
    let (storage, _folder) = local();
    let message = |error: StoreError| error.to_string();
    assert_eq!(message(storage.read(&name("packs/1")).unwrap_err()), "object `packs/1` not found");
    create(&storage, &name("packs/1"), b"1").unwrap();
    assert_eq!(message(create(&storage, &name("packs/1"), b"2").unwrap_err()), "object `packs/1` exists already");
    let short = storage.read_range(&name("packs/1"), 1, 5).unwrap_err();
    assert_eq!(message(short), "object `packs/1` has no 5 bytes at offset 1");
}

#[test]
fn a_local_folder_tells_its_space() {
    let space = local().0.space().unwrap().unwrap();
    assert!(space.free <= space.total && space.total > 0);
}

#[test]
fn threads_can_create_the_same_folders_at_once_and_one_wins_a_name() {
    let (storage, _folder) = local();
    let wins: usize = std::thread::scope(|scope| {
        let race = |n: usize| {
            let storage = &storage;
            scope.spawn(move || {
                create(storage, &name(&format!("packs/aa/{n}")), b"own").unwrap();
                usize::from(create(storage, &name("packs/aa/same"), format!("{n}").as_bytes()).is_ok())
            })
        };
        let threads: Vec<_> = (0..8).map(race).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(wins, 1);
    assert_eq!(names(&storage).len(), 9);
}

#[test]
fn a_read_only_storage_is_fully_readable() {
    let disk = SimDisk::new();
    create(&disk.storage(), &name("packs/1"), b"bytes").unwrap();
    disk.fail_from(0, Failure::ReadOnly);
    let storage = disk.storage();
    assert_eq!(storage.read(&name("packs/1")).unwrap(), b"bytes");
    assert_eq!(storage.read_range(&name("packs/1"), 1, 2).unwrap(), b"yt");
    assert_eq!(storage.size(&name("packs/1")).unwrap(), 5);
    assert_eq!(names(&storage), ["packs/1"]);
    assert!(matches!(storage.begin().map(drop), Err(StoreError::ReadOnly { .. })));
    assert!(matches!(storage.remove(&name("packs/1")), Err(StoreError::ReadOnly { .. })));
}

#[test]
fn places_the_system_keeps_for_itself_are_read_only() {
    // Nobody, root included, can make files there.
    let storage = LocalStorage::open("/sys/kernel").unwrap();
    let refused = storage.begin().map(drop).unwrap_err();
    assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused:?}");
    assert!(matches!(LocalStorage::create("/sys/kernel/vault"), Err(StoreError::ReadOnly { .. })));
}

#[test]
fn a_full_disk_is_reported_as_full_and_leaves_no_half_object() {
    for capacity in 0..40 {
        let disk = SimDisk::new();
        let storage = disk.storage();
        create(&storage, &name("packs/empty"), b"").unwrap();
        disk.set_capacity(Some(capacity));
        let created = (0..4).map(|n| create(&storage, &name(&format!("packs/{n}")), b"ten bytes.")).collect::<Vec<_>>();
        for result in created.iter().filter(|result| result.is_err()) {
            assert!(matches!(result, Err(StoreError::Full { .. })), "capacity {capacity}: {result:?}");
        }
        let whole = created.iter().filter(|result| result.is_ok()).count();
        assert_eq!(whole as u64, capacity / 10, "what fits is stored");
        storage.remove(&name("packs/empty")).unwrap();
        let files = disk.files();
        assert_eq!(files.len(), whole, "nothing is left of what did not fit: {:?}", files.keys());
        assert!(files.values().all(|bytes| bytes == b"ten bytes."));
    }
}

#[test]
fn what_is_refused_has_no_effect() {
    let (object, refused) = (name("packs/1"), [Failure::Full, Failure::ReadOnly]);
    let refuses =
        |result: &Result<(), StoreError>| matches!(result, Err(StoreError::Full { .. } | StoreError::ReadOnly { .. }));
    for (failure, k) in refused.into_iter().flat_map(|failure| (0..20).map(move |k| (failure, k))) {
        let disk = SimDisk::new();
        let storage = disk.storage();
        disk.fail_at(k, failure);
        let created = create(&storage, &object, b"bytes");
        assert_eq!(!names(&storage).is_empty(), !refuses(&created), "{failure:?} at {k}: {created:?}");
        disk.kill();
        let storage = disk.storage();
        let _ = create(&storage, &object, b"bytes");
        disk.fail_at(disk.operations() + k, failure);
        let removed = storage.remove(&object);
        assert_eq!(names(&storage).is_empty(), !refuses(&removed), "{failure:?} at {k}: {removed:?}");
    }
}

#[test]
fn a_folder_is_not_trusted_after_a_failed_sync() {
    let disk = SimDisk::new();
    let storage = disk.storage();
    create(&storage, &name("packs/1"), b"bytes").unwrap();
    let before = disk.operations();
    create(&storage, &name("packs/2"), b"bytes").unwrap();
    disk.fail_at(2 * disk.operations() - before - 1, Failure::Io);
    let settled = |result: Result<(), StoreError>| match result.unwrap_err() {
        StoreError::Io { operation: "sync", name, source } => format!("{name}: {source}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(settled(create(&storage, &name("packs/3"), b"bytes")), "packs/3: simulated input/output error");
    let earlier = "an earlier sync of the folder has failed";
    assert_eq!(settled(create(&storage, &name("packs/3"), b"bytes")), format!("packs/3: {earlier}"));
    assert_eq!(settled(create(&storage, &name("packs/4"), b"bytes")), format!("packs/4: {earlier}"));
    assert_eq!(settled(storage.remove(&name("packs/5"))), format!("packs/5: {earlier}"));
    assert_eq!(settled(storage.sweep().map(drop)), format!("packs: {earlier}"));
    assert!(matches!(storage.remove(&name("none/1")), Err(StoreError::NotFound { .. })));
    create(&storage, &name("none/1"), b"what was not there is no failure").unwrap();
}

#[test]
fn an_upload_is_lost_after_a_failed_write() {
    let disk = SimDisk::new();
    disk.set_capacity(Some(5));
    let storage = disk.storage();
    let mut upload = storage.begin().unwrap();
    upload.write(b"four").unwrap();
    assert!(matches!(upload.write(b"more"), Err(StoreError::Full { .. })));
    assert!(disk.files().is_empty(), "the space is free again at once");
    assert!(matches!(upload.write(b""), Err(StoreError::Abandoned { .. })));
    assert!(matches!(upload.finish(&name("a")), Err(StoreError::Abandoned { .. })));
    assert!(names(&storage).is_empty());
}

#[test]
fn a_forgotten_upload_of_a_killed_process_is_swept_by_the_next() {
    let disk = SimDisk::new();
    let storage = disk.storage();
    let mut upload = storage.begin().unwrap();
    upload.write(b"half").unwrap();
    mem::forget(upload);
    assert_eq!(disk.storage().sweep().unwrap(), 0, "its process lives");
    disk.kill();
    assert!(matches!(storage.list(""), Err(StoreError::Crashed)));
    assert_eq!(disk.storage().sweep().unwrap(), 1);
    assert!(disk.files().is_empty());
}

/// One step of a random run.
#[derive(Debug, Clone)]
enum Step {
    Create(usize, Vec<u8>),
    Abort(Vec<u8>),
    Remove(usize),
    Read(usize),
    Range(usize, u64, usize),
    List(usize),
    Sweep,
}

const NAMES: [&str; 6] = ["a", "packs/aa/1", "packs/aa/2", "packs/bb/1", "packs/aa", "a/b"];
const PREFIXES: [&str; 4] = ["", "packs", "packs/aa", "a"];

fn step() -> impl Strategy<Value = Step> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        4 => (0..NAMES.len(), bytes.clone()).prop_map(|(name, bytes)| Step::Create(name, bytes)),
        1 => bytes.prop_map(Step::Abort),
        2 => (0..NAMES.len()).prop_map(Step::Remove),
        2 => (0..NAMES.len()).prop_map(Step::Read),
        1 => (0..NAMES.len(), 0..50_u64, 0..50_usize).prop_map(|(name, offset, length)| Step::Range(name, offset, length)),
        1 => (0..PREFIXES.len()).prop_map(Step::List),
        1 => Just(Step::Sweep),
    ]
}

/// What a step gives, in a form that can be compared.
fn outcome(storage: &dyn Storage, step: &Step) -> String {
    let named = |index: &usize| name(NAMES[*index]);
    match step {
        Step::Create(index, bytes) => format!("{:?}", create(storage, &named(index), bytes)),
        Step::Abort(bytes) => format!("{:?}", storage.begin().unwrap().write(bytes)),
        Step::Remove(index) => format!("{:?}", storage.remove(&named(index))),
        Step::Read(index) => format!("{:?}", storage.read(&named(index))),
        Step::Range(index, offset, length) => format!("{:?}", storage.read_range(&named(index), *offset, *length)),
        Step::List(index) => format!("{:?}", storage.list(PREFIXES[*index])),
        Step::Sweep => format!("{:?}", storage.sweep()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn disk_simulated_disk_and_memory_do_the_same(steps in prop::collection::vec(step(), 0..30)) {
        let (local, _folder) = local();
        let (simulated, memory) = (SimDisk::new().storage(), MemoryStorage::new());
        // On a disk a folder stays when its last object goes and keeps its name taken, in memory it does not.
        let no_clash = |step: &&Step| !matches!(step, Step::Create(4 | 5, _));
        for step in steps.iter().filter(no_clash) {
            let expected = outcome(&memory, step);
            prop_assert_eq!(outcome(&local, step), expected.clone(), "local: {:?}", step);
            prop_assert_eq!(outcome(&simulated, step), expected, "simulated: {:?}", step);
        }
    }
}
