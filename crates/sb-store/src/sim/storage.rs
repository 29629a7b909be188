use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::faults::{Access, Cut, Failure, Faults, PlannedFailure, Ruling};
use super::schedule::Turn;
use crate::{Listed, ObjectName, Space, Storage, StoreError, Upload};

/// Any storage, with operations that fail or that nobody survives.
///
/// Every call counts as one operation, each write and the end of an upload too. Clones share count, log and faults.
#[derive(Debug, Clone)]
pub struct SimStorage {
    inner: Arc<dyn Storage>,
    state: Arc<Mutex<State>>,
    turn: Option<Turn>,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    log: Vec<Operation>,
}

/// An operation on a [`SimStorage`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// What was called.
    pub verb: Verb,
    /// The object, or the prefix of a listing; empty where there is none.
    pub name: String,
}

/// The methods of [`Storage`] and [`Upload`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Verb {
    /// [`Storage::read`]
    Read,
    /// [`Storage::read_range_into`]
    ReadRange,
    /// [`Storage::size`]
    Size,
    /// [`Storage::begin`]
    Begin,
    /// [`Upload::write`]
    Write,
    /// [`Upload::finish`]
    Finish,
    /// [`Storage::list`]
    List,
    /// [`Storage::remove`]
    Remove,
    /// [`Storage::space`]
    Space,
    /// [`Storage::sweep`]
    Sweep,
}

impl Verb {
    fn access(self) -> Access {
        match self {
            Self::Read | Self::ReadRange | Self::Size | Self::List | Self::Space => Access::Read,
            Self::Begin | Self::Write | Self::Finish => Access::Write,
            Self::Remove | Self::Sweep => Access::Remove,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Read | Self::ReadRange => "read",
            Self::Size | Self::Space => "measure",
            Self::Begin => "begin",
            Self::Write => "write",
            Self::Finish => "finish",
            Self::List => "list",
            Self::Remove => "remove",
            Self::Sweep => "sweep",
        }
    }

    fn error(self, name: &str, error: std::io::Error) -> StoreError {
        match self.access() {
            Access::Read => StoreError::reading(self.as_str(), name, error),
            Access::Write | Access::Remove => StoreError::writing(self.as_str(), name, error),
        }
    }
}

impl SimStorage {
    /// Wraps a storage; nothing fails yet.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, state: Arc::default(), turn: None }
    }

    /// A storage of which every operation waits for its turn.
    pub(super) fn scheduled(inner: Arc<dyn Storage>, turn: Turn) -> Self {
        Self { turn: Some(turn), ..Self::new(inner) }
    }

    /// How many operations there were so far.
    pub fn operations(&self) -> u64 {
        self.lock().faults.operations
    }

    /// The operations so far, those that failed included, in order.
    pub fn log(&self) -> Vec<Operation> {
        self.lock().log.clone()
    }

    /// Operation number `k` fails.
    pub fn fail_at(&self, k: u64, failure: Failure) {
        self.lock().faults.failure = Some(PlannedFailure { at: k, failure, lasting: false });
    }

    /// Operation number `k` and all after it fail.
    pub fn fail_from(&self, k: u64, failure: Failure) {
        self.lock().faults.failure = Some(PlannedFailure { at: k, failure, lasting: true });
    }

    /// From operation number `k` on everything is [`StoreError::Crashed`], until [`heal`](Self::heal).
    pub fn crash_at(&self, k: u64) {
        self.lock().faults.crash_at = Some(k);
    }

    /// Whether the operation that fails, or crashes, takes effect. [`Cut::Before`] unless told.
    pub fn cut(&self, cut: Cut) {
        self.lock().faults.cut = cut;
    }

    /// Forgets all planned faults; the count goes on.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    fn perform<T>(&self, verb: Verb, name: &str, run: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        if let Some(turn) = &self.turn {
            turn.take();
        }
        let ruling = {
            let mut state = self.lock();
            state.log.push(Operation { verb, name: name.to_owned() });
            state.faults.rule(verb.access())
        };
        match ruling {
            Ruling::Go => run(),
            Ruling::Stop(error, Cut::Before) => Err(verb.error(name, error)),
            Ruling::Stop(error, Cut::After) => {
                let _ = run();
                Err(verb.error(name, error))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for SimStorage {
    fn read(&self, name: &ObjectName) -> Result<Vec<u8>, StoreError> {
        self.perform(Verb::Read, name.as_str(), || self.inner.read(name))
    }

    fn read_range_into(
        &self,
        name: &ObjectName,
        offset: u64,
        length: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        self.perform(Verb::ReadRange, name.as_str(), || self.inner.read_range_into(name, offset, length, buffer))
    }

    fn size(&self, name: &ObjectName) -> Result<u64, StoreError> {
        self.perform(Verb::Size, name.as_str(), || self.inner.size(name))
    }

    fn begin(&self) -> Result<Box<dyn Upload + '_>, StoreError> {
        let inner = self.perform(Verb::Begin, "", || self.inner.begin())?;
        Ok(Box::new(SimUpload { storage: self, inner, broken: false }))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        self.perform(Verb::List, prefix, || self.inner.list(prefix))
    }

    fn remove(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.perform(Verb::Remove, name.as_str(), || self.inner.remove(name))
    }

    fn space(&self) -> Result<Option<Space>, StoreError> {
        self.perform(Verb::Space, "", || self.inner.space())
    }

    fn sweep(&self) -> Result<u64, StoreError> {
        self.perform(Verb::Sweep, "", || self.inner.sweep())
    }
}

struct SimUpload<'a> {
    storage: &'a SimStorage,
    inner: Box<dyn Upload + 'a>,
    broken: bool,
}

