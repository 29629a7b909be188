//! Opening: from a credential to keys and a view of the vault.

use std::collections::{BTreeSet, HashSet};

use sb_crypto::{Credential, CryptoError, Digest, SlotMethod, open_slot};

use crate::error::{Flaw, RepoError};
use crate::ids::VaultId;
use crate::keys::Keyring;
use crate::live::{Listing, read};
use crate::name::ParsedName;
use crate::trust::{Trust, key_id};
use crate::vault::Surroundings;
use crate::view::{View, no_config, with_twins};
use crate::wire::cbor::Malformed;
use crate::wire::frame::Frame;
use crate::wire::slot::{Slot, login_hint};

/// A slot given by who may, and which vault it is of.
struct Candidate {
    parsed: ParsedName,
    name: String,
    frame: Vec<u8>,
    slot: Slot,
    vault: VaultId,
}

/// What a credential has opened.
pub(crate) struct Opened {
    pub(crate) slot: ParsedName,
    pub(crate) method: SlotMethod,
    pub(crate) keyring: Keyring,
    pub(crate) view: View,
}

/// What stands between a credential and a vault.
pub(crate) struct Door<'a> {
    pub(crate) around: &'a Surroundings,
    pub(crate) listing: Listing,
    /// Whoever says to be this vault's root, and the users he vouches for.
    pub(crate) trusts: Vec<Trust>,
    pub(crate) credential: &'a Credential,
    pub(crate) expected: Option<Digest>,
    /// Who says to come in.
    pub(crate) login: Option<&'a str>,
}

