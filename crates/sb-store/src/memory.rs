use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::storage::check_prefix;
use crate::{Listed, ObjectName, Space, Storage, StoreError, Upload};

/// A storage that lives in memory. Clones share their objects; [`snapshot`](Self::snapshot) makes an independent copy.
///
/// It keeps the same contract as a disk, but for durability. The `_raw` methods do what no storage allows, for tests of
/// damage.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    objects: Arc<Mutex<Objects>>,
}

type Objects = BTreeMap<String, Arc<Vec<u8>>>;

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// An independent storage with the same objects.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self { objects: Arc::new(Mutex::new(self.lock().clone())) }
    }

    /// A copy of all objects by name.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.lock().iter().map(|(name, bytes)| (name.clone(), bytes.to_vec())).collect()
    }

    /// Puts or replaces a file under any name, even one no object can have.
    pub fn put_raw(&self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.lock().insert(name.into(), Arc::new(bytes.into()));
    }

    /// Takes a file away and returns its bytes, `None` if there was none.
    pub fn remove_raw(&self, name: &str) -> Option<Vec<u8>> {
        self.lock().remove(name).map(|bytes| bytes.to_vec())
    }

    fn get(&self, name: &ObjectName) -> Result<Arc<Vec<u8>>, StoreError> {
        self.lock().get(name.as_str()).cloned().ok_or_else(|| not_found(name))
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
        // Every change is one call on the map, so a panic elsewhere leaves nothing half done.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage").field("objects", &self.lock().len()).finish()
    }
}

impl Storage for MemoryStorage {
    fn read(&self, name: &ObjectName) -> Result<Vec<u8>, StoreError> {
        Ok(self.get(name)?.to_vec())
    }

    fn read_range_into(
        &self,
        name: &ObjectName,
        offset: u64,
        length: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let bytes = self.get(name)?;
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| bytes.get(start..start.checked_add(length)?));
        let range = range.ok_or_else(|| StoreError::Short { name: name.to_string(), offset, length })?;
        range.clone_into(buffer);
        Ok(())
    }

    fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        Ok(self.get(name)?.len() as u64)
    }

    fn begin(&self) -> Result<Box<dyn Upload + '_>, StoreError> {
        Ok(Box::new(MemoryUpload { storage: self, bytes: Vec::new() }))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        check_prefix(prefix)?;
        let objects = self.lock();
        let below = objects.iter().filter(|(name, _)| prefix.is_empty() || is_below(name, prefix));
        Ok(below.map(|(name, bytes)| Listed { name: name.clone(), size: bytes.len() as u64 }).collect())
    }

    fn remove(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.lock().remove(name.as_str()).map(drop).ok_or_else(|| not_found(name))
    }

    fn space(&self) -> Result<Option<Space>, StoreError> {
        Ok(None)
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

struct MemoryUpload<'a> {
    storage: &'a MemoryStorage,
    bytes: Vec<u8>,
}

impl Upload for MemoryUpload<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>, name: &ObjectName) -> Result<(), StoreError> {
        let mut objects = self.storage.lock();
        if is_taken(&objects, name.as_str()) {
            return Err(StoreError::AlreadyExists { name: name.to_string() });
        }
        objects.insert(name.to_string(), Arc::new(self.bytes));
        Ok(())
    }
}

/// As on a disk, a name can't be an object and a folder at once.
fn is_taken(objects: &Objects, name: &str) -> bool {
    let is_object = |name: &str| objects.contains_key(name);
    let parent_is_object = name.match_indices('/').any(|(end, _)| is_object(&name[..end]));
    let is_folder = objects.range(format!("{name}/")..).next().is_some_and(|(other, _)| is_below(other, name));
    is_object(name) || parent_is_object || is_folder
}

fn is_below(name: &str, folder: &str) -> bool {
    name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn not_found(name: &ObjectName) -> StoreError {
    StoreError::NotFound { name: name.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::create;

    fn name(name: &str) -> ObjectName {
        ObjectName::new(name).unwrap()
    }

    #[test]
    fn clones_share_their_objects_and_snapshots_do_not() {
        let storage = MemoryStorage::new();
        create(&storage, &name("a"), b"1").unwrap();
        let (shared, snapshot) = (storage.clone(), storage.snapshot());
        create(&storage, &name("b"), b"2").unwrap();
        assert_eq!(shared.objects(), storage.objects());
        assert_eq!(snapshot.objects(), BTreeMap::from([("a".to_owned(), b"1".to_vec())]));
    }

    #[test]
    fn tests_can_damage_what_nobody_else_can() {
        let storage = MemoryStorage::new();
        create(&storage, &name("a"), b"whole").unwrap();
        storage.put_raw("a", b"torn");
        assert_eq!(storage.read(&name("a")).unwrap(), b"torn");
        storage.put_raw("No Object", b"");
        assert_eq!(storage.list("").unwrap().iter().filter_map(Listed::object_name).count(), 1);
        assert_eq!(storage.remove_raw("a"), Some(b"torn".to_vec()));
        assert_eq!(storage.remove_raw("a"), None);
        assert!(matches!(storage.read(&name("a")), Err(StoreError::NotFound { .. })));
    }

    #[test]
    fn bytes_are_not_part_of_debugging_output() {
        let storage = MemoryStorage::new();
        storage.put_raw("a", b"secret");
        assert_eq!(format!("{storage:?}"), "MemoryStorage { objects: 1 }");
    }
}
