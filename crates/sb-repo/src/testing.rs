//! What tests need and no program does: acts of the lifecycle that are not there yet, and every parser of vault bytes.

mod forgeries;
pub mod locators;
mod opened;

pub use forgeries::{ForgedStatement, Forgery, forge, forge_statement};
pub use opened::{Opened, opened, opened_in};

use sb_crypto::{Key, open_with, seal_to};
use sb_store::{ObjectName, create as create_object};

use crate::clock::Progress;
use crate::error::RepoError;
use crate::ids::{BucketId, Id, RunId};
use crate::locator::{entries_of, write_locator};
use crate::name::{ObjectKind, ParsedName, Stem};
use crate::pack::{Segmenter, Tools};
use crate::sessions::write_twice;
use crate::snapshots::Snapshot;
use crate::tree::{TreeReader, document_leaf};
use crate::vault::{Change, Vault};
use crate::wire::cbor::Fields;
use crate::wire::container::{ContainerKeys, Messages, Opening, read_footer};
use crate::wire::entry::{Entry, Item, order_key};
use crate::wire::frame::{Author, Frame, Header};
use crate::wire::journal::Added;
use crate::wire::lease::Condemned;
use crate::wire::node::{Child, Node, Reference};
use crate::wire::redaction::{INFO, Redaction};
use crate::wire::{label, named, session, snapshot};

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
            link_group: None,
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
        keys: vault.keys()?,
        epoch: vault.epoch(),
        author,
        user: vault.keyring.user,
    };
    let mut meta = Segmenter::new(tools, ObjectKind::MetaPack, 3);
    let id = vault.keys()?.chunk_ids(ObjectKind::MetaPack, vault.keys()?.bucket(ObjectKind::MetaPack)).of(bytes);
    meta.add(id, bytes, &mut added)?;
    for pack in meta.finish(&mut added)? {
        let entries = entries_of(&pack.footer, 0).collect();
        added.push(pack.added);
        added.push(write_locator(&vault.around, vault.id(), vault.keys()?, &author, vec![pack.places], entries)?);
    }
    drop(meta);
    let new = Reference { id, length: u32::try_from(bytes.len()).expect("a page is small") };
    let redaction = Redaction { nodes: vec![(old.id, new)], time: vault.around.clock.now() };
    let recipient = &vault.epoch().meta;
    let header = Header { kind: ObjectKind::Redaction, vault: vault.id(), key: recipient.key_id() };
    let sealed = seal_to(recipient, INFO, &header.to_bytes(), &redaction.encode(), &*vault.around.random)?;
    let stem = Stem::immutable(ObjectKind::Redaction);
    // A redaction is a user's act, not a machine's.
    let by_user = Author { key: &vault.keyring.signing, run: author.run };
    let (object, digest) = by_user.frame(header, &sealed, &stem);
    let name = stem.name(&digest);
    create_object(&*vault.around.storage, &name, &object)?;
    added.push(Added { name: name.to_string(), size: object.len() as u64, digest: None });
    vault.append(&writer, author.run, Change { operation: "dispose", added, removed: Vec::new(), ..Change::default() })
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

