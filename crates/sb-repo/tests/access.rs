//! Who gets in: locks, roots of trust, algorithms, and making a vault where something was before.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::Arc;

use common::{Machine, assert_holds, expected, firm, key, new_vault, options};
use sb_crypto::{
    Credential, HashAlgorithm, Kdf, KeyFile, Lock, PrivateKey, RecipientAlgorithm, RecoveryKey, Secret, SeededRandom,
};
use sb_repo::testing::need_features;
use sb_repo::{CreateOptions, Progress, RepoError, State, Vault, VerifyLevel, View, create};
use sb_store::sim::{Cut, Failure, SimDisk};
use sb_store::{MemoryStorage, Storage};

const CHEAP_ARGON2ID: Kdf = Kdf::Argon2id { memory_kib: 8, passes: 1, lanes: 1 };
const CHEAP_PBKDF2: Kdf = Kdf::Pbkdf2HmacSha256 { rounds: 1 };

fn passphrase(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

fn other_key_file() -> KeyFile {
    KeyFile::generate(&SeededRandom::new(815))
}

fn vault_with(locks: &[Lock], seed: u64) -> (Arc<MemoryStorage>, Machine, Vault, RecoveryKey) {
    sb_crypto::testing::allow_weak_kdf();
    let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(seed));
    let (vault, recovery) = create(machine.around(storage.clone()), locks, &CreateOptions::default()).unwrap();
    (storage, machine, vault, recovery)
}

/// What a stranger gets who presents this.
fn try_open(storage: &Arc<MemoryStorage>, credential: &Credential) -> Result<Vault, RepoError> {
    Vault::open(Machine::new(99).around(storage.clone()), credential, None)
}

fn lives(hash: HashAlgorithm, recipient: RecipientAlgorithm) {
    let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(1));
    let mut create_options = CreateOptions::default();
    create_options.hash = hash;
    create_options.recipient = recipient;
    let around = machine.around(storage.clone());
    let (mut vault, _) = create(around, &[Lock::KeyFile(key())], &create_options).unwrap();
    vault.backup(&firm(), &options(), Progress::none()).unwrap();
    let again = vault.backup(&firm(), &options(), Progress::none()).unwrap();
    assert_eq!(again.counts.new_chunks, 0);
    let mut vault = Machine::new(2).open(storage, &key()).unwrap();
    assert_holds(&vault, "latest", &expected(&firm()));
    vault.rebuild(false, Progress::none()).unwrap();
    assert!(vault.verify(VerifyLevel::Restore, Progress::none()).unwrap().is_good());
}

#[test]
fn a_vault_of_approved_algorithms_lives() {
    lives(HashAlgorithm::HmacSha256, RecipientAlgorithm::HpkeP256);
}

#[test]
fn a_vault_sealed_to_rsa_keys_lives() {
    lives(HashAlgorithm::Blake3, RecipientAlgorithm::Rsa4096);
}

#[test]
fn every_kind_of_lock_opens_with_what_belongs_to_it_and_nothing_else() {
    let locks = [
        Lock::Passphrase(passphrase("one"), CHEAP_ARGON2ID),
        Lock::Passphrase(passphrase("two"), CHEAP_PBKDF2),
        Lock::PassphraseAndKeyFile(passphrase("three"), key(), CHEAP_PBKDF2),
        Lock::KeyFile(other_key_file()),
    ];
    let (storage, _, vault, recovery) = vault_with(&locks, 3);
    let id = vault.id();
    let mut slots = std::collections::BTreeSet::new();
    for credential in [
        Credential::Passphrase(passphrase("one")),
        Credential::Passphrase(passphrase("two")),
        Credential::PassphraseAndKeyFile(passphrase("three"), key()),
        Credential::KeyFile(other_key_file()),
        Credential::Recovery(recovery),
    ] {
        let vault = try_open(&storage, &credential).unwrap();
        assert_eq!(vault.id(), id);
        assert!(vault.is_administrator());
        assert!(vault.slot().starts_with("keys/"), "{}", vault.slot());
        slots.insert(vault.slot());
    }
    assert_eq!(slots.len(), 5);
    for wrong in [
        Credential::Passphrase(passphrase("three")),
        Credential::Passphrase(passphrase("")),
        Credential::PassphraseAndKeyFile(passphrase("three"), other_key_file()),
        Credential::PassphraseAndKeyFile(passphrase("one"), key()),
        Credential::KeyFile(key()),
        Credential::Recovery(RecoveryKey::generate(&SeededRandom::new(5))),
    ] {
        let refused = try_open(&storage, &wrong).map(drop);
        assert!(matches!(refused, Err(RepoError::WrongCredential)), "{refused:?}");
    }
}

