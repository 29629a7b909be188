//! Damage: whatever happens to any object is found, the object is named, and with keys the documents that it touches.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::faulty::{Act, Faulty};
use common::small::*;
use common::{Machine, key, new_vault, noise, options};
use sb_repo::testing::redact;
use sb_repo::{Flaw, Progress, RepoError, VerifyLevel, View};
use sb_source::MemorySource;
use sb_store::MemoryStorage;

#[test]
fn the_small_vault_has_every_kind_of_object_and_no_flaw() {
    let small = small();
    let objects = small.objects();
    for folder in
        "config users writers keys sessions packs locator snapshots redactions labels journal log certificates signatures \
         checkpoints stamps names leases condemned reserve"
            .split(' ')
    {
        assert!(objects.iter().any(|(name, _)| name.starts_with(&format!("{folder}/"))), "{folder}");
    }
    let report = verify_without_keys(&small.storage);
    assert!(report.is_good() && report.unfinished.is_empty(), "{report:?}");
    let vault = stranger(&small.storage).unwrap();
    for level in [VerifyLevel::Objects, VerifyLevel::Data, VerifyLevel::Restore] {
        let report = vault.verify(level, Progress::none()).unwrap();
        assert!(report.is_good() && report.unfinished.is_empty(), "{report:?}");
    }
}

#[test]
fn any_byte_that_changes_is_found_without_a_key() {
    let (storage, _) = build(20, 1);
    let objects: Vec<_> = storage.objects().into_iter().collect();
    // What decides how all else is judged is damaged alone, the rest four at a time, never with its twin.
    let judges = ["config/", "users/", "writers/", "journal/"];
    let (alone, together): (Vec<_>, Vec<_>) = objects
        .into_iter()
        .partition(|(name, _)| judges.iter().any(|folder| name.trim_start_matches("twin/").starts_with(folder)));
    let groups: Vec<_> = alone.chunks(1).chain(together.chunks(4)).collect();
    for_each(&groups, |group| {
        let storage = storage.snapshot();
        for at in 0..group.iter().map(|(_, bytes)| bytes.len()).max().unwrap() {
            let damaged: Vec<_> = group.iter().filter(|(_, bytes)| at < bytes.len()).collect();
            damaged.iter().for_each(|(name, bytes)| storage.put_raw(name, flipped(bytes, at)));
            let report = verify_without_keys(&storage);
            assert_eq!(named(&report), damaged.iter().map(|(name, _)| name).collect::<Vec<_>>(), "byte {at}");
            damaged.iter().for_each(|(name, bytes)| storage.put_raw(name, bytes.clone()));
        }
    });
}

#[test]
fn with_keys_what_is_named_is_what_cannot_be_read() {
    let small = small();
    let mut flips = Vec::new();
    for (name, bytes) in small.objects() {
        let (length, step) = (bytes.len(), if name.starts_with("packs/") { 11 } else { 61 });
        let edges = [0, HEADER, HEADER + 32, SEGMENTS_START, SEGMENTS_START + 48, length - 1];
        let ends = [TRAILER, TRAILER + 1, TRAILER + POINTER, TRAILER + POINTER + 1].map(|back| length - back);
        let offsets: BTreeSet<_> = (0..length).step_by(step).chain(edges).chain(ends).collect();
        flips.extend(offsets.into_iter().filter(|at| *at < length).map(|at| (name.clone(), bytes.clone(), at)));
    }
    for_each(&flips, |(name, bytes, at)| {
        let storage = small.with(name, Some(flipped(bytes, *at)));
        let lost = small.check_with_keys(&storage, &[name], &format!("{name} byte {at}"));
        let is_read_from = name.starts_with("packs/") && (0..bytes.len() - TRAILER - POINTER).contains(at);
        assert!(is_read_from || lost.is_empty(), "{name} byte {at} costs {lost:?}");
    });
}

#[test]
fn any_bit_of_a_packs_header_is_named_and_costs_what_is_in_the_pack() {
    let small = small();
    let packs = small.objects().into_iter().filter(|(name, _)| name.starts_with("packs/"));
    let flips: Vec<_> = packs
        .flat_map(|pack| (0..HEADER * 8).map(move |bit| (pack.clone(), bit)))
        .filter(|(_, bit)| !(64..192).contains(bit) || bit % 11 == 0)
        .collect();
    for_each(&flips, |((name, bytes), bit)| {
        let storage = small.with(name, Some(with_bit(bytes, bit / 8, bit % 8)));
        small.check_with_keys(&storage, &[name], &format!("{name} bit {bit}"));
    });
}

