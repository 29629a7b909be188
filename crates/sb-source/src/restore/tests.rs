use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::platform::{self, Node};
use crate::testing::{access_list, content, deep, entries, folder, path, plant, restore, source, without_privileges};
use crate::{Entry, EntryPath, Kind, MemorySource, Metadata, Timestamp};

fn target() -> (TempDir, PathBuf, Target) {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("deep/target");
    let target = Target::create(&folder).unwrap();
    (temp, folder, target)
}

/// Owned by whoever runs the test, so that nothing is left to complain about.
fn plain(mode: u32) -> Metadata {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    Metadata { mode, uid, gid, ..Metadata::default() }
}

fn put(target: &Target, at: &str, bytes: &[u8]) -> Result<(), TargetError> {
    let file = target.file(&path(at), bytes.len() as u64)?;
    file.write_at(0, bytes)?;
    let problems = file.commit(&plain(0o600))?;
    assert!(problems.is_empty(), "{problems:?}");
    Ok(())
}

fn names(folder: &Path) -> Vec<String> {
    let name = |line: io::Result<fs::DirEntry>| line.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

/// Everything a file system can keep, as root.
fn plant_everything(folder: &Path) {
    plant(folder, &["docs/a", "docs/b", "docs/empty", "empty/", "shared/inner/"]);
    let (node, _) = Node::create(folder).unwrap();
    node.make_file(b"\xff\xfe not text").unwrap();
    for (name, kind) in [
        (&b"block"[..], Kind::BlockDevice { major: 7, minor: 300 }),
        (b"char", Kind::CharDevice { major: 1, minor: 3 }),
        (b"fifo", Kind::Fifo),
        (b"link", Kind::Symlink { target: b"docs/\xff/..//a".to_vec() }),
        (b"socket", Kind::Socket),
    ] {
        node.make_special(name, &kind).unwrap();
    }
    let docs = node.folder(b"docs").unwrap();
    docs.link(b"a", &node, b"second name of a").unwrap();
    docs.link(b"a", &docs, b"third name of a").unwrap();
    node.link(b"fifo", &docs, b"fifo").unwrap();
    let sparse = node.make_file(b"sparse").unwrap();
    sparse.set_len(3 << 20).unwrap();
    platform::write_all_at(&sparse, &[7; 4096], 1 << 20).unwrap();

    let entry = |name: &[u8]| node.entry(name).unwrap();
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (number, name) in [&b"docs"[..], b"shared", b"sparse", b"fifo", b"link", b"char"].into_iter().enumerate() {
        entry(name).set_owner(1000 + number as u32, 2000 + number as u32).unwrap();
    }
    entry(b"docs").set_xattr(b"user.comment", b"\0any\xffthing").unwrap();
    entry(b"docs").set_xattr(b"system.posix_acl_access", &access_list()).unwrap();
    entry(b"docs").set_xattr(b"system.posix_acl_default", &access_list()).unwrap();
    entry(b"sparse").set_xattr(b"system.posix_acl_access", &access_list()).unwrap();
    entry(b"sparse").set_xattr(b"trusted.note", b"").unwrap();
    entry(b"link").set_xattr(b"trusted.note", b"on the link").unwrap();
    docs.entry(b"b").unwrap().set_xattr(b"security.capability", &capability).unwrap();
    docs.entry(b"empty").unwrap().set_mode(0o6755).unwrap();
    entry(b"shared").set_mode(0o3555).unwrap();
    entry(b"empty").set_mode(0o000).unwrap();
    let times = [(b"link".as_slice(), -1), (b"sparse", -5_000_000_000), (b"fifo", 4_000_000_000), (b"docs", 1)];
    for (name, seconds) in times {
        entry(name).set_mtime(Timestamp { seconds, nanoseconds: 123_456_789 }).unwrap();
    }
}

/// What must be equal after a restore.
fn portrait(folder: &Path, base: &EntryPath) -> Vec<(EntryPath, Kind, Metadata, Vec<u8>)> {
    let source = source(folder);
    let portray = |entry: Entry| {
        let path = entry.path.strip_prefix(base)?;
        let bytes = if entry.kind == Kind::File { content(&source, &entry) } else { Vec::new() };
        let metadata = Metadata { ctime: Timestamp::default(), inode: 0, ..entry.metadata };
        Some((path, entry.kind, metadata, bytes))
    };
    entries(&source).into_iter().filter_map(portray).collect()
}

#[test]
fn what_is_captured_comes_back() {
    let (from, base) = folder();
    plant_everything(from.path());
    let (to, to_base) = folder();
    let into = Target::create(to.path()).unwrap();
    for round in ["into an empty folder", "over itself"] {
        let problems = restore(&source(from.path()), &base, &into).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        let (before, after) = (portrait(from.path(), &base), portrait(to.path(), &to_base));
        assert_eq!(before.len(), 18);
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before, after, "{round}");
        }
        assert_eq!(before.len(), after.len());
        let inode = |name: &str| to.path().join(name).symlink_metadata().unwrap().ino();
        assert_eq!(inode("docs/a"), inode("second name of a"));
        assert_eq!(inode("fifo"), inode("docs/fifo"));
        assert!(to.path().join("sparse").metadata().unwrap().blocks() * 512 < 1 << 20, "holes are holes again");
    }
}

