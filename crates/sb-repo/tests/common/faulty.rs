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
    /// What has a byte changed as soon as it is written.
    rots: Box<dyn Fn(&str) -> bool + Send + Sync>,
    /// What is there and not listed.
    hides: Option<String>,
    pub bytes_read: Mutex<BTreeMap<String, u64>>,
}

impl Faulty {
    pub fn new(inner: &Arc<MemoryStorage>, fails: impl Fn(Act, &str) -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { fails: Box::new(fails), ..Self::faultless(inner) })
    }

    /// One in which what is written rots at once, if `rots` says so.
    pub fn rotting(inner: &Arc<MemoryStorage>, rots: impl Fn(&str) -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { rots: Box::new(rots), ..Self::faultless(inner) })
    }

    /// One that has an object and does not list it.
    pub fn hiding(inner: &Arc<MemoryStorage>, name: &str) -> Arc<Self> {
        Arc::new(Self { hides: Some(name.to_owned()), ..Self::faultless(inner) })
    }

    fn faultless(inner: &Arc<MemoryStorage>) -> Self {
        let (fails, rots) = (Box::new(|_, _: &str| false), Box::new(|_: &str| false));
        Self { inner: inner.clone(), fails, rots, hides: None, bytes_read: Mutex::default() }
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
        let mut listed = self.inner.list(prefix)?;
        listed.retain(|listed| Some(&listed.name) != self.hides.as_ref());
        Ok(listed)
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
        self.upload.finish(name)?;
        if (self.storage.rots)(name.as_str()) {
            let mut bytes = self.storage.inner.read(name)?;
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            self.storage.inner.put_raw(name.to_string(), bytes);
        }
        Ok(())
    }
}
