use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};

use super::*;
use crate::testing::{access_list, content, entries, folder, path, plant, source, without_privileges};
use crate::{Cause, Timestamp};

fn only(source: &FileSource) -> Entry {
    entries(source).into_iter().rfind(|entry| !entry.ancestor).unwrap()
}

#[test]
fn content_is_read_whole_whatever_the_buffer() {
    let folder = folder();
    let file = folder.0.path().join("file");
    let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
    fs::write(&file, &bytes).unwrap();
    let source = source(&file);
    let entry = only(&source);
    assert_eq!(content(&source, &entry), bytes);
    let mut content = source.open(&entry).unwrap();
    assert_eq!((content.metadata(), content.holes()), (&source.details(&entry).0, &[][..]));
    assert!(content.problem().is_none());
    assert_eq!(content.read(&mut []).unwrap(), 0);
    let mut all = vec![0; 200_000];
    assert_eq!(content.read(&mut all).unwrap(), 100_000);
    assert_eq!(content.read(&mut all).unwrap(), 0);
    content.finish().unwrap();
}

#[test]
fn holes_are_found_and_read_as_zeros() {
    let folder = folder();
    for (name, size, writes, expected) in [
        ("end", 1 << 20, vec![0], vec![(4096, (1 << 20) - 4096)]),
        ("start", 1 << 20, vec![(1 << 20) - 4096], vec![(0, (1 << 20) - 4096)]),
        ("middle", 1 << 20, vec![0, (1 << 20) - 4096], vec![(4096, (1 << 20) - 8192)]),
        ("all", 1 << 20, vec![], vec![(0, 1 << 20)]),
        ("huge", 1 << 40, vec![1 << 39], vec![(0, 1 << 39), ((1 << 39) + 4096, (1 << 39) - 4096)]),
        ("empty", 0, vec![], vec![]),
    ] {
        let file = folder.0.path().join(name);
        let open = File::create(&file).unwrap();
        open.set_len(size).unwrap();
        for at in writes {
            open.write_all_at(&[7; 4096], at).unwrap();
        }
        open.sync_all().unwrap();
        let source = source(&file);
        let entry = only(&source);
        assert_eq!(source.open(&entry).unwrap().holes(), expected, "{name}");
        if size < 1 << 30 {
            assert_eq!(content(&source, &entry), fs::read(&file).unwrap(), "{name}");
        }
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_trusted() {
    let folder = folder();
    let file = folder.0.path().join("file");
    plant(folder.0.path(), &["file"]);
    let source = source(&file);
    let steps: [&dyn Fn(); 5] = [
        &|| File::options().append(true).open(&file).unwrap().write_all(b" and more").unwrap(),
        &|| fs::write(&file, "con").unwrap(),
        &|| File::options().write(true).open(&file).unwrap().write_all(b"CONTENT").unwrap(),
        &|| fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap(),
        &|| fs::remove_file(&file).unwrap(),
    ];
    let told = steps.map(|step| {
        fs::write(&file, "content").unwrap();
        let mut content = source.open(&only(&source)).unwrap();
        // File systems count time in steps of some milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
        step();
        let read = content.read(&mut [0; 100]).unwrap();
        match content.finish().unwrap_err() {
            SourceError::Changed { change, .. } => (read, change),
            other => panic!("{other}"),
        }
    });
    let expected = [
        (7, "its size is another"),
        (3, "its size is another"),
        (7, "its time is another"),
        (7, "its metadata are others"),
        (7, "its metadata are others"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_file_that_holds_more_than_it_says_is_not_trusted() {
    let source = source(Path::new("/proc/version"));
    let entry = only(&source);
    assert_eq!(entry.metadata.size, 0);
    let mut content = source.open(&entry).unwrap();
    assert_eq!(content.read(&mut [0; 100]).unwrap(), 0);
    let error = content.finish().unwrap_err();
    assert!(matches!(error, SourceError::Changed { change: "it holds more than its size says", .. }), "{error}");
}

#[test]
#[ignore = "needs perl"]
fn a_file_under_a_lease_is_waited_for() {
    let folder = folder();
    let file = folder.0.path().join("file");
    fs::write(&file, "shared").unwrap();
    // The holder is told to give up its lease by a signal, which ends it.
    let lease = "use Fcntl; open my $file, '+<', $ARGV[0] or die; fcntl $file, 1024, F_WRLCK or die; \
                 $| = 1; print 'held'; sleep 60";
    let mut holder = Command::new("perl").args(["-e", lease]).arg(&file).stdout(Stdio::piped()).spawn().unwrap();
    holder.stdout.as_mut().unwrap().read_exact(&mut [0; 4]).unwrap();
    let source = source(&file);
    assert_eq!(content(&source, &only(&source)), b"shared");
    assert!(!holder.wait().unwrap().success(), "the lease was given up");
}

#[test]
fn who_waits_for_a_lease_waits_for_nothing_else() {
    let folder = folder();
    plant(folder.0.path(), &["file"]);
    symlink("file", folder.0.path().join("link")).unwrap();
    let (node, _) = Node::create(folder.0.path()).unwrap();
    node.make_special(b"fifo", &Kind::Fifo).unwrap();
    let mut text = String::new();
    node.open_leased(b"file").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "file");
    for name in [&b"link"[..], b"fifo"] {
        assert_eq!(node.open_leased(name).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn what_is_no_file_any_more_is_not_opened() {
    let folder = folder();
    let temp = folder.0.path();
    plant(temp, &["a/file", "elsewhere/file"]);
    let source = source(&temp.join("a/file"));
    let entry = only(&source);
    let file = temp.join("a/file");
    let open = || source.open(&entry).unwrap_err().cause();

    fs::remove_file(&file).unwrap();
    assert_eq!(open(), Cause::Vanished);
    symlink("/etc/passwd", &file).unwrap();
    assert_eq!(open(), Cause::Changed);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(open(), Cause::Changed);
    fs::remove_dir(&file).unwrap();
    Node::create(&temp.join("a")).unwrap().0.make_special(b"file", &Kind::Fifo).unwrap();
    assert_eq!(open(), Cause::Changed, "and nobody waits for the other end of a pipe");
    fs::remove_file(&file).unwrap();
    Node::create(&temp.join("a")).unwrap().0.make_special(b"file", &Kind::Socket).unwrap();
    assert_eq!(open(), Cause::Changed);
    fs::remove_dir_all(temp.join("a")).unwrap();
    assert_eq!(open(), Cause::Vanished);
    symlink("elsewhere", temp.join("a")).unwrap();
    assert_eq!(open(), Cause::Changed, "a link that has taken the place of a folder is not followed");
    assert_eq!(source.open(&Entry { path: EntryPath::root(), ..entry.clone() }).unwrap_err().cause(), Cause::Changed);
}

#[test]
fn what_may_not_be_read_is_not_opened() {
    without_privileges("file_source::tests::what_may_not_be_read_is_not_opened", |temp| {
        plant(temp, &["file"]);
        let file = temp.join("file");
        let source = source(&file);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
        let entry = only(&source);
        assert_eq!(entry.metadata.mode, 0, "its metadata can be seen");
        assert_eq!(source.open(&entry).unwrap_err().cause(), Cause::Denied);
        let passwd = self::source(Path::new("/etc/passwd"));
        let entry = only(&passwd);
        assert!(!content(&passwd, &entry).is_empty(), "files of others are read, if not without a trace");
    });
}

#[test]
fn a_failing_device_is_reported() {
    let folder = folder();
    plant(folder.0.path(), &["file"]);
    let file = File::options().write(true).open(folder.0.path().join("file")).unwrap();
    let metadata = Metadata { size: 4, ..Metadata::default() };
    let mut content = FileContent::new(path("/file"), file, metadata, None, true);
    assert_eq!(content.read(&mut [0; 10]).unwrap_err().cause(), Cause::Unreadable);
}

#[test]
fn reading_leaves_no_trace_in_access_times() {
    let folder = folder();
    let temp = folder.0.path();
    plant(temp, &["folder/file"]);
    let old = fs::FileTimes::new().set_accessed(std::time::UNIX_EPOCH);
    for name in ["folder/file", "folder"] {
        File::open(temp.join(name)).unwrap().set_times(old).unwrap();
    }
    let source = source(temp);
    content(&source, &only(&source));
    for name in ["folder/file", "folder"] {
        assert_eq!(temp.join(name).metadata().unwrap().atime(), 0, "{name}");
    }
}

#[test]
fn every_kind_has_its_metadata() {
    let folder = folder();
    let temp = folder.0.path();
    let (node, _) = Node::create(temp).unwrap();
    let kinds = [
        ("b", Kind::BlockDevice { major: 7, minor: 300 }),
        ("c", Kind::CharDevice { major: 1, minor: 3 }),
        ("fifo", Kind::Fifo),
        ("link", Kind::Symlink { target: b"no\xffwhere".to_vec() }),
        ("socket", Kind::Socket),
    ];
    for (name, kind) in &kinds {
        node.make_special(name.as_bytes(), kind).unwrap();
    }
    let source = source(temp);
    let mut seen = entries(&source);
    seen.retain(|entry| entry.path.parent().as_ref() == Some(&folder.1));
    let described: Vec<_> =
        seen.iter().map(|entry| (std::str::from_utf8(entry.name()).unwrap(), entry.kind.clone())).collect();
    assert_eq!(described, kinds);
    for entry in &seen {
        let stat = temp.join(std::str::from_utf8(entry.name()).unwrap()).symlink_metadata().unwrap();
        let (metadata, link) = (&entry.metadata, entry.kind == kinds[3].1);
        assert_eq!((metadata.mode, metadata.uid, metadata.gid), (stat.mode() & 0o7777, stat.uid(), stat.gid()));
        assert_eq!((metadata.device, metadata.inode, metadata.links), (stat.dev(), stat.ino(), 1));
        assert_eq!(metadata.size, if link { 8 } else { 0 });
        assert_eq!(metadata.mtime, Timestamp { seconds: stat.mtime(), nanoseconds: stat.mtime_nsec() as u32 });
        assert_eq!(metadata.ctime, Timestamp { seconds: stat.ctime(), nanoseconds: stat.ctime_nsec() as u32 });
        let details = source.details(entry).0;
        assert_eq!((details.user.as_deref(), details.group.as_deref()), (Some(&b"root"[..]), Some(&b"root"[..])));
    }
}

#[test]
fn odd_metadata_are_seen() {
    let folder = folder();
    let temp = folder.0.path();
    plant(temp, &["a", "folder/"]);
    fs::hard_link(temp.join("a"), temp.join("folder/b")).unwrap();
    let (node, _) = Node::create(temp).unwrap();
    let a = node.entry(b"a").unwrap();
    a.set_owner(4_000_000_000, 54_321).unwrap();
    a.set_mode(0o6751).unwrap();
    let list = access_list();
    node.entry(b"folder").unwrap().set_xattr(b"system.posix_acl_default", &list).unwrap();
    let before = Timestamp { seconds: -86_400, nanoseconds: 123_456_789 };
    a.set_mtime(before).unwrap();
    let source = source(temp);
    let seen = entries(&source);
    let [a, inner, b] = &seen[seen.len() - 3..] else { panic!("{seen:?}") };
    assert_eq!((a.metadata.mtime, a.metadata.mode, a.metadata.links), (before, 0o6751, 2));
    assert_eq!((a.metadata.uid, a.metadata.gid), (4_000_000_000, 54_321));
    let details = source.details(a).0;
    assert_eq!((details.user, details.group), (None, None));
    assert_eq!(a.metadata, b.metadata);
    assert_eq!(source.details(inner).0.xattrs, [(b"system.posix_acl_default".to_vec(), list)]);
}

#[test]
fn positions_of_files_are_of_no_account() {
    let folder = folder();
    plant(folder.0.path(), &["file"]);
    let mut file = File::open(folder.0.path().join("file")).unwrap();
    file.seek(SeekFrom::End(0)).unwrap();
    let metadata = Metadata { size: 4, ..Metadata::default() };
    let mut content = FileContent::new(path("/file"), file, metadata, None, true);
    let mut buffer = [0; 10];
    assert_eq!(content.read(&mut buffer).unwrap(), 4);
    assert_eq!(&buffer[..4], b"file");
}

#[test]
fn excludes_that_name_a_source_are_told() {
    let temp = tempfile::tempdir().unwrap();
    let real = temp.path().canonicalize().unwrap();
    fs::create_dir_all(real.join("real/firm/cache")).unwrap();
    symlink("real", real.join("way")).unwrap();
    let at = |rest: &str| real.join(rest).display().to_string();
    let misplaced = |source: &str, pattern: &str| {
        let options = SourceOptions::default().exclude(pattern).exclude("*.tmp");
        FileSource::new([real.join(source)], options).unwrap().misplaced_excludes().len()
    };
    assert_eq!(misplaced("real/firm", &at("real/firm/cache")), 1);
    assert_eq!(misplaced("way/firm/", &at("way/firm/cache")), 1, "as it was spelled");
    assert_eq!(misplaced("way/firm", &at("real/firm")), 1, "as it really is");
    assert_eq!(misplaced("real/firm", &at("real/other")), 0);
    assert_eq!(misplaced("real/firm", "/cache"), 0);
    let everything = FileSource::new(["/"], SourceOptions::default().exclude("/proc/*")).unwrap();
    assert!(everything.misplaced_excludes().is_empty(), "below the root an absolute path is right");
}
