//! For tests: which keys and nonces AES-256-GCM was given in this process, and whether two messages shared one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Mutex;

use crate::digest::{Sha256, sha256};

static WATCHED: Mutex<Option<Watched>> = Mutex::new(None);

/// What AES-256-GCM has sealed in this process since [`watch_seals`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seals {
    /// How many messages were sealed, the same one again counting again.
    pub count: usize,
    /// How many pairs of key and nonce were used.
    pub pairs: usize,
    /// How many messages met a key and nonce that another message had met before. There must be none.
    pub repeats: usize,
}

/// Of each pair of key and nonce the first message, associated data and plaintext. Hashes of all of them.
#[derive(Default)]
struct Watched {
    messages: HashMap<[u8; 16], [u8; 16]>,
    seals: Seals,
}

/// From now on this process keeps track of what it seals, in all threads. Repeating this changes nothing.
pub fn watch_seals() {
    WATCHED.lock().expect("no holder of the lock panics").get_or_insert_default();
}

/// What was sealed so far.
///
/// # Panics
/// Unless [`watch_seals`] was called.
#[must_use]
pub fn seals() -> Seals {
    WATCHED.lock().expect("no holder of the lock panics").as_ref().expect("seals are watched").seals
}

/// Notes a seal. `key` stands for the key: itself, or what is as unique as the key.
pub(crate) fn note(key: &[u8], nonce: &[u8], aad: &[u8], plaintext: &[u8]) {
    let mut watched = WATCHED.lock().expect("no holder of the lock panics");
    let Some(Watched { messages, seals }) = &mut *watched else { return };
    let message = hash(&[sha256(aad).as_bytes(), plaintext]);
    seals.count += 1;
    match messages.entry(hash(&[sha256(key).as_bytes(), nonce])) {
        Entry::Occupied(first) => seals.repeats += usize::from(*first.get() != message),
        Entry::Vacant(place) => {
            place.insert(message);
            seals.pairs += 1;
        }
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finish().key_id()
}