#[test]
fn a_lock_that_the_vault_does_not_have_is_said_to_be_missing() {
    let (storage, ..) = vault_with(&[Lock::KeyFile(key())], 4);
    let refused = |credential| try_open(&storage, &credential).map(drop);
    let both = Credential::PassphraseAndKeyFile(passphrase("one"), key());
    assert!(matches!(
        refused(Credential::Passphrase(passphrase("one"))),
        Err(RepoError::NoSuchSlot { credential: "passphrase" })
    ));
    assert!(matches!(refused(both), Err(RepoError::NoSuchSlot { credential: "passphrase with a key file" })));
    let (storage, ..) = vault_with(&[], 5);
    let refused = try_open(&storage, &Credential::KeyFile(key())).map(drop);
    assert!(matches!(refused, Err(RepoError::NoSuchSlot { credential: "key file" })));
    let empty = Arc::new(MemoryStorage::new());
    assert!(matches!(try_open(&empty, &Credential::KeyFile(key())).map(drop), Err(RepoError::NoVault)));
    assert!(matches!(View::open(empty, &State::in_memory(), None).map(drop), Err(RepoError::NoVault)));
}

#[test]
fn hashing_that_is_out_of_bounds_is_refused_when_a_vault_is_made() {
    let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(6));
    let lock = Lock::Passphrase(passphrase("one"), Kdf::Argon2id { memory_kib: 1 << 30, passes: 3, lanes: 4 });
    let outcome = create(machine.around(storage.clone()), &[lock], &CreateOptions::default()).map(drop);
    assert!(matches!(outcome, Err(RepoError::Crypto(_))), "{outcome:?}");
    new_vault(&machine, storage);
}

#[test]
fn a_forged_root_is_refused_by_who_knows_the_right_one() {
    let (_, machine, vault, _) = vault_with(&[Lock::KeyFile(key())], 7);
    let right = vault.view().root_fingerprint();
    // Somebody who has the key file puts a vault of his own in the place.
    let (forged, ..) = vault_with(&[Lock::KeyFile(key())], 8);
    let credential = Credential::KeyFile(key());
    let is_mismatch = |outcome: Result<(), RepoError>| {
        assert!(
            matches!(&outcome, Err(RepoError::RootMismatch { found, expected }) if *expected == right && *found != right),
            "{outcome:?}"
        );
    };
    is_mismatch(Vault::open(Machine::new(98).around(forged.clone()), &credential, Some(right)).map(drop));
    is_mismatch(Vault::open(machine.around(forged.clone()), &credential, None).map(drop));
    is_mismatch(View::open(forged.clone(), &machine.state, None).map(drop));
    is_mismatch(View::open(forged, &State::in_memory(), Some(right)).map(drop));
}

#[test]
fn a_slot_for_an_rsa_key_needs_a_root_known_from_elsewhere() {
    let rsa = PrivateKey::generate(RecipientAlgorithm::Rsa4096, &SeededRandom::new(9)).unwrap();
    let locks = [Lock::Rsa(rsa.public().clone())];
    let (storage, machine, vault, _) = vault_with(&locks, 9);
    let (forged, ..) = vault_with(&locks, 10);
    let right = vault.view().root_fingerprint();
    let credential = Credential::Rsa(rsa);
    let open = |storage: &Arc<MemoryStorage>, machine: &Machine, pinned: bool| {
        Vault::open(machine.around(storage.clone()), &credential, pinned.then_some(right)).map(|vault| vault.id())
    };
    let stranger = || Machine::new(97);
    assert!(matches!(open(&storage, &stranger(), false), Err(RepoError::RootNotPinned)));
    assert_eq!(open(&storage, &stranger(), true).unwrap(), vault.id());
    assert_eq!(open(&storage, &machine, false).unwrap(), vault.id(), "this machine remembers the root");
    assert!(matches!(open(&forged, &stranger(), true), Err(RepoError::RootMismatch { .. })));
    assert!(matches!(open(&forged, &machine, false), Err(RepoError::RootMismatch { .. })));
    // Forged slots beside the right one keep nobody out.
    for (name, bytes) in forged.objects() {
        storage.put_raw(name, bytes);
    }
    assert_eq!(open(&storage, &stranger(), true).unwrap(), vault.id());
}

#[test]
fn a_vault_is_made_only_where_nothing_is() {
    let (storage, machine, ..) = vault_with(&[Lock::KeyFile(key())], 11);
    let attempt = |storage: Arc<dyn Storage>| {
        create(machine.around(storage), &[Lock::KeyFile(key())], &CreateOptions::default()).map(drop)
    };
    let before = storage.objects();
    assert!(matches!(attempt(storage.clone()), Err(RepoError::VaultExists)));
    assert_eq!(storage.objects(), before, "and nothing was touched");
    let used = Arc::new(MemoryStorage::new());
    used.put_raw("letters/tax.odt", b"somebody's");
    let refused = attempt(used.clone());
    assert!(matches!(&refused, Err(RepoError::NotEmpty { name }) if name == "letters/tax.odt"), "{refused:?}");
    assert_eq!(used.objects().len(), 1);
    // Even of a vault that lost all but a pack nothing is taken away.
    let ruin = Arc::new(MemoryStorage::new());
    ruin.put_raw(format!("packs/00/{}", "0".repeat(64)), b"content");
    assert!(matches!(attempt(ruin), Err(RepoError::VaultExists)));
}