/// Every structure that the vault is made of, in the clear, each with the parser that reads it: what fuzzing starts from.
///
/// # Errors
/// What reading the vault can meet.
///
/// # Panics
/// If the vault is damaged.
pub fn specimens(vault: &Vault) -> Result<Vec<(&'static str, Vec<u8>)>, RepoError> {
    let mut found = vec![("slot_payload", vault.keyring.payload.encode().as_bytes().to_vec())];
    for name in vault.view.listing.keys() {
        let object = ObjectName::new(name.as_str())?;
        let bytes = vault.around.storage.read(&object)?;
        let frame = Frame::parse(&bytes).expect("an object");
        let opened = |private: ObjectKind, info: &[u8]| {
            let private = vault.keys()?.private(private, frame.header.key, name)?;
            Ok::<_, RepoError>(open_with(private, info, &frame.header.to_bytes(), frame.body)?.as_bytes().to_vec())
        };
        match frame.header.kind {
            ObjectKind::Config => found.push(("config", frame.body.to_vec())),
            ObjectKind::User => found.push(("user", frame.body.to_vec())),
            ObjectKind::Writer => found.push(("writer", frame.body.to_vec())),
            ObjectKind::Slot => found.push(("slot", frame.body.to_vec())),
            ObjectKind::Journal => found.push(("journal", frame.body.to_vec())),
            ObjectKind::Lease | ObjectKind::Fence | ObjectKind::Condemned => found.push(("lease", frame.body.to_vec())),
            ObjectKind::Snapshot => found.push(("snapshot", opened(ObjectKind::MetaPack, snapshot::INFO)?)),
            ObjectKind::Redaction => found.push(("redaction", opened(ObjectKind::MetaPack, INFO)?)),
            ObjectKind::SessionTable => {
                let table = opened(ObjectKind::MetaPack, session::INFO);
                found.push(("session", table.or_else(|_| opened(ObjectKind::ContentPack, session::INFO))?));
            }
            ObjectKind::Locator | ObjectKind::ContentPack | ObjectKind::MetaPack => {
                let own = vault.keys()?;
                let keys = ContainerKeys::new(own.hash, Messages::Blocks, &own.index, &own.index);
                let (_, _, footer, _) = read_footer(&*vault.around.storage, &object, |_| Ok(keys))?;
                found.push((if frame.header.kind == ObjectKind::Locator { "locator" } else { "pack" }, footer));
                found.push(("pack", bytes[..Opening::LENGTH].to_vec()));
            }
            ObjectKind::Label => found.push(("label", opened(ObjectKind::MetaPack, label::INFO)?)),
            ObjectKind::Roll => found.push(("roll", frame.body.to_vec())),
            ObjectKind::Request => found.push(("request", frame.body.to_vec())),
            ObjectKind::Grant => found.push(("grant", vault.keyring.keys.encode().as_bytes().to_vec())),
            ObjectKind::Name => found.push(("named", opened(ObjectKind::MetaPack, named::INFO)?)),
            ObjectKind::Signature => found.push(("signature", frame.body.to_vec())),
            ObjectKind::Stamp => found.push(("stamp", frame.body.to_vec())),
            ObjectKind::Reserve | ObjectKind::Log | ObjectKind::Certificate | ObjectKind::Checkpoint => {}
        }
        found.extend([("name", name.clone().into_bytes()), ("frame", bytes)]);
    }
    for segment in segments(vault)? {
        found.push(("segment", zstd::bulk::compress(&segment, 3).expect("zstd compresses anything")));
    }
    let reader = vault.reader(Progress::none())?;
    for snapshot in vault.snapshots()?.snapshots {
        found.push(("node", reader.tree().meta(snapshot.root())?));
        if let Some(problems) = snapshot.problems_at() {
            found.push(("problems", reader.tree().meta(problems)?));
        }
        reader.list(&snapshot, b"/", true, &mut |_, entry| {
            if let Item::Folder { node, .. } = &entry.item {
                found.push(("node", reader.tree().meta(*node)?));
            }
            Ok(())
        })?;
    }
    let cbor: Vec<_> = found.iter().filter(|(parser, _)| *parser == "node").map(|(_, b)| ("cbor", b.clone())).collect();
    found.extend(cbor);
    Ok(found)
}

/// Appends a journal entry as somebody could who has read this machine's log key and nothing else: without an authority.
///
/// # Errors
/// Those of the storage.
///
/// # Panics
/// If the machine has no journal yet.
pub fn forge_entry(vault: &mut Vault, added: &[String], removed: &[String]) -> Result<(), RepoError> {
    let writer = vault.writer()?;
    let head = vault.view.live.heads[&crate::trust::key_id(&writer.public())];
    let entry = crate::wire::journal::JournalEntry {
        sequence: head.sequence + 1,
        previous: Some(head.digest),
        time: vault.around.clock.now(),
        operation: "forged".to_owned(),
        generation: 0,
        added: added.iter().map(|name| Added { name: name.clone(), size: 1, digest: None }).collect(),
        removed: removed.iter().map(|name| (name.clone(), 1)).collect(),
        authority: None,
        log: None,
        accepted: Vec::new(),
    };
    let author = Author { key: &writer, run: RunId::random(&*vault.around.random) };
    crate::vault::write_entry(&*vault.around.storage, vault.id(), &author, &entry).map(drop)
}