#[test]
fn trees_of_any_depth_come_back() {
    let (from, base) = folder();
    let (node, below) = deep(from.path());
    platform::write_all_at(&node.make_file(b"file").unwrap(), b"at the bottom", 0).unwrap();
    let (_temp, _, into) = target();
    restore(&source(from.path()), &base, &into).unwrap();
    let file = into.exists(&below.join(b"file").unwrap()).unwrap().unwrap();
    assert_eq!((file.kind, file.metadata.size), (Kind::File, 13));
    let (_temp, _, straight) = target();
    straight.directory(&below).unwrap();
    assert!(straight.exists(&below).unwrap().is_some());
}

#[test]
fn links_in_the_way_are_not_followed() {
    let (temp, folder, target) = target();
    let outside = temp.path().join("outside");
    plant(&outside, &["file"]);
    symlink(&outside, folder.join("way")).unwrap();
    symlink("../../outside/file", folder.join("file")).unwrap();

    let escapes = |result: Result<(), TargetError>| match result {
        Err(TargetError::WouldEscape { path: link }) => assert_eq!(link, path("/way")),
        other => panic!("{other:?}"),
    };
    escapes(target.directory(&path("/way")));
    escapes(target.directory(&path("/way/inner")));
    escapes(target.directory(&path("/way/inner/most")));
    escapes(put(&target, "/way/file", b""));
    escapes(target.symlink(&path("/way/link"), b"x"));
    escapes(target.fifo(&path("/way/fifo")));
    escapes(target.exists(&path("/way/file")).map(|_| ()));
    escapes(target.apply_metadata(&path("/way/file"), &Kind::File, &plain(0)).map(|_| ()));
    put(&target, "/mine", b"mine").unwrap();
    escapes(target.hard_link(&path("/way/file"), &path("/stolen")));
    escapes(target.hard_link(&path("/mine"), &path("/way/planted")));

    put(&target, "/file", b"restored").unwrap();
    assert_eq!(fs::read(folder.join("file")).unwrap(), b"restored", "a link at the end is replaced");
    let link = Kind::Symlink { target: outside.to_str().unwrap().into() };
    target.apply_metadata(&path("/way"), &link, &plain(0o777)).unwrap();
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"file");
    assert_eq!(names(&outside), ["file"]);
    assert_eq!(names(&folder), ["file", "mine", "way"]);
}

type Verb<'a> = &'a dyn Fn(&EntryPath) -> Result<(), TargetError>;

