//! Pack keys: making tables of them for a run, and finding the one for a pack.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;

use sb_crypto::{Key, PrivateKey, Random, open_with, seal_to};
use sb_store::{Storage, create};

use crate::error::{Flaw, RepoError};
use crate::ids::{BucketId, TableId};
use crate::keys::CompartmentKeys;
use crate::live::{list, read};
use crate::name::{ObjectKind, ParsedName, Stem, twin_of};
use crate::trust::Trust;
use crate::view::View;
use crate::wire::cbor::Malformed;
use crate::wire::config::Epoch;
use crate::wire::frame::{Author, Frame, Header};
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

/// Writes a table for packs of this kind, sealed to an epoch.
pub(crate) fn write_table(
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
pub(crate) struct KeyFinder(Mutex<Tables>);

/// Tables as they were when somebody looked.
#[derive(Debug, Default)]
struct Tables {
    /// Of each id, those opened so far, by their place among the names.
    opened: HashMap<TableId, BTreeMap<usize, SessionTable>>,
    names: BTreeMap<TableId, Vec<(ParsedName, String)>>,
    /// Who may sign, and the keys that open, if that was after the view: somebody has rotated keys since.
    since: Option<(Trust, Option<CompartmentKeys>)>,
    /// What there was of an id when it was looked for once more.
    seen: HashMap<TableId, BTreeSet<String>>,
}

impl KeyFinder {
    pub(crate) fn new(view: &View) -> Self {
        Self(Mutex::new(Tables::of(view)))
    }

    /// The key of the pack with this key id in its header: of all tables of that id, newest first, the first key that is
    /// `right`. A machine's log key suffices to add a table with wrong keys, so the newest alone would not do.
    ///
    /// Where none is, the tables may have been sealed anew since they were listed: then they are looked for once more.
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
        let mut tables = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match tables.find(view, keys, kind, (id, number), &right) {
            Err(error) if !matches!(error, RepoError::NoReadingKey { .. }) => match tables.look_again(view, keys, id) {
                Ok(true) => tables.find(view, keys, kind, (id, number), &right),
                _ => Err(error),
            },
            found => found,
        }
    }
}

impl Tables {
    fn of(view: &View) -> Self {
        let mut names: BTreeMap<TableId, Vec<_>> = BTreeMap::new();
        for family in view.mutables("sessions/").into_values() {
            if let Some(id) = family.first().and_then(|(parsed, _)| TableId::from_hex(parsed.stem.id())) {
                names.entry(id).or_default().extend(family);
            }
        }
        Self { names, ..Self::default() }
    }

    /// Looks at the vault as it is now, if there are tables of that id that were not there before.
    fn look_again(&mut self, view: &View, keys: &CompartmentKeys, id: TableId) -> Result<bool, RepoError> {
        let is_of_it = |name: &String| {
            ParsedName::parse(name).is_some_and(|parsed| TableId::from_hex(parsed.stem.id()) == Some(id))
        };
        let listed = view.storage.list("sessions")?.into_iter().map(|listed| listed.name);
        let there: BTreeSet<String> = listed.filter(is_of_it).collect();
        let known = self.names.get(&id).into_iter().flatten().map(|(_, name)| name);
        let known: BTreeSet<&String> = known.chain(self.seen.get(&id).into_iter().flatten()).collect();
        if there.iter().all(|name| known.contains(name)) {
            return Ok(false);
        }
        self.seen.insert(id, there);
        let root = Some(view.config.root);
        let now = View::assemble(view.storage.clone(), list(&*view.storage)?, view.remembered.clone(), root, None)?;
        let keys = keys.granted_in(&now)?;
        let seen = std::mem::take(&mut self.seen);
        *self = Self { since: Some((now.trust.clone(), keys)), seen, ..Self::of(&now) };
        Ok(true)
    }

    fn find(
        &mut self,
        view: &View,
        keys: &CompartmentKeys,
        kind: ObjectKind,
        (id, number): (TableId, usize),
        right: &dyn Fn(&Key) -> bool,
    ) -> Result<Key, RepoError> {
        let (trust, keys) = match &self.since {
            Some((trust, newer)) => (trust, newer.as_ref().unwrap_or(keys)),
            None => (&view.trust, keys),
        };
        let opened = self.opened.entry(id).or_default();
        let mut trouble = RepoError::Damaged { name: format!("session table {id}"), flaw: Flaw::Missing };
        if self.names.contains_key(&id) {
            trouble = RepoError::Damaged { name: format!("session table {id}"), flaw: Flaw::NoKey(number) };
        }
        for (place, (parsed, name)) in self.names.get(&id).into_iter().flatten().enumerate() {
            let table = match opened.entry(place) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => match open_table(&*view.storage, trust, keys, kind, parsed, name) {
                    Ok(table) => new.insert(table),
                    Err(error) => {
                        trouble = error;
                        continue;
                    }
                },
            };
            if let Some(key) = table.keys.get(number).cloned().flatten().filter(right) {
                return Ok(key);
            }
        }
        Err(trouble)
    }
}

fn open_table(
    storage: &dyn Storage,
    trust: &Trust,
    keys: &CompartmentKeys,
    kind: ObjectKind,
    parsed: &ParsedName,
    name: &str,
) -> Result<SessionTable, RepoError> {
    let damaged = |flaw: Flaw| RepoError::Damaged { name: name.to_owned(), flaw };
    let bytes = read(storage, name).map_err(damaged)?;
    let frame = trust.check(parsed, &bytes).map_err(damaged)?;
    let private = keys.private(kind, frame.header.key, name)?;
    unseal_table(private, parsed, &frame).map_err(damaged)
}

/// What a table holds that is sealed to this key.
pub(crate) fn unseal_table(private: &PrivateKey, parsed: &ParsedName, frame: &Frame<'_>) -> Result<SessionTable, Flaw> {
    let plain = open_with(private, INFO, &frame.header.to_bytes(), frame.body)
        .map_err(|_| Malformed("does not open with the compartment's key"))?;
    let table = SessionTable::decode(&plain)?;
    let fits = table.id.to_string() == parsed.stem.id()
        && table.generation == parsed.stem.generation()
        && parsed.stem.folder() == format!("sessions/{}", table.bucket);
    if fits { Ok(table) } else { Err(Flaw::Foreign) }
}
