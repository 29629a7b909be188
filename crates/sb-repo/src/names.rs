//! The directory of names: what the opaque ids in audit logs stand for (docs/format.md §17).
//!
//! A log cannot forget, so no name stands in it. Names are sealed, and can be erased.

use std::collections::{BTreeMap, BTreeSet};

use sb_crypto::{open_with, seal_to};
use sb_store::ObjectName;

use crate::error::{Flaw, RepoError};
use crate::ids::{Id, RunId, UserId};
use crate::live::read;
use crate::name::{ObjectKind, ParsedName, Stem, TWIN};
use crate::sessions::write_twice;
use crate::trust::key_id;
use crate::vault::{Change, Vault};
use crate::wire::cbor::Malformed;
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;
use crate::wire::named::{INFO, Named};

/// What ids stand for, as far as that can be read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Names {
    /// By id.
    pub names: BTreeMap<String, String>,
    /// Objects that should be names and can't be read.
    pub flawed: Vec<(String, Flaw)>,
}

/// The user whom this id is of.
fn user_in(id: &str) -> Option<UserId> {
    UserId::from_hex(id.strip_prefix("user:")?)
}

impl Vault {
    /// Reads the directory. Who may not read names gets none.
    pub fn names(&self) -> Names {
        let mut names = Names::default();
        let mut newest: BTreeMap<String, Named> = BTreeMap::new();
        for (_, read) in self.named() {
            match read {
                Ok(named) => {
                    let known = newest.entry(named.id.clone()).or_insert_with(|| named.clone());
                    if known.time < named.time {
                        *known = named;
                    }
                }
                Err(RepoError::Damaged { name, flaw }) => names.flawed.push((name, flaw)),
                Err(_) => {}
            }
        }
        names.names = newest.into_iter().map(|(id, named)| (id, named.name)).collect();
        names
    }

    /// Says what an id stands for from now on, or with `None` that nobody is to know any more: every copy of what was said of it
    /// before is removed. It is durable, and entered, when this returns. What keeps copies of the vault keeps those names. What another
    /// user is called is for who has the root key to say, for that is whom people agree to let in or remove.
    ///
    /// # Errors
    /// [`RepoError::NoRootKey`], [`RepoError::RolledBack`], [`RepoError::NoReadingKey`] if the user may not read what was said before, and errors of storage
    /// and state.
    pub fn name(&mut self, id: &str, name: Option<&str>) -> Result<(), RepoError> {
        self.check_heads()?;
        if name.is_some() && user_in(id).is_some_and(|user| user != self.user()) {
            self.root_pair()?;
        }
        let writer = self.writer()?;
        let run = RunId::random(&*self.around.random);
        let mut change = Change { operation: "name", ..Change::default() };
        for (object, read) in self.named() {
            // What somebody has said who may not is no name of anybody.
            if matches!(&read, Err(RepoError::Damaged { flaw: Flaw::NotEntitled, .. })) {
                continue;
            }
            if read?.id == id {
                let copies = [format!("{TWIN}{object}"), object];
                let live =
                    copies.into_iter().filter_map(|name| self.view.live.get(&name).map(|live| (name, live.size)));
                change.removed.extend(live);
            }
        }
        if let Some(name) = name {
            change.added = self.write_name(id, name, run)?;
        }
        if change.added.is_empty() && change.removed.is_empty() {
            return Ok(());
        }
        let removed: Vec<String> = change.removed.iter().map(|(name, _)| name.clone()).collect();
        self.append(&writer, run, change)?;
        for name in removed {
            // Removed by the journal already; what stays for whatever reason is reported by verify.
            let _ = self.around.storage.remove(&ObjectName::new(name)?);
        }
        Ok(())
    }

    /// Writes what an id stands for; in no journal yet.
    pub(crate) fn write_name(&self, id: &str, name: &str, run: RunId) -> Result<Vec<Added>, RepoError> {
        let named = Named { id: id.to_owned(), name: name.to_owned(), time: self.around.clock.now() };
        let recipient = &self.epoch().meta;
        let header = Header { kind: ObjectKind::Name, vault: self.id(), key: recipient.key_id() };
        let sealed = seal_to(recipient, INFO, &header.to_bytes(), &named.encode(), &*self.around.random)?;
        // What somebody is called is a user's word, not a machine's; of users that of who manages them.
        let root = self.keyring.root_signing.as_ref().filter(|_| user_in(id).is_some());
        let author = Author { key: root.unwrap_or(&self.keyring.signing), run };
        let stem = Stem::mutable(ObjectKind::Name, Id::<(), 8>::random(&*self.around.random), 0);
        write_twice(&*self.around.storage, &author, header, &sealed, &stem)
    }

    /// Every name that counts, or why it can't be read; each once, though there are two copies.
    fn named(&self) -> Vec<(String, Result<Named, RepoError>)> {
        let live = self.view.live.iter().map(|(name, _)| name);
        let objects =
            live.map(|name| name.strip_prefix(TWIN).unwrap_or(name)).filter(|name| name.starts_with("names/"));
        let objects: BTreeSet<&str> = objects.collect();
        let read = |object: &&str| match self.read_name(object) {
            Err(error @ RepoError::Damaged { .. }) => self.read_name(&format!("{TWIN}{object}")).map_err(|_| error),
            other => other,
        };
        objects.iter().map(|object| ((*object).to_owned(), read(object))).collect()
    }

    fn read_name(&self, name: &str) -> Result<Named, RepoError> {
        let damaged = |flaw: Flaw| RepoError::Damaged { name: name.to_owned(), flaw };
        let parsed = ParsedName::parse(name).ok_or_else(|| damaged(Flaw::Surplus))?;
        let bytes = read(&*self.view.storage, name).map_err(damaged)?;
        let frame = self.view.trust.check(&parsed, &bytes).map_err(damaged)?;
        let private = self.keys()?.private(ObjectKind::Name, frame.header.key, name)?;
        let plain = open_with(private, INFO, &frame.header.to_bytes(), frame.body)
            .map_err(|_| damaged(Malformed("does not open with the compartment's key").into()))?;
        let named = Named::decode(plain.as_bytes()).map_err(|flaw| damaged(flaw.into()))?;
        let signer = frame.trailer.signer;
        let is_own = |user| self.view.trust.users.get(&signer).is_some_and(|known| known.user == user);
        let counts = user_in(&named.id).is_none_or(|user| is_own(user) || signer == key_id(&self.view.trust.root));
        if counts { Ok(named) } else { Err(damaged(Flaw::NotEntitled)) }
    }
}
