//! What a machine remembers of a vault: its log key, the newest heads of journals and logs it has seen, and which of its runs are alive.
//!
//! None of it is needed to restore. Losing it means enrolling as a new writer and not noticing a rollback to before the loss.

mod cache_file;
mod clock;
mod ledger;
mod spool;
#[cfg(test)]
mod tests;

pub(crate) use cache_file::{CacheBytes, CacheFile};
pub(crate) use clock::ClockMemory;
pub(crate) use ledger::Depth;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use sb_audit::TreeHead;
use sb_crypto::{Digest, Key, SigningKey};

use crate::error::RepoError;
use crate::ids::{KeyId, RunId, VaultId};
use crate::logs::LogEnd;

/// The newest entry of one journal that this machine has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) sequence: u64,
    pub(crate) digest: Digest,
}

/// What is remembered between runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// Fingerprint of the root key.
    pub(crate) root: Option<Digest>,
    pub(crate) heads: BTreeMap<KeyId, Head>,
    /// Where each audit log ended, of all that this machine has seen.
    pub(crate) logs: BTreeMap<KeyId, LogEnd>,
}

/// A machine's memory of one vault, in a folder or (for tests and simulation) in memory.
#[derive(Clone)]
pub struct State(Arc<Place>);

enum Place {
    Among(PathBuf),
    Folder(PathBuf),
    Memory {
        inner: Box<Mutex<Inner>>,
        /// Who has locked it last.
        journal: Mutex<Locker>,
    },
    /// What another place remembers, which stays as it is.
    Untouched(State),
}

#[derive(Default)]
struct Inner {
    log_seed: Option<[u8; 32]>,
    remembered: Remembered,
    runs: BTreeSet<RunId>,
    caches: BTreeMap<String, Arc<[u8]>>,
    ledger: Vec<u8>,
    spool: Vec<u8>,
    small: BTreeMap<&'static str, Vec<u8>>,
}

/// Who locks a journal: tells one open vault from all others that this machine has open.
pub(crate) type Locker = [u8; 8];

/// One that nobody was before, of all that are alive.
pub(crate) fn new_locker() -> Locker {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let process = std::process::id().to_be_bytes();
    std::array::from_fn(|at| if at < 4 { process[at] } else { count[at - 4] })
}

