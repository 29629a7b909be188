//! Tiles: paths, writing, and proofs out of them.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use sb_audit::*;
use sb_crypto::{Digest, TreeHasher, leaf_hash, node_hash, verify_consistency, verify_inclusion};

fn leaf(index: u64) -> Digest {
    leaf_hash(&index.to_be_bytes())
}

/// All tiles of a log of this size by their paths, and its root.
fn log(size: u64) -> (BTreeMap<String, Vec<u8>>, Digest) {
    let mut writer = TileWriter::new();
    let mut tree = TreeHasher::new();
    let mut tiles = BTreeMap::new();
    let mut keep = |(tile, bytes): (Tile, Vec<u8>)| tiles.insert(tile.to_string(), bytes);
    for index in 0..size {
        writer.push(leaf(index)).into_iter().for_each(|tile| {
            keep(tile);
        });
        tree.push(leaf(index));
    }
    assert_eq!(writer.size(), size);
    writer.partial().into_iter().for_each(|tile| {
        keep(tile);
    });
    (tiles, tree.root())
}

fn read(tiles: &BTreeMap<String, Vec<u8>>) -> impl FnMut(Tile) -> Result<Vec<u8>, String> + '_ {
    |tile| tiles.get(&tile.to_string()).cloned().ok_or_else(|| format!("no {tile}"))
}

/// The example of the specification.
#[test]
fn a_log_of_70_000_entries_has_the_tiles_of_the_specification() {
    let (tiles, root) = log(70_000);
    let count = |prefix: &str| tiles.keys().filter(|path| path.starts_with(prefix)).count();
    let full = |level: u8| {
        tiles.keys().filter(|path| path.starts_with(&format!("tile/{level}/")) && !path.contains(".p/")).count()
    };
    assert_eq!((full(0), full(1), full(2)), (273, 1, 0));
    assert_eq!(tiles["tile/0/273.p/112"].len(), 32 * 112);
    assert_eq!(tiles["tile/1/001.p/17"].len(), 32 * 17);
    assert_eq!(tiles["tile/2/000.p/1"].len(), 32);
    assert_eq!((count("tile/"), tiles.len()), (277, 277));
    let mut read = read(&tiles);
    let mut reader = TileReader::new(70_000, &mut read);
    assert_eq!(tree_root(70_000, &mut |subtree| reader.hash_of(subtree)).unwrap(), root);
}

#[test]
fn a_log_of_256_entries_has_a_tile_of_width_1_above() {
    let (tiles, _) = log(256);
    assert!(tiles.keys().eq(["tile/0/000", "tile/1/000.p/1"]));
}

#[test]
fn proofs_of_every_entry_of_small_logs() {
    for size in [1, 2, 255, 256, 257, 600] {
        let (tiles, root) = log(size);
        let mut read = read(&tiles);
        let mut reader = TileReader::new(size, &mut read);
        for index in 0..size {
            let proof = prove_inclusion(index, size, &mut |subtree| reader.hash_of(subtree)).unwrap();
            assert!(verify_inclusion(index, size, &leaf(index), &proof, &root), "{index} of {size}");
        }
        for old in 0..=size {
            let proof = prove_consistency(old, size, &mut |subtree| reader.hash_of(subtree)).unwrap();
            let old_root = tree_root(old, &mut |subtree| reader.hash_of(subtree)).unwrap();
            assert!(verify_consistency(old, size, &old_root, &root, &proof), "{old} of {size}");
        }
    }
}

/// A million entries that are all the same: every tile of a level is too, so none has to be kept.
#[test]
fn proofs_of_a_million_entries_read_a_handful_of_tiles() {
    const SIZE: u64 = 1_000_000;
    let levels: Vec<Digest> =
        std::iter::successors(Some(leaf_hash(b"entry")), |hash| Some(node_hash(hash, hash))).take(40).collect();
    let reads = Cell::new(0);
    let mut read = |tile: Tile| {
        reads.set(reads.get() + 1);
        let TileKind::Hashes(level) = tile.kind else { return Err(tile) };
        Ok(levels[usize::from(level) * 8].as_bytes().repeat(tile.width.into()))
    };
    let mut reader = TileReader::new(SIZE, &mut read);
    let root = tree_root(SIZE, &mut |subtree| reader.hash_of(subtree)).unwrap();
    for index in [0, 1, 999_999, 500_000, 262_144, 65_535] {
        let before = reads.get();
        let proof = prove_inclusion(index, SIZE, &mut |subtree| reader.hash_of(subtree)).unwrap();
        assert!(verify_inclusion(index, SIZE, &levels[0], &proof, &root));
        assert!(reads.get() - before <= 6);
    }
    let proof = prove_consistency(777_777, SIZE, &mut |subtree| reader.hash_of(subtree)).unwrap();
    let old_root = tree_root(777_777, &mut |subtree| reader.hash_of(subtree)).unwrap();
    assert!(verify_consistency(777_777, SIZE, &old_root, &root, &proof));
    for index in 0..100 {
        assert!(reader.hash_of(Subtree { level: 0, index: index * 256 }).is_ok());
    }
}