impl Door<'_> {
    /// Tries the credential on every slot it could belong to. A slot that does not count is passed over, for anybody may have put
    /// it there. Who names a user that there is not waits as long as who has the wrong passphrase for one that there is.
    pub(crate) fn open(&self) -> Result<Opened, RepoError> {
        let slots = self.candidates();
        let mut trouble = self.closed(slots.is_empty());
        let mut fitting: Vec<&Candidate> = slots.iter().filter(|slot| is_for(self.credential, slot)).collect();
        // A credential may open another vault, too, whose config and slots somebody has put here.
        fitting.sort_by_key(|slot| !self.around.state.knows(slot.vault));
        let mine: Vec<&Candidate> = fitting.iter().copied().filter(|slot| self.is_named(slot)).collect();
        for candidate in &mine {
            match self.try_slot(candidate) {
                Ok((keyring, view)) => {
                    let (slot, method) = (candidate.parsed.clone(), candidate.slot.sealed.method);
                    return Ok(Opened { slot, method, keyring, view });
                }
                Err(error) if telling(&error) > telling(&trouble) => trouble = error,
                Err(_) => {}
            }
        }
        if self.login.is_some() && !fitting.is_empty() {
            self.pad(&fitting, &mine);
            if telling(&trouble) == 0 {
                trouble = RepoError::WrongCredential;
            }
        }
        Err(trouble)
    }

    /// Hashes as often, and with the same parameters, as it takes for whoever of all users it takes most, beyond what was done already.
    fn pad(&self, fitting: &[&Candidate], done: &[&Candidate]) {
        let hints: BTreeSet<_> = fitting.iter().map(|slot| slot.slot.hint).collect();
        let methods: HashSet<SlotMethod> = fitting.iter().map(|slot| slot.slot.sealed.method).collect();
        for method in methods {
            let alike: Vec<&Candidate> =
                fitting.iter().copied().filter(|slot| slot.slot.sealed.method == method).collect();
            let of = |hint: &Option<[u8; 2]>| {
                alike.iter().filter(|slot| slot.slot.hint.is_none() || slot.slot.hint == *hint).count()
            };
            let most = hints.iter().map(of).max().unwrap_or(0);
            let already = done.iter().filter(|slot| slot.slot.sealed.method == method).count();
            for slot in alike.iter().cycle().take(most.saturating_sub(already)) {
                let _ = self.unwrap(slot);
            }
        }
    }

    /// Why nothing opens if no slot is even tried.
    fn closed(&self, is_empty: bool) -> RepoError {
        if with_twins(&self.listing, "config/").is_empty() {
            return no_config(&self.listing);
        }
        match with_twins(&self.listing, "keys/").first().filter(|_| is_empty) {
            Some(name) => RepoError::Damaged { name: (*name).to_owned(), flaw: Flaw::UnknownSigner },
            None => RepoError::NoSuchSlot { credential: describe(self.credential) },
        }
    }

    /// The slots that count, one copy of each, without those that newer ones of the same user replace.
    fn candidates(&self) -> Vec<Candidate> {
        let names = with_twins(&self.listing, "keys/").into_iter();
        let mut names: Vec<_> = names.filter_map(|name| Some((ParsedName::parse(name)?, name))).collect();
        names.sort_by_key(|(parsed, _)| {
            (parsed.stem.family(), std::cmp::Reverse(parsed.stem.generation()), parsed.twin)
        });
        let mut slots: Vec<Candidate> = Vec::new();
        for (parsed, name) in names {
            let Some(candidate) = self.counting(parsed, name) else { continue };
            let is_replaced = |newer: &Candidate| {
                newer.parsed.stem.family() == candidate.parsed.stem.family() && newer.slot.user == candidate.slot.user
            };
            // The twin of a slot that was whole needs no second derivation.
            if !slots.iter().any(is_replaced) {
                slots.push(candidate);
            }
        }
        slots
    }

    /// The slot, if it is a slot of somebody's: asked before anything is derived, which is slow by intention.
    fn counting(&self, parsed: ParsedName, name: &str) -> Option<Candidate> {
        let frame = read(&*self.around.storage, name).ok()?;
        let trust = self.trusts.iter().find(|trust| trust.check(&parsed, &frame).is_ok())?;
        let signed = Frame::parse(&frame).ok()?;
        let slot = Slot::decode(signed.body).ok()?;
        let counts = slot.id.to_string() == parsed.stem.id() && trust.gives_slots_to(slot.user, signed.trailer.signer);
        counts.then(|| Candidate { parsed, name: name.to_owned(), vault: trust.vault, slot, frame: frame.clone() })
    }

    /// True if this may be a slot of whoever says to come in.
    fn is_named(&self, candidate: &Candidate) -> bool {
        let hint = |login| login_hint(candidate.vault, login);
        let is_alone = with_twins(&self.listing, "roles/").is_empty();
        is_alone || self.login.is_none_or(|login| candidate.slot.hint.is_none_or(|known| known == hint(login)))
    }

    /// What the slot opens to.
    fn unwrap(&self, candidate: &Candidate) -> Result<Keyring, RepoError> {
        let frame = Frame::parse(&candidate.frame).expect("parsed when it was found");
        let payload = match open_slot(&candidate.slot.sealed, self.credential, &frame.header.to_bytes()) {
            Err(CryptoError::WrongCredential) => return Err(RepoError::WrongCredential),
            other => other?,
        };
        let malformed = |flaw: Malformed| RepoError::Damaged { name: candidate.name.clone(), flaw: flaw.into() };
        let keyring = Keyring::open(&payload).map_err(malformed)?;
        match (self.login, &keyring.payload.login) {
            // Where there is one user, nobody needs to know what he is called.
            (Some(login), Some(own)) if login != own && !with_twins(&self.listing, "roles/").is_empty() => {
                Err(RepoError::WrongCredential)
            }
            _ => Ok(keyring),
        }
    }

    fn try_slot(&self, candidate: &Candidate) -> Result<(Keyring, View), RepoError> {
        let keyring = self.unwrap(candidate)?;
        let remembered = self.around.state.bound(keyring.vault)?.remembered()?;
        let expected = self.expected.or(remembered.root);
        check_root(&candidate.slot.sealed.method, &keyring, expected)?;
        let (storage, root) = (self.around.storage.clone(), Some(keyring.root));
        let view = View::assemble(storage, self.listing.clone(), remembered, root, expected)?;
        let frame = Frame::parse(&candidate.frame).expect("parsed when it was found");
        // A slot that was taken away opens nothing any more, even if somebody puts it back.
        let signer = frame.trailer.signer;
        let own = key_id(&keyring.signing.public());
        let counts = view.id() == keyring.vault
            // Whoever signs a slot could put anybody's name into it.
            && keyring.user == candidate.slot.user
            && view.trust.users.get(&own).is_some_and(|known| known.user == keyring.user)
            && (signer == own || signer == key_id(&view.trust.root))
            && !view.live.is_removed(&candidate.name)
            && view.trust.check(&candidate.parsed, &candidate.frame).is_ok()
            && view.trust.gives_slots_to(candidate.slot.user, signer)
            && view.slots_count(candidate.slot.user, own);
        if !counts {
            return Err(RepoError::WrongCredential);
        }
        let keyring = keyring.with_grants(&view)?;
        Ok((keyring, view))
    }
}

/// True if the credential is of the kind that the slot asks for, and the right RSA key.
fn is_for(credential: &Credential, candidate: &Candidate) -> bool {
    match (candidate.slot.sealed.method, credential) {
        (SlotMethod::Passphrase { .. }, Credential::Passphrase(_))
        | (SlotMethod::KeyFile, Credential::KeyFile(_))
        | (SlotMethod::PassphraseAndKeyFile { .. }, Credential::PassphraseAndKeyFile(..))
        | (SlotMethod::Recovery, Credential::Recovery(_)) => true,
        (SlotMethod::Rsa { key_id }, Credential::Rsa(private)) => private.public().key_id() == key_id,
        _ => false,
    }
}

/// How much an error says about why nothing opened.
fn telling(error: &RepoError) -> u8 {
    match error {
        // Anybody may put a slot there that asks for hashing which is refused.
        RepoError::NoVault | RepoError::NoSuchSlot { .. } | RepoError::Crypto(CryptoError::KdfOutOfBounds { .. }) => 0,
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
