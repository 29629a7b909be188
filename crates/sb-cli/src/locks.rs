//! What a new vault, user or key is to be opened by.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use sb_core::crypto::{Kdf, KeyFile, Lock, PublicKey, Secret};
use sb_core::{CoreError, RepoError, Session};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::secrets::{self, NewSecretFile};

/// The least that NIST SP 800-63B asks of a passphrase.
const PASSPHRASE_CHARACTERS_MIN: usize = 8;

/// How passphrases are hashed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KdfChoice {
    Argon2id,
    Pbkdf2HmacSha256,
}

/// What lets somebody in from now on. With none of these a passphrase is asked for.
#[derive(Args, Debug)]
pub(crate) struct NewLock {
    /// File with the new passphrase
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    /// New key file, which is made if it does not exist; with a passphrase, both are needed together
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
    /// Ask for a passphrase although there is a new key file: both are needed together then
    #[arg(long, requires = "new_key_file", conflicts_with = "new_passphrase_file")]
    ask_passphrase: bool,
    /// RSA-4096 public key in PEM, whose private half opens the vault
    #[arg(long, value_name = "FILE", conflicts_with_all = ["new_passphrase_file", "new_key_file"])]
    new_recipient: Option<PathBuf>,
    /// How the passphrase is hashed [default: argon2id, or what the vault demands]
    #[arg(long, value_enum)]
    kdf: Option<KdfChoice>,
}

impl NewLock {
    /// The lock, as this vault demands it, and the key file that was made for it, which goes again unless it is kept.
    pub(crate) fn lock(&self, session: &Session) -> Result<(Lock, Option<NewSecretFile>), Failure> {
        let kdf = kdf(self.kdf, session.vault().view().is_approved_only())?;
        if let Some(file) = &self.new_recipient {
            return Ok((read_recipient(file)?, None));
        }
        let passphrase = match &self.new_passphrase_file {
            Some(file) => Some(secrets::passphrase_in(file)?),
            None if self.new_key_file.is_none() || self.ask_passphrase => Some(secrets::ask_new()?),
            None => None,
        };
        passphrase.as_ref().map_or(Ok(()), check_length)?;
        let (key, made) = match &self.new_key_file {
            Some(path) => key_file(path)?,
            None => (None, None),
        };
        let lock = lock_of(kdf, passphrase, key).expect("a passphrase or a key file");
        Ok((lock, made))
    }
}

/// What became of something that a new key file is for. The file goes again only if nothing was done: whatever else went wrong, it may be what
/// opens the vault now.
pub(crate) fn used<T>(made: Option<NewSecretFile>, done: Result<T, Failure>) -> Result<T, Failure> {
    let is_needless = |failure: &Failure| matches!(failure.exit(), Exit::Denied | Exit::Usage);
    if let Some(file) = made.filter(|_| !done.as_ref().is_err_and(is_needless)) {
        file.keep();
    }
    done
}

/// The key in the file that was named: the one there is, or a new one.
pub(crate) fn key_file(path: &Path) -> Result<(Option<KeyFile>, Option<NewSecretFile>), Failure> {
    if path.exists() {
        return Ok((Some(secrets::read_key_file(path)?), None));
    }
    let (key, file) = secrets::make_key_file(path)?;
    Ok((Some(key), Some(file)))
}

pub(crate) fn check_length(passphrase: &Secret) -> Result<(), Failure> {
    let characters = std::str::from_utf8(passphrase.as_bytes()).map_or(0, |text| text.chars().count());
    if characters >= PASSPHRASE_CHARACTERS_MIN {
        return Ok(());
    }
    Err(Failure::usage(format!("the passphrase has fewer than {PASSPHRASE_CHARACTERS_MIN} characters"))
        .hint("Four or five words that do not belong together are easy to remember and hard to guess"))
}

pub(crate) fn read_recipient(file: &Path) -> Result<Lock, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| Failure::file("read", file, &error))?;
    PublicKey::from_pem(&text).map(Lock::Rsa).map_err(|error| {
        Failure::file("use", file, &error).hint("`openssl pkey -in KEY.pem -pubout` writes the public half of a key")
    })
}

/// How passphrases are hashed: as was said, if the vault allows that.
pub(crate) fn kdf(choice: Option<KdfChoice>, approved_only: bool) -> Result<Kdf, Failure> {
    match choice {
        Some(KdfChoice::Argon2id) if approved_only => {
            Err(CoreError::from(RepoError::NotApproved { algorithm: "Argon2id" }).into())
        }
        Some(KdfChoice::Pbkdf2HmacSha256) => Ok(Kdf::PBKDF2),
        None if approved_only => Ok(Kdf::PBKDF2),
        Some(KdfChoice::Argon2id) | None => Ok(Kdf::ARGON2ID),
    }
}

/// What passphrase and key file open together, or the one that there is alone.
pub(crate) fn lock_of(kdf: Kdf, passphrase: Option<Secret>, key: Option<KeyFile>) -> Option<Lock> {
    match (passphrase, key) {
        (Some(passphrase), Some(key)) => Some(Lock::PassphraseAndKeyFile(passphrase, key, kdf)),
        (Some(passphrase), None) => Some(Lock::Passphrase(passphrase, kdf)),
        (None, Some(key)) => Some(Lock::KeyFile(key)),
        (None, None) => None,
    }
}
