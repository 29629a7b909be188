//! What anybody can see of a vault, with no key: config, certificates, journals, names.

use std::collections::BTreeMap;
use std::sync::Arc;

use sb_audit::TreeHead;
use sb_crypto::{Digest, HashAlgorithm, RecipientAlgorithm, VerifyingKey, sha256};
use sb_store::Storage;

use crate::error::{Flaw, RepoError};
use crate::ids::{KeyId, VaultId};
use crate::live::{Listing, Live, list, names_in, read};
use crate::name::{ParsedName, TWIN};
use crate::state::{Head, Remembered, State};
use crate::trust::Trust;
use crate::wire::config::{APPROVED_ALGORITHMS, Config};
use crate::wire::frame::Frame;
use crate::wire::journal::JournalEntry;

/// Features that this program knows; a vault that needs others is refused.
const KNOWN_FEATURES: [&str; 1] = [APPROVED_ALGORITHMS];

type AddCertificate = fn(&mut Trust, &ParsedName, &[u8]) -> Result<(), Flaw>;

/// A vault as seen without keys.
#[derive(Clone, Debug)]
pub struct View {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) config: Config,
    pub(crate) trust: Trust,
    pub(crate) live: Live,
    pub(crate) listing: Listing,
    pub(crate) remembered: Remembered,
    /// Where logs ended when others saw them.
    pub(crate) witnessed: Vec<(KeyId, TreeHead)>,
}

impl View {
    /// Looks at the vault in `storage`. Its root key must be the one that `state` remembers, if it does, and the one with the
    /// fingerprint `expected`, if given; with neither, the vault's own word is taken, which proves consistency only.
    ///
    /// # Errors
    /// [`RepoError::NoVault`], [`RepoError::RootMismatch`], [`RepoError::UnsupportedFeature`], [`RepoError::Damaged`] if no copy
    /// of the config is good, and errors of storage and state. Other damage is not an error here: `verify` reports it.
    pub fn open(storage: Arc<dyn Storage>, state: &State, expected: Option<Digest>) -> Result<Self, RepoError> {
        let listing = list(&*storage)?;
        let said = candidates(&*storage, &listing, expected);
        // Of several vaults that the storage says it is, the one that this machine knows.
        let vault = said.iter().find(|trust| state.knows(trust.vault)).or(said.first()).map(|trust| trust.vault);
        let remembered = match vault {
            Some(vault) => state.bound(vault)?.remembered()?,
            None => Remembered::default(),
        };
        let expected = expected.or(remembered.root);
        Self::assemble(storage, listing, remembered, None, expected)
    }

    /// The same with a root key that is known, or expected by its fingerprint.
    pub(crate) fn assemble(
        storage: Arc<dyn Storage>,
        listing: Listing,
        remembered: Remembered,
        root: Option<VerifyingKey>,
        expected: Option<Digest>,
    ) -> Result<Self, RepoError> {
        let (vault, config) = find_config(&*storage, &listing, root, expected)?;
        refuse_unknown(&config.incompatible)?;
        let mut trust = Trust::new(vault, config.root);
        add_certificates(&mut trust, &*storage, &listing);
        let live = Live::replay(&*storage, &listing, &trust, &remembered);
        Ok(Self { storage, config, trust, live, listing, remembered, witnessed: Vec::new() })
    }

    /// What this process itself has entered into a journal.
    pub(crate) fn take_in(&mut self, entry: JournalEntry, writer: KeyId, head: Head) {
        self.listing.extend(entry.added.iter().map(|object| (object.name.clone(), object.size)));
        for (name, _) in &entry.removed {
            self.listing.remove(name);
        }
        // A run knows what the live set says of what it adds: nothing, or the same.
        let _ = self.live.apply(entry);
        self.live.heads.insert(writer, head);
    }

    /// The vault's id.
    pub fn id(&self) -> VaultId {
        self.trust.vault
    }

    /// SHA-256 of the root public key: what an owner compares with the recovery sheet.
    pub fn root_fingerprint(&self) -> Digest {
        self.config.root.fingerprint()
    }

    /// How chunk ids, and what binds sealed texts, are computed.
    pub fn hash(&self) -> HashAlgorithm {
        self.config.hash
    }

    /// What session tables, snapshots and grants are sealed with.
    pub fn recipient(&self) -> RecipientAlgorithm {
        self.config.recipient
    }

    /// True if the vault was made to use approved algorithms only.
    pub fn is_approved_only(&self) -> bool {
        self.config.is_approved_only()
    }

    /// How often collections and disposals have deleted something; a memory of the vault from an earlier generation may name
    /// what is gone.
    pub fn generation(&self) -> u64 {
        self.live.generation
    }

    /// True if this machine remembers that root key; otherwise the vault alone says that it is its own.
    pub fn is_root_remembered(&self) -> bool {
        self.remembered.root == Some(self.root_fingerprint())
    }

    /// How many journal entries are damaged, missing or out of order, so that what the journals say is not all they said once.
    pub fn journal_flaws(&self) -> usize {
        self.live.flaws.len()
    }

    /// How many journal entries are of writers that no good certificate vouches for. They count for nothing: they may be
    /// anybody's, or those of a machine whose certificate is lost.
    pub fn unvouched_entries(&self) -> usize {
        self.live.intruders.iter().filter(|(_, flaw)| *flaw == Flaw::UnknownSigner).count()
    }

    /// Objects and bytes that the journals say must be there, by folder.
    pub fn usage(&self) -> BTreeMap<&str, (u64, u64)> {
        let mut usage = BTreeMap::new();
        for (name, recorded) in self.live.iter() {
            let folder = name.strip_prefix(TWIN).unwrap_or(name).split('/').next().unwrap_or_default();
            let (objects, bytes) = usage.entry(folder).or_insert((0, 0));
            *objects += 1;
            *bytes += recorded.size;
        }
        usage
    }

