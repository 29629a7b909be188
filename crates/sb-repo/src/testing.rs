//! What tests need and no program does: acts of the lifecycle that are not there yet, and every parser of vault bytes.

use sb_crypto::seal_to;
use sb_store::create as create_object;

use crate::clock::Progress;
use crate::error::RepoError;
use crate::ids::{Id, RunId};
use crate::locator::{entries_of, write_locator};
use crate::name::{ObjectKind, Stem};
use crate::pack::{Segmenter, Tools};
use crate::sessions::write_twice;
use crate::snapshots::Snapshot;
use crate::tree::{TreeReader, document_leaf};
use crate::vault::{Change, Vault};
use crate::wire::cbor::Fields;
use crate::wire::entry::{Entry, Item, order_key};
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;
use crate::wire::lease::Condemned;
use crate::wire::node::{Child, Node, Reference};
use crate::wire::redaction::{INFO, Redaction};

/// Writes a redaction that takes one document out of a folder, as disposal will.
///
/// # Errors
/// What reading the tree and writing to the vault can meet.
///
/// # Panics
/// If there is no document of that name in the folder.
pub fn redact(vault: &mut Vault, snapshot: &Snapshot, folder: &[u8], name: &[u8]) -> Result<(), RepoError> {
    rewrite(vault, snapshot, folder, name, &mut |path, entry| {
        let Item::File(file) = &entry.item else { panic!("not a document") };
        let leaves = vec![document_leaf(path, entry.mtime, file)];
        *entry = Entry {
            name: Vec::new(),
            item: Item::Redacted { leaves },
            mode: 0,
            uid: 0,
            gid: 0,
            user: None,
            group: None,
            mtime: sb_source::Timestamp { seconds: 0, nanoseconds: 0 },
            xattrs: crate::wire::entry::Inline::default(),
            extra: Fields::new(),
        };
    })
}

/// Changes an entry of a folder by way of a redaction, which nobody should do but to take a document out: what `verify` is
/// to find. `change` is told the entry's path.
///
/// # Errors
/// What reading the tree and writing to the vault can meet.
///
/// # Panics
/// If there is no entry of that name in the folder.
pub fn rewrite(
    vault: &mut Vault,
    snapshot: &Snapshot,
    folder: &[u8],
    name: &[u8],
    change: &mut dyn FnMut(&[u8], &mut Entry),
) -> Result<(), RepoError> {
    let (old, mut entries) = page_with(vault, snapshot, folder, name)?;
    let entry = entries.iter_mut().find(|entry| entry.name == name).expect("the entry is there");
    change(&[folder, b"/", name].concat(), entry);
    replace_node(vault, old, &Node::encode_leaf(entries.iter().map(Entry::encode).collect()))
}

/// The page of a folder that has this entry.
fn page_with(
    vault: &Vault,
    snapshot: &Snapshot,
    folder: &[u8],
    name: &[u8],
) -> Result<(Reference, Vec<Entry>), RepoError> {
    let reader = vault.reader(Progress::none())?;
    let mut at = reader.found(snapshot, folder)?.node().expect("a folder");
    loop {
        match Node::decode(&reader.tree().meta(at)?).expect("a node") {
            Node::Leaf(entries) => return Ok((at, entries)),
            Node::Inner(children) => {
                let key = order_key(name, false);
                let child = children.iter().find(|Child { last, .. }| last.as_slice() >= &*key);
                at = child.expect("the entry is there").node;
            }
        }
    }
}

/// Stores a node and a redaction that puts it in the place of another.
fn replace_node(vault: &mut Vault, old: Reference, bytes: &[u8]) -> Result<(), RepoError> {
    let writer = vault.writer()?;
    let author = Author { key: &writer, run: RunId::random(&*vault.around.random) };
    let mut added = Vec::new();
    let tools = Tools {
        around: &vault.around,
        view: &vault.view,
        keys: &vault.keys,
        epoch: vault.epoch(),
        author,
        user: vault.keyring.user,
    };
    let mut meta = Segmenter::new(tools, ObjectKind::MetaPack, 3);
    let id = vault.keys.chunk_ids(ObjectKind::MetaPack, meta.bucket()).of(bytes);
    meta.add(id, bytes, &mut added)?;
    for pack in meta.finish(&mut added)? {
        let entries = entries_of(&pack.footer, 0).collect();
        added.push(pack.added);
        added.push(write_locator(&vault.around, vault.id(), &vault.keys, &author, vec![pack.places], entries)?);
    }
    drop(meta);
    let new = Reference { id, length: u32::try_from(bytes.len()).expect("a page is small") };
    let redaction = Redaction { nodes: vec![(old.id, new)], time: vault.around.clock.now() };
    let recipient = &vault.epoch().meta;
    let header = Header { kind: ObjectKind::Redaction, vault: vault.id(), key: recipient.key_id() };
    let sealed = seal_to(recipient, INFO, &header.to_bytes(), &redaction.encode(), &*vault.around.random)?;
    let stem = Stem::immutable(ObjectKind::Redaction);
    let (object, digest) = author.frame(header, &sealed, &stem);
    let name = stem.name(&digest);
    create_object(&*vault.around.storage, &name, &object)?;
    added.push(Added { name: name.to_string(), size: object.len() as u64, digest: None });
    vault.append(&writer, author.run, Change { operation: "dispose", added, removed: Vec::new() })
}

