//! What somebody can open who tries all keys in hand on all objects.

use std::collections::{BTreeMap, BTreeSet};

use sb_crypto::{Key, PrivateKey, open_with};
use sb_store::{ObjectName, Storage};

use crate::access::GRANT_INFO as GRANT;
use crate::error::RepoError;
use crate::keys::Keyring;
use crate::live::list;
use crate::name::ObjectKind;
use crate::vault::Vault;
use crate::wire::container::{ContainerKeys, Messages, Opening, read_footer};
use crate::wire::frame::Frame;
use crate::wire::session::SessionTable;
use crate::wire::{label, named, redaction, session, snapshot};

/// What was opened of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opened {
    /// All of it.
    Whole,
    /// Where chunks are in a pack, by their ids.
    Footer,
    /// What is in a pack.
    Segments,
}

/// Every symmetric key in hand.
fn symmetric(keyring: &Keyring) -> Vec<Key> {
    let compartments = keyring.keys.compartments.iter();
    let own = compartments.flat_map(|c| [&c.seed, &c.chunk_id, &c.index, &c.document_id].map(Clone::clone));
    let seeds = [Some(keyring.payload.signing_seed.clone()), keyring.keys.root_seed.clone()];
    own.chain(seeds.into_iter().flatten()).collect()
}

/// Every private key in hand.
fn private(vault: &Vault) -> Vec<PrivateKey> {
    let compartments = vault.keyring.keys.compartments.iter();
    let secrets = compartments.flat_map(|c| c.meta.iter().chain(&c.content)).map(|(_, secret)| secret);
    let algorithm = vault.view.config.recipient;
    let read = |secret: &sb_crypto::Secret| PrivateKey::from_secret_bytes(algorithm, secret.as_bytes());
    secrets.filter_map(|secret| read(secret).ok()).chain(vault.keyring.payload.private.clone()).collect()
}

/// Tries every key that the user of this vault has, and every key that these open, on every object: what opens, by the object's kind.
/// Plain objects, which hold no names, are left out.
///
/// # Errors
/// Those of the storage.
///
/// # Panics
/// If the vault is damaged.
pub fn opened(vault: &Vault) -> Result<BTreeMap<ObjectKind, BTreeSet<Opened>>, RepoError> {
    opened_in(vault, &*vault.around.storage)
}

/// The same on the objects of another storage.
///
/// # Errors
/// As [`opened`].
///
/// # Panics
/// As [`opened`].
pub fn opened_in(vault: &Vault, storage: &dyn Storage) -> Result<BTreeMap<ObjectKind, BTreeSet<Opened>>, RepoError> {
    let (private, symmetric) = (private(vault), symmetric(&vault.keyring));
    let infos = [session::INFO, snapshot::INFO, redaction::INFO, label::INFO, named::INFO, GRANT];
    let mut found: BTreeMap<ObjectKind, BTreeSet<Opened>> = BTreeMap::new();
    let mut pack_keys = symmetric.clone();
    let mut packs = Vec::new();
    for name in list(storage)?.keys() {
        let object = ObjectName::new(name.as_str())?;
        let bytes = storage.read(&object)?;
        let frame = Frame::parse(&bytes).expect("an object");
        let (kind, header) = (frame.header.kind, frame.header.to_bytes());
        if matches!(kind, ObjectKind::ContentPack | ObjectKind::MetaPack | ObjectKind::Locator) {
            packs.push((kind, object));
            continue;
        }
        for (private, info) in private.iter().flat_map(|private| infos.map(|info| (private, info))) {
            if let Ok(plain) = open_with(private, info, &header, frame.body) {
                found.entry(kind).or_default().insert(Opened::Whole);
                let table = SessionTable::decode(&plain).ok().filter(|_| kind == ObjectKind::SessionTable);
                pack_keys.extend(table.into_iter().flat_map(|table| table.keys.into_iter().flatten()));
            }
        }
    }
    for (kind, object) in packs {
        let opening = storage.read_range(&object, 0, Opening::LENGTH)?;
        let opening = Opening::parse(&opening).expect("a pack");
        if pack_keys.iter().any(|key| opening.commits_to(key)) {
            found.entry(kind).or_default().insert(Opened::Segments);
        }
        for key in &pack_keys {
            let keys = ContainerKeys::new(vault.view.config.hash, Messages::Segments, key, key);
            if read_footer(storage, &object, |_| Ok(keys)).is_ok() {
                found.entry(kind).or_default().insert(Opened::Footer);
            }
        }
    }
    Ok(found)
}
