//! A vault of so many chunks that a machine keeps a copy of where they are.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{Machine, key, new_vault, options};
use sb_repo::{Item, Progress, RepoError, State, Vault};
use sb_source::MemorySource;
use sb_store::MemoryStorage;

const FILES: u32 = 66_000;

fn copy_in(folder: &Path) -> Option<PathBuf> {
    let caches = std::fs::read_dir(folder.join("cache")).into_iter().flatten().map(|cache| cache.unwrap().path());
    caches.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "locator"))
}

/// Reads every 97th file, `between` opening and reading; how many there are.
fn read_some(vault: &Vault, between: impl FnOnce()) -> Result<u32, RepoError> {
    let reader = vault.reader(Progress::none())?;
    between();
    let snapshot = vault.find_snapshot("latest")?;
    let (mut files, mut some) = (0, Vec::new());
    reader.list(&snapshot, b"/", true, &mut |path, entry| {
        if let Item::File(file) = &entry.item {
            files += 1;
            if files % 97 == 0 {
                some.push((path.to_vec(), file.clone()));
            }
        }
        Ok(())
    })?;
    for (path, file) in some {
        let mut content = Vec::new();
        reader.content(&path, &file, Progress::none(), &mut |piece| {
            content.extend_from_slice(piece);
            Ok(())
        })?;
        assert!(path.ends_with(&content[..5]), "{path:?}");
    }
    Ok(files)
}

#[test]
fn a_copy_saves_reading_and_is_never_needed() {
    let storage = MemoryStorage::new();
    let (mut vault, _) = new_vault(&Machine::new(1), Arc::new(storage.clone()));
    let mut source = MemorySource::new(&["/d"]);
    for n in 0..FILES {
        source.file(format!("/d/{}/{n:05}", n / 1000), format!("{n:05} is its number").as_bytes());
    }
    let first = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert_eq!(first.counts.new_chunks, u64::from(FILES));

    // Another machine with the same files: all that it asks for is there.
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine { state: State::open(folder.path()).unwrap(), ..Machine::new(2) };
    let open = || machine.open(Arc::new(storage.clone()), &key()).unwrap();
    let mut vault = open();
    let second = vault.backup(&source, &options(), Progress::none()).unwrap();
    assert_eq!(second.counts.new_chunks, 0);
    let copy = copy_in(folder.path()).expect("it has a copy now");
    assert_eq!(read_some(&open(), || {}).unwrap(), FILES);

    // Every block is damaged, and the increments go when the copy has been opened: then packs say what is in them.
    let mut bytes = std::fs::read(&copy).unwrap();
    (0..24 * FILES as usize).step_by(6_000).for_each(|at| bytes[at] ^= 1);
    std::fs::write(&copy, bytes).unwrap();
    let lose = || {
        let increments = storage.objects().into_keys().filter(|name| name.starts_with("locator/"));
        increments.for_each(|name| drop(storage.remove_raw(&name)));
    };
    assert_eq!(read_some(&open(), lose).unwrap(), FILES);
    assert_eq!(copy_in(folder.path()), None, "what is damaged goes");
    assert_eq!(read_some(&open(), || {}).unwrap(), FILES);
}