#[test]
fn making_a_vault_may_be_cut_at_any_operation() {
    let operations = {
        let disk = SimDisk::new();
        new_vault(&Machine::new(12), Arc::new(disk.storage()));
        disk.operations()
    };
    let (mut opened, mut made_again) = (0, 0);
    for k in 0..operations {
        for (cut, power) in [(Cut::Before, true), (Cut::After, true), (Cut::After, false)] {
            let (disk, machine) = (SimDisk::new(), Machine::new(12));
            disk.cut(cut);
            disk.crash_at(k);
            let mut create_options = CreateOptions::default();
            create_options.reserve = 4096;
            let around = machine.around(Arc::new(disk.storage()));
            drop(create(around, &[Lock::KeyFile(key())], &create_options));
            if power {
                disk.power_loss(k);
            } else {
                disk.kill();
            }
            let storage: Arc<dyn Storage> = Arc::new(disk.storage());
            match machine.open(storage.clone(), &key()) {
                Ok(_) => opened += 1,
                Err(RepoError::NoVault) => {
                    new_vault(&machine, storage.clone());
                    made_again += 1;
                }
                Err(error) => panic!("operation {k}, {cut:?}: {error}"),
            }
            machine.backup(storage.clone(), &key(), &firm()).unwrap_or_else(|error| panic!("operation {k}: {error}"));
            let vault = Machine::new(96).open(storage.clone(), &key()).unwrap();
            assert_holds(&vault, "latest", &expected(&firm()));
            let report = vault.verify(VerifyLevel::Objects, Progress::none()).unwrap();
            assert!(report.is_good() && report.unfinished.is_empty(), "operation {k}, {cut:?}: {report:?}");
            assert_twins(&storage, &format!("operation {k}, {cut:?}"));
        }
    }
    assert!(opened > 0 && made_again > 0, "{opened} {made_again}");
}

/// Everything that is stored twice is there twice.
fn assert_twins(storage: &Arc<dyn Storage>, context: &str) {
    for folder in ["config", "users", "writers", "keys", "sessions"] {
        let names = |folder: &str| -> Vec<String> {
            storage.list(folder).unwrap().into_iter().map(|listed| listed.name.replace("twin/", "")).collect()
        };
        assert_eq!(names(folder), names(&format!("twin/{folder}")), "{context}");
    }
}

#[test]
fn making_a_vault_that_failed_can_be_repeated() {
    let operations = {
        let disk = SimDisk::new();
        new_vault(&Machine::new(13), Arc::new(disk.storage()));
        disk.operations()
    };
    let mut failed = 0;
    for k in 0..operations {
        for failure in [Failure::Io, Failure::Full] {
            let (disk, machine) = (SimDisk::new(), Machine::new(13));
            disk.fail_at(k, failure);
            let storage: Arc<dyn Storage> = Arc::new(disk.storage());
            // Nobody has seen the recovery key of a vault that was not made.
            if create(machine.around(storage.clone()), &[], &CreateOptions::default()).is_err() {
                failed += 1;
                let storage: Arc<dyn Storage> = Arc::new(disk.storage());
                let (mut vault, recovery) = create(machine.around(storage.clone()), &[], &CreateOptions::default())
                    .unwrap_or_else(|error| panic!("operation {k}, {failure:?}: {error}"));
                vault.backup(&firm(), &options(), Progress::none()).unwrap();
                let credential = Credential::Recovery(recovery);
                let vault = Vault::open(Machine::new(97).around(storage), &credential, None).unwrap();
                assert_holds(&vault, "latest", &expected(&firm()));
            }
        }
    }
    assert!(failed > 0);
}

#[test]
fn features_of_a_newer_program_stop_who_must_know_them() {
    let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(14));
    let (mut vault, _) = new_vault(&machine, storage.clone());
    vault.backup(&firm(), &options(), Progress::none()).unwrap();
    need_features(&mut vault, &[], &["parity"]).unwrap();
    let mut vault = Machine::new(114).open(storage.clone(), &key()).unwrap();
    assert_holds(&vault, "latest", &expected(&firm()));
    let refused = vault.backup(&firm(), &options(), Progress::none());
    assert!(matches!(&refused, Err(RepoError::UnsupportedFeature { feature }) if feature == "parity"), "{refused:?}");
    let storage = Arc::new(MemoryStorage::new());
    let (mut vault, _) = new_vault(&machine, storage.clone());
    need_features(&mut vault, &["shards"], &[]).unwrap();
    let refused = Machine::new(115).open(storage, &key()).map(drop);
    assert!(matches!(&refused, Err(RepoError::UnsupportedFeature { feature }) if feature == "shards"), "{refused:?}");
}
