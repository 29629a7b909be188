use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use proptest::prelude::*;

use crate::look::CACHE_SIGNATURE;
use crate::testing::{deep, entries, folder, plant, script, source, without_privileges};
use crate::{
    Cause, Entry, EntryPath, Event, FileSource, Kind, MemorySource, Metadata, SelectionError, Source, SourceOptions,
};

fn told(folder: &(tempfile::TempDir, EntryPath), options: SourceOptions) -> Vec<String> {
    script(&FileSource::new([folder.0.path()], options).unwrap(), &folder.1)
}

#[test]
fn folders_enclose_their_children_in_byte_order() {
    let folder = folder();
    plant(folder.0.path(), &["a/x", "a-b", "a.b", "ab/", "B", ".hidden", ".gitignore", "a/.x"]);
    fs::write(folder.0.path().join(".gitignore"), "*").unwrap();
    let told = told(&folder, SourceOptions::default());
    assert_eq!(
        told,
        [".gitignore", ".hidden", "B", "a-b", "a.b", "+a", "a/.x", "a/x", "-", "+ab", "-"],
        "`a/` stands after `a-` and `a.`; hidden files count and a .gitignore does not"
    );
}

#[test]
fn what_restores_have_not_finished_is_left_out() {
    let folder = folder();
    plant(
        folder.0.path(),
        &["a", ".sb-restore-0123456789abcdef", ".sb-restore-unfinished-0123456789abcdef", ".sb-restore-0123"],
    );
    assert_eq!(told(&folder, SourceOptions::default()), [".sb-restore-0123", "a"]);
    let named = folder.0.path().join(".sb-restore-0123456789abcdef");
    assert_eq!(entries(&source(&named)).last().unwrap().kind, Kind::File, "unless somebody names it");
}

#[test]
fn ancestors_are_recorded_and_their_other_children_are_not() {
    let folder = folder();
    plant(folder.0.path(), &["a/b/file", "a/other", "other/file"]);
    let source = source(&folder.0.path().join("a/b"));
    let seen = entries(&source);
    let base = folder.1.join(b"a").unwrap();
    let mut expected: Vec<_> = std::iter::successors(Some(base.clone()), EntryPath::parent).collect();
    expected.reverse();
    expected.extend([base.join(b"b").unwrap(), base.join(b"b").unwrap().join(b"file").unwrap()]);
    assert_eq!(seen.iter().map(|entry| entry.path.clone()).collect::<Vec<_>>(), expected);
    for entry in seen {
        assert_eq!(entry.ancestor, entry.path.strip_prefix(&base.join(b"b").unwrap()).is_none(), "{}", entry.path);
        assert_ne!(entry.metadata, Metadata::default());
    }
    assert_eq!(source.roots(), [base.join(b"b").unwrap()]);
}

#[test]
fn several_sources_are_one_walk() {
    let folder = folder();
    let temp = folder.0.path();
    plant(temp, &["a/b/file", "a/b-c", "a/other", "z/inner/file", "z/file"]);
    symlink("z/inner", temp.join("link")).unwrap();
    symlink("a", temp.join("way")).unwrap();
    let paths = ["z/inner", "z", "way/b", "a/b-c", "link", "a/b"].map(|path| temp.join(path));
    let source = FileSource::new(paths, SourceOptions::default()).unwrap();
    let told = script(&source, &folder.1);
    assert_eq!(
        told,
        ["+a", "a/b-c", "+a/b", "a/b/file", "-", "-", "link", "+z", "z/file", "+z/inner", "z/inner/file", "-", "-"],
        "a link is a source itself, links on the way are resolved"
    );
    let roots: Vec<_> = source.roots().iter().map(|root| root.strip_prefix(&folder.1).unwrap().to_string()).collect();
    assert_eq!(roots, ["/a/b", "/a/b-c", "/link", "/z"]);
}

#[test]
fn the_root_can_be_a_source() {
    let options = SourceOptions::default().exclude("/*").exclude("!/proc").one_file_system(true);
    let source = FileSource::new(["/"], options.clone()).unwrap();
    let events: Vec<_> = source.walk().collect();
    let [Event::Enter(root), Event::Enter(proc), Event::Leave, Event::Leave] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((root.path.to_string().as_str(), root.ancestor, root.name()), ("/", false, &b""[..]));
    assert_eq!((proc.path.to_string().as_str(), proc.ancestor), ("/proc", false), "mounted, so it is kept empty");

    let source = FileSource::new(["/", "/proc"], options).unwrap();
    assert_eq!(source.roots(), [EntryPath::root()]);
    let inside = source.walk().nth(2).unwrap();
    assert!(matches!(inside, Event::Enter(_) | Event::Entry(_)), "the file system of each source counts: {inside:?}");

    let options = SourceOptions::default().exclude("/*").exclude("!/dev").one_file_system(true);
    let through = entries(&FileSource::new(["/", "/dev/pts"], options).unwrap());
    let paths: Vec<_> = through.iter().take(3).map(|entry| entry.path.to_string()).collect();
    assert_eq!(paths, ["/", "/dev", "/dev/pts"], "another file system is passed on the way to a source");
}