#[test]
fn a_writer_goes_on_from_its_partial_tiles() {
    for size in [0, 1, 255, 256, 511, 512, 65_536, 65_537] {
        let (tiles, _) = log(size);
        let mut resumed = TileWriter::resume(size, &mut read(&tiles)).unwrap();
        let mut other = TileWriter::new();
        (0..size).for_each(|index| drop(other.push(leaf(index))));
        for index in size..size + 300 {
            assert_eq!(resumed.push(leaf(index)), other.push(leaf(index)), "{size}");
        }
        assert_eq!(resumed.partial(), other.partial());
    }
    let missing = TileWriter::resume(3, &mut |tile: Tile| Err::<Vec<u8>, _>(tile)).unwrap_err();
    assert_eq!(missing.to_string(), "tile/0/000.p/3 can't be read");
}

#[test]
fn what_can_not_be_read_is_named() {
    let mut short = |_| Ok::<_, ()>(vec![0; 31]);
    let error = TileReader::new(10, &mut short).hash_of(Subtree { level: 0, index: 3 }).unwrap_err();
    assert_eq!(error.to_string(), "tile/0/000.p/10 is damaged");
    let (tiles, _) = log(10);
    let mut read = read(&tiles);
    let mut reader = TileReader::new(10, &mut read);
    for (level, index) in [(0, 10), (1, 5), (4, 0), (8, 0), (63, 0), (0, u64::MAX), (3, 1)] {
        let error = reader.hash_of(Subtree { level, index }).unwrap_err();
        assert_eq!(error.to_string(), format!("10 entries have no subtree {index} of level {level}"));
    }
    assert_eq!(format!("{reader:?}"), "TileReader { size: 10, .. }");
    assert_eq!(parse_tile(&[0; 65], 2).unwrap_err().place, Place::Byte(64));
}

#[test]
fn the_tiles_of_a_log_are_known_by_its_size() {
    let width = |kind, index, size| Tile::of_log(kind, index, size).map(|tile| tile.width);
    assert_eq!(width(TileKind::Hashes(0), 273, 70_000), Some(112));
    assert_eq!(width(TileKind::Entries, 273, 70_000), Some(112));
    assert_eq!(width(TileKind::Hashes(0), 272, 70_000), Some(256));
    assert_eq!(width(TileKind::Hashes(1), 1, 70_000), Some(17));
    assert_eq!(width(TileKind::Hashes(2), 0, 70_000), Some(1));
    assert_eq!(width(TileKind::Hashes(0), 274, 70_000), None);
    assert_eq!(width(TileKind::Hashes(3), 0, 70_000), None);
    assert_eq!(width(TileKind::Hashes(63), 0, u64::MAX), None);
    assert_eq!(width(TileKind::Entries, 0, 0), None);
    assert_eq!(width(TileKind::Entries, u64::MAX, u64::MAX), None);
}

#[test]
fn paths_have_one_spelling() {
    for path in [
        "tile/0/000",
        "tile/0/x001/x234/067",
        "tile/7/999.p/255",
        "tile/entries/x001/000.p/1",
        "tile/63/x999/999",
        "tile/0/x018/x446/x744/x073/x709/x551/615",
    ] {
        assert_eq!(path.parse::<Tile>().unwrap().to_string(), path);
    }
    for path in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/x000/001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p/1/",
        "/tile/0/000",
        "tile/entry/000",
        "tile/0/x１２３/000",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/000.P/1",
        "checkpoint",
    ] {
        assert!(path.parse::<Tile>().is_err(), "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_path_reads_back(level in 0..64_u8, index: u64, width in 1..=256_u16, entries: bool) {
        let kind = if entries { TileKind::Entries } else { TileKind::Hashes(level) };
        let tile = Tile { kind, index, width };
        prop_assert_eq!(tile.to_string().parse::<Tile>().unwrap(), tile);
    }

    #[test]
    fn any_bundle_reads_back(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
        let bytes = bundle(&entries);
        prop_assert_eq!(parse_bundle(&bytes).unwrap(), entries);
    }
}