    /// The readable objects of a folder and their twins by family, the highest generation of each first. Nothing is checked.
    pub(crate) fn mutables(&self, folder: &str) -> BTreeMap<String, Vec<(ParsedName, String)>> {
        let mut families: BTreeMap<String, Vec<(ParsedName, String)>> = BTreeMap::new();
        for name in with_twins(&self.listing, folder) {
            let Some(parsed) = ParsedName::parse(name) else { continue };
            if self.live.is_readable(name) {
                families.entry(parsed.stem.family()).or_default().push((parsed, name.to_owned()));
            }
        }
        for family in families.values_mut() {
            family.sort_by_key(|(parsed, _)| std::cmp::Reverse(parsed.stem.generation()));
        }
        families
    }
}

/// Takes in all certificates of users and writers in a listing.
pub(crate) fn add_certificates(trust: &mut Trust, storage: &dyn Storage, listing: &Listing) {
    // Users first: they vouch for writers. Damaged certificates are verify's to report; their twins serve.
    let users: (&str, AddCertificate) = ("users/", Trust::add_user);
    for (folder, add) in [users, ("writers/", Trust::add_writer)] {
        for name in with_twins(listing, folder) {
            if let (Some(parsed), Ok(bytes)) = (ParsedName::parse(name), read(storage, name)) {
                let _ = add(trust, &parsed, &bytes);
            }
        }
    }
}

/// Fails with the first of these features that this program does not know.
pub(crate) fn refuse_unknown(features: &[String]) -> Result<(), RepoError> {
    match features.iter().find(|feature| !KNOWN_FEATURES.contains(&feature.as_str())) {
        Some(feature) => Err(RepoError::UnsupportedFeature { feature: feature.clone() }),
        None => Ok(()),
    }
}

/// What it means that a storage has no config: no vault, or the beginnings of one, unless it holds what only a vault in use has.
pub(crate) fn no_config(listing: &Listing) -> RepoError {
    if ["packs/", "sessions/", "snapshots/"].iter().any(|folder| names_in(listing, folder).next().is_some()) {
        RepoError::Damaged { name: "config".to_owned(), flaw: Flaw::Missing }
    } else {
        RepoError::NoVault
    }
}

/// The names in a folder, then those of their twins.
pub(crate) fn with_twins<'a>(listing: &'a Listing, folder: &'a str) -> Vec<&'a str> {
    let twin = format!("{TWIN}{folder}");
    let twins: Vec<&str> = listing
        .range(twin.clone()..)
        .map(|(name, _)| name.as_str())
        .take_while(|name| name.starts_with(&twin))
        .collect();
    names_in(listing, folder).chain(twins).collect()
}

/// Every root key that a config in this storage names, unless it is not the expected one, with the users it vouches for.
/// Anybody can add another; which one to believe, a slot says, or whoever remembers.
pub(crate) fn candidates(storage: &dyn Storage, listing: &Listing, expected: Option<Digest>) -> Vec<Trust> {
    let mut trusts: Vec<Trust> = Vec::new();
    for name in with_twins(listing, "config/") {
        let Ok((vault, config)) = read_config(storage, name, None, expected) else { continue };
        if trusts.iter().any(|known| known.root == config.root && known.vault == vault) {
            continue;
        }
        let mut trust = Trust::new(vault, config.root);
        for name in with_twins(listing, "users/") {
            if let (Some(parsed), Ok(bytes)) = (ParsedName::parse(name), read(storage, name)) {
                let _ = trust.add_user(&parsed, &bytes);
            }
        }
        trusts.push(trust);
    }
    trusts
}

fn find_config(
    storage: &dyn Storage,
    listing: &Listing,
    root: Option<VerifyingKey>,
    expected: Option<Digest>,
) -> Result<(VaultId, Config), RepoError> {
    let names = with_twins(listing, "config/");
    let mut best: Option<(VaultId, Config)> = None;
    let mut trouble: Option<RepoError> = None;
    for name in &names {
        match read_config(storage, name, root, expected) {
            Ok((vault, config)) => {
                if best.as_ref().is_none_or(|(_, known)| config.generation > known.generation) {
                    best = Some((vault, config));
                }
            }
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    best.ok_or_else(|| trouble.unwrap_or_else(|| no_config(listing)))
}

pub(crate) fn read_config(
    storage: &dyn Storage,
    name: &str,
    root: Option<VerifyingKey>,
    expected: Option<Digest>,
) -> Result<(VaultId, Config), RepoError> {
    let damaged = |flaw: Flaw| RepoError::Damaged { name: name.to_owned(), flaw };
    let parsed = ParsedName::parse(name).ok_or_else(|| damaged(Flaw::Surplus))?;
    let bytes = read(storage, name).map_err(damaged)?;
    if !parsed.fits(&sha256(&bytes)) {
        return Err(damaged(Flaw::WrongHash));
    }
    let frame = Frame::parse(&bytes).map_err(|flaw| damaged(flaw.into()))?;
    let config = Config::decode(frame.body).map_err(|flaw| damaged(flaw.into()))?;
    let trust = Trust::new(frame.header.vault, config.root);
    trust.check(&parsed, &bytes).map_err(damaged)?;
    if config.generation != parsed.stem.generation() {
        return Err(damaged(Flaw::Foreign));
    }
    let found = config.root.fingerprint();
    let expected = root.map(|root| root.fingerprint()).or(expected);
    match expected {
        Some(expected) if expected != found => Err(RepoError::RootMismatch { found, expected }),
        _ => Ok((trust.vault, config)),
    }
}
