//! Opening: from a credential to keys and a view of the vault.

use sb_crypto::{Credential, CryptoError, Digest, SlotMethod, open_slot};

use crate::error::{Flaw, RepoError};
use crate::ids::VaultId;
use crate::keys::Keyring;
use crate::live::{Listing, read};
use crate::name::ParsedName;
use crate::trust::Trust;
use crate::vault::Surroundings;
use crate::view::{View, no_config, with_twins};
use crate::wire::cbor::Malformed;
use crate::wire::frame::Frame;
use crate::wire::slot::Slot;

/// A well-signed slot, and which vault it is of.
struct Candidate<'n> {
    parsed: ParsedName,
    name: &'n str,
    bytes: Vec<u8>,
    vault: VaultId,
}

/// What stands between a credential and a vault.
pub(crate) struct Door<'a> {
    pub(crate) around: &'a Surroundings,
    pub(crate) listing: Listing,
    /// Whoever says to be this vault's root, and the users he vouches for.
    pub(crate) trusts: Vec<Trust>,
    pub(crate) credential: &'a Credential,
    pub(crate) expected: Option<Digest>,
}

impl Door<'_> {
    /// Tries the credential on every slot it could belong to, newest generation first. A slot that does not count is passed
    /// over, for anybody may have put it there.
    pub(crate) fn open(&self) -> Result<(ParsedName, Keyring, View), RepoError> {
        let names = with_twins(&self.listing, "keys/").into_iter();
        let mut names: Vec<_> = names.filter_map(|name| Some((ParsedName::parse(name)?, name))).collect();
        names.sort_by_key(|(parsed, _)| {
            (parsed.stem.family(), std::cmp::Reverse(parsed.stem.generation()), parsed.twin)
        });
        let mut tried = None;
        let first = names.first().map(|(_, name)| *name);
        let mut slots: Vec<_> = names.into_iter().filter_map(|(parsed, name)| self.counting(parsed, name)).collect();
        let mut trouble = self.closed(first.filter(|_| slots.is_empty()));
        // A credential may open another vault, too, whose config and slots somebody has put here.
        slots.sort_by_key(|slot| !self.around.state.knows(slot.vault));
        for Candidate { parsed, name, bytes, .. } in slots {
            // The twin of a slot that was whole needs no second derivation.
            if tried.as_ref() == Some(&parsed.stem) {
                continue;
            }
            tried = Some(parsed.stem.clone());
            match self.try_slot(&parsed, name, &bytes) {
                Ok((keyring, view)) => return Ok((parsed, keyring, view)),
                Err(error) if telling(&error) > telling(&trouble) => trouble = error,
                Err(_) => {}
            }
        }
        Err(trouble)
    }

    /// Why nothing opens if no slot is even tried. `uncertified` is one of the slots, if none of them counts.
    fn closed(&self, uncertified: Option<&str>) -> RepoError {
        if with_twins(&self.listing, "config/").is_empty() {
            return no_config(&self.listing);
        }
        match uncertified {
            Some(name) => RepoError::Damaged { name: name.to_owned(), flaw: Flaw::UnknownSigner },
            None => RepoError::NoSuchSlot { credential: describe(self.credential) },
        }
    }

    /// The slot, if it is a slot of somebody's: asked before anything is derived, which is slow by intention.
    fn counting<'n>(&self, parsed: ParsedName, name: &'n str) -> Option<Candidate<'n>> {
        let bytes = read(&*self.around.storage, name).ok()?;
        let vault = self.trusts.iter().find(|trust| trust.check(&parsed, &bytes).is_ok())?.vault;
        Some(Candidate { parsed, name, bytes, vault })
    }

    fn try_slot(&self, parsed: &ParsedName, name: &str, bytes: &[u8]) -> Result<(Keyring, View), RepoError> {
        let wrong = || RepoError::NoSuchSlot { credential: describe(self.credential) };
        let frame = Frame::parse(bytes).map_err(|_| wrong())?;
        let slot = Slot::decode(frame.body).map_err(|_| wrong())?;
        let payload = match open_slot(&slot.sealed, self.credential, &frame.header.to_bytes()) {
            Err(CryptoError::WrongMethod) => return Err(wrong()),
            Err(CryptoError::WrongCredential) => return Err(RepoError::WrongCredential),
            other => other?,
        };
        let malformed = |flaw: Malformed| RepoError::Damaged { name: name.to_owned(), flaw: flaw.into() };
        let keyring = Keyring::open(&payload).map_err(malformed)?;
        let remembered = self.around.state.bound(keyring.vault)?.remembered()?;
        let expected = self.expected.or(remembered.root);
        check_root(&slot.sealed.method, &keyring, expected)?;
        let (storage, root) = (self.around.storage.clone(), Some(keyring.root));
        let view = View::assemble(storage, self.listing.clone(), remembered, root, expected)?;
        // A slot that was taken away opens nothing any more, even if somebody puts it back.
        let counts = view.id() == keyring.vault
            && !view.live.is_removed(name)
            && view.trust.check(parsed, bytes).is_ok()
            && view.trust.gives_slots_to(slot.user, frame.trailer.signer);
        if counts { Ok((keyring, view)) } else { Err(RepoError::WrongCredential) }
    }
}

/// How much an error says about why nothing opened.
fn telling(error: &RepoError) -> u8 {
    match error {
        RepoError::NoVault | RepoError::NoSuchSlot { .. } => 0,
        RepoError::WrongCredential => 1,
        _ => 2,
    }
}

fn describe(credential: &Credential) -> &'static str {
    match credential {
        Credential::Passphrase(_) => "passphrase",
        Credential::KeyFile(_) => "key file",
        Credential::PassphraseAndKeyFile(..) => "passphrase with a key file",
        Credential::Rsa(_) => "RSA key like this",
        Credential::Recovery(_) => "recovery key",
    }
}

fn check_root(method: &SlotMethod, keyring: &Keyring, expected: Option<Digest>) -> Result<(), RepoError> {
    let found = keyring.root.fingerprint();
    match expected {
        Some(expected) if expected != found => Err(RepoError::RootMismatch { found, expected }),
        None if matches!(method, SlotMethod::Rsa { .. }) => Err(RepoError::RootNotPinned),
        _ => Ok(()),
    }
}
