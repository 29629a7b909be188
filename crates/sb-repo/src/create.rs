//! Making a vault.

use sb_crypto::{
    Credential, HashAlgorithm, Key, Lock, PrivateKey, Random, RecipientAlgorithm, RecoveryKey, SigningKey, seal_slot,
};

use crate::access::write_grant;
use crate::error::RepoError;
use crate::ids::{CompartmentId, SlotId, UserId, VaultId};
use crate::live::list;
use crate::name::{ObjectKind, ParsedName, Stem, twin_of};
use crate::sessions::write_twice;
use crate::vault::{Surroundings, Vault, write_entry, write_writer};
use crate::wire::cbor::Fields;
use crate::wire::certificate::UserCertificate;
use crate::wire::config::{APPROVED_ALGORITHMS, CompartmentPublic, Config, Epoch, Tier};
use crate::wire::frame::{Author, Header};
use crate::wire::journal::{Added, JournalEntry};
use crate::wire::slot::{CompartmentSecrets, KeyBundle, Slot, SlotPayload, login_hint};

/// What a new vault is made with; fixed for its life.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CreateOptions {
    /// How chunk ids are computed. Default: keyed BLAKE3.
    pub hash: HashAlgorithm,
    /// What session tables and snapshots are sealed with. Default: HPKE with X25519.
    pub recipient: RecipientAlgorithm,
    /// Bytes kept free for deleting on a full disk, where the storage has a size; at most a hundredth of it is taken.
    /// Default: 4 MiB.
    pub reserve: u64,
    /// Nothing but approved algorithms, now and ever after; hash and recipient have to be such. Default: false.
    pub approved_only: bool,
    /// What the owner says to be let in, where several users are. Default: `owner`.
    pub login: Option<String>,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self {
            hash: HashAlgorithm::Blake3,
            recipient: RecipientAlgorithm::HpkeX25519,
            reserve: 4 << 20,
            approved_only: false,
            login: Some("owner".to_owned()),
        }
    }
}

/// Makes a vault in an empty storage, owned by whoever holds one of `locks` or the recovery key that is returned, which is
/// stored nowhere else.
///
/// # Errors
/// [`RepoError::VaultExists`], [`RepoError::NotEmpty`] if the storage holds other files, [`RepoError::NotApproved`], and errors of
/// storage, state and keys.
pub fn create(
    around: Surroundings,
    locks: &[Lock],
    options: &CreateOptions,
) -> Result<(Vault, RecoveryKey), RepoError> {
    check_approved(locks, options)?;
    clear(&around)?;
    let random = &*around.random;
    let (payload, keys, config) = new_keys(random, around.clock.now(), options)?;
    let root = SigningKey::from_seed(keys.root_seed.as_ref().expect("the owner has it").as_bytes());
    let user = SigningKey::from_seed(payload.signing_seed.as_bytes());
    let recovery = RecoveryKey::generate(random);
    let mut added = Vec::new();
    for lock in locks.iter().chain([&Lock::Recovery(recovery.clone())]) {
        added.extend(write_slot(&around, &config, &user, lock, &payload)?);
    }
    let recipient = payload.private.as_ref().map(|private| private.public().clone()).expect("made with one");
    added.extend(write_grant(&around, payload.vault, &root, &recipient, &keys, None)?);
    let certificate = UserCertificate { user: payload.user, key: user.public(), created: config.created };
    let by_root = Author::outside(&root);
    let header = Header::clear(ObjectKind::User, payload.vault);
    let stem = Stem::immutable(ObjectKind::User);
    added.extend(write_twice(&*around.storage, &by_root, header, &certificate.encode(), &stem)?);

    let machine = SigningKey::generate(random);
    around.state.set_log_key(&machine)?;
    added.extend(write_writer(&around, payload.vault, &user, &machine)?);
    let author = Author::outside(&machine);
    added.extend(write_reserve(&around, payload.vault, &author, options.reserve)?);
    let begun = begin(&around, &by_root, &author, payload.vault, &config, added);
    let storage = around.storage.clone();
    let credential = Credential::Recovery(recovery.clone());
    match begun.and_then(|()| Vault::open(around, &credential, Some(root.public().fingerprint()))) {
        Ok(vault) => Ok((vault, recovery)),
        Err(error) => {
            // Nobody will ever see its recovery key, so it must not look like a vault.
            let header = Header::clear(ObjectKind::Config, payload.vault);
            let name = Stem::config(0).name(&by_root.frame(header, &config.encode(), &Stem::config(0)).1);
            let _ = (storage.remove(&name), storage.remove(&twin_of(&name)));
            Err(error)
        }
    }
}

/// Refuses what is not approved where nothing else is wanted, before anything is written.
fn check_approved(locks: &[Lock], options: &CreateOptions) -> Result<(), RepoError> {
    if !options.approved_only {
        return Ok(());
    }
    let hash = (!options.hash.is_approved()).then_some("keyed BLAKE3");
    let recipient = (!options.recipient.is_approved()).then_some("X25519");
    match hash.or(recipient).or_else(|| locks.iter().find_map(Lock::unapproved)) {
        Some(algorithm) => Err(RepoError::NotApproved { algorithm }),
        None => Ok(()),
    }
}

/// Writes config and first journal entry, from where on it is a vault.
fn begin(
    around: &Surroundings,
    root: &Author<'_>,
    machine: &Author<'_>,
    vault: VaultId,
    config: &Config,
    mut added: Vec<Added>,
) -> Result<(), RepoError> {
    let header = Header::clear(ObjectKind::Config, vault);
    added.extend(write_twice(&*around.storage, root, header, &config.encode(), &Stem::config(0))?);
    let entry = JournalEntry {
        sequence: 0,
        previous: None,
        time: around.clock.now(),
        operation: "init".to_owned(),
        generation: 0,
        added,
        removed: Vec::new(),
        authority: None,
        log: None,
        accepted: Vec::new(),
    };
    write_entry(&*around.storage, vault, machine, &entry).map(drop)
}