impl Upload for SimUpload<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.storage.perform(Verb::Write, "", || self.inner.write(bytes));
        self.broken |= written.is_err();
        written
    }

    fn finish(self: Box<Self>, name: &ObjectName) -> Result<(), StoreError> {
        let Self { storage, inner, broken } = *self;
        storage.perform(Verb::Finish, name.as_str(), || {
            if broken {
                return Err(StoreError::Abandoned { name: name.to_string() });
            }
            inner.finish(name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStorage, create};

    fn name(name: &str) -> ObjectName {
        ObjectName::new(name).unwrap()
    }

    fn simulated() -> (SimStorage, MemoryStorage) {
        let memory = MemoryStorage::new();
        (SimStorage::new(Arc::new(memory.clone())), memory)
    }

    #[test]
    fn every_verb_counts_and_is_logged() {
        let (storage, _) = simulated();
        create(&storage, &name("a"), b"1").unwrap();
        storage.read(&name("a")).unwrap();
        storage.read_range(&name("a"), 0, 1).unwrap();
        storage.size(&name("a")).unwrap();
        storage.list("packs").unwrap();
        storage.space().unwrap();
        storage.sweep().unwrap();
        storage.remove(&name("a")).unwrap();
        let log: Vec<String> = storage.log().iter().map(|done| format!("{:?} {}", done.verb, done.name)).collect();
        let expected = [
            "Begin ",
            "Write ",
            "Finish a",
            "Read a",
            "ReadRange a",
            "Size a",
            "List packs",
            "Space ",
            "Sweep ",
            "Remove a",
        ];
        assert_eq!(log, expected);
        assert_eq!(storage.operations(), 10);
    }

    #[test]
    fn a_failing_finish_may_or_may_not_have_taken_effect() {
        for (cut, objects) in [(Cut::Before, 0), (Cut::After, 1)] {
            let (storage, memory) = simulated();
            storage.cut(cut);
            storage.fail_at(2, Failure::Io);
            assert!(matches!(create(&storage, &name("a"), b"1"), Err(StoreError::Io { .. })));
            assert_eq!(memory.objects().len(), objects);
            create(&storage, &name("b"), b"1").unwrap();
        }
    }

    #[test]
    fn after_a_crash_nothing_works_until_healed() {
        let (storage, memory) = simulated();
        storage.crash_at(1);
        assert!(matches!(create(&storage, &name("a"), b"1"), Err(StoreError::Crashed)));
        assert!(matches!(storage.list(""), Err(StoreError::Crashed)));
        assert!(matches!(storage.remove(&name("a")), Err(StoreError::Crashed)));
        assert!(memory.objects().is_empty());
        storage.heal();
        create(&storage, &name("a"), b"1").unwrap();
    }

    #[test]
    fn a_full_storage_still_reads_and_removes() {
        let (storage, memory) = simulated();
        memory.put_raw("a", b"1");
        storage.fail_from(0, Failure::Full);
        assert!(matches!(storage.begin().map(drop), Err(StoreError::Full { .. })));
        storage.read(&name("a")).unwrap();
        storage.remove(&name("a")).unwrap();
        storage.heal();
        storage.fail_from(0, Failure::ReadOnly);
        assert!(matches!(storage.begin().map(drop), Err(StoreError::ReadOnly { .. })));
        assert!(matches!(storage.remove(&name("a")), Err(StoreError::ReadOnly { .. })));
        storage.list("").unwrap();
    }

    #[test]
    fn an_upload_does_not_finish_after_a_failed_write() {
        let (storage, memory) = simulated();
        storage.fail_at(1, Failure::Full);
        let mut upload = storage.begin().unwrap();
        assert!(matches!(upload.write(b"1"), Err(StoreError::Full { .. })));
        assert!(matches!(upload.finish(&name("a")), Err(StoreError::Abandoned { .. })));
        assert!(memory.objects().is_empty());
    }

    #[test]
    fn failing_reads_are_reported_as_such() {
        let (storage, memory) = simulated();
        memory.put_raw("a", b"1");
        storage.fail_at(0, Failure::Io);
        assert_eq!(storage.read(&name("a")).unwrap_err().to_string(), "cannot read `a`");
        storage.fail_at(1, Failure::Io);
        assert_eq!(storage.size(&name("a")).unwrap_err().to_string(), "cannot measure `a`");
        storage.fail_at(2, Failure::Io);
        assert_eq!(storage.list("packs").unwrap_err().to_string(), "cannot list `packs`");
        storage.fail_at(3, Failure::Io);
        assert_eq!(storage.sweep().unwrap_err().to_string(), "cannot sweep ``");
    }
}
