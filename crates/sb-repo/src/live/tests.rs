//! Journals made for the purpose, and what replaying them comes to.

use super::*;
use crate::ids::VaultId;
use crate::trust::key_id;
use crate::wire::certificate::WriterCertificate;
use crate::wire::frame::{Author, Header};
use chrono::DateTime;
use sb_crypto::{SigningKey, sha256};
use sb_store::MemoryStorage;

/// A journal of one writer; entries are added at its end.
struct Journal {
    storage: MemoryStorage,
    trust: Trust,
    key: SigningKey,
    previous: Option<(u64, Digest)>,
}

impl Journal {
    fn new() -> Self {
        let key = SigningKey::from_seed(&[2; 32]);
        let user_key = key_id(&SigningKey::from_seed(&[1; 32]).public());
        let mut trust = Trust::new(VaultId::new([1; 16]), SigningKey::from_seed(&[1; 32]).public());
        let certificate = WriterCertificate { key: key.public(), user_key, created: DateTime::UNIX_EPOCH };
        trust.writers.insert(key_id(&key.public()), certificate);
        Self { storage: MemoryStorage::new(), trust, key, previous: None }
    }

    /// An entry that says that `packs/N` was added, signed or with a signature that is wrong; its name.
    fn add(&mut self, is_signed: bool) -> String {
        let sequence = self.previous.map_or(0, |(sequence, _)| sequence + 1);
        let entry = JournalEntry {
            sequence,
            previous: self.previous.map(|(_, digest)| digest),
            time: DateTime::UNIX_EPOCH,
            operation: "backup".to_owned(),
            generation: 0,
            added: vec![Added { name: format!("packs/{sequence}"), size: 1, digest: None }],
            removed: Vec::new(),
            authority: None,
            log: None,
            accepted: Vec::new(),
        };
        let stem = Stem::journal(key_id(&self.key.public()), sequence);
        let header = Header::clear(ObjectKind::Journal, self.trust.vault);
        let (mut bytes, _) = Author::outside(&self.key).frame(header, &entry.encode(), &stem);
        if !is_signed {
            *bytes.last_mut().unwrap() ^= 1;
        }
        let digest = sha256(&bytes);
        self.previous = Some((sequence, digest));
        let name = stem.name(&digest).to_string();
        self.storage.put_raw(&name, bytes);
        name
    }

    fn replay(&self) -> Live {
        Live::replay(&self.storage, &list(&self.storage).unwrap(), &self.trust, &Remembered::default())
    }
}

#[test]
fn who_signs_an_entry_vouches_for_those_before_it() {
    let mut journal = Journal::new();
    for is_signed in [true, false, false, true] {
        journal.add(is_signed);
    }
    let live = journal.replay();
    assert_eq!((live.flaws.len(), live.intruders.len(), live.iter().count()), (0, 0, 4));
}

#[test]
fn an_entry_that_nobody_signed_vouches_for_none() {
    let mut journal = Journal::new();
    journal.add(true);
    let unsigned = [journal.add(false), journal.add(false)];
    let live = journal.replay();
    assert_eq!(live.intruders, unsigned.map(|name| (name, Flaw::BadSignature)));
    assert_eq!(live.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>(), ["packs/0"]);
    assert!(live.flaws.is_empty(), "what anybody can put there says nothing about the journal");
}

#[test]
fn what_was_written_since_the_listing_is_not_missed() {
    let mut journal = Journal::new();
    journal.add(true);
    let listing = list(&journal.storage).unwrap();
    let newest = journal.add(true);
    let (sequence, digest) = journal.previous.unwrap();
    let heads = BTreeMap::from([(key_id(&journal.key.public()), Head { sequence, digest })]);
    let remembered = Remembered { heads, ..Remembered::default() };
    let replay = || Live::replay(&journal.storage, &listing, &journal.trust, &remembered);
    assert_eq!(replay().flaws, []);
    journal.storage.remove_raw(&newest);
    assert_eq!(replay().flaws, [(newest, Flaw::RolledBack(1))]);
}

#[test]
fn an_entry_that_is_vouched_for_and_damaged_is_damaged() {
    let mut journal = Journal::new();
    let names = [true; 3].map(|is_signed| journal.add(is_signed));
    let mut bytes = journal.storage.objects()[&names[1]].clone();
    bytes[60] ^= 1;
    journal.storage.put_raw(&names[1], bytes);
    let live = journal.replay();
    assert!(live.flaws.contains(&(names[1].clone(), Flaw::WrongHash)), "{:?}", live.flaws);
    assert!(!live.contains("packs/1") && live.contains("packs/2"));
}

#[test]
fn what_anybody_can_put_there_is_not_read_if_it_is_large() {
    let storage = MemoryStorage::new();
    let size = usize::try_from(UNTRUSTED_MAX).unwrap();
    for name in ["config/vault.0.0", "users/0", "twin/writers/0", "twin/keys/0.0.0"] {
        storage.put_raw(name, vec![0; size]);
        assert!(read(&storage, name).is_ok());
        storage.put_raw(name, vec![0; size + 1]);
        assert_eq!(read(&storage, name), Err(Malformed("too large for what it is").into()), "{name}");
    }
    storage.put_raw("journal/0/0", vec![0; size + 1]);
    assert!(read(&storage, "journal/0/0").is_ok());
}
