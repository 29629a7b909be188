use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::faults::{Access, Cut, Failure, Faults, PlannedFailure, Ruling};
use super::model::{Inode, Model};
use super::random::Random;
use crate::error::is_crash;
use crate::files::{Entry, Files, Temp};
use crate::{LocalStorage, ObjectName, Space, StoreError};

/// A disk with a page cache, for a [`LocalStorage`] to run on.
///
/// What is not synced is lost or torn by [`power_loss`](Self::power_loss): of a file any blocks, of a folder any names,
/// independently, so that a name may survive without its bytes. After a sync that failed the next ones claim success in vain:
/// for a file all, for a folder those of the same process. Everything is determined by the operations and the seeds.
///
/// ```
/// use sb_store::sim::SimDisk;
/// use sb_store::{ObjectName, Storage, create};
///
/// let disk = SimDisk::new();
/// let name = ObjectName::new("packs/1")?;
/// create(&disk.storage(), &name, b"acknowledged")?;
/// disk.power_loss(42);
/// assert_eq!(disk.storage().read(&name)?, b"acknowledged");
/// # Ok::<(), sb_store::StoreError>(())
/// ```
#[derive(Debug)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Clone)]
struct State {
    model: Model,
    faults: Faults,
    /// Processes of an earlier boot are dead.
    boot: u64,
    temps: u64,
}

impl SimDisk {
    /// An empty disk without limit.
    pub fn new() -> Self {
        let state = State { model: Model::new(), faults: Faults::default(), boot: 0, temps: 0 };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// A new process that uses the disk. Several can at once.
    pub fn storage(&self) -> LocalStorage {
        LocalStorage::over(Arc::new(self.process()), "simulated disk".to_owned())
    }

    fn process(&self) -> Process {
        Process { state: Arc::clone(&self.state), boot: self.lock().boot, deceptive: Arc::default() }
    }

    /// An independent disk in the same state, page cache and planned faults included.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        Self { state: Arc::new(Mutex::new(self.lock().clone())) }
    }