#[test]
fn a_missing_source_is_a_problem_and_the_others_are_walked() {
    let folder = folder();
    let temp = folder.0.path();
    plant(temp, &["there"]);
    let source = FileSource::new(
        ["none", "none/x", "there", "lost/y", "lost/x"].map(|name| temp.join(name)),
        SourceOptions::default(),
    );
    let told = script(&source.unwrap(), &folder.1);
    assert_eq!(told, ["!lost/x Vanished", "!lost/y Vanished", "!none Vanished", "!none/x Vanished", "there"]);
}

#[test]
fn patterns_are_anchored_at_each_source() {
    let folder = folder();
    plant(folder.0.path(), &["a/cache/x", "a/deep/cache", "a/keep.tmp", "b/cache", "b/x.tmp", "cache/x"]);
    let options = SourceOptions::default().exclude("/cache").exclude("*.tmp").exclude("!keep.tmp");
    let sources = ["a", "b", "cache"].map(|name| folder.0.path().join(name));
    let told = script(&FileSource::new(sources, options).unwrap(), &folder.1);
    assert_eq!(
        told,
        ["+a", "+a/deep", "a/deep/cache", "-", "a/keep.tmp", "-", "+b", "-", "+cache", "cache/x", "-"],
        "a source itself is never left out"
    );
}

/// A walk over the folder itself and over what is named in it.
fn nested(folder: &(tempfile::TempDir, EntryPath), inner: &[&str], options: SourceOptions) -> FileSource {
    let inner = inner.iter().map(|name| folder.0.path().join(name));
    let source = FileSource::new(inner.chain([folder.0.path().to_path_buf()]), options).unwrap();
    assert_eq!(source.roots(), std::slice::from_ref(&folder.1));
    source
}

#[test]
fn a_source_inside_another_is_not_left_out_by_a_pattern() {
    let folder = folder();
    plant(
        folder.0.path(),
        &["cache/deep/kept/x", "cache/deep/x", "cache/kept.tmp", "cache/x.tmp", "open/in/x", "x.tmp"],
    );
    let options = SourceOptions::default().exclude("/cache").exclude("*.tmp");
    let source = nested(&folder, &["cache/deep/kept", "cache/kept.tmp", "open/in"], options);
    assert_eq!(
        script(&source, &folder.1),
        [
            "+cache",
            "+cache/deep",
            "+cache/deep/kept",
            "cache/deep/kept/x",
            "-",
            "-",
            "cache/kept.tmp",
            "-",
            "+open",
            "+open/in",
            "open/in/x",
            "-",
            "-"
        ]
    );
    let inside = entries(&source).into_iter().filter(|entry| entry.path.strip_prefix(&folder.1).is_some());
    let ancestors: Vec<_> = inside.filter(|entry| entry.ancestor).map(|entry| entry.name().to_vec()).collect();
    assert_eq!(ancestors, [b"cache".to_vec(), b"deep".to_vec()], "only what is left out itself merely leads there");
}

#[test]
fn what_lies_in_two_sources_is_left_out_if_it_is_from_both() {
    let folder = folder();
    plant(folder.0.path(), &["logs/a", "logs/b.tmp", "logs/c", "other/logs/a"]);
    let options = SourceOptions::default().exclude("logs/**").exclude("*.tmp").exclude("/c");
    let told = script(&nested(&folder, &[], options.clone()), &folder.1);
    assert_eq!(told, ["+logs", "-", "+other", "+other/logs", "other/logs/a", "-", "-"]);
    let told = script(&nested(&folder, &["logs"], options), &folder.1);
    assert_eq!(told, ["+logs", "logs/a", "-", "+other", "+other/logs", "other/logs/a", "-", "-"]);
}

