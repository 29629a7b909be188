//! Looking into snapshots: searching, comparing and measuring them give what going through everything gives.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chrono::DateTime;
use common::{Machine, Tree, expected, firm, key, new_vault, noise, options, stored};
use proptest::prelude::*;
use sb_repo::{
    Change, DiffOptions, DiffReport, EntryKind, FindReport, Monitor, Pattern, Progress, Query, Reader, RepoError,
    Snapshot, Vault,
};
use sb_source::{Kind, MemorySource};
use sb_store::MemoryStorage;

/// A vault with a snapshot of each of these.
fn vault_of(sources: &[MemorySource]) -> (Arc<MemoryStorage>, Vault, Vec<Snapshot>) {
    let storage = Arc::new(MemoryStorage::new());
    let (mut vault, _) = new_vault(&Machine::new(71), storage.clone());
    for source in sources {
        vault.backup(source, &options(), Progress::none()).unwrap();
    }
    let snapshots = vault.snapshots().unwrap().snapshots;
    (storage, vault, snapshots)
}

fn query(patterns: &[&str]) -> Query {
    let mut query = Query::default();
    query.patterns = patterns.iter().map(|pattern| Pattern::new(pattern.as_bytes(), false).unwrap()).collect();
    query
}

/// What is found, as `number of the snapshot:path`.
fn found(reader: &Reader<'_>, snapshots: &[Snapshot], query: &Query) -> (Vec<String>, FindReport) {
    let mut found = Vec::new();
    let report = reader.find(snapshots, query, Progress::none(), &mut |snapshot, path, entry| {
        let number = snapshots.iter().position(|s| s.id == snapshot.id).unwrap();
        assert!(path.ends_with(&entry.name));
        found.push(format!("{number}:{}", String::from_utf8_lossy(path)));
        Ok(())
    });
    (found, report.unwrap())
}

/// The same by listing everything.
fn listed(reader: &Reader<'_>, snapshots: &[Snapshot], patterns: &[Pattern]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, snapshot) in snapshots.iter().enumerate() {
        let listing = reader.list(snapshot, b"/", true, &mut |path, _| {
            if patterns.iter().any(|pattern| pattern.matches(path)) {
                found.push(format!("{number}:{}", String::from_utf8_lossy(path)));
            }
            Ok(())
        });
        listing.unwrap();
    }
    found
}

#[test]
fn names_and_paths_are_found_in_every_snapshot() {
    let mut later = firm();
    later.remove("/firm/link").file("/firm/acme/2026.txt", b"new");
    let (_, vault, snapshots) = vault_of(&[firm(), later]);
    let reader = vault.reader(Progress::none()).unwrap();
    let only = |patterns: &[&str]| found(&reader, &snapshots, &query(patterns)).0;
    assert_eq!(only(&["link"]), ["0:/firm/link"]);
    assert_eq!(only(&["2026*"]), ["1:/firm/acme/2026.txt"]);
    assert_eq!(
        only(&["/firm/acme/*.txt"]),
        ["0:/firm/acme/2025.txt", "1:/firm/acme/2025.txt", "1:/firm/acme/2026.txt"]
    );
    assert_eq!(only(&["acme"]), ["0:/firm/acme", "1:/firm/acme"]);
    assert_eq!(only(&["nothing at all"]), [""; 0]);
    assert_eq!(only(&["link", "2026*"]), ["0:/firm/link", "1:/firm/acme/2026.txt"]);
    let (matches, report) = found(&reader, &snapshots, &query(&["*"]));
    assert_eq!((report.snapshots, report.found_in, report.matches, report.unreadable), (2, 2, matches.len() as u64, 0));
    let (none, report) = found(&reader, &[], &query(&["*"]));
    assert!(none.is_empty() && report == FindReport::default());
}

