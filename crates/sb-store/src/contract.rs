//! The contract of [`Storage`] as a test, for whoever implements it.

use crate::{Listed, ObjectName, Storage, StoreError, create};

/// Checks that an empty storage keeps the contract, as far as one process that does not crash can tell.
///
/// ```
/// sb_store::contract::check(&sb_store::MemoryStorage::new());
/// ```
///
/// # Panics
/// With what is wrong, if the storage does not keep the contract or is not empty.
pub fn check(storage: &dyn Storage) {
    assert!(listed(storage, "").is_empty(), "the storage to check has to be empty");
    objects_are_read_as_written(storage);
    names_are_never_reused(storage);
    uploads_are_invisible(storage);
    listings_are_sorted_and_complete(storage);
    removed_objects_are_gone(storage);
    space_is_plausible(storage);
    assert_eq!(done(storage.sweep()), 0, "nothing is left of uploads that ended");
    for object in listed(storage, "") {
        done(storage.remove(&name(&object.name)));
    }
}

fn objects_are_read_as_written(storage: &dyn Storage) {
    let object = name("packs/aa/00ff");
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let mut upload = done(storage.begin());
    for piece in bytes.chunks(33_333) {
        done(upload.write(piece));
    }
    done(upload.finish(&object));
    assert!(done(storage.read(&object)) == bytes, "read gives what was written");
    assert_eq!(done(storage.size(&object)), 100_000);
    assert!(done(storage.read_range(&object, 99_000, 1000)) == bytes[99_000..], "a range at the end");
    assert!(done(storage.read_range(&object, 7, 1)) == [7], "a range inside");
    storage.evict(&object);
    assert!(done(storage.read(&object)) == bytes, "what memory has no more is read from the place");
    assert!(done(storage.read_range(&object, 100_000, 0)).is_empty(), "an empty range at the end");
    let mut buffer = b"what was there".to_vec();
    for length in [300, 2, 0] {
        done(storage.read_range_into(&object, 7, length, &mut buffer));
        assert!(buffer == bytes[7..7 + length], "{length} bytes take the place of what was in the buffer");
    }
    for (offset, length) in [(99_000, 1001), (100_001, 0), (0, usize::MAX), (u64::MAX, 1)] {
        let short = storage.read_range(&object, offset, length);
        assert!(matches!(short, Err(StoreError::Short { .. })), "range {offset}+{length} gave {short:?}");
    }

    let empty = name("empty");
    done(create(storage, &empty, b""));
    assert!(done(storage.read(&empty)).is_empty());
    assert_eq!(done(storage.size(&empty)), 0);
}

fn names_are_never_reused(storage: &dyn Storage) {
    let object = name("taken/1");
    done(create(storage, &object, b"first"));
    for taken in ["taken/1", "taken", "taken/1/below"] {
        let again = create(storage, &name(taken), b"second");
        assert!(matches!(again, Err(StoreError::AlreadyExists { .. })), "creating `{taken}` gave {again:?}");
    }
    assert_eq!(done(storage.read(&object)), b"first");
    assert_eq!(listed(storage, "taken").len(), 1, "a refused object leaves nothing");
}

fn uploads_are_invisible(storage: &dyn Storage) {
    let before = listed(storage, "");
    let mut aborted = done(storage.begin());
    done(aborted.write(b"aborted"));
    let mut finished = done(storage.begin());
    done(finished.write(b"fin"));
    assert_eq!(listed(storage, ""), before, "an upload is not listed");
    drop(aborted);
    assert_eq!(done(storage.sweep()), 0, "a sweep leaves live uploads alone");
    done(finished.write(b"ished"));
    done(finished.finish(&name("uploads/1")));
    assert_eq!(done(storage.read(&name("uploads/1"))), b"finished");
    assert_eq!(listed(storage, "").len(), before.len() + 1, "an aborted upload leaves nothing");
}

fn listings_are_sorted_and_complete(storage: &dyn Storage) {
    for object in ["list/b/1", "list/a", "list/b-1", "list/b/0/x", "list2/y"] {
        done(create(storage, &name(object), object.as_bytes()));
    }
    let all = listed(storage, "");
    assert!(all.is_sorted_by(|a, b| a.name < b.name), "sorted by name: {all:?}");
    assert!(all.iter().all(|object| object.object_name().is_some()));
    let below = |prefix| listed(storage, prefix).into_iter().map(|found| (found.name, found.size)).collect::<Vec<_>>();
    let expected = [("list/a", 6), ("list/b-1", 8), ("list/b/0/x", 10), ("list/b/1", 8)];
    assert_eq!(below("list"), expected.map(|(name, size)| (name.to_owned(), size)));
    assert_eq!(below("list/b").len(), 2, "the prefix is a folder, not the start of a name");
    assert!(below("list/a").is_empty(), "an object is no folder");
    assert!(below("nowhere").is_empty());
    for bad in ["..", "/", "list/", "tmp"] {
        assert!(matches!(storage.list(bad), Err(StoreError::BadName { .. })), "prefix `{bad}`");
    }
}

fn removed_objects_are_gone(storage: &dyn Storage) {
    let object = name("removed/1");
    done(create(storage, &object, b"bytes"));
    done(storage.remove(&object));
    assert!(listed(storage, "removed").is_empty());
    for absent in ["removed/1", "removed", "removed/1/below", "never"].map(name) {
        let results = [
            storage.read(&absent).map(drop),
            storage.read_range(&absent, 0, 1).map(drop),
            storage.size(&absent).map(drop),
            storage.remove(&absent),
        ];
        for result in results {
            assert!(matches!(result, Err(StoreError::NotFound { .. })), "`{absent}` gave {result:?}");
        }
    }
}

fn space_is_plausible(storage: &dyn Storage) {
    if let Some(space) = done(storage.space()) {
        assert!(space.free <= space.total, "{space:?}");
    }
}

fn listed(storage: &dyn Storage, prefix: &str) -> Vec<Listed> {
    done(storage.list(prefix))
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).expect("the names used here are good")
}

fn done<T>(result: Result<T, StoreError>) -> T {
    result.expect("this works on a storage that keeps the contract")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::sync::Arc;

    use super::*;
    use crate::sim::{Schedule, SimDisk, SimStorage};
    use crate::{Limits, LocalStorage, MemoryStorage, Throttled};

    #[test]
    fn memory_keeps_the_contract() {
        check(&MemoryStorage::new());
    }

    #[test]
    fn a_local_folder_keeps_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        check(&LocalStorage::open(folder.path()).unwrap());
    }

    #[test]
    fn a_simulated_disk_keeps_the_contract() {
        let disk = SimDisk::new();
        disk.set_capacity(Some(1_000_000));
        check(&disk.storage());
    }

    #[test]
    fn wrappers_keep_the_contract_of_what_they_wrap() {
        check(&SimStorage::new(Arc::new(MemoryStorage::new())));
        check(&Schedule::new(1, 1).wrap(0, Arc::new(MemoryStorage::new())));
        let fast = NonZeroU64::new(u64::MAX);
        check(&Throttled::new(MemoryStorage::new(), Limits { up: fast, down: fast }));
    }
}