#[test]
fn a_source_inside_another_is_not_left_out_by_a_mark_or_its_size() {
    let folder = folder();
    plant(
        folder.0.path(),
        &["cache/y/in/x", "cache/y/x", "large", "larger", "no/in", "no/nobackup/x", "no/x", "no/large/x"],
    );
    fs::write(folder.0.path().join("cache/CACHEDIR.TAG"), CACHE_SIGNATURE).unwrap();
    let options = SourceOptions::default().exclude_caches(true).exclude_if_present("nobackup");
    let source = nested(&folder, &["cache/y/in", "no/in"], options);
    assert_eq!(
        script(&source, &folder.1),
        [
            "+cache",
            "cache/CACHEDIR.TAG",
            "+cache/y",
            "+cache/y/in",
            "cache/y/in/x",
            "-",
            "-",
            "-",
            "large",
            "larger",
            "+no",
            "no/in",
            "+no/nobackup",
            "no/nobackup/x",
            "-",
            "-"
        ]
    );
    let large = nested(&folder, &["large"], SourceOptions::default().exclude_larger_than(3).exclude("/cache"));
    assert_eq!(script(&large, &folder.1), ["large", "+no", "+no/large", "-", "+no/nobackup", "-", "-"]);
}

#[test]
fn a_missing_source_inside_another_is_a_problem() {
    let folder = folder();
    plant(folder.0.path(), &["file", "there"]);
    let told = script(&nested(&folder, &["none", "no/x", "file/x", "there"], SourceOptions::default()), &folder.1);
    assert_eq!(told, ["file", "!file/x Changed", "!no Vanished", "!no/x Vanished", "!none Vanished", "there"]);
}

#[test]
fn large_files_are_left_out() {
    let folder = folder();
    plant(folder.0.path(), &["1", "22", "333/"]);
    let limit = SourceOptions::default().exclude_larger_than(1);
    assert_eq!(told(&folder, limit.clone()), ["1", "+333", "-"]);
    let named = FileSource::new([folder.0.path().join("22")], limit).unwrap();
    assert_eq!(script(&named, &folder.1), ["22"], "a source itself is not");
}

#[test]
fn marked_folders_keep_their_marks_only() {
    let folder = folder();
    plant(
        folder.0.path(),
        &["cache/x", "cache/y/z", "fake/CACHEDIR.TAG", "fake/x", "odd/CACHEDIR.TAG/x", "no/nobackup", "no/x"],
    );
    let signature = b"Signature: 8a477f597d28d172789f06886806bc55\n# by a program";
    fs::write(folder.0.path().join("cache/CACHEDIR.TAG"), signature).unwrap();
    let options = SourceOptions::default().exclude_caches(true).exclude_if_present("nobackup");
    assert_eq!(
        told(&folder, options),
        [
            "+cache",
            "cache/CACHEDIR.TAG",
            "-",
            "+fake",
            "fake/CACHEDIR.TAG",
            "fake/x",
            "-",
            "+no",
            "no/nobackup",
            "-",
            "+odd",
            "+odd/CACHEDIR.TAG",
            "odd/CACHEDIR.TAG/x",
            "-",
            "-",
        ]
    );
    let all = told(&folder, SourceOptions::default());
    assert!(all.contains(&"cache/y/z".to_owned()) && all.contains(&"no/x".to_owned()));
}

#[test]
fn a_folder_to_skip_is_not_there() {
    let folder = folder();
    plant(folder.0.path(), &["vault/pack", "x"]);
    symlink("vault", folder.0.path().join("way")).unwrap();
    let skip = |name: &str| SourceOptions::default().skip_folder(folder.0.path().join(name));
    assert_eq!(told(&folder, skip("vault")), ["way", "x"]);
    assert_eq!(told(&folder, skip("way")), ["way", "x"], "by whatever path it is named");
    assert_eq!(told(&folder, skip("none")).len(), 5);
    let error = FileSource::new([folder.0.path().join("vault/pack")], skip("way")).unwrap_err();
    assert!(error.to_string().contains("which is to be skipped"), "{error}");
    let both = FileSource::new([folder.0.path().to_path_buf(), folder.0.path().join("vault/pack")], skip("vault"));
    assert!(matches!(both, Err(SelectionError::Skipped { .. })), "{both:?}");
}

#[test]
fn sources_that_make_no_sense_are_refused() {
    let none: [PathBuf; 0] = [];
    let error = FileSource::new(none, SourceOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "no source given");
    let error = FileSource::new(["/none/a", "/none/b"], SourceOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "no source exists, not even `/none/a`");
    let error = FileSource::new(["/", ""], SourceOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("`` cannot be a source: "), "{error}");
    assert!(FileSource::new(["/"], SourceOptions::default().exclude("{")).is_err());
}