/// Refuses a place in use, and tidies up after an `init` that was cut short before there was a vault.
fn clear(around: &Surroundings) -> Result<(), RepoError> {
    around.storage.sweep()?;
    let listing = list(&*around.storage)?;
    let parsed: Vec<_> = listing.keys().map(|name| (name, ParsedName::parse(name))).collect();
    let early = [
        ObjectKind::Slot,
        ObjectKind::Grant,
        ObjectKind::User,
        ObjectKind::Writer,
        ObjectKind::Reserve,
        ObjectKind::Journal,
    ];
    if parsed.iter().any(|(_, parsed)| parsed.as_ref().is_some_and(|parsed| !early.contains(&parsed.kind))) {
        return Err(RepoError::VaultExists);
    }
    if let Some((name, _)) = parsed.iter().find(|(_, parsed)| parsed.is_none()) {
        return Err(RepoError::NotEmpty { name: (*name).clone() });
    }
    for name in listing.keys() {
        around.storage.remove(&sb_store::ObjectName::new(name.clone())?)?;
    }
    Ok(())
}

fn new_keys(
    random: &dyn Random,
    now: chrono::DateTime<chrono::Utc>,
    options: &CreateOptions,
) -> Result<(SlotPayload, KeyBundle, Config), RepoError> {
    let root_seed = Key::random(random);
    let root = SigningKey::from_seed(root_seed.as_bytes()).public();
    let meta = PrivateKey::generate(options.recipient, random)?;
    let content = PrivateKey::generate(options.recipient, random)?;
    let id = CompartmentId::random(random);
    let epoch = Epoch { number: 0, meta: meta.public().clone(), content: content.public().clone() };
    let config = Config {
        generation: 0,
        previous: None,
        created: now,
        incompatible: Vec::new(),
        writer_only: options.approved_only.then(|| APPROVED_ALGORITHMS.to_owned()).into_iter().collect(),
        compatible: Vec::new(),
        root,
        hash: options.hash,
        recipient: options.recipient,
        tiers: vec![
            Tier { size_limit: 64 << 20, chunker: 1 },
            Tier { size_limit: 4 << 30, chunker: 2 },
            Tier { size_limit: u64::MAX, chunker: 3 },
        ],
        compartments: vec![CompartmentPublic { id, epochs: vec![epoch], closed: Vec::new() }],
        began: None,
        extra: Fields::new(),
    };
    let secrets = CompartmentSecrets {
        id,
        seed: Key::random(random),
        chunk_id: Key::random(random),
        index: Key::random(random),
        document_id: Key::random(random),
        meta: vec![(0, meta.to_secret_bytes())],
        content: vec![(0, content.to_secret_bytes())],
    };
    let payload = SlotPayload {
        vault: VaultId::random(random),
        root: *root.as_bytes(),
        user: UserId::random(random),
        signing_seed: Key::random(random),
        keys: KeyBundle::default(),
        private: Some(PrivateKey::generate(options.recipient, random)?),
        login: options.login.clone(),
    };
    let keys = KeyBundle { root_seed: Some(root_seed), compartments: vec![secrets] };
    Ok((payload, keys, config))
}

/// Writes a slot for `lock` that unwraps `payload`.
///
/// # Errors
/// [`RepoError::NotApproved`] where the vault wants no such lock, and errors of storage and keys.
pub(crate) fn write_slot(
    around: &Surroundings,
    config: &Config,
    user: &SigningKey,
    lock: &Lock,
    payload: &SlotPayload,
) -> Result<Vec<Added>, RepoError> {
    write_slot_as(around, config, user, lock, payload, SlotId::random(&*around.random), 0)
}

/// The same for a slot that may be there already, in this generation.
pub(crate) fn write_slot_as(
    around: &Surroundings,
    config: &Config,
    user: &SigningKey,
    lock: &Lock,
    payload: &SlotPayload,
    id: SlotId,
    generation: u64,
) -> Result<Vec<Added>, RepoError> {
    if let Some(algorithm) = lock.unapproved().filter(|_| config.is_approved_only()) {
        return Err(RepoError::NotApproved { algorithm });
    }
    let mut key = [0; 16];
    key[..8].copy_from_slice(id.as_bytes());
    let header = Header { kind: ObjectKind::Slot, vault: payload.vault, key };
    let sealed = seal_slot(lock, &header.to_bytes(), payload.encode().as_bytes(), &*around.random)?;
    let hint = payload.login.as_deref().map(|login| login_hint(payload.vault, login));
    let recipient = payload.private.as_ref().map(|private| private.public().clone());
    let slot = Slot { id, user: payload.user, hint, recipient, sealed };
    let stem = Stem::mutable(ObjectKind::Slot, id, generation);
    write_twice(&*around.storage, &Author::outside(user), header, &slot.encode(), &stem)
}

/// Writes the space reserve, where the storage has a size to run out of.
pub(crate) fn write_reserve(
    around: &Surroundings,
    vault: VaultId,
    author: &Author<'_>,
    wanted: u64,
) -> Result<Vec<Added>, RepoError> {
    let Some(space) = around.storage.space()? else { return Ok(Vec::new()) };
    let size = wanted.min(space.total / 100).min(space.free / 10);
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    around.random.fill(&mut bytes);
    let header = Header::clear(ObjectKind::Reserve, vault);
    write_twice(&*around.storage, author, header, &bytes, &Stem::immutable(ObjectKind::Reserve))
}
