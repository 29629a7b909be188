//! A storage that fails where it is told to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use sb_store::{Listed, MemoryStorage, ObjectName, Space, Storage, StoreError, Upload};

/// What is done to a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Read,
    Create,
    Remove,
    /// Of a folder, not of an object.
    List,
}

type Decision = dyn Fn(Act, &str) -> bool + Send + Sync;

/// Fails what `fails` says, and counts the bytes read of each folder.
pub struct Faulty {
    inner: Arc<MemoryStorage>,
    fails: Box<Decision>,
    pub bytes_read: Mutex<BTreeMap<String, u64>>,
}

impl Faulty {
    pub fn new(inner: &Arc<MemoryStorage>, fails: impl Fn(Act, &str) -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { inner: inner.clone(), fails: Box::new(fails), bytes_read: Mutex::default() })
    }

    fn check(&self, act: Act, name: &str) -> Result<(), StoreError> {
        if (self.fails)(act, name) {
            let source = std::io::Error::other("the cable is loose");
            return Err(StoreError::Io { operation: "reach", name: name.to_string(), source });
        }
        Ok(())
    }

    fn count(&self, name: &ObjectName, bytes: &[u8]) {
        let folder = name.as_str().split('/').next().unwrap().to_owned();
        *self.bytes_read.lock().unwrap().entry(folder).or_default() += bytes.len() as u64;
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl Storage for Faulty {
    fn read(&self, name: &ObjectName) -> Result<Vec<u8>, StoreError> {
        self.check(Act::Read, name.as_str())?;
        self.inner.read(name).inspect(|bytes| self.count(name, bytes))
    }

    fn read_range_into(
        &self,
        name: &ObjectName,
        offset: u64,
        length: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        self.check(Act::Read, name.as_str())?;
        self.inner.read_range_into(name, offset, length, buffer)?;
        self.count(name, buffer);
        Ok(())
    }

    fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        self.inner.size(name)
    }

    fn begin(&self) -> Result<Box<dyn Upload + '_>, StoreError> {
        Ok(Box::new(FaultyUpload { upload: self.inner.begin()?, storage: self }))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.check(Act::List, prefix)?;
        self.inner.list(prefix)
    }

    fn remove(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.check(Act::Remove, name.as_str())?;
        self.inner.remove(name)
    }

    fn space(&self) -> Result<Option<Space>, StoreError> {
        self.inner.space()
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        self.inner.sweep()
    }
}

struct FaultyUpload<'a> {
    upload: Box<dyn Upload + 'a>,
    storage: &'a Faulty,
}

impl Upload for FaultyUpload<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.upload.write(bytes)
    }

    fn finish(self: Box<Self>, name: &ObjectName) -> Result<(), StoreError> {
        self.storage.check(Act::Create, name.as_str())?;
        self.upload.finish(name)
    }
}