#[test]
fn names_need_no_encoding_and_paths_may_be_long() {
    let folder = folder();
    let (node, below) = deep(folder.0.path());
    node.make_file(b"\xff\xfe").unwrap();
    let seen = entries(&source(folder.0.path()));
    let last = &seen.last().unwrap().path;
    assert_eq!(last.strip_prefix(&folder.1), Some(below.join(b"\xff\xfe").unwrap()));
}

fn open_handles() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn deep_trees_hold_few_handles() {
    let folder = folder();
    let mut inner = folder.0.path().to_path_buf();
    for level in 0..100 {
        inner.push(format!("m{level}"));
        plant(&inner, &["a", "z", "y/"]);
    }
    for threads in [1, 3] {
        let source = FileSource::new([folder.0.path()], SourceOptions::default().threads(threads)).unwrap();
        let before = open_handles();
        let (mut most, mut count) = (0, 0);
        for event in source.walk() {
            assert!(!matches!(event, Event::Problem(_)), "{event:?}");
            count += usize::from(matches!(event, Event::Entry(_)));
            most = most.max(open_handles());
        }
        // Other tests of this process open some, too.
        assert!(most < before + 60, "{before} before, {most} at most");
        assert_eq!(count, 200, "what comes after a deep folder is seen as well");
    }
}

#[test]
fn large_folders_and_many_folders_are_walked_alike_by_any_number_of_threads() {
    let folder = folder();
    for number in 0..9000 {
        fs::write(folder.0.path().join(format!("{:04}", number * 7 % 9000)), "").unwrap();
    }
    for number in 0..300 {
        plant(&folder.0.path().join(format!("{:04}+/{}", number * 30, number % 7)), &["x", "y/z"]);
    }
    let walk = |threads| {
        let options = SourceOptions::default().threads(threads);
        let source = FileSource::new([folder.0.path()], options).unwrap();
        // Of what lies above, other tests change the times.
        let is_own = |event: &Event| !matches!(event, Event::Enter(entry) if entry.ancestor);
        source.walk().filter(is_own).collect::<Vec<_>>()
    };
    let alone = walk(1);
    assert_eq!(alone.iter().filter(|event| matches!(event, Event::Entry(_))).count(), 9600);
    for threads in [2, 5] {
        assert!(walk(threads) == alone, "{threads} threads");
    }
}

#[test]
fn a_walk_can_be_given_up() {
    let folder = folder();
    for number in 0..200 {
        plant(&folder.0.path().join(format!("{number}")), &["x", "y/z"]);
    }
    let options = SourceOptions::default().threads(4);
    let source = FileSource::new([folder.0.path()], options).unwrap();
    for taken in [0, 1, 10, 100] {
        assert_eq!(source.walk().take(taken).count(), taken);
    }
}

#[test]
fn what_changes_between_listing_and_looking_is_a_problem() {
    let folder = folder();
    plant(folder.0.path(), &["0", "file", "folder/x", "gone", "lost/x"]);
    let temp = folder.0.path();
    let source = source(temp);
    let mut told = Vec::new();
    for event in source.walk() {
        match event {
            Event::Entry(entry) if entry.name() == b"0" => {
                fs::remove_file(temp.join("file")).unwrap();
                fs::create_dir(temp.join("file")).unwrap();
                fs::remove_dir_all(temp.join("folder")).unwrap();
                symlink("/etc", temp.join("folder")).unwrap();
                fs::remove_file(temp.join("gone")).unwrap();
                fs::remove_dir_all(temp.join("lost")).unwrap();
            }
            Event::Entry(entry) => {
                told.extend(source.open(&entry).err().map(|error| error.problem(&entry.path)));
            }
            Event::Problem(problem) => told.push(problem),
            _ => {}
        }
    }
    let seen = told.iter().map(|problem| (problem.path.file_name(), problem.cause)).collect::<Vec<_>>();
    let expected =
        [("file", Cause::Changed), ("folder", Cause::Changed), ("gone", Cause::Vanished), ("lost", Cause::Vanished)];
    assert_eq!(seen, expected.map(|(name, cause)| (name.as_bytes(), cause)));
    assert_eq!(told[1].detail, "Not a directory (os error 20)");
}