#[test]
fn everything_but_folders_is_replaced() {
    let (_temp, folder, target) = target();
    let restores: [(&str, Verb); 6] = [
        ("file", &|path| target.file(path, 0)?.commit(&plain(0o600)).map(|_| ())),
        ("link", &|path| target.symlink(path, b"x")),
        ("fifo", &|path| target.fifo(path)),
        ("socket", &|path| target.socket(path)),
        ("device", &|path| target.device(path, &Kind::CharDevice { major: 1, minor: 3 })),
        ("hard link", &|path| target.hard_link(&self::path("/other"), path)),
    ];
    for (what, restore) in restores {
        put(&target, "/other", b"").unwrap();
        put(&target, "/there", b"in the way").unwrap();
        restore(&path("/there")).unwrap();
        restore(&path("/there")).unwrap();
        assert_ne!(fs::symlink_metadata(folder.join("there")).unwrap().len(), 10, "{what}");
        plant(&folder, &["folder/x"]);
        let error = restore(&path("/folder")).unwrap_err();
        assert!(matches!(&error, TargetError::IsAFolder { path: at } if *at == path("/folder")), "{what}: {error:?}");
        let error = restore(&EntryPath::root()).unwrap_err();
        assert!(matches!(error, TargetError::IsAFolder { .. }), "{what}: {error:?}");
        assert_eq!(names(&folder), ["folder", "other", "there"], "{what} leaves nothing behind");
    }
    let error = target.directory(&path("/there")).unwrap_err();
    assert_eq!(error.to_string(), "`/there` is not a folder");
    let error = put(&target, "/there/x", b"").unwrap_err();
    assert_eq!(error.to_string(), "`/there` is not a folder");
    target.directory(&path("/folder")).unwrap();
    target.directory(&EntryPath::root()).unwrap();
    assert_eq!(names(&folder.join("folder")), ["x"], "a folder that is there already stays as it is");
}

#[test]
fn a_file_is_invisible_until_it_is_committed() {
    let (_temp, folder, target) = target();
    put(&target, "/file", b"old").unwrap();
    let writer = target.file(&path("/file"), 6).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| writer.write_at(3, b"def").unwrap());
        threads.spawn(|| writer.write_at(0, b"abc").unwrap());
    });
    assert_eq!(fs::read(folder.join("file")).unwrap(), b"old");
    let error = writer.write_at(5, b"gh").unwrap_err();
    assert_eq!(error.to_string(), "`/file` was to have 6 bytes, now comes byte 7");
    assert!(writer.write_at(u64::MAX, b"x").is_err());
    writer.commit(&plain(0o640)).unwrap();
    assert_eq!(fs::read(folder.join("file")).unwrap(), b"abcdef");

    let dropped = target.file(&path("/file"), 1).unwrap();
    assert_eq!(names(&folder).len(), 2);
    drop(dropped);
    assert_eq!(names(&folder), ["file"]);
    let lost = target.file(&path("/file"), 1).unwrap();
    fs::remove_file(folder.join(names(&folder).iter().find(|name| name.starts_with(".sb-restore-")).unwrap())).unwrap();
    assert!(matches!(lost.commit(&plain(0o640)), Err(TargetError::Missing { .. })));
    assert!(matches!(
        target.file(&path("/file"), u64::MAX),
        Err(TargetError::Full { .. } | TargetError::Failed { .. })
    ));
    assert_eq!(names(&folder), ["file"]);
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let (temp, _, target) = target();
    let error = put(&target, "/none/x/y", b"").unwrap_err();
    assert_eq!(error.to_string(), "`/none` does not exist");
    let error = target.hard_link(&path("/none"), &path("/x")).unwrap_err();
    assert_eq!(error.to_string(), "`/none` does not exist");
    target.directory(&path("/a/b/c")).unwrap();
    let error = target.hard_link(&path("/a"), &path("/x")).unwrap_err();
    assert!(matches!(error, TargetError::IsAFolder { .. }));
    let error = target.device(&path("/x"), &Kind::Fifo).unwrap_err();
    assert_eq!(error.to_string(), "`/x` is of a kind that cannot be restored here");
    let error = target.apply_metadata(&path("/none"), &Kind::File, &plain(0)).unwrap_err();
    assert!(matches!(error, TargetError::Missing { .. }));
    let error = target.apply_metadata(&path("/a"), &Kind::File, &plain(0)).unwrap_err();
    assert_eq!(error.to_string(), "`/a` is not what was restored there");
    assert!(target.exists(&path("/none/x")).unwrap().is_none());
    assert!(target.exists(&path("/a/none")).unwrap().is_none());
    let folder = target.folder(&path("/a/b")).unwrap();
    assert!(folder.is_unfinished() && target.exists(&path("/a/b")).unwrap().unwrap().metadata.mode == 0o5700);
    assert!(folder.set_own_metadata(&plain(0o700)).is_empty() && !folder.is_unfinished());
    assert_eq!(target.exists(&EntryPath::root()).unwrap().unwrap().kind, Kind::Directory);
    fs::write(temp.path().join("file"), "").unwrap();
    let error = Target::create(&temp.path().join("file/target")).unwrap_err();
    assert!(error.to_string().starts_with("cannot restore into `"), "{error}");
    let long = EntryPath::root().join(&[b'x'; 300]).unwrap();
    assert!(matches!(target.directory(&long), Err(TargetError::Failed { .. })));
    assert!(target.exists(&long).is_err());
}