#[test]
fn what_is_searched_for_can_be_told_by_kind_time_and_case() {
    let mut source = firm();
    source.edit("/firm/acme/2025.txt", |metadata| metadata.mtime.seconds = 2_000_000_000);
    let (_, vault, snapshots) = vault_of(&[source]);
    let reader = vault.reader(Progress::none()).unwrap();
    let of = |kind| {
        let mut query = query(&["*"]);
        query.kinds = BTreeSet::from([kind]);
        found(&reader, &snapshots, &query).0
    };
    assert_eq!(of(EntryKind::Symlink), ["0:/firm/link"]);
    assert_eq!(of(EntryKind::Folder), ["0:/firm", "0:/firm/acme", "0:/firm/acme/2025", "0:/firm/empty"]);
    assert_eq!(of(EntryKind::File).len(), 7);
    let time = |seconds| Some(DateTime::from_timestamp(seconds, 0).unwrap());
    let mut newer = query(&["*"]);
    newer.newer = time(2_000_000_000);
    assert_eq!(found(&reader, &snapshots, &newer).0, ["0:/firm/acme/2025.txt"]);
    newer.older = time(2_000_000_000);
    assert!(found(&reader, &snapshots, &newer).0.is_empty(), "then is not before then");
    let mut any_case = Query::default();
    any_case.patterns = vec![Pattern::new(b"SCAN.*", true).unwrap()];
    assert_eq!(found(&reader, &snapshots, &any_case).0, ["0:/firm/acme/2025/scan.pdf"]);
}

#[test]
fn what_snapshots_share_is_looked_at_once() {
    let mut source = MemorySource::new(&["/d"]);
    for folder in 0..40 {
        for file in 0..10 {
            source.file(format!("/d/{folder:02}/{file}"), &[folder, file]);
        }
    }
    let mut sources = Vec::new();
    for day in 0..12u8 {
        source.file("/d/07/3", &[day, day]);
        sources.push(source.clone());
    }
    let (_, vault, snapshots) = vault_of(&sources);
    let reader = vault.reader(Progress::none()).unwrap();
    for (patterns, matches) in [(vec!["3"], 480), (vec!["nothing"], 0), (vec!["/d/07/*"], 120), (vec!["*"], 12 * 441)] {
        let (found, report) = found(&reader, &snapshots, &query(&patterns));
        assert_eq!((found.len(), report.matches), (matches, matches as u64), "{patterns:?}");
        // The root, the source, and forty folders at first; then the root, the source and one folder each time. Where more
        // than a few match, pages are read again, but not those below of which all is known.
        assert!(report.pages <= 42 + 11 * 3, "{patterns:?}: {}", report.pages);
    }
}

#[test]
fn large_folders_and_many_matches_are_searched_page_by_page() {
    let mut source = MemorySource::new(&["/d"]);
    for number in 0..9000 {
        source.file(format!("/d/{number:05}.pdf"), b"");
    }
    let mut later = source.clone();
    later.file("/d/04500.txt", b"");
    let (_, vault, snapshots) = vault_of(&[source, later]);
    let reader = vault.reader(Progress::none()).unwrap();
    assert_eq!(found(&reader, &snapshots, &query(&["*.pdf"])).0.len(), 18_000);
    let (names, report) = found(&reader, &snapshots, &query(&["04500.*"]));
    assert_eq!(names, ["0:/d/04500.pdf", "1:/d/04500.pdf", "1:/d/04500.txt"]);
    let (once, _) = found(&reader, &snapshots[..1], &query(&["*"]));
    let first = found(&reader, &snapshots[..1], &query(&["04500.*"])).1;
    assert!(once.len() == 9001 && report.pages <= first.pages + 6, "{} of {}", report.pages, first.pages);
}

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

