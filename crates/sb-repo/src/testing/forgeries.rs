//! What a user with a program of his own could put into the vault.

use std::sync::Arc;

use sb_crypto::{KeyFile, Lock};
use sb_store::ObjectName;

use crate::create::write_slot_as;
use crate::error::RepoError;
use crate::ids::{RequestId, RunId, SlotId, UserId};
use crate::name::{ObjectKind, ParsedName, Stem};
use crate::sessions::write_twice;
use crate::vault::{Change, Vault};
use crate::wire::frame::{Author, Frame, Header};
use crate::wire::journal::Added;
use crate::wire::slot::{Slot, SlotPayload};

/// Something made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// A slot of one's own, of a higher generation, that says that grants are to be sealed to another user's key.
    OthersRecipient,
    /// A slot of one's own that says inside to be another user's slot.
    OthersSlotId,
    /// A slot of one's own that opens to another user's name.
    OthersName,
    /// A roll in the journal that there is not.
    RollWithoutObject,
}

/// Something made up of a change request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgedStatement {
    /// An approval filed with this request that is of the other.
    ApprovalOf(RequestId),
    /// That it was carried out, which is root's to say.
    CarriedOut,
    /// What a user is called, said by another.
    Name(UserId),
    /// A config that there never was.
    Config,
    /// A second proposal under the same id.
    SecondProposal,
    /// That all that was said of it but the proposal is removed.
    Forgotten,
}

/// Makes up a statement about a change request, and enters it.
///
/// # Errors
/// Those of storage and state.
///
/// # Panics
/// If there is no such request.
pub fn forge_statement(vault: &mut Vault, about: RequestId, forgery: ForgedStatement) -> Result<(), RepoError> {
    let writer = vault.writer()?;
    let mut change = Change { operation: "forged", ..Change::default() };
    match forgery {
        ForgedStatement::ApprovalOf(other) => change.added = vault.forged(about, other, false)?,
        ForgedStatement::Name(user) => {
            change.added = vault.write_name(&format!("user:{user}"), "partner", RunId::new([0; 8]))?;
        }
        ForgedStatement::Config => {
            let (stem, author) = (Stem::config(999), Author::outside(&vault.keyring.signing));
            let (bytes, digest) = author.frame(Header::clear(ObjectKind::Config, vault.id()), b"none", &stem);
            let name = stem.name(&digest).to_string();
            change.added = vec![Added { name, size: bytes.len() as u64, digest: Some(digest) }];
        }
        ForgedStatement::CarriedOut => change.added = vault.forged(about, about, true)?,
        ForgedStatement::SecondProposal => change.added = vault.forged_proposal(about)?,
        ForgedStatement::Forgotten => {
            let said = |name: &str| name.contains(&format!("requests/{about}.")) && !name.contains(".0.");
            let live = vault.view.live.iter().filter(|(name, _)| said(name));
            change.removed = live.map(|(name, recorded)| (name.to_owned(), recorded.size)).collect();
            let keyring = Arc::get_mut(&mut vault.keyring).expect("nobody else has it");
            keyring.root_signing = Some(keyring.signing.clone());
        }
    }
    vault.append(&writer, RunId::new([0; 8]), change)
}

/// Makes it up, enters it, and lets `key` open it where it is a slot. `other` is the vault as opened by the one who is to suffer.
///
/// # Errors
/// Those of storage and state.
///
/// # Panics
/// If the vault is damaged.
pub fn forge(vault: &mut Vault, other: &Vault, key: &KeyFile, forgery: Forgery) -> Result<(), RepoError> {
    let writer = vault.writer()?;
    let added = if forgery == Forgery::RollWithoutObject {
        let (stem, author) = (Stem::roll(u64::MAX), Author::outside(&vault.keyring.signing));
        let (bytes, digest) = author.frame(Header::clear(ObjectKind::Roll, vault.id()), b"none", &stem);
        vec![Added { name: stem.name(&digest).to_string(), size: bytes.len() as u64, digest: Some(digest) }]
    } else {
        slot(vault, other, key, forgery)?
    };
    vault.append(&writer, RunId::new([0; 8]), Change { operation: "forged", added, ..Change::default() })
}

fn slot(vault: &Vault, other: &Vault, key: &KeyFile, forgery: Forgery) -> Result<Vec<Added>, RepoError> {
    let (is_other, keyring) = (forgery == Forgery::OthersName, &vault.keyring);
    let payload = SlotPayload {
        vault: vault.id(),
        root: *keyring.root.as_bytes(),
        user: if is_other { other.user() } else { vault.user() },
        signing_seed: keyring.payload.signing_seed.clone(),
        keys: keyring.keys.clone(),
        private: keyring.payload.private.clone(),
        login: None,
    };
    let id = SlotId::random(&*vault.around.random);
    let added = write_slot_as(
        &vault.around,
        &vault.view.config,
        &keyring.signing,
        &Lock::KeyFile(key.clone()),
        &payload,
        id,
        7,
    )?;
    let others = SlotId::from_hex(other.slot.stem.id()).expect("a slot is named by its id");
    resigned(vault, &added, |slot| match forgery {
        Forgery::OthersRecipient => {
            slot.recipient = other.keyring.payload.private.as_ref().map(|private| private.public().clone());
        }
        Forgery::OthersSlotId => slot.id = others,
        // What it says in the clear stays the forger's.
        _ => slot.user = vault.user(),
    })
}

/// The slot changed in what it says in the clear, and signed again.
fn resigned(vault: &Vault, added: &[Added], change: impl Fn(&mut Slot)) -> Result<Vec<Added>, RepoError> {
    let storage = &*vault.around.storage;
    let bytes = storage.read(&ObjectName::new(added[0].name.as_str())?)?;
    for object in added {
        storage.remove(&ObjectName::new(object.name.as_str())?)?;
    }
    let (frame, parsed) = (Frame::parse(&bytes).expect("a slot"), ParsedName::parse(&added[0].name).expect("a slot"));
    let mut slot = Slot::decode(frame.body).expect("a slot");
    change(&mut slot);
    let author = Author::outside(&vault.keyring.signing);
    write_twice(storage, &author, frame.header, &slot.encode(), &parsed.stem)
}
