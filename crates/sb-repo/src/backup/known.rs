//! Which chunks need not be stored: the vault has them, or this run has stored them already.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::clock::Monitor;
use crate::error::RepoError;
use crate::ids::{ChunkId, TableId};
use crate::locator::{Levels, Locator, Scope};
use crate::name;
use crate::pack::Tools;
use crate::sessions::table_of;
use crate::wire::locator::{LocatorEntry, prefix};

/// Chunk ids are evenly spread, so their own bits are hash enough.
#[derive(Default)]
struct OwnBits(u64);

impl Hasher for OwnBits {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers are hashed");
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }
}

type Fresh = HashSet<u128, BuildHasherDefault<OwnBits>>;

/// Parts of the set of fresh chunks, so that threads seldom wait for each other.
const SHARDS: usize = 16;

/// After so many chunks those in packs that are durable go from memory to a file.
const FRESH: usize = 1 << 17;

/// The chunks of one run. The locator is read when it is asked for first: a run that finds nothing new needs none.
pub(super) struct Known {
    locator: OnceLock<Locator>,
    /// What the locator may tell of, until it has been read.
    scope: Mutex<Option<Scope>>,
    /// Packs of earlier runs that this one relies on.
    used: Mutex<HashSet<u32>>,
    /// Chunks that this run stored, the newest of them: 20 to 40 bytes each.
    fresh: [Mutex<Fresh>; SHARDS],
    /// Those that are to go from there.
    located: Mutex<Vec<LocatorEntry>>,
    /// All others: less than 3 bytes each.
    stored: Levels,
}

impl Known {
    pub(super) fn new(tools: &Tools<'_>, scope: Scope) -> Self {
        Self {
            locator: OnceLock::new(),
            scope: Mutex::new(Some(scope)),
            used: Mutex::default(),
            fresh: std::array::from_fn(|_| Mutex::default()),
            located: Mutex::default(),
            stored: Levels::new(tools.around, tools.view, tools.keys),
        }
    }

    /// Where the vault has what.
    pub(super) fn locator(&self, tools: &Tools<'_>, monitor: &dyn Monitor) -> Result<&Locator, RepoError> {
        if let Some(locator) = self.locator.get() {
            return Ok(locator);
        }
        let mut scope = lock(&self.scope);
        if let Some(scope) = scope.take() {
            let loaded = Locator::load(tools.around, tools.view, tools.keys, monitor, scope)?;
            return Ok(self.locator.get_or_init(|| loaded));
        }
        // Another thread was first, or could not read it and has ended the run.
        self.locator.get().ok_or(RepoError::Interrupted)
    }

    /// The locator, if anything had to be looked up.
    pub(super) fn loaded(&self) -> Option<&Locator> {
        self.locator.get()
    }

    /// True if the vault has the chunk; then this run relies on the pack that has it.
    pub(super) fn has(&self, locator: &Locator, id: &ChunkId, content: bool) -> Result<bool, RepoError> {
        let mut places = locator.places(id)?.into_iter();
        let place = places.find(|place| locator.is_content(place.pack) == content);
        if let Some(place) = &place {
            lock(&self.used).insert(place.pack);
        }
        Ok(place.is_some())
    }

    /// True for whoever asks first: then the chunk is his to store.
    pub(super) fn is_new(&self, id: &ChunkId) -> bool {
        let number = u128::from_be_bytes(*prefix(id));
        let shard = self.shard(number);
        // What is not here any more was put there before it went.
        if !lock(shard).insert(number) {
            return false;
        }
        if self.stored.has(id) {
            lock(shard).remove(&number);
            return false;
        }
        true
    }

    /// These chunks are in packs that are durable and in an increment.
    pub(super) fn located(&self, entries: &[LocatorEntry]) {
        let mut located = lock(&self.located);
        located.extend_from_slice(entries);
        if located.len() < FRESH {
            return;
        }
        let is_stored = self.stored.add(&mut located);
        for entry in located.drain(..) {
            let number = u128::from_be_bytes(*entry.prefix());
            // Where there is no room for a file they stay.
            if is_stored {
                lock(self.shard(number)).remove(&number);
            }
        }
    }

    fn shard(&self, number: u128) -> &Mutex<Fresh> {
        &self.fresh[(number >> 124) as usize % SHARDS]
    }

    /// The packs of earlier runs that this one relies on, and the tables their keys are in.
    pub(super) fn relied_on(&self) -> (BTreeSet<String>, BTreeSet<TableId>) {
        let Some(locator) = self.locator.get() else { return Default::default() };
        let used = lock(&self.used);
        let packs = used.iter().map(|pack| locator.pack(*pack));
        packs.map(|pack| (name::pack(&pack.id).to_string(), table_of(&pack.key))).unzip()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use sb_crypto::SigningKey;

    use super::*;
    use crate::ids::{RunId, UserId};
    use crate::state::State;
    use crate::testing::locators::{Locators, chunk, writing_scope};
    use crate::wire::frame::Author;

    fn check(state: State, files: bool) {
        let vault = Locators::new(state);
        let key = SigningKey::from_seed(&[1; 32]);
        let tools = Tools {
            around: &vault.around,
            view: &vault.view,
            keys: &vault.keys,
            epoch: vault.view.config.compartments[0].epochs.last().unwrap(),
            author: Author { key: &key, run: RunId::new([1; 8]) },
            user: UserId::new([2; 16]),
        };
        let known = Known::new(&tools, writing_scope());
        let (many, more) = (FRESH as u64, 10_000);
        assert!((0..many + more).all(|number| known.is_new(&chunk(number))));
        let entry = |number| LocatorEntry::new(&chunk(number), 0, 0, 0);
        for (from, to) in [(0, many / 2), (many / 2, many)] {
            known.located(&(from..to).map(entry).collect::<Vec<_>>());
        }
        let fresh = || known.fresh.iter().map(|shard| lock(shard).len() as u64).sum::<u64>();
        let left = if files { more } else { many + more };
        assert_eq!(fresh(), left, "what is in durable packs is in a file");
        assert!((0..many + more).all(|number| !known.is_new(&chunk(number))));
        assert_eq!(fresh(), left, "asking takes no memory");
        assert!(known.is_new(&chunk(many + more)));
        assert_eq!(lock(&known.located).len(), 0);
        assert!(known.stored.resident() < 3 * FRESH + (1 << 19));
    }

    #[test]
    fn a_chunk_is_new_once_wherever_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        check(State::open(folder.path()).unwrap(), true);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cache"), b"no folder").unwrap();
        check(State::open(folder.path()).unwrap(), false);
    }
}
