//! A vault for approved algorithms only: what makes it, and what no writer can do in it.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod common;

use std::sync::Arc;

use common::{Machine, key};
use sb_crypto::testing::allow_weak_kdf;
use sb_crypto::{HashAlgorithm, Kdf, KeyFile, Lock, RecipientAlgorithm, Secret, SeededRandom, SlotMethod};
use sb_repo::{CreateOptions, KeySet, NewUser, RepoError, create};
use sb_store::{MemoryStorage, Storage};

const ARGON2ID: Kdf = Kdf::Argon2id { memory_kib: 8, passes: 1, lanes: 1 };
const PBKDF2: Kdf = Kdf::Pbkdf2HmacSha256 { rounds: 1 };

fn options(hash: HashAlgorithm, recipient: RecipientAlgorithm) -> CreateOptions {
    let mut options = CreateOptions::default();
    (options.hash, options.recipient, options.approved_only) = (hash, recipient, true);
    options
}

fn locks(kdf: Kdf) -> [Lock; 2] {
    allow_weak_kdf();
    let secret = Secret::from("passphrase".to_owned());
    let file = KeyFile::generate(&SeededRandom::new(9));
    [Lock::Passphrase(secret.clone(), kdf), Lock::PassphraseAndKeyFile(secret, file, kdf)]
}

fn is_refused<T>(outcome: Result<T, RepoError>, what: &str) -> bool {
    matches!(outcome, Err(RepoError::NotApproved { algorithm }) if algorithm == what)
}

#[test]
fn a_vault_is_not_made_with_anything_else() {
    use HashAlgorithm::{Blake3, HmacSha256};
    use RecipientAlgorithm::{HpkeP256, HpkeX25519};
    let storage = Arc::new(MemoryStorage::new());
    let make = |locks: &[Lock], hash, recipient| {
        create(Machine::new(1).around(storage.clone()), locks, &options(hash, recipient)).map(drop)
    };
    assert!(is_refused(make(&[Lock::KeyFile(key())], Blake3, HpkeP256), "keyed BLAKE3"));
    assert!(is_refused(make(&[Lock::KeyFile(key())], HmacSha256, HpkeX25519), "X25519"));
    for lock in locks(ARGON2ID) {
        assert!(is_refused(make(&[Lock::KeyFile(key()), lock], HmacSha256, HpkeP256), "Argon2id"));
    }
    assert!(storage.objects().is_empty());
    make(&locks(PBKDF2), HmacSha256, HpkeP256).unwrap();
}

#[test]
fn nobody_is_let_in_by_anything_else() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let machine = Machine::new(2);
    let approved = options(HashAlgorithm::HmacSha256, RecipientAlgorithm::HpkeP256);
    create(machine.around(storage.clone()), &[Lock::KeyFile(key())], &approved).unwrap();
    let mut vault = machine.open(storage.clone(), &key()).unwrap();
    assert!(vault.view().is_approved_only());
    let someone = |lock| NewUser::new("nina", lock, vec!["some".to_owned()], KeySet::READ);
    let user = vault.add_user(&someone(locks(PBKDF2)[0].clone())).unwrap();
    let before = vault.view().slots();
    for lock in locks(ARGON2ID) {
        assert!(is_refused(vault.add_lock(&lock), "Argon2id"));
        assert!(is_refused(vault.change_lock(&lock), "Argon2id"));
        assert!(is_refused(vault.reset_user(user, "nina", std::slice::from_ref(&lock)), "Argon2id"));
        let mut new = someone(lock);
        new.login = "ben".to_owned();
        assert!(is_refused(vault.add_user(&new), "Argon2id"));
    }
    let mut vault = machine.open(storage, &key()).unwrap();
    assert_eq!(vault.view().slots(), before);
    for lock in locks(PBKDF2) {
        vault.add_lock(&lock).unwrap();
    }
    vault.refresh().unwrap();
    let is_argon2id = |method| matches!(method, SlotMethod::Passphrase { kdf } if !kdf.is_approved());
    assert!(!vault.view().slots().iter().any(|slot| is_argon2id(slot.method)));
}

#[test]
fn other_vaults_take_everything() {
    let (storage, machine) = (Arc::new(MemoryStorage::new()), Machine::new(3));
    let (mut vault, _) = create(machine.around(storage), &locks(ARGON2ID), &CreateOptions::default()).unwrap();
    assert!(!vault.view().is_approved_only());
    vault.add_lock(&locks(PBKDF2)[0]).unwrap();
}