#[test]
fn a_new_target_is_its_owners_alone() {
    let temp = tempfile::tempdir().unwrap();
    let there = temp.path().join("there");
    fs::create_dir(&there).unwrap();
    fs::set_permissions(&there, fs::Permissions::from_mode(0o755)).unwrap();
    let targets = ["there/new/target", "there"].map(|folder| Target::create(&temp.path().join(folder)).unwrap());
    let modes = || {
        ["there", "there/new", "there/new/target"]
            .map(|name| temp.path().join(name).metadata().unwrap().mode() & 0o7777)
    };
    assert_eq!(modes(), [0o755, 0o700, 0o5700]);
    targets.iter().for_each(Target::finish);
    assert_eq!(modes(), [0o755, 0o700, 0o700]);
}

#[test]
fn a_target_that_has_become_unreadable_is_synced() {
    without_privileges("restore::tests::a_target_that_has_become_unreadable_is_synced", |temp| {
        let target = Target::create(&temp.join("target")).unwrap();
        put(&target, "/file", b"").unwrap();
        let problems = target.apply_metadata(&EntryPath::root(), &Kind::Directory, &plain(0o300)).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        target.sync().unwrap();
        let again = Target::create(&temp.join("target")).unwrap();
        put(&again, "/file", b"to write needs no right to list").unwrap();
        assert!(matches!(again.sync(), Err(TargetError::Denied { .. })));
    });
}

#[test]
fn the_target_itself_can_have_metadata() {
    let (_temp, folder, target) = target();
    let metadata = Metadata { mtime: Timestamp { seconds: 7, nanoseconds: 8 }, ..plain(0o750) };
    let problems = target.apply_metadata(&EntryPath::root(), &Kind::Directory, &metadata).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let stat = folder.metadata().unwrap();
    assert_eq!((stat.mtime(), stat.mtime_nsec(), stat.mode() & 0o7777), (7, 8, 0o750));
}

#[test]
fn nothing_is_inherited_and_nothing_old_stays() {
    let (_temp, folder, target) = target();
    xattr::set(&folder, "system.posix_acl_default", &access_list()).unwrap();
    put(&target, "/file", b"").unwrap();
    target.directory(&path("/folder")).unwrap();
    xattr::set(folder.join("folder"), "user.old", b"").unwrap();
    let inherited = target.exists(&path("/folder")).unwrap().unwrap().metadata.xattrs;
    assert_eq!(inherited.len(), 3, "{inherited:?}");
    let wanted = Metadata { xattrs: vec![(b"user.new".to_vec(), b"1".to_vec())], ..plain(0o751) };
    assert!(target.apply_metadata(&path("/folder"), &Kind::Directory, &wanted).unwrap().is_empty());
    let after = target.exists(&path("/folder")).unwrap().unwrap().metadata;
    assert_eq!((after.xattrs, after.mode), (wanted.xattrs, 0o751));
    assert_eq!(target.exists(&path("/file")).unwrap().unwrap().metadata.xattrs, []);
}