    /// How much fits on the disk, in bytes; `None` is no limit. Names take no space, but on a full disk none can be made.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().model.capacity = bytes;
    }

    /// How many file operations there were so far.
    pub fn operations(&self) -> u64 {
        self.lock().faults.operations
    }

    /// File operation number `k` fails.
    pub fn fail_at(&self, k: u64, failure: Failure) {
        self.lock().faults.failure = Some(PlannedFailure { at: k, failure, lasting: false });
    }

    /// File operation number `k` and all after it fail.
    pub fn fail_from(&self, k: u64, failure: Failure) {
        self.lock().faults.failure = Some(PlannedFailure { at: k, failure, lasting: true });
    }

    /// From file operation number `k` on everything is [`StoreError::Crashed`], until [`kill`](Self::kill) or
    /// [`power_loss`](Self::power_loss).
    pub fn crash_at(&self, k: u64) {
        self.lock().faults.crash_at = Some(k);
    }

    /// Whether the operation that fails, or crashes, takes effect. [`Cut::Before`] unless told.
    pub fn cut(&self, cut: Cut) {
        self.lock().faults.cut = cut;
    }

    /// All processes die, the machine goes on: nothing is lost, locks are free, planned faults are forgotten.
    pub fn kill(&self) {
        let mut state = self.lock();
        state.boot += 1;
        state.faults.clear();
        state.model.unlock_all();
    }

    /// The machine dies: as [`kill`](Self::kill), and of what was not synced only what `seed` picks survives.
    pub fn power_loss(&self, seed: u64) {
        self.kill();
        self.lock().model.lose_power(&mut Random::new(seed));
    }

    /// Every file on the disk by path, unfinished uploads included.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.lock().model.files();
        files.into_iter().map(|(path, bytes)| (path.to_string_lossy().into_owned(), bytes)).collect()
    }

    /// Flips bit `bit` (0 to 7) of the byte at `offset`, on the disk.
    ///
    /// # Errors
    /// [`StoreError::Short`] if there is no such byte.
    pub fn flip_bit(&self, name: &ObjectName, offset: usize, bit: u8) -> Result<(), StoreError> {
        let flipped = self.lock().model.flip(Path::new(name.as_str()), offset, bit);
        flipped.ok_or_else(|| StoreError::Short { name: name.to_string(), offset: offset as u64, length: 1 })
    }

    /// Flips one bit that `seed` picks and returns the name of the file and the offset of the byte; `None` if there is no
    /// byte on the disk.
    pub fn rot(&self, seed: u64) -> Option<(String, usize)> {
        let mut random = Random::new(seed);
        let files: Vec<(String, Vec<u8>)> = self.files().into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
        if files.is_empty() {
            return None;
        }
        let (path, bytes) = &files[random.below(files.len())];
        let offset = random.below(bytes.len());
        let bit = u8::try_from(random.below(8)).expect("a bit number fits");
        self.lock().model.flip(Path::new(path), offset, bit)?;
        Some((path.clone(), offset))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that uses the disk.
#[derive(Debug, Clone)]
struct Process {
    state: Arc<Mutex<State>>,
    boot: u64,
    /// Folders of which a sync has failed here: later ones claim success and do nothing.
    deceptive: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Process {
    fn perform<T>(&self, access: Access, run: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = lock(&self.state);
        if state.boot != self.boot {
            return Err(io::Error::other(StoreError::Crashed));
        }
        match state.faults.rule(access) {
            Ruling::Go => run(&mut state),
            Ruling::Stop(error, Cut::Before) => Err(error),
            Ruling::Stop(error, Cut::After) => {
                let _ = run(&mut state);
                Err(error)
            }
        }
    }
}

impl Files for Process {
    fn create_temp(&self, folder: &Path) -> io::Result<(PathBuf, Box<dyn Temp>)> {
        let (path, inode) = self.perform(Access::Write, |state| {
            let path = folder.join(state.temps.to_string());
            state.temps += 1;
            Ok((path.clone(), state.model.create_file(&path)?))
        })?;
        Ok((path, Box::new(SimTemp { process: self.clone(), inode })))
    }

    fn reclaim(&self, path: &Path) -> io::Result<bool> {
        self.perform(Access::Remove, |state| {
            let abandoned = state.model.is_locked(path).is_ok_and(|locked| !locked);
            if abandoned {
                state.model.remove(path)?;
            }
            Ok(abandoned)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.perform(Access::Write, |state| state.model.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.perform(Access::Remove, |state| state.model.remove(path))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.perform(Access::Write, |state| state.model.create_folder(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut deceptive = self.deceptive.lock().unwrap_or_else(PoisonError::into_inner);
        let synced =
            self.perform(
                Access::Write,
                |state| {
                    if deceptive.contains(path) { Ok(()) } else { state.model.sync_folder(path) }
                },
            );
        let is_failure = |error: &io::Error| {
            !is_crash(error) && !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        };
        if synced.as_ref().is_err_and(is_failure) {
            deceptive.insert(path.to_path_buf());
        }
        synced
    }

    fn entries(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let entries = self.perform(Access::Read, |state| state.model.entries(path))?;
        let entry = |(name, size): (_, Option<u64>)| Entry { name, is_folder: size.is_none(), size: size.unwrap_or(0) };
        Ok(entries.into_iter().map(entry).collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.perform(Access::Read, |state| state.model.bytes(path).map(<[u8]>::to_vec))
    }

    fn read_range_into(&self, path: &Path, offset: u64, length: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
        self.perform(Access::Read, |state| {
            let bytes = state.model.bytes(path)?;
            let start = usize::try_from(offset).ok();
            let range = start.and_then(|start| bytes.get(start..start.checked_add(length)?));
            range.ok_or(ErrorKind::UnexpectedEof)?.clone_into(buffer);
            Ok(())
        })
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        self.perform(Access::Read, |state| Ok(state.model.bytes(path)?.len() as u64))
    }

    fn space(&self) -> io::Result<Option<Space>> {
        self.perform(Access::Read, |State { model, .. }| {
            Ok(model.capacity.zip(model.free()).map(|(total, free)| Space { free, total }))
        })
    }
}

struct SimTemp {
    process: Process,
    inode: Inode,
}

impl Temp for SimTemp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.process.perform(Access::Write, |state| state.model.append(self.inode, bytes))
    }

    fn seal(&mut self) -> io::Result<()> {
        let sealed = self.process.perform(Access::Write, |state| state.model.sync_file(self.inode));
        if sealed.is_err() {
            lock(&self.process.state).model.fail_sync(self.inode);
        }
        sealed
    }
}

impl Drop for SimTemp {
    fn drop(&mut self) {
        let mut state = lock(&self.process.state);
        if state.boot == self.process.boot {
            state.model.unlock(self.inode);
        }
    }
}

#[cfg(test)]
mod tests;