#[test]
fn what_may_not_be_read_is_a_problem() {
    without_privileges("walk::tests::what_may_not_be_read_is_a_problem", |temp| {
        plant(temp, &["blind/x", "closed/x", "open/x", "shut"]);
        let mode = |name: &str, mode| fs::set_permissions(temp.join(name), fs::Permissions::from_mode(mode)).unwrap();
        mode("closed", 0o000);
        mode("blind", 0o100);
        mode("shut", 0o000);
        let source = source(temp);
        let base = source.roots().remove(0);
        assert_eq!(
            script(&source, &base),
            ["+blind", "!blind Denied", "-", "+closed", "!closed Denied", "-", "+open", "open/x", "-", "shut"]
        );
        let both = FileSource::new([temp.to_path_buf(), temp.join("blind/x")], SourceOptions::default()).unwrap();
        assert_eq!(script(&both, &base)[..4], ["+blind", "!blind Denied", "blind/x", "-"]);
        let through = FileSource::new([temp.join("blind/x")], SourceOptions::default()).unwrap();
        assert_eq!(script(&through, &base), ["+blind", "blind/x", "-"], "to pass through needs no right to list");
        mode("closed", 0o700);
        mode("blind", 0o700);
    });
}

#[test]
fn details_are_extended_attributes_and_names_of_owners() {
    let folder = folder();
    plant(folder.0.path(), &["file", "folder/"]);
    for name in ["file", "folder"] {
        xattr::set(folder.0.path().join(name), "user.z", b"last").unwrap();
        xattr::set(folder.0.path().join(name), "user.a", &[0, 255]).unwrap();
    }
    let source = source(folder.0.path());
    let seen = entries(&source);
    for entry in &seen[seen.len() - 2..] {
        assert!(entry.metadata.xattrs.is_empty() && entry.metadata.user.is_none(), "a walk leaves them out");
        let (details, problem) = source.details(entry);
        let expected = [(b"user.a".to_vec(), vec![0, 255]), (b"user.z".to_vec(), b"last".to_vec())];
        assert_eq!((details.xattrs.as_slice(), &problem), (&expected[..], &None), "{}", entry.path);
        assert_eq!(details.user.as_deref(), Some(&b"root"[..]));
        if entry.kind == Kind::File {
            assert_eq!(source.open(entry).unwrap().metadata(), &details, "who opens it sees as much");
        }
        let plain = Metadata { xattrs: Vec::new(), user: None, group: None, ..details };
        assert_eq!(plain, entry.metadata, "and nothing else");
    }
    let root = Entry { path: EntryPath::root(), ..seen[0].clone() };
    assert!(source.details(&root).1.is_none());
}

#[test]
fn details_of_what_is_gone_are_a_problem() {
    let folder = folder();
    plant(folder.0.path(), &["folder/file"]);
    let source = source(folder.0.path());
    let seen = entries(&source);
    fs::remove_dir_all(folder.0.path().join("folder")).unwrap();
    let problem = source.details(seen.last().unwrap()).1.unwrap();
    assert_eq!((problem.path.file_name(), problem.cause), (&b"file"[..], Cause::Vanished));
    assert!(problem.detail.starts_with("extended attributes: "), "{problem}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn paths_come_in_byte_order_and_from_memory_likewise(
        tree in prop::collection::btree_map(
            prop::collection::vec("[-./0a\u{e9}]{1,3}", 1..4).prop_map(|names| names.join("/")), any::<bool>(), 0..15,
        )
    ) {
        let folder = folder();
        let mut memory = MemorySource::new(&[folder.1.as_bytes()]);
        memory.directory(folder.1.as_bytes());
        let mut taken: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
        for (name, is_folder) in &tree {
            let Ok(path) = EntryPath::new([folder.1.as_bytes(), b"/", name.as_bytes()].concat()) else { continue };
            let parents = std::iter::successors(path.parent(), EntryPath::parent);
            if taken.contains_key(path.as_bytes())
                || parents.clone().any(|parent| taken.get(parent.as_bytes()) == Some(&false))
            {
                continue;
            }
            taken.extend(parents.map(|parent| (parent.as_bytes().to_vec(), true)));
            taken.insert(path.as_bytes().to_vec(), *is_folder);
            let disk = PathBuf::from(std::ffi::OsStr::from_bytes(path.as_bytes()));
            fs::create_dir_all(disk.parent().unwrap()).unwrap();
            if *is_folder {
                fs::create_dir(&disk).unwrap();
                memory.directory(path.as_bytes());
            } else {
                fs::write(&disk, "").unwrap();
                memory.file(path.as_bytes(), b"");
            }
        }
        let source = source(folder.0.path());
        let full = |entry: &Entry| {
            let slash: &[u8] = if entry.kind == Kind::Directory && !entry.path.is_root() { b"/" } else { b"" };
            [entry.path.as_bytes(), slash].concat()
        };
        let seen: Vec<_> = entries(&source).iter().map(full).collect();
        prop_assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
        prop_assert_eq!(script(&source, &folder.1), script(&memory, &folder.1));
    }
}
