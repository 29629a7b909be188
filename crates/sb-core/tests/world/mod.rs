//! A firm with a vault, for tests of who may do what.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses its own part")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sb_core::chrono::{DateTime, TimeDelta, Utc};
use sb_core::crypto::{Credential, Kdf, KeyFile, Lock, Secret, SystemRandom};
use sb_core::repo::UserId;
use sb_core::{
    AddUserOptions, BackupOptions, Clock, CoreError, InitOptions, Location, Progress, Session, SystemClock, Vault,
};

/// The system's clock, put forward.
#[derive(Debug, Default)]
pub struct Set(AtomicI64);

impl Set {
    pub fn put_forward(&self, by: TimeDelta) {
        self.0.fetch_add(by.num_seconds(), Ordering::Relaxed);
    }
}

impl Clock for Set {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + TimeDelta::seconds(self.0.load(Ordering::Relaxed))
    }
}

pub const CHEAP: Kdf = Kdf::Pbkdf2HmacSha256 { rounds: 100_000 };

/// A firm with a vault, whose owner opens it with two factors.
pub struct World {
    _temp: tempfile::TempDir,
    pub root: PathBuf,
    pub owner: KeyFile,
    pub clock: Arc<Set>,
}

pub fn passphrase() -> Secret {
    Secret::from("correct horse battery staple".to_owned())
}

impl World {
    pub fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("firm")).unwrap();
        fs::write(root.join("firm/note.txt"), "remember").unwrap();
        let world = Self { _temp: temp, root, owner: KeyFile::generate(&SystemRandom), clock: Arc::default() };
        let mut options = InitOptions::default();
        options.locks = vec![Lock::PassphraseAndKeyFile(passphrase(), world.owner.clone(), CHEAP)];
        world.vault().init(&options).unwrap();
        let mut owner = world.open();
        owner.backup(&world.options(), Progress::none()).unwrap();
        world
    }

    pub fn vault(&self) -> Vault {
        let location = Location::parse(self.root.join("vault").as_os_str()).unwrap();
        Vault::new(location, self.root.join("state")).with_clock(self.clock.clone())
    }

    pub fn open(&self) -> Session {
        let credential = Credential::PassphraseAndKeyFile(passphrase(), self.owner.clone());
        self.vault().open(&credential, None).unwrap()
    }

    pub fn options(&self) -> BackupOptions {
        let mut options = BackupOptions::default();
        options.paths = vec![self.root.join("firm")];
        options
    }

    /// Somebody with these roles, who opens the vault with two factors as well.
    pub fn add(&self, login: &str, roles: &[&str]) -> (UserId, Credential) {
        let key = KeyFile::generate(&SystemRandom);
        let lock = Lock::PassphraseAndKeyFile(passphrase(), key.clone(), CHEAP);
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let mut options = AddUserOptions::new(login, lock, roles);
        options.access_until = Some(self.clock.now() + TimeDelta::days(1000));
        let user = self.open().add_user(&options, Progress::none()).unwrap();
        (user, Credential::PassphraseAndKeyFile(passphrase(), key))
    }

    pub fn open_as(&self, login: &str, credential: &Credential) -> Result<Session, CoreError> {
        self.vault().as_user(login).open(credential, None)
    }
}