#[test]
fn impossible_metadata_are_problems_not_errors() {
    let (_temp, _, target) = target();
    put(&target, "/file", b"").unwrap();
    let odd = Metadata {
        uid: u32::MAX,
        mtime: Timestamp { seconds: 0, nanoseconds: 1_073_741_823 },
        xattrs: vec![(b"nonsense".to_vec(), vec![])],
        ..plain(0o600)
    };
    let problems = target.apply_metadata(&path("/file"), &Kind::File, &odd).unwrap();
    let attributes: Vec<_> = problems.iter().map(|problem| problem.attribute.clone()).collect();
    assert_eq!(attributes, [Attribute::Owner, Attribute::Xattr(b"nonsense".to_vec()), Attribute::Times]);
    assert!(problems[0].to_string().starts_with("owner of `/file` cannot be restored: "), "{}", problems[0]);
    assert!(problems[1].to_string().starts_with("extended attribute `nonsense` of `/file` cannot"), "{}", problems[1]);
    let said = [Attribute::Mode, Attribute::Times, Attribute::Xattrs].map(|attribute| attribute.to_string());
    assert_eq!(said, ["permissions", "time", "extended attributes"]);
}

#[test]
fn without_the_rights_of_root_the_rest_comes_back() {
    without_privileges("restore::tests::without_the_rights_of_root_the_rest_comes_back", |temp| {
        let target = Target::create(&temp.join("target")).unwrap();
        let foreign = Metadata { uid: 0, gid: 0, xattrs: vec![(b"trusted.note".to_vec(), vec![])], ..plain(0o6755) };
        let file = target.file(&path("/file"), 0).unwrap();
        let problems = file.commit(&foreign).unwrap();
        let attributes: Vec<_> = problems.into_iter().map(|problem| problem.attribute).collect();
        let trusted = Attribute::Xattr(b"trusted.note".to_vec());
        assert_eq!(attributes, [Attribute::Owner, trusted, Attribute::Mode]);
        let stat = temp.join("target/file").metadata().unwrap();
        assert_eq!((stat.mode() & 0o7777, stat.mtime()), (0o755, 0), "set-user-id is withheld");

        target.directory(&path("/closed")).unwrap();
        target.apply_metadata(&path("/closed"), &Kind::Directory, &plain(0o500)).unwrap();
        let error = put(&target, "/closed/x", b"").unwrap_err();
        assert!(matches!(&error, TargetError::Denied { path: at, .. } if *at == path("/closed/x")), "{error:?}");
        let error = target.device(&path("/device"), &Kind::CharDevice { major: 1, minor: 3 }).unwrap_err();
        assert!(matches!(error, TargetError::Denied { .. }));
        fs::set_permissions(temp.join("target/closed"), fs::Permissions::from_mode(0o700)).unwrap();
    });
}

#[test]
fn a_tree_made_in_memory_restores_like_any_other() {
    let mut memory = MemorySource::new(&["/data"]);
    let me = plain(0o640);
    memory.sparse_file("/data/x", 10_000, &[(5_000, b"middle")]).hard_link("/data/x", "/data/z");
    for name in ["/", "/data", "/data/x", "/data/z"] {
        memory.edit(name, |metadata| (metadata.uid, metadata.gid) = (me.uid, me.gid));
    }
    let (_temp, folder, target) = target();
    assert!(restore(&memory, &path("/data"), &target).unwrap().is_empty());
    let bytes = fs::read(folder.join("x")).unwrap();
    assert_eq!((bytes.len(), &bytes[4_999..5_007]), (10_000, &b"\0middle\0"[..]));
    assert_eq!(folder.join("z").metadata().unwrap().ino(), folder.join("x").metadata().unwrap().ino());
}

#[test]
fn names_that_are_taken_can_stay_so() {
    let (_temp, folder, target) = target();
    put(&target, "/there", b"mine").unwrap();
    let root = target.folder(&EntryPath::root()).unwrap();
    let file = root.file(b"there", 1).unwrap();
    let taken = |result: Result<(), TargetError>| match result {
        Err(TargetError::NameTaken { path: at }) => assert_eq!(at, path("/there")),
        other => panic!("{other:?}"),
    };
    taken(file.commit_as(&plain(0o600), IfTaken::Fail).map(drop));
    taken(root.special(b"there", &Kind::Fifo, IfTaken::Fail));
    put(&target, "/other", b"").unwrap();
    taken(root.hard_link(&root, b"other", b"there", IfTaken::Fail));
    root.file(b"new", 0).unwrap().commit_as(&plain(0o600), IfTaken::Fail).unwrap();
    assert_eq!(fs::read(folder.join("there")).unwrap(), b"mine");
    assert_eq!(names(&folder), ["new", "other", "there"]);
}