/// Files this as a batch of this machine's log, as somebody can who has read its log key. Returns its name.
///
/// # Errors
/// Those of the storage.
pub fn forge_batch(vault: &mut Vault, first: u64, body: &[u8]) -> Result<String, RepoError> {
    let writer = vault.writer()?;
    let stem = Stem::log(crate::trust::key_id(&writer.public()), first);
    let header = Header::clear(ObjectKind::Log, vault.id());
    let (bytes, digest) = Author::outside(&writer).frame(header, body, &stem);
    let name = stem.name(&digest);
    create_object(&*vault.around.storage, &name, &bytes)?;
    Ok(name.to_string())
}

/// Files and enters this statement as a certificate of this machine, as somebody can who has read its log key. Returns its name.
///
/// # Errors
/// Those of the storage.
pub fn forge_certificate(vault: &mut Vault, statement: &sb_audit::Statement) -> Result<String, RepoError> {
    let key = vault.writer()?;
    let author = Author { key: &key, run: RunId::random(&*vault.around.random) };
    let (certified, added) = crate::certificates::write_certificate(&vault.view, &author, statement, 1)?;
    vault.append(&key, author.run, Change { operation: "forged", added, ..Change::default() })?;
    Ok(format!("certificates/{}", certified.object))
}

/// What signs this machine's log.
///
/// # Errors
/// Those of storage and state.
pub fn log_signer(vault: &mut Vault) -> Result<sb_audit::NoteSigner, RepoError> {
    let writer = vault.writer()?;
    Ok(crate::logs::signer(vault.id(), &writer))
}

/// Does what somebody can who has read this machine's log key and knows a vault's public keys: puts wrong keys into a new
/// generation of a session table, and a snapshot of nonsense beside the others, both entered into the journal.
///
/// # Errors
/// Those of the storage.
///
/// # Panics
/// If the machine has no journal yet, or there is no such table.
pub fn forge_objects(vault: &mut Vault, table: &str) -> Result<(), RepoError> {
    let writer = vault.writer()?;
    let random = vault.around.random.clone();
    let author = Author { key: &writer, run: RunId::random(&*random) };
    let (storage, epoch) = (vault.around.storage.clone(), vault.epoch().clone());
    let parsed = ParsedName::parse(table).expect("a table's name");
    let bucket = BucketId::from_hex(parsed.stem.folder().trim_start_matches("sessions/")).expect("a bucket");
    let id = Id::from_hex(parsed.stem.id()).expect("a table's id");
    let mut added = Vec::new();
    for (number, recipient) in [&epoch.content, &epoch.meta].into_iter().enumerate() {
        let generation = 1 + number as u64;
        let keys = (0..4).map(|_| Some(Key::random(&*random))).collect();
        let forged = session::SessionTable { id, generation, bucket, keys };
        let header = Header { kind: ObjectKind::SessionTable, vault: vault.id(), key: recipient.key_id() };
        let sealed = seal_to(recipient, session::INFO, &header.to_bytes(), forged.encode().as_bytes(), &*random)?;
        let stem = Stem::table(bucket, id, generation);
        added.extend(write_twice(&*storage, &author, header, &sealed, &stem)?);
    }
    let header = Header { kind: ObjectKind::Snapshot, vault: vault.id(), key: [7; 16] };
    added.extend(write_twice(&*storage, &author, header, b"nonsense", &Stem::immutable(ObjectKind::Snapshot))?);
    vault.append(&writer, author.run, Change { operation: "forged", added, removed: Vec::new(), ..Change::default() })
}