#[test]
fn a_damaged_segment_costs_the_documents_in_it_and_no_others() {
    let small = small();
    let packs: Vec<_> = small.objects().into_iter().filter(|(name, _)| name.starts_with("packs/")).collect();
    let lost: BTreeSet<BTreeSet<String>> = packs
        .iter()
        .map(|(name, bytes)| {
            let storage = small.with(name, Some(flipped(bytes, SEGMENTS_START + 60)));
            let lost = small.check_with_keys(&storage, &[name], name);
            lost.into_iter().map(|(_, path)| String::from_utf8(path).unwrap()).collect()
        })
        .collect();
    let sets = [&["/d/a", "/d/gone", "/d/sub/c"][..], &["/d/new", "/d/sub/c"], &["/"], &["/d"]];
    let expected = sets.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect());
    assert_eq!(lost, BTreeSet::from(expected), "two packs of contents, one with the roots, one with the redacted page");
}

#[test]
fn in_a_pack_of_several_segments_each_costs_its_own_documents() {
    let (storage, machine) = (MemoryStorage::new(), Machine::new(23));
    let (mut vault, _) = new_vault(&machine, Arc::new(storage.clone()));
    let mut source = MemorySource::new(&["/d"]);
    for n in 0..5 {
        source.file(format!("/d/{n}"), &noise(n, 2_000_000));
    }
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap().id;
    let contents = (0..5).map(|n| ((snapshot, format!("/d/{n}").into_bytes()), noise(n, 2_000_000))).collect();
    let small = Small { storage, machine, contents };
    let (name, bytes) = small.objects().into_iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let mut counts = Vec::new();
    for megabyte in [1, 5, 9] {
        let storage = small.with(&name, Some(flipped(&bytes, megabyte * 1_000_000)));
        counts.push(small.check_with_keys(&storage, &[&name], &format!("megabyte {megabyte}")).len());
    }
    assert_eq!(counts, [3, 3, 1], "segments of 4 MiB hold parts of three, three and one");
}

#[test]
fn an_object_that_is_gone_cut_or_swapped_is_found() {
    let small = small();
    let objects = small.objects();
    // Whose absence only a memory shows; other absent batches of a log nobody knows the hash of.
    let newest =
        ["journal/", "log/"].map(|folder| &objects.iter().rfind(|(name, _)| name.starts_with(folder)).unwrap().0);
    let mut damages: Vec<(Vec<&str>, MemoryStorage, &str)> = Vec::new();
    for (name, bytes) in &objects {
        let is_transient = name.starts_with("leases/") || name.starts_with("condemned/");
        // The reserve is there to be given up.
        if !newest.contains(&name) && !is_transient && !name.starts_with("reserve/") {
            let known = if name.starts_with("log/") { &name[..=name.rfind('.').unwrap()] } else { name };
            damages.push((vec![known], small.with(name, None), "gone"));
        }
        for length in [bytes.len() - 1, bytes.len() / 2, HEADER, 0] {
            damages.push((vec![name], small.with(name, Some(bytes[..length].to_vec())), "cut"));
        }
        damages.push((vec![name], small.with(name, Some([bytes.as_slice(), &[0]].concat())), "longer"));
    }
    for (i, (a, x)) in objects.iter().enumerate() {
        for (j, (b, y)) in objects.iter().enumerate().skip(i + 1) {
            let folder = |name: &'static str, other: &str| other.starts_with(name);
            let same_kind = a.split('/').next() == b.split('/').next() && !folder("twin/", a);
            if (j == i + 1 || same_kind) && x != y {
                let storage = small.with(a, Some(y.clone()));
                storage.put_raw(b, x.clone());
                damages.push((vec![a, b], storage, "swapped"));
            }
        }
    }
    for_each(&damages, |(names, storage, what)| {
        let report = verify_without_keys(storage);
        let expected: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(named(&report).into_iter().collect::<BTreeSet<_>>(), expected, "{what}");
        small.check_with_keys(storage, names, what);
    });
}

