//! Grants: the keys that a user's roles need, sealed to the user.

use std::collections::BTreeSet;

use sb_crypto::{PrivateKey, PublicKey, SigningKey, open_with, seal_to};

use crate::error::{Flaw, RepoError};
use crate::ids::{Id, VaultId};
use crate::live::read;
use crate::name::{ObjectKind, ParsedName, Stem, TWIN};
use crate::sessions::write_twice;
use crate::vault::Surroundings;
use crate::view::{View, with_twins};
use crate::wire::cbor::Malformed;
use crate::wire::frame::{Author, Frame, Header};
use crate::wire::journal::Added;
use crate::wire::slot::KeyBundle;

const FOLDER: &str = "grants/";
/// Said to the recipient's key encapsulation.
pub(crate) const GRANT_INFO: &[u8] = b"sbv1/grant";

/// Writes a grant of these keys to who has the private half of that key; in no journal yet.
pub(crate) fn write_grant(
    around: &Surroundings,
    vault: VaultId,
    root: &SigningKey,
    recipient: &PublicKey,
    keys: &KeyBundle,
) -> Result<Vec<Added>, RepoError> {
    let header = Header { kind: ObjectKind::Grant, vault, key: recipient.key_id() };
    let sealed = seal_to(recipient, GRANT_INFO, &header.to_bytes(), keys.encode().as_bytes(), &*around.random)?;
    let stem = Stem::mutable(ObjectKind::Grant, Id::<(), 8>::random(&*around.random), 0);
    write_twice(&*around.storage, &Author::outside(root), header, &sealed, &stem)
}

/// What the vault has granted to who has this private key. `None` if there is no grant for it.
///
/// A grant that stands in no journal counts if there is no other: it may be that the journal was lost.
pub(crate) fn granted(view: &View, private: &PrivateKey) -> Result<Option<KeyBundle>, RepoError> {
    let (entered, others): (BTreeSet<&str>, BTreeSet<&str>) = grants(view).partition(|name| view.live.contains(name));
    let mut trouble = None;
    for names in [entered, others] {
        let mut found: Option<KeyBundle> = None;
        for name in names {
            match open(view, name, private) {
                Ok(Some(keys)) => {
                    // Two administrators may have given one each at the same time; nobody is left with less than either gave.
                    let more = found.as_ref().is_none_or(|found| keys.set().covers(found.set()));
                    found = if more { Some(keys) } else { found };
                }
                Ok(None) => {}
                Err(flaw) => trouble = trouble.or(Some(RepoError::Damaged { name: name.to_owned(), flaw })),
            }
        }
        if found.is_some() {
            return Ok(found);
        }
    }
    // Whose the damaged one is nobody can tell.
    trouble.map_or(Ok(None), Err)
}

impl View {
    /// The grants in the live set to who has this key, with their twins.
    pub(crate) fn grants_to(&self, recipient: &PublicKey) -> Vec<String> {
        let mine = |name: &String| {
            let bytes = read(&*self.storage, name).ok()?;
            Frame::parse(&bytes).ok().map(|frame| frame.header.key == recipient.key_id())
        };
        let all = with_twins(&self.listing, FOLDER).into_iter().map(str::to_owned);
        all.filter(|name| self.live.contains(name)).filter(|name| mine(name) == Some(true)).collect()
    }
}

/// Every grant that was not removed, without its twin.
fn grants(view: &View) -> impl Iterator<Item = &str> {
    let live = view.live.iter().map(|(name, _)| name);
    let listed = view.listing.keys().map(String::as_str);
    let names = live.chain(listed).map(|name| name.strip_prefix(TWIN).unwrap_or(name));
    names.filter(|name| name.starts_with(FOLDER) && !view.live.is_removed(name))
}

fn open(view: &View, name: &str, private: &PrivateKey) -> Result<Option<KeyBundle>, Flaw> {
    match open_copy(view, name, name, private) {
        Err(_) => open_copy(view, name, &format!("{TWIN}{name}"), private),
        opened => opened,
    }
}

fn open_copy(view: &View, name: &str, copy: &str, private: &PrivateKey) -> Result<Option<KeyBundle>, Flaw> {
    let parsed = ParsedName::parse(name).ok_or(Flaw::Surplus)?;
    let bytes = read(&*view.storage, copy)?;
    let frame = view.trust.check(&parsed, &bytes)?;
    if frame.header.key != private.public().key_id() {
        return Ok(None);
    }
    let keys = open_with(private, GRANT_INFO, &frame.header.to_bytes(), frame.body)
        .map_err(|_| Malformed("does not open with the key that it is for"))?;
    Ok(Some(KeyBundle::decode(&keys)?))
}