/// Writes a config with features that no version knows: a newer program's vault.
///
/// # Errors
/// Those of the storage.
///
/// # Panics
/// If the user has no root key.
pub fn need_features(vault: &mut Vault, incompatible: &[&str], writer_only: &[&str]) -> Result<(), RepoError> {
    let writer = vault.writer()?;
    let root = vault.keyring.root_signing.clone().expect("an owner");
    let owned = |features: &[&str]| features.iter().map(|&feature| feature.to_owned()).collect();
    let mut config = vault.view.config.clone();
    config.generation += 1;
    config.incompatible = owned(incompatible);
    config.writer_only = owned(writer_only);
    let (header, stem) = (Header::clear(ObjectKind::Config, vault.id()), Stem::config(config.generation));
    let by_root = Author::outside(&root);
    let added = write_twice(&*vault.around.storage, &by_root, header, &config.encode(), &stem)?;
    vault.append(
        &writer,
        RunId::new([0; 8]),
        Change { operation: "upgrade", added, removed: Vec::new(), ..Change::default() },
    )
}

/// Takes the keys that read away from an open vault, as from that of a backup operator.
///
/// # Panics
/// If the vault is being read.
pub fn lose_reading_keys(vault: &mut Vault) {
    let keys = vault.keys.as_mut().and_then(std::sync::Arc::get_mut);
    keys.expect("nobody else has the keys").lose_private();
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
pub const PARSERS: [Parser; 25] = [
    ("name", |bytes| drop(std::str::from_utf8(bytes).map(ParsedName::parse))),
    ("frame", |bytes| {
        let _ = Frame::parse(bytes);
    }),
    ("cbor", |bytes| drop(crate::wire::cbor::Value::decode(bytes))),
    ("config", |bytes| drop(crate::wire::config::Config::decode(bytes))),
    ("user", |bytes| drop(crate::wire::certificate::UserCertificate::decode(bytes))),
    ("writer", |bytes| drop(crate::wire::certificate::WriterCertificate::decode(bytes))),
    ("slot", |bytes| drop(crate::wire::slot::Slot::decode(bytes))),
    ("slot_payload", |bytes| drop(crate::wire::slot::SlotPayload::decode(&bytes.to_vec().into()))),
    ("session", |bytes| drop(session::SessionTable::decode(&bytes.to_vec().into()))),
    ("pack", |bytes| {
        let _ = Opening::parse(bytes);
        let _ = crate::wire::pack::PackFooter::decode(bytes);
    }),
    ("segment", |bytes| {
        let codec = crate::wire::pack::Codec::Zstd;
        let _ = crate::pack::Unpacker::default().unpack(bytes, codec, 1 << 22, &mut Vec::new());
    }),
    ("locator", |bytes| {
        let _ = crate::wire::locator::LocatorFooter::decode(bytes);
        let _ = crate::locator::read_block(bytes, 3);
    }),
    ("node", |bytes| {
        let _ = Node::decode(bytes);
        if let Ok(crate::wire::skim::Page::Leaf(entries)) = crate::wire::skim::Page::read(bytes) {
            entries.iter().for_each(|entry| drop((entry.entry(), entry.node())));
        }
    }),
    ("problems", |bytes| drop(crate::reader::read_problems(bytes))),
    ("snapshot", |bytes| drop(snapshot::SnapshotBody::decode(bytes))),
    ("redaction", |bytes| drop(Redaction::decode(bytes))),
    ("label", |bytes| drop(label::Label::decode(bytes))),
    ("named", |bytes| drop(named::Named::decode(bytes))),
    ("grant", |bytes| drop(crate::wire::slot::KeyBundle::decode(&bytes.to_vec().into()))),
    ("roll", |bytes| drop(crate::access::Roll::decode(bytes))),
    ("request", |bytes| drop(crate::wire::request::Statement::decode(bytes))),
    ("signature", |bytes| drop(crate::wire::proof::SignatureBody::decode(bytes))),
    ("stamp", |bytes| drop(crate::wire::proof::StampBody::decode(bytes))),
    ("journal", |bytes| drop(crate::wire::journal::JournalEntry::decode(bytes))),
    ("lease", |bytes| {
        let _ = crate::wire::lease::Lease::decode(bytes);
        let _ = crate::wire::lease::Fence::decode(bytes);
        let _ = Condemned::decode(bytes);
    }),
];
