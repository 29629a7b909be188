//! Pack keys: making tables of them for a run, and finding the one for a pack.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use sb_crypto::{Key, Random, open_with, seal_to};
use sb_store::{Storage, create};

use crate::error::{Flaw, RepoError};
use crate::ids::{BucketId, TableId};
use crate::keys::CompartmentKeys;
use crate::live::read;
use crate::name::{ObjectKind, ParsedName, Stem, twin_of};
use crate::view::View;
use crate::wire::config::Epoch;
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;
use crate::wire::session::{INFO, KEYS_MAX, SessionTable};

/// The key id in a pack's header: table and number in it.
pub(crate) fn pack_key_id(table: TableId, number: u16) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(table.as_bytes());
    id[8..10].copy_from_slice(&number.to_be_bytes());
    id
}

/// The table that the key with this id is in.
pub(crate) fn table_of(key_id: &[u8; 16]) -> TableId {
    TableId::from_slice(&key_id[..8]).expect("8 bytes")
}

/// Keys for the packs of one run and one kind. A table is durable before its first key is given out.
#[derive(Debug)]
pub(crate) struct NewKeys {
    kind: ObjectKind,
    bucket: BucketId,
    table: Option<SessionTable>,
    used: usize,
}

impl NewKeys {
    pub(crate) fn new(kind: ObjectKind, bucket: BucketId) -> Self {
        Self { kind, bucket, table: None, used: 0 }
    }

    /// The next key and its id; what was written for it goes to `added`.
    pub(crate) fn next(
        &mut self,
        view: &View,
        random: &dyn Random,
        author: &Author<'_>,
        epoch: &Epoch,
        added: &mut Vec<Added>,
    ) -> Result<([u8; 16], Key), RepoError> {
        let exhausted = self.table.as_ref().is_none_or(|table| self.used >= table.keys.len());
        if exhausted {
            // Most runs need one key; long ones soon get full tables.
            let count = self.table.as_ref().map_or(4, |table| (table.keys.len() * 4).min(KEYS_MAX));
            let table = SessionTable {
                id: TableId::random(random),
                generation: 0,
                bucket: self.bucket,
                keys: (0..count).map(|_| Some(Key::random(random))).collect(),
            };
            write_table(view, random, author, epoch, self.kind, &table, added)?;
            self.table = Some(table);
            self.used = 0;
        }
        let table = self.table.as_ref().expect("made above");
        let number = u16::try_from(self.used).expect("at most 64 keys");
        let key = table.keys[self.used].clone().expect("new tables have all their keys");
        self.used += 1;
        Ok((pack_key_id(table.id, number), key))
    }
}

fn write_table(
    view: &View,
    random: &dyn Random,
    author: &Author<'_>,
    epoch: &Epoch,
    kind: ObjectKind,
    table: &SessionTable,
    added: &mut Vec<Added>,
) -> Result<(), RepoError> {
    let recipient = if kind == ObjectKind::ContentPack { &epoch.content } else { &epoch.meta };
    let header = Header { kind: ObjectKind::SessionTable, vault: view.id(), key: recipient.key_id() };
    let sealed = seal_to(recipient, INFO, &header.to_bytes(), table.encode().as_bytes(), random)?;
    let stem = Stem::table(table.bucket, table.id, table.generation);
    added.extend(write_twice(&*view.storage, author, header, &sealed, &stem)?);
    Ok(())
}

/// Writes an object and, if its kind has one, its twin.
pub(crate) fn write_twice(
    storage: &dyn Storage,
    author: &Author<'_>,
    header: Header,
    body: &[u8],
    stem: &Stem,
) -> Result<Vec<Added>, RepoError> {
    let (bytes, digest) = author.frame(header, body, stem);
    let name = stem.name(&digest);
    let mut names = vec![name.clone()];
    if header.kind.has_twin() {
        names.push(twin_of(&name));
    }
    let size = bytes.len() as u64;
    let short = !matches!(ParsedName::parse(name.as_str()), Some(parsed) if parsed.hash.len() == 64);
    let mut added = Vec::new();
    for name in names {
        create(storage, &name, &bytes)?;
        added.push(Added { name: name.to_string(), size, digest: short.then_some(digest) });
    }
    Ok(added)
}

/// Finds pack keys with a compartment's private keys.
#[derive(Debug, Default)]
pub(crate) struct KeyFinder {
    /// Of each id, those opened so far, by their place among the names.
    tables: Mutex<HashMap<TableId, BTreeMap<usize, SessionTable>>>,
    names: BTreeMap<TableId, Vec<(ParsedName, String)>>,
}

impl KeyFinder {
    pub(crate) fn new(view: &View) -> Self {
        let mut names: BTreeMap<TableId, Vec<_>> = BTreeMap::new();
        for family in view.mutables("sessions/").into_values() {
            if let Some(id) = family.first().and_then(|(parsed, _)| TableId::from_hex(parsed.stem.id())) {
                names.entry(id).or_default().extend(family);
            }
        }
        Self { tables: Mutex::default(), names }
    }

    /// The key of the pack with this key id in its header: of all tables of that id, newest first, the first key that is
    /// `right`. A machine's log key suffices to add a table with wrong keys, so the newest alone would not do.
    pub(crate) fn find(
        &self,
        view: &View,
        keys: &CompartmentKeys,
        kind: ObjectKind,
        key_id: &[u8; 16],
        right: impl Fn(&Key) -> bool,
    ) -> Result<Key, RepoError> {
        let id = table_of(key_id);
        let number = usize::from(u16::from_be_bytes([key_id[8], key_id[9]]));
        let mut all = self.tables.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let opened = all.entry(id).or_default();
        let mut trouble = RepoError::Damaged { name: format!("session table {id}"), flaw: Flaw::Missing };
        if self.names.contains_key(&id) {
            trouble = RepoError::Damaged { name: format!("session table {id}"), flaw: Flaw::NoKey(number) };
        }
        for (place, (parsed, name)) in self.names.get(&id).into_iter().flatten().enumerate() {
            let table = match opened.entry(place) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => match open_table(view, keys, kind, parsed, name) {
                    Ok(table) => new.insert(table),
                    Err(error) => {
                        trouble = error;
                        continue;
                    }
                },
            };
            if let Some(key) = table.keys.get(number).cloned().flatten().filter(&right) {
                return Ok(key);
            }
        }
        Err(trouble)
    }
}

fn open_table(
    view: &View,
    keys: &CompartmentKeys,
    kind: ObjectKind,
    parsed: &ParsedName,
    name: &str,
) -> Result<SessionTable, RepoError> {
    let damaged = |flaw: Flaw| RepoError::Damaged { name: name.to_owned(), flaw };
    let bytes = read(&*view.storage, name).map_err(damaged)?;
    let frame = view.trust.check(parsed, &bytes).map_err(damaged)?;
    let private = keys.private(kind, frame.header.key, name)?;
    let plain = open_with(private, INFO, &frame.header.to_bytes(), frame.body)
        .map_err(|_| damaged(crate::wire::cbor::Malformed("does not open with the compartment's key").into()))?;
    let table = SessionTable::decode(&plain).map_err(|flaw| damaged(flaw.into()))?;
    let fits = table.id.to_string() == parsed.stem.id()
        && table.generation == parsed.stem.generation()
        && parsed.stem.folder() == format!("sessions/{}", table.bucket);
    if fits { Ok(table) } else { Err(damaged(Flaw::Foreign)) }
}
