//! Grants: the keys that a user's roles need, sealed to the user.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use sb_crypto::{PrivateKey, PublicKey, SigningKey, open_with, seal_to};

use crate::error::{Flaw, RepoError};
use crate::ids::{Id, UserId, VaultId};
use crate::live::read;
use crate::name::{ObjectKind, ParsedName, Stem, TWIN};
use crate::sessions::write_twice;
use crate::vault::Surroundings;
use crate::view::View;
use crate::wire::cbor::Malformed;
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;
use crate::wire::slot::KeyBundle;

const FOLDER: &str = "grants/";
/// Said to the recipient's key encapsulation.
pub(crate) const GRANT_INFO: &[u8] = b"sbv1/grant";

/// Writes a grant of these keys to who has the private half of that key, as the next generation of the one before; in no journal yet.
pub(crate) fn write_grant(
    around: &Surroundings,
    vault: VaultId,
    root: &SigningKey,
    recipient: &PublicKey,
    keys: &KeyBundle,
    before: Option<&str>,
) -> Result<Vec<Added>, RepoError> {
    let header = Header { kind: ObjectKind::Grant, vault, key: recipient.key_id() };
    let sealed = seal_to(recipient, GRANT_INFO, &header.to_bytes(), keys.encode().as_bytes(), &*around.random)?;
    let before = before.and_then(ParsedName::parse);
    let next =
        before.and_then(|before| Some((Id::from_hex(before.stem.id())?, before.stem.generation().checked_add(1)?)));
    let (id, generation) = next.unwrap_or_else(|| (Id::<(), 8>::random(&*around.random), 0));
    let stem = Stem::mutable(ObjectKind::Grant, id, generation);
    write_twice(&*around.storage, &Author::outside(root), header, &sealed, &stem)
}

/// What the vault has granted to who has this private key, and by which object: the one that the roll names, limited to what the roll
/// says. Where there is no roll, whatever was granted to that key.
pub(crate) fn granted(
    view: &View,
    user: UserId,
    private: &PrivateKey,
) -> Result<(KeyBundle, Option<String>), RepoError> {
    let roll = match view.roll() {
        // Who can't be told what counts takes what there is; what may be done with it is not decided here.
        Err(RepoError::Damaged { .. }) | Ok(None) => return any(view, private),
        Err(error) => return Err(error),
        Ok(Some(roll)) => roll,
    };
    let Some(member) = roll.member(user) else { return Ok((KeyBundle::default(), None)) };
    let Some(name) = &member.grant else { return Ok((KeyBundle::default(), None)) };
    match open(view, name, private) {
        Ok(Some(keys)) => Ok((keys.limited_to(member.keys), Some(name.clone()))),
        Ok(None) => Ok((KeyBundle::default(), None)),
        // Of two who changed the roll at once one has granted anew, and been cut short before saying so.
        Err(flaw) => match any(view, private) {
            Ok((keys, Some(other))) if view.live.is_removed(name) => Ok((keys.limited_to(member.keys), Some(other))),
            _ => Err(RepoError::Damaged { name: name.clone(), flaw }),
        },
    }
}

/// Any grant to this key, the newest first; one that stands in no journal counts if there is no other, as the journal may be lost.
fn any(view: &View, private: &PrivateKey) -> Result<(KeyBundle, Option<String>), RepoError> {
    let (entered, others): (BTreeSet<_>, BTreeSet<_>) =
        grants(view).map(|name| (newest_first(name), name)).partition(|(_, name)| view.live.contains(name));
    let mut trouble = None;
    for (_, name) in entered.into_iter().chain(others) {
        match open(view, name, private) {
            Ok(Some(keys)) => return Ok((keys, Some(name.to_owned()))),
            // Somebody else's, or nobody's.
            Ok(None) | Err(Flaw::UnknownSigner) => {}
            Err(flaw) => trouble = trouble.or(Some(RepoError::Damaged { name: name.to_owned(), flaw })),
        }
    }
    // Whose the damaged one is nobody can tell.
    trouble.map_or(Ok((KeyBundle::default(), None)), Err)
}

fn newest_first(name: &str) -> Reverse<u64> {
    Reverse(ParsedName::parse(name).map_or(0, |parsed| parsed.stem.generation()))
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
