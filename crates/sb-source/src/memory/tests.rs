use super::*;

fn sample() -> MemorySource {
    let mut source = MemorySource::new(&["/data", "/other/file"]);
    source
        .file("/data/b", b"content")
        .file("/data/a/x", b"x")
        .file("/data/a-x", b"")
        .symlink("/data/l", b"\xff")
        .special("/data/pipe", Kind::Fifo)
        .file("/other/file", b"")
        .file("/other/unseen", b"")
        .directory("/unseen");
    source
}

fn told(source: &MemorySource) -> Vec<String> {
    let tell = |event| match event {
        Event::Enter(entry) => format!("+{}{}", entry.path, if entry.ancestor { "?" } else { "" }),
        Event::Entry(entry) => entry.path.to_string(),
        Event::Leave => "-".to_owned(),
        Event::Problem(problem) => problem.to_string(),
    };
    source.walk().map(tell).collect()
}

fn entry(source: &MemorySource, path: &str) -> Entry {
    let found = source.walk().find_map(|event| match event {
        Event::Enter(entry) | Event::Entry(entry) if entry.path.as_bytes() == path.as_bytes() => Some(entry),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn a_walk_is_one_over_all_sources() {
    let expected = [
        "+/?",
        "+/data",
        "/data/a-x",
        "+/data/a",
        "/data/a/x",
        "-",
        "/data/b",
        "/data/l",
        "/data/pipe",
        "-",
        "+/other?",
        "/other/file",
        "-",
        "-",
    ];
    assert_eq!(told(&sample()), expected);
    assert_eq!(sample().roots(), [parse(b"/data"), parse(b"/other/file")]);
    assert_eq!(told(&MemorySource::new(&["/"])), ["+/", "-"]);
}

#[test]
fn faults_show_where_the_file_system_would_show_them() {
    let mut source = sample();
    source.fault("/data/a", Fault::Denied).fault("/data/b", Fault::Vanishes).fault("/other", Fault::Vanishes);
    let expected = [
        "+/?",
        "+/data",
        "/data/a-x",
        "+/data/a",
        "`/data/a` may not be read: permission denied",
        "-",
        "`/data/b` has vanished: it was there before",
        "/data/l",
        "/data/pipe",
        "-",
        "`/other` has vanished: it was there before",
        "-",
    ];
    assert_eq!(told(&source), expected);
    source.fault("/data/a", None).fault("/data/b", None).fault("/other", None);
    assert_eq!(told(&source), told(&sample()));

    let found = entry(&source, "/data/b");
    for (fault, cause) in [(Fault::Denied, Cause::Denied), (Fault::VanishesBeforeOpening, Cause::Vanished)] {
        source.fault("/data/b", fault);
        assert_eq!(source.open(&found).unwrap_err().cause(), cause);
    }
    source.fault("/data/b", Fault::Changes);
    let mut content = source.open(&found).unwrap();
    assert_eq!(content.read(&mut [0; 10]).unwrap(), 7);
    assert_eq!(content.finish().unwrap_err().cause(), Cause::Changed);
    source.fault("/data/b", Fault::FailsAfter(4));
    let mut content = source.open(&found).unwrap();
    assert_eq!(content.read(&mut [0; 10]).unwrap(), 4);
    assert_eq!(content.read(&mut [0; 10]).unwrap_err().cause(), Cause::Unreadable);
    drop(content);
    assert_eq!(source.open(&entry(&source, "/data/l")).unwrap_err().cause(), Cause::Changed);
    source.remove("/data/b");
    assert_eq!(source.open(&found).unwrap_err().cause(), Cause::Vanished);
}

#[test]
fn content_has_holes_and_reads_as_zeros_there() {
    let mut source = MemorySource::new(&["/f"]);
    source.sparse_file("/f", 1 << 40, &[(2, b"ab"), (4, b"c"), (10, b"")]);
    let found = entry(&source, "/f");
    let mut content = source.open(&found).unwrap();
    assert_eq!(content.metadata(), &found.metadata);
    assert_eq!(content.holes(), [(0, 2), (5, 5), (10, (1 << 40) - 10)]);
    let mut buffer = [9; 3];
    assert_eq!((content.read(&mut buffer).unwrap(), &buffer), (3, b"\0\0a"));
    assert_eq!((content.read(&mut buffer).unwrap(), &buffer), (3, b"bc\0"));
    content.finish().unwrap();
    source.file("/f", b"dense");
    let content = source.open(&found).unwrap();
    assert_eq!((content.holes(), content.metadata().size), (&[][..], 5));
}

#[test]
fn changes_look_like_changes() {
    let mut source = sample();
    let before = entry(&source, "/data/b").metadata;
    source.file("/data/b", b"longer content").edit("/data/b", |metadata| metadata.mode = 0o600);
    let after = entry(&source, "/data/b").metadata;
    assert_eq!((after.inode, after.size, after.mode), (before.inode, 14, 0o600));
    assert!(after.mtime > before.mtime && after.ctime > before.ctime);

    source.hard_link("/data/b", "/data/c").hard_link("/data/b", "/data/d");
    for name in ["/data/b", "/data/c", "/data/d"] {
        assert_eq!((entry(&source, name).metadata.links, entry(&source, name).metadata.inode), (3, before.inode));
    }
    source.remove("/data/a");
    assert!(!told(&source).concat().contains("/data/a/"));
    source.file("/data/l", b"a file now");
    assert_eq!(entry(&source, "/data/l").kind, Kind::File);
}

#[test]
#[should_panic(expected = "`..` is not the name of a file")]
fn paths_are_checked() {
    sample().file("/data/../x", b"");
}

#[test]
#[should_panic(expected = "is not a folder")]
fn files_have_no_children() {
    sample().file("/data/b/x", b"");
}

#[test]
#[should_panic(expected = "lies inside")]
fn sources_do_not_overlap() {
    MemorySource::new(&["/a/b", "/a"]);
}