impl Monitor for Heard {
    fn warning(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

#[test]
fn damage_is_told_once_and_the_rest_is_searched() {
    let mut later = MemorySource::new(&["/d"]);
    later.file("/d/a/x", b"1").file("/d/b/x", b"2");
    let mut sources = vec![later.clone()];
    later.file("/d/b/y", &noise(3, 2000));
    sources.push(later);
    let (storage, _, snapshots) = vault_of(&sources);
    // Of the packs of names, the one of the second snapshot: it alone has the new page of /d/b.
    let metas = storage.objects().into_iter().filter(|(name, bytes)| name.starts_with("packs/") && bytes[4] == 7);
    let sizes: BTreeMap<usize, String> = metas.map(|(name, bytes)| (bytes.len(), name)).collect();
    let second: Vec<_> = sizes.into_values().collect();
    let mut told = 0;
    for name in second {
        let storage = Arc::new(storage.snapshot());
        storage.remove_raw(&name);
        let vault = Machine::new(72).open(storage, &key()).unwrap();
        let reader = vault.reader(Progress::none()).unwrap();
        let (heard, mut found) = (Heard::default(), 0);
        let progress = Progress { monitor: &heard, stop: &false.into() };
        let report = reader.find(&snapshots, &query(&["x"]), progress, &mut |_, _, _| {
            found += 1;
            Ok(())
        });
        let report = report.unwrap();
        let heard = heard.0.into_inner().unwrap();
        assert_eq!((report.matches, report.unreadable), (found, heard.len() as u64));
        assert!(report.unreadable > 0 && heard[0].contains("not all of it was searched"), "{heard:?}");
        told += found;
        let compared =
            reader.diff(&snapshots[0], &snapshots[1], b"/", DiffOptions::default(), Progress::none(), &mut |_| Ok(()));
        assert!(matches!(compared, Err(RepoError::MissingChunk { .. } | RepoError::Damaged { .. })), "{compared:?}");
        assert!(reader.contents(&snapshots, Progress::none()).is_err());
    }
    assert!(told >= 2, "without the second pack the first snapshot is still found");
}

/// Differences as `marker path`.
fn differences(reader: &Reader<'_>, both: [&Snapshot; 2], path: &str, metadata: bool) -> (Vec<String>, DiffReport) {
    let mut found = Vec::new();
    let mut options = DiffOptions::default();
    options.metadata = metadata;
    let report = reader.diff(both[0], both[1], path.as_bytes(), options, Progress::none(), &mut |difference| {
        let marker = match difference.change {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Content => 'M',
            Change::Type => 'T',
            Change::Metadata => 'U',
        };
        assert_eq!(difference.before.is_some(), marker != '+');
        assert_eq!(difference.after.is_some(), marker != '-');
        found.push(format!("{marker} {}", String::from_utf8_lossy(difference.path)));
        Ok(())
    });
    (found, report.unwrap())
}

#[test]
fn differences_are_told_with_what_they_are() {
    let before = firm();
    let mut after = firm();
    after.file("/firm/acme/2025/ledger.csv", b"short").remove("/firm/link").symlink("/firm/link", b"elsewhere");
    after.remove("/firm/pipe").file("/firm/pipe/now/a/folder", b"12345");
    after.remove("/firm/acme/2025.txt").remove("/firm/acme/sparse");
    after.edit("/firm/tty", |metadata| metadata.mode = 0o600);
    let (_, vault, snapshots) = vault_of(&[before, after]);
    let reader = vault.reader(Progress::none()).unwrap();
    let [first, second] = [&snapshots[0], &snapshots[1]];
    let (found, report) = differences(&reader, [first, second], "/", true);
    assert_eq!(
        found,
        [
            "- /firm/acme/2025.txt",
            "M /firm/acme/2025/ledger.csv",
            "- /firm/acme/sparse",
            "M /firm/link",
            "T /firm/pipe",
            "+ /firm/pipe/now",
            "+ /firm/pipe/now/a",
            "+ /firm/pipe/now/a/folder",
            "U /firm/tty",
        ]
    );
    assert_eq!((report.added.files, report.added.folders, report.added.bytes), (1, 3, 5));
    assert_eq!((report.removed.files, report.removed.others, report.removed.bytes), (2, 1, 300_042));
    assert_eq!((report.changed.files, report.changed.others, report.changed.bytes), (1, 1, 5));
    assert_eq!((report.changed_bytes_before, report.types, report.metadata), (60_000, 1, 1));
    let (back, reverse) = differences(&reader, [second, first], "/", false);
    assert_eq!((back.len(), reverse.added, reverse.removed), (8, report.removed, report.added));
    assert_eq!(differences(&reader, [first, second], "/firm/acme", false).0.len(), 3);
    assert_eq!(differences(&reader, [first, second], "/firm/link", false).0, ["M /firm/link"]);
    assert_eq!(differences(&reader, [first, second], "/firm/pipe/now", false).0.len(), 3);
    assert_eq!(differences(&reader, [first, second], "/firm/pipe/now", false).0[0], "+ /firm/pipe/now");
    assert!(differences(&reader, [first, first], "/", true).1.is_same());
    let options = DiffOptions::default();
    let missing = reader.diff(first, second, b"/none", options, Progress::none(), &mut |_| Ok(()));
    assert!(matches!(missing, Err(RepoError::NoSuchPath { .. })));
}

#[test]
fn a_change_in_a_large_folder_is_found_without_reading_all_of_it() {
    let mut source = MemorySource::new(&["/d"]);
    for number in 0..9000 {
        source.file(format!("/d/{number:05}"), b"");
    }
    let mut later = source.clone();
    later.file("/d/04500", b"x").file("/d/00000-new", b"").remove("/d/08999");
    let (_, vault, snapshots) = vault_of(&[source, later]);
    let reader = vault.reader(Progress::none()).unwrap();
    let (found, _) = differences(&reader, [&snapshots[0], &snapshots[1]], "/", true);
    assert_eq!(found, ["+ /d/00000-new", "M /d/04500", "- /d/08999"]);
}

#[test]
fn what_is_stored_and_what_snapshots_hold_adds_up() {
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/text", &b"the same line again\n".repeat(5000)).file("/d/noise", &noise(1, 90_000));
    source.file("/d/copy", &noise(1, 90_000));
    let mut later = source.clone();
    later.file("/d/more", &noise(2, 50_000));
    let (_, vault, snapshots) = vault_of(&[source, later]);
    let reader = vault.reader(Progress::none()).unwrap();
    let stored = reader.stored().unwrap();
    assert_eq!(stored.content.bytes, 100_000 + 90_000 + 50_000);
    assert!(stored.content.stored > 140_000 && stored.content.stored < 150_000, "{stored:?}");
    assert!(stored.pack_bytes > stored.content.stored + stored.metadata.stored && stored.packs == 4);
    let of = |range: std::ops::Range<usize>| reader.contents(&snapshots[range], Progress::none()).unwrap();
    let (first, all) = (of(0..1), of(0..2));
    assert_eq!((first.contents, first.content_bytes, first.content.bytes), (2, 190_000, 190_000));
    assert_eq!((all.contents, all.content_bytes), (3, 240_000));
    // Together they need all there is.
    assert_eq!((all.content.chunks, all.content.bytes), (stored.content.chunks, stored.content.bytes));
    assert_eq!((all.metadata.chunks, all.metadata.bytes), (stored.metadata.chunks, stored.metadata.bytes));
    let share = stored.content.stored.abs_diff(all.content.stored);
    assert!(share <= all.content.chunks, "each chunk's share is rounded down: {share}");
}

#[test]
fn a_locator_that_agrees_with_its_packs_is_in_order_and_any_other_is_told() {
    let (storage, mut vault, _) = vault_of(&[firm(), firm()]);
    vault.refresh().unwrap();
    let report = vault.check_index(Progress::none()).unwrap();
    assert!(report.is_good() && report.packs >= 2 && report.chunks > 10 && !report.stranger, "{report:?}");
    for (name, bytes) in storage.objects() {
        let storage = Arc::new(storage.snapshot());
        storage.remove_raw(&name);
        let gone = Machine::new(73).open(storage.clone(), &key());
        let locator = name.starts_with("locator/");
        if locator {
            let report = gone.unwrap().check_index(Progress::none()).unwrap();
            assert!(report.stranger && report.doubts.len() >= 2, "missing, and its packs are not indexed: {report:?}");
            assert!(report.doubts.iter().any(|doubt| doubt.to_string().ends_with("is in no locator object")));
        }
        let (flipped, middle) = (storage, bytes.len() / 2);
        let mut damaged = bytes.clone();
        damaged[middle] ^= 1;
        flipped.put_raw(name.clone(), damaged);
        if locator {
            let mut vault = Machine::new(73).open(flipped, &key()).unwrap();
            let report = vault.check_index(Progress::none()).unwrap();
            assert!(report.doubts[0].to_string().contains("cannot be read"), "{report:?}");
            vault.rebuild(false, Progress::none()).unwrap();
            assert!(vault.check_index(Progress::none()).unwrap().is_good(), "rebuilding mends it");
        } else if name.starts_with("packs/") {
            // The footer lies before pointer and trailer.
            let storage = flipped;
            let mut damaged = bytes.clone();
            let footer = bytes.len() - 88 - 64 - 20;
            damaged[footer] ^= 1;
            storage.put_raw(name.clone(), damaged);
            let report = Machine::new(73).open(storage, &key()).unwrap().check_index(Progress::none()).unwrap();
            let told = format!("the index in `{name}` cannot be read: ");
            assert!(report.doubts.len() == 1 && report.doubts[0].to_string().starts_with(&told), "{report:?}");
        }
    }
}

/// A tree of a few names on two levels; the number says what each is.
fn tree() -> impl Strategy<Value = BTreeMap<String, u8>> {
    prop::collection::btree_map("/d(/[ab]){0,1}/(a|a-|a\\.x|b)", 0u8..7, 0..8)
}

fn source(tree: &BTreeMap<String, u8>) -> MemorySource {
    let mut source = MemorySource::new(&["/d"]);
    source.directory("/d");
    for (path, what) in tree {
        // What is a folder for one path can't be a file for another.
        if tree.keys().any(|other| other.starts_with(&format!("{path}/"))) {
            continue;
        }
        match what {
            0 => source.directory(path.as_str()),
            1 => source.symlink(path.as_str(), b"to"),
            2 => source.special(path.as_str(), Kind::Fifo),
            3 => source.file(path.as_str(), b"content").edit(path.as_str(), |metadata| metadata.mode = 0o600),
            n => source.file(path.as_str(), &vec![*n; usize::from(*n)]),
        };
    }
    source
}

/// Differences by comparing everything.
fn compared(before: &Tree, after: &Tree) -> BTreeSet<String> {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let mut found = BTreeSet::new();
    for path in before.keys().chain(after.keys()) {
        let marker = match (before.get(path), after.get(path)) {
            (Some(_), None) => '-',
            (None, Some(_)) => '+',
            (Some(a), Some(b)) if std::mem::discriminant(&a.0) != std::mem::discriminant(&b.0) => 'T',
            (Some(a), Some(b)) if (&a.0, &a.2) != (&b.0, &b.2) => 'M',
            (Some(a), Some(b)) if a != b => 'U',
            _ => continue,
        };
        found.insert(format!("{marker} {}", text(path)));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_two_trees_differ_in_what_differs(before in tree(), after in tree()) {
        let sources = [source(&before), source(&after)];
        let (_, vault, snapshots) = vault_of(&sources);
        let reader = vault.reader(Progress::none()).unwrap();
        let (found, report) = differences(&reader, [&snapshots[0], &snapshots[1]], "/", true);
        let trees = sources.each_ref().map(expected);
        let expected = compared(&trees[0], &trees[1]);
        prop_assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), expected);
        prop_assert_eq!(report.is_same(), found.is_empty());
        prop_assert_eq!(stored(&vault, &snapshots[0]).unwrap().len(), trees[0].len());
    }

    #[test]
    fn any_search_finds_what_a_listing_has(
        trees in prop::collection::vec(tree(), 1..4),
        patterns in prop::collection::vec("(/|)(\\*\\*/|)([ab*?]{1,2}/|)(a|a\\*|\\*|b|\\?\\?|\\*\\*|[ad]/\\*\\*/\\*)", 1..3),
    ) {
        let sources: Vec<_> = trees.iter().map(source).collect();
        let (_, vault, snapshots) = vault_of(&sources);
        let reader = vault.reader(Progress::none()).unwrap();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let query = query(&patterns);
        prop_assert_eq!(found(&reader, &snapshots, &query).0, listed(&reader, &snapshots, &query.patterns));
    }
}