#[test]
fn folders_held_open_know_what_they_are() {
    let (_temp, folder, target) = target();
    let root = target.folder(&EntryPath::root()).unwrap();
    let (docs, is_new) = root.make_folder(b"docs").unwrap();
    assert!(is_new && !root.make_folder(b"docs").unwrap().1);
    let (inner, _) = docs.make_folder(b"inner").unwrap();
    assert_eq!(root.descend(&path("/docs/inner")).unwrap().path(), inner.path());
    assert_eq!(docs.descend(&path("/inner")).unwrap().path(), &path("/docs/inner"));
    assert_eq!(docs.descend(&path("/none")).unwrap_err().to_string(), "`/docs/none` does not exist");
    assert_eq!(Target::id_of(&folder.join("docs")), Some(docs.identity().unwrap().0));
    assert_eq!(Target::id_of(&folder.join("none")), None);
    symlink("docs", folder.join("way")).unwrap();
    assert!(matches!(root.make_folder(b"way"), Err(TargetError::WouldEscape { path: at }) if at == path("/way")));
    assert!(matches!(root.open(b"docs"), Err(TargetError::WrongKind { .. })));
    assert!(root.look(b"none").unwrap().is_none());
    assert!(docs.set_own_metadata(&plain(0o750)).is_empty());
    assert_eq!(root.look(b"docs").unwrap().unwrap().metadata.mode, 0o750);
}

#[test]
fn large_files_take_their_space_first() {
    let (_temp, folder, target) = target();
    let file = target.file(&path("/large"), 4 << 20).unwrap();
    file.reserve().unwrap();
    file.write_at(1 << 20, b"x").unwrap();
    file.commit(&plain(0o600)).unwrap();
    let stat = folder.join("large").metadata().unwrap();
    assert_eq!((stat.len(), stat.blocks() * 512 >= 4 << 20), (4 << 20, true));
    let small = target.file(&path("/small"), 100).unwrap();
    small.reserve().unwrap();
    small.commit(&plain(0o600)).unwrap();
    assert_eq!(fs::read(folder.join("small")).unwrap(), [0; 100], "what was never written reads as zeros");
}

#[test]
fn what_does_not_belong_is_removed_and_nothing_else() {
    let (temp, folder, target) = target();
    let outside = temp.path().join("outside");
    plant(&outside, &["file"]);
    plant(&folder, &["keep/x", "gone/deep/a", "gone/spared/b", "c", "kept too"]);
    symlink(&outside, folder.join("gone/way")).unwrap();
    let spared = [Target::id_of(&folder.join("gone/spared")).unwrap()];
    let root = target.folder(&EntryPath::root()).unwrap();
    let keep = [b"keep".to_vec()].into();
    for dry_run in [true, false] {
        let (mut removed, mut failed) = (Vec::new(), Vec::new());
        let mut prune = Prune {
            stays: &|at, is_folder| !is_folder && at.file_name() == b"kept too",
            spared: &spared,
            dry_run,
            removed: &mut |at, _| removed.push(at.to_string()),
            failed: &mut |error| failed.push(error),
        };
        root.prune(&keep, &mut prune);
        assert_eq!(removed, ["/c", "/gone/deep/a", "/gone/deep", "/gone/way"], "{failed:?}");
    }
    assert_eq!(
        (names(&folder), names(&folder.join("gone"))),
        (vec!["gone".into(), "keep".into(), "kept too".into()], vec!["spared".into()])
    );
    assert_eq!(names(&outside), ["file"]);
}