/// Keeps a run alive, or a journal locked, until dropped.
pub(crate) enum Guard<'a> {
    File { _lock: File, remove: Option<PathBuf> },
    Run { state: &'a State, run: RunId },
    Journal { _guard: MutexGuard<'a, Locker> },
    Nothing,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        match self {
            Self::File { remove: Some(path), .. } => drop(fs::remove_file(path)),
            Self::Run { state, run } => {
                if let Place::Memory { inner, .. } = &*state.0 {
                    locked(inner).runs.remove(run);
                }
            }
            _ => {}
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded is replaced as a whole, so a panic elsewhere can't leave it half done.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl State {
    /// The memory in this folder, which is made if need be, readable by its owner alone.
    ///
    /// # Errors
    /// [`RepoError::State`] if the folder can't be made.
    pub fn open(folder: &Path) -> Result<Self, RepoError> {
        create_private_folder(folder).map_err(|source| failed("create", folder, source))?;
        Ok(Self(Arc::new(Place::Folder(folder.to_owned()))))
    }

    /// The memory of whichever vault is opened, in a folder of its own below `root`. Which vault that is, is known once a slot
    /// has been opened, and by nothing that anybody could have put into the storage.
    pub fn among(root: &Path) -> Self {
        Self(Arc::new(Place::Among(root.to_owned())))
    }

    /// This memory, of this vault.
    pub(crate) fn bound(&self, vault: VaultId) -> Result<Self, RepoError> {
        match &*self.0 {
            Place::Among(root) => Ok(Self(Arc::new(Place::Folder(root.join(vault.to_string()))))),
            Place::Untouched(state) => Ok(state.bound(vault)?.rehearsing()),
            _ => Ok(self.clone()),
        }
    }

    /// The same memory for whoever only goes through the motions: it can be read, and does not change.
    pub(crate) fn rehearsing(&self) -> Self {
        Self(Arc::new(Place::Untouched(self.clone())))
    }

    /// True if this machine knows a vault of this id. Whoever has not said among which, knows any.
    pub(crate) fn knows(&self, vault: VaultId) -> bool {
        match &*self.0 {
            Place::Among(root) => root.join(vault.to_string()).join("heads").is_file(),
            Place::Untouched(state) => state.knows(vault),
            _ => true,
        }
    }

    /// A memory that ends with the process.
    pub fn in_memory() -> Self {
        Self(Arc::new(Place::Memory { inner: Box::default(), journal: Mutex::default() }))
    }

    /// This machine's log key, if it has enrolled.
    pub(crate) fn log_key(&self) -> Result<Option<SigningKey>, RepoError> {
        match &*self.0 {
            Place::Untouched(state) => state.log_key(),
            Place::Memory { inner, .. } => Ok(locked(inner).log_seed.as_ref().map(SigningKey::from_seed)),
            Place::Folder(folder) | Place::Among(folder) => {
                let path = folder.join("log.key");
                match fs::read(&path) {
                    Ok(bytes) => {
                        let seed = Key::from_slice(&bytes).map_err(|_| {
                            failed("read", &path, std::io::Error::new(ErrorKind::InvalidData, "not 32 bytes"))
                        })?;
                        Ok(Some(SigningKey::from_seed(seed.as_bytes())))
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(failed("read", &path, error)),
                }
            }
        }
    }

    /// Remembers this machine's log key.
    pub(crate) fn set_log_key(&self, key: &SigningKey) -> Result<(), RepoError> {
        let seed = key.seed();
        match &*self.0 {
            Place::Memory { inner, .. } => {
                locked(inner).log_seed = Some(*seed.as_bytes());
                Ok(())
            }
            Place::Untouched(_) => Ok(()),
            Place::Folder(folder) | Place::Among(folder) => replace_durably(&folder.join("log.key"), seed.as_bytes()),
        }
    }

    /// Root fingerprint and heads.
    pub(crate) fn remembered(&self) -> Result<Remembered, RepoError> {
        match &*self.0 {
            Place::Untouched(state) => state.remembered(),
            Place::Memory { inner, .. } => Ok(locked(inner).remembered.clone()),
            Place::Among(_) => Ok(Remembered::default()),
            Place::Folder(folder) => {
                let path = folder.join("heads");
                match fs::read_to_string(&path) {
                    Ok(text) => parse(&text).ok_or_else(|| {
                        failed("read", &path, std::io::Error::new(ErrorKind::InvalidData, "not a list of heads"))
                    }),
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(Remembered::default()),
                    Err(error) => Err(failed("read", &path, error)),
                }
            }
        }
    }

    /// Replaces what is remembered.
    pub(crate) fn remember(&self, remembered: &Remembered) -> Result<(), RepoError> {
        match &*self.0 {
            Place::Memory { inner, .. } => {
                locked(inner).remembered = remembered.clone();
                Ok(())
            }
            Place::Untouched(_) => Ok(()),
            Place::Folder(folder) | Place::Among(folder) => {
                // Should the power fail now, it knows a little less, and nothing wrong.
                replace(&folder.join("heads"), print(remembered).as_bytes())
            }
        }
    }

    /// The bytes that are kept under this name.
    pub(crate) fn small(&self, name: &'static str) -> Option<Vec<u8>> {
        match &*self.0 {
            Place::Untouched(state) => state.small(name),
            Place::Among(_) => None,
            Place::Memory { inner, .. } => locked(inner).small.get(name).cloned(),
            Place::Folder(folder) => fs::read(folder.join(name)).ok(),
        }
    }

    /// Keeps these bytes under this name, in place of those before.
    pub(crate) fn set_small(&self, name: &'static str, bytes: &[u8]) -> Result<(), RepoError> {
        match &*self.0 {
            Place::Untouched(_) => Ok(()),
            Place::Memory { inner, .. } => {
                locked(inner).small.insert(name, bytes.to_vec());
                Ok(())
            }
            Place::Folder(folder) | Place::Among(folder) => replace_durably(&folder.join(name), bytes),
        }
    }

    /// A new cache, which nobody sees before it is kept.
    pub(crate) fn create_cache(&self) -> std::io::Result<CacheFile> {
        match &*self.0 {
            Place::Memory { .. } => Ok(CacheFile::Memory { state: self.clone(), bytes: Vec::new() }),
            Place::Untouched(_) => Ok(CacheFile::Nameless(std::io::BufWriter::new(tempfile::tempfile()?))),
            Place::Folder(folder) | Place::Among(folder) => {
                // Otherwise another process might take for abandoned what has not been locked yet.
                let among_others = open_lock(&folder.join("cache.lock"))?;
                among_others.lock()?;
                let folder = folder.join("cache");
                create_private_folder(&folder)?;
                remove_abandoned(&folder);
                let new = tempfile::Builder::new().prefix(NEW_CACHE).tempfile_in(&folder)?;
                new.as_file().lock()?;
                Ok(CacheFile::File { folder, new: std::io::BufWriter::with_capacity(1 << 20, new) })
            }
        }
    }

    /// The cache of this name.
    pub(crate) fn open_cache(&self, name: &str) -> Option<Box<dyn CacheBytes>> {
        match &*self.0 {
            Place::Untouched(state) => state.open_cache(name),
            Place::Memory { inner, .. } => {
                let bytes = locked(inner).caches.get(name).cloned()?;
                Some(Box::new(std::io::Cursor::new(bytes)))
            }
            Place::Folder(folder) | Place::Among(folder) => {
                Some(Box::new(File::open(folder.join("cache").join(name)).ok()?))
            }
        }
    }

    /// Removes the cache of this name, if it can be.
    pub(crate) fn remove_cache(&self, name: &str) {
        match &*self.0 {
            Place::Untouched(_) => {}
            Place::Memory { inner, .. } => drop(locked(inner).caches.remove(name)),
            Place::Folder(folder) | Place::Among(folder) => drop(fs::remove_file(folder.join("cache").join(name))),
        }
    }

    /// Waits until no other process of this machine appends to the journal.
    pub(crate) fn lock_journal(&self) -> Result<Guard<'_>, RepoError> {
        Ok(self.lock_journal_as(&Locker::default())?.0)
    }

    /// The same for whoever wants to know if anybody else has had it since.
    pub(crate) fn lock_journal_as(&self, locker: &Locker) -> Result<(Guard<'_>, bool), RepoError> {
        match &*self.0 {
            Place::Untouched(_) => Ok((Guard::Nothing, false)),
            Place::Memory { journal, .. } => {
                let mut last = locked(journal);
                let before = std::mem::replace(&mut *last, *locker);
                Ok((Guard::Journal { _guard: last }, before == *locker))
            }
            Place::Folder(folder) | Place::Among(folder) => {
                let path = folder.join("journal.lock");
                let locked = open_lock(&path).and_then(|file| {
                    file.lock()?;
                    // Who can't say that it was he is taken for somebody else.
                    let before = fs::read(&path).is_ok_and(|before| before == *locker);
                    (&file).write_all(locker)?;
                    Ok((file, before))
                });
                let (file, before) = locked.map_err(|source| failed("lock", &path, source))?;
                Ok((Guard::File { _lock: file, remove: None }, before))
            }
        }
    }

    /// Says that this run is alive until the guard is dropped or the process ends.
    pub(crate) fn hold(&self, run: RunId) -> Result<Guard<'_>, RepoError> {
        match &*self.0 {
            Place::Untouched(_) => Ok(Guard::Nothing),
            Place::Memory { inner, .. } => {
                locked(inner).runs.insert(run);
                Ok(Guard::Run { state: self, run })
            }
            Place::Folder(folder) | Place::Among(folder) => {
                let path = folder.join(format!("{run}.run"));
                let file = open_lock(&path).and_then(|file| file.lock().map(|()| file));
                let file = file.map_err(|source| failed("lock", &path, source))?;
                Ok(Guard::File { _lock: file, remove: Some(path) })
            }
        }
    }

    /// True if the run is one of this machine's and still going on.
    pub(crate) fn is_alive(&self, run: RunId) -> Result<bool, RepoError> {
        match &*self.0 {
            Place::Untouched(state) => match &*state.0 {
                Place::Folder(folder) => is_locked(&folder.join(format!("{run}.run"))),
                _ => state.is_alive(run),
            },
            Place::Memory { inner, .. } => Ok(locked(inner).runs.contains(&run)),
            Place::Folder(folder) | Place::Among(folder) => {
                let path = folder.join(format!("{run}.run"));
                let alive = is_locked(&path)?;
                if !alive {
                    let _ = fs::remove_file(&path);
                }
                Ok(alive)
            }
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Place::Folder(folder) | Place::Among(folder) => f.debug_tuple("State").field(folder).finish(),
            Place::Memory { .. } => f.write_str("State(in memory)"),
            Place::Untouched(state) => state.fmt(f),
        }
    }
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> RepoError {
    RepoError::State { action, path: path.to_owned(), source }
}

fn print(remembered: &Remembered) -> String {
    let mut text = String::new();
    if let Some(root) = &remembered.root {
        text.push_str(&format!("root {root}\n"));
    }
    for (writer, head) in &remembered.heads {
        text.push_str(&format!("{writer} {} {}\n", head.sequence, head.digest));
    }
    for (writer, LogEnd { head, first, digest }) in &remembered.logs {
        text.push_str(&format!("log {writer} {} {} {first} {digest}\n", head.size, head.root));
    }
    text
}

fn parse(text: &str) -> Option<Remembered> {
    let mut remembered = Remembered::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["root", root] => remembered.root = Some(root.parse().ok()?),
            [writer, sequence, digest] => {
                let head = Head { sequence: sequence.parse().ok()?, digest: digest.parse().ok()? };
                remembered.heads.insert(KeyId::from_hex(writer)?, head);
            }
            ["log", writer, size, root, first, digest] => {
                let head = TreeHead { size: size.parse().ok()?, root: root.parse().ok()? };
                let end = LogEnd { head, first: first.parse().ok()?, digest: digest.parse().ok()? };
                remembered.logs.insert(KeyId::from_hex(writer)?, end);
            }
            _ => return None,
        }
    }
    Some(remembered)
}

fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// What the names of unfinished caches begin with.
const NEW_CACHE: &str = "new";

/// Removes caches that nobody is writing any more. What can't be looked at stays.
fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_new = entry.file_name().as_encoded_bytes().starts_with(NEW_CACHE.as_bytes());
        if is_new && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn open_lock(path: &Path) -> std::io::Result<File> {
    create_private_folder(path.parent().expect("a file in the state folder"))?;
    private().truncate(false).open(path)
}

/// True if the file is there and some process has it locked.
fn is_locked(path: &Path) -> Result<bool, RepoError> {
    match File::open(path) {
        Ok(file) => match file.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(failed("lock", path, source)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("open", path, error)),
    }
}

/// Replaces a small file atomically, and so that it survives a power failure.
fn replace_durably(path: &Path, bytes: &[u8]) -> Result<(), RepoError> {
    replace(path, bytes)?;
    let folder = path.parent().expect("a file in the state folder");
    // Not every system can open a folder.
    let synced = File::open(folder).map_or(Ok(()), |folder| folder.sync_all());
    synced.map_err(|source| failed("write", path, source))
}

/// Replaces a small file atomically: after a power failure it is the old one or the new one, whole.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), RepoError> {
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    let folder = create_private_folder(path.parent().expect("a file in the state folder"));
    let written = folder.and_then(|()| private().truncate(true).open(&temporary)).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        failed("write", path, source)
    })
}