/// Every segment of the vault as it was before it was compressed and sealed.
///
/// # Errors
/// What reading the vault can meet.
pub fn segments(vault: &Vault) -> Result<Vec<Vec<u8>>, RepoError> {
    let reader = vault.reader(Progress::none())?;
    let TreeReader { chunks, locator, .. } = reader.tree();
    let mut segments = Vec::new();
    for (ordinal, pack) in (0..).zip(locator.packs()) {
        for (number, _) in (0..).zip(&pack.segments) {
            segments.push(chunks.segment(locator, ordinal, number)?.to_vec());
        }
    }
    Ok(segments)
}

/// Condemns objects, as a collector does before it deletes them.
///
/// # Errors
/// Those of the storage.
pub fn condemn(vault: &mut Vault, names: &[String]) -> Result<(), RepoError> {
    let writer = vault.writer()?;
    let id = Id::random(&*vault.around.random);
    let condemned = Condemned { id, vault_generation: 1, time: vault.around.clock.now(), names: names.to_vec() };
    let author = Author { key: &writer, run: RunId::random(&*vault.around.random) };
    let header = Header::clear(ObjectKind::Condemned, vault.id());
    let stem = Stem::mutable(ObjectKind::Condemned, id, 0);
    write_twice(&*vault.around.storage, &author, header, &condemned.encode(), &stem).map(drop)
}

/// Feeds bytes to the parser of this name, one of [`PARSERS`]. Only a panic is a failure.
///
/// # Panics
/// If there is no such parser.
pub fn parse(parser: &str, bytes: &[u8]) {
    let found = PARSERS.iter().find(|(name, _)| *name == parser);
    (found.expect("a known parser").1)(bytes);
}

/// A parser of bytes that come out of a vault, by name.
pub type Parser = (&'static str, fn(&[u8]));

/// Every parser of bytes that come out of a vault.
pub const PARSERS: [Parser; 17] = [
    ("name", |bytes| drop(std::str::from_utf8(bytes).map(crate::name::ParsedName::parse))),
    ("frame", |bytes| {
        let _ = crate::wire::frame::Frame::parse(bytes);
    }),
    ("cbor", |bytes| drop(crate::wire::cbor::Value::decode(bytes))),
    ("config", |bytes| drop(crate::wire::config::Config::decode(bytes))),
    ("user", |bytes| drop(crate::wire::certificate::UserCertificate::decode(bytes))),
    ("writer", |bytes| drop(crate::wire::certificate::WriterCertificate::decode(bytes))),
    ("slot", |bytes| drop(crate::wire::slot::Slot::decode(bytes))),
    ("slot_payload", |bytes| drop(crate::wire::slot::SlotPayload::decode(&bytes.to_vec().into()))),
    ("session", |bytes| drop(crate::wire::session::SessionTable::decode(&bytes.to_vec().into()))),
    ("pack", |bytes| {
        let _ = crate::wire::container::Opening::parse(bytes);
        let _ = crate::wire::pack::PackFooter::decode(bytes);
    }),
    ("segment", |bytes| drop(crate::pack::unpack(bytes.to_vec(), crate::wire::pack::Codec::Zstd, 1 << 22))),
    ("locator", |bytes| {
        let _ = crate::wire::locator::LocatorFooter::decode(bytes);
        let _ = crate::locator::read_block(bytes, 3);
    }),
    ("node", |bytes| drop(Node::decode(bytes))),
    ("snapshot", |bytes| drop(crate::wire::snapshot::SnapshotBody::decode(bytes))),
    ("redaction", |bytes| drop(Redaction::decode(bytes))),
    ("journal", |bytes| drop(crate::wire::journal::JournalEntry::decode(bytes))),
    ("lease", |bytes| {
        let _ = crate::wire::lease::Lease::decode(bytes);
        let _ = crate::wire::lease::Fence::decode(bytes);
        let _ = Condemned::decode(bytes);
    }),
];