#[test]
fn the_newest_journal_entry_is_missed_by_who_remembers_it_and_by_the_log() {
    let small = small();
    let mut entries = small.storage.objects().into_keys().filter(|name| name.starts_with("journal/"));
    let newest = entries.next_back().unwrap();
    let storage = small.with(&newest, None);
    // The machine that wrote it, and one that has only read.
    let visitor = Machine::new(98);
    visitor.open(Arc::new(small.storage.clone()), &key()).unwrap();
    for known in [&small.machine.state, &visitor.state] {
        let view = View::open(Arc::new(storage.clone()), known, None).unwrap();
        let report = view.verify(Progress::none()).unwrap();
        assert_eq!(named(&report), [&newest]);
        assert_eq!(report.findings[0].flaw, Flaw::RolledBack(7));
    }
    let vault = small.machine.open(Arc::new(storage.clone()), &key()).unwrap();
    assert!(matches!(vault.check_heads(), Err(RepoError::RolledBack { sequence: 7, .. })));
    let report = verify_without_keys(&storage);
    assert_eq!(named(&report), [&newest], "the log names the newest entry that there was");
    let logs = storage.objects().into_keys().filter(|name| name.starts_with("log/"));
    logs.for_each(|name| drop(storage.remove_raw(&name)));
    let (report, writer) = (verify_without_keys(&storage), newest.split('/').nth(1).unwrap());
    assert_eq!(named(&report), [&format!("log/{writer}")], "the journal, and a checkpoint, say that there was a log");
}

#[test]
fn where_nothing_is_logged_a_stranger_sees_the_vault_as_it_was_before() {
    let (storage, machine) = (MemoryStorage::new(), Machine::new(24));
    let (mut vault, _) = new_vault(&machine, Arc::new(storage.clone()));
    let mut source = MemorySource::new(&["/d"]);
    source.file("/d/a", &noise(1, 150)).file("/d/gone", b"to be disposed of");
    vault.backup(&source, &options(), Progress::none()).unwrap();
    let snapshot = vault.find_snapshot("latest").unwrap();
    redact(&mut vault, &snapshot, b"/d", b"gone").unwrap();
    vault.set_tags(vec![(snapshot.id, vec!["audited".to_owned()])]).unwrap();
    let mut entries = storage.objects().into_keys().filter(|name| name.starts_with("journal/"));
    let (newest, before) = (entries.next_back().unwrap(), entries.next_back().unwrap());
    // A label, which is what that entry listed, means nothing without one; a redaction, which is what the one before listed, looks
    // like that of a run cut short.
    storage.remove_raw(&newest);
    let report = verify_without_keys(&storage);
    assert!(report.is_good() && report.unfinished.is_empty(), "{report:?}");
    storage.remove_raw(&before);
    let report = verify_without_keys(&storage);
    assert!(report.is_good() && report.unfinished.iter().any(|name| name.starts_with("redactions/")), "{report:?}");
    assert!(!report.unfinished.iter().any(|name| name.contains("labels/")), "{report:?}");
}

#[test]
fn what_could_not_be_read_once_is_told() {
    let small = small();
    let storage = Arc::new(small.storage.clone());
    let reads = Arc::new(AtomicUsize::new(0));
    for level in [VerifyLevel::Data, VerifyLevel::Restore] {
        for at in 0.. {
            let (count, vault) = (Arc::clone(&reads), &small.machine);
            count.store(usize::MAX / 2, Ordering::Relaxed);
            let once = Arc::clone(&reads);
            let faulty = Faulty::new(&storage, move |act, name| {
                act == Act::Read && name.starts_with("packs/") && once.fetch_add(1, Ordering::Relaxed) == at
            });
            let vault = vault.clone().open(faulty, &key()).unwrap();
            count.store(0, Ordering::Relaxed);
            let report = vault.verify(level, Progress::none());
            if count.load(Ordering::Relaxed) <= at {
                break;
            }
            assert!(!report.is_ok_and(|report| report.is_good()), "{level:?}: read {at} failed and nobody was told");
        }
    }
}

#[test]
fn deeper_levels_find_what_is_damaged_too() {
    let small = small();
    let packs: Vec<_> = small.objects().into_iter().filter(|(name, _)| name.starts_with("packs/")).collect();
    let flips: Vec<_> = packs.iter().flat_map(|pack| (0..pack.1.len()).step_by(61).map(move |at| (pack, at))).collect();
    for_each(&flips, |((name, bytes), at)| {
        let vault = stranger(&small.with(name, Some(flipped(bytes, *at)))).unwrap();
        let lost = small.lost(&vault, name);
        for level in [VerifyLevel::Data, VerifyLevel::Restore] {
            let report = vault.verify(level, Progress::none()).unwrap();
            assert!(named(&report).contains(&name.as_str()), "{name} byte {at}");
            let touched: Documents = report
                .findings
                .iter()
                .flat_map(|finding| finding.documents.iter().map(|d| (d.snapshot, d.path.clone())))
                .collect();
            small.assert_told(&touched, &lost, &format!("{name} byte {at} at {level:?}"));
        }
    });
}