#[test]
fn what_cannot_be_removed_is_named() {
    without_privileges("restore::tests::what_cannot_be_removed_is_named", |temp| {
        plant(temp, &["target/closed/x"]);
        fs::set_permissions(temp.join("target/closed"), fs::Permissions::from_mode(0o500)).unwrap();
        let root = Target::create(&temp.join("target")).unwrap().folder(&EntryPath::root()).unwrap();
        let mut failed = Vec::new();
        let mut prune = Prune {
            stays: &|_, _| false,
            spared: &[],
            dry_run: false,
            removed: &mut |at, _| panic!("{at}"),
            failed: &mut |error| failed.push(error),
        };
        root.prune(&std::collections::HashSet::new(), &mut prune);
        assert!(matches!(&failed[..], [TargetError::Denied { .. }]), "{failed:?}");
        fs::set_permissions(temp.join("target/closed"), fs::Permissions::from_mode(0o700)).unwrap();
    });
}

#[test]
fn a_mark_stays_until_it_is_removed_and_leaves_no_trace() {
    let (temp, folder, target) = target();
    let root = target.folder(&EntryPath::root()).unwrap();
    let time = folder.metadata().unwrap().modified().unwrap();
    let (mark, other) = (root.mark("one\n").unwrap(), root.mark("two\n").unwrap());
    assert_eq!(folder.metadata().unwrap().modified().unwrap(), time);
    assert!(mark.name() != other.name() && !root.marks().iter().any(Mark::is_left_over));
    drop(other);
    let marks = root.clear_unfinished();
    let left: Vec<_> = marks.iter().filter(|mark| mark.is_left_over()).map(Mark::text).collect();
    assert_eq!((marks.len(), left), (2, vec![Some(b"two\n".to_vec())]));

    let below = Target::create(&folder.join("a/b")).unwrap();
    assert!(below.is_below_mark() && !target.is_below_mark());
    assert_eq!(below.location(), folder.join("a/b").canonicalize().unwrap());
    let mode = folder.metadata().unwrap().permissions().mode();
    mark.remove().unwrap();
    marks.into_iter().for_each(|mark| drop(mark.remove()));
    assert_eq!((names(&folder), folder.metadata().unwrap().permissions().mode()), (vec!["a".to_owned()], mode));
    assert!(!below.is_below_mark());
    drop(temp);
}

#[test]
fn a_mark_goes_from_a_folder_that_may_only_be_read_and_comes_to_none() {
    without_privileges("restore::tests::a_mark_goes_from_a_folder_that_may_only_be_read_and_comes_to_none", |temp| {
        let root = Target::create(&temp.join("target")).unwrap().folder(&EntryPath::root()).unwrap();
        let mark = root.mark("").unwrap();
        fs::set_permissions(temp.join("target"), fs::Permissions::from_mode(0o555)).unwrap();
        assert!(matches!(root.mark(""), Err(TargetError::Denied { .. })));
        mark.remove().unwrap();
        assert_eq!(names(&temp.join("target")), [""; 0]);
        assert_eq!(temp.join("target").metadata().unwrap().permissions().mode() & 0o777, 0o555);
    });
}

#[test]
fn links_are_removed_and_folders_are_not() {
    let (_temp, folder, target) = target();
    plant(&folder, &["outside/file", "folder/"]);
    symlink("outside", folder.join("link")).unwrap();
    let root = target.folder(&EntryPath::root()).unwrap();
    root.remove(b"link").unwrap();
    assert!(matches!(root.remove(b"folder"), Err(TargetError::IsAFolder { .. })));
    assert!(matches!(root.remove(b"other"), Err(TargetError::NameTaken { .. })));
    assert_eq!(
        (names(&folder), names(&folder.join("outside"))),
        (vec!["folder".into(), "outside".into()], vec!["file".into()])
    );
}

#[test]
fn attributes_are_the_same_if_nothing_would_be_changed() {
    let (_temp, folder, target) = target();
    plant(&folder, &["file"]);
    let root = target.folder(&EntryPath::root()).unwrap();
    let pair = |name: &[u8], value: &[u8]| (name.to_vec(), value.to_vec());
    assert!(root.has_xattrs(b"file", &[]));
    root.node().entry(b"file").unwrap().set_xattr(b"user.a", b"1").unwrap();
    assert!(root.has_xattrs(b"file", &[pair(b"user.a", b"1")]));
    for wanted in [vec![], vec![pair(b"user.a", b"2")], vec![pair(b"user.a", b"1"), pair(b"user.b", b"")]] {
        assert!(!root.has_xattrs(b"file", &wanted), "{wanted:?}");
    }
}
