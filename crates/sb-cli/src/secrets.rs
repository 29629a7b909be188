//! Keys and passphrases: where they come from. They are never in arguments, and never in what is printed.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sb_core::crypto::{Credential, CryptoError, KeyFile, PrivateKey, RecoveryKey, Secret, SystemRandom};
use sb_core::{Vault, passphrase};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::platform::{self, variable};
use crate::prompt;

/// True if [`credentials`] asks somebody at the terminal, who may mistype.
pub(crate) fn are_typed(context: &Context) -> bool {
    let global = &context.global;
    if global.rsa_key.is_some() || global.recovery_key_file.is_some() {
        return false;
    }
    if global.recovery_key {
        return variable("SB_RECOVERY_KEY").is_none();
    }
    let is_given = global.passphrase_file.is_some()
        || ["SB_PASSPHRASE", "SB_PASSPHRASE_COMMAND"].iter().any(|name| variable(name).is_some())
        || context.config.passphrase_file.is_some()
        || context.config.passphrase_command.is_some();
    !is_given && key_file(context).is_none()
}

/// What to open the vault with, the most likely first. Only one kind will fit.
pub(crate) fn credentials(context: &Context, vault: &Vault) -> Result<Vec<Credential>, Failure> {
    let global = &context.global;
    if global.recovery_key || global.recovery_key_file.is_some() {
        return Ok(vec![Credential::Recovery(recovery_key(global.recovery_key_file.as_deref(), vault)?)]);
    }
    if let Some(file) = &global.rsa_key {
        return Ok(vec![Credential::Rsa(rsa_key(file, context, vault)?)]);
    }
    let given = given_passphrase(context)?;
    let key_file = key_file(context).map(|file| read_key_file(file)).transpose()?;
    Ok(match (given, key_file) {
        (Some(passphrase), Some(file)) => vec![
            Credential::PassphraseAndKeyFile(passphrase.clone(), file.clone()),
            Credential::KeyFile(file),
            Credential::Passphrase(passphrase),
        ],
        (None, Some(file)) => vec![Credential::KeyFile(file)],
        (Some(passphrase), None) => vec![Credential::Passphrase(passphrase)],
        (None, None) => {
            is_there(context, vault)?;
            vec![Credential::Passphrase(ask(&format!("Passphrase of the vault {}", vault.location()))?)]
        }
    })
}

/// Nobody is asked for a passphrase to what is not there.
fn is_there(context: &Context, vault: &Vault) -> Result<(), Failure> {
    Ok(vault.info_public(context.fingerprint()?).map(drop)?)
}

/// The private key in this file. If it is encrypted, the passphrase that was given is the key's.
fn rsa_key(file: &Path, context: &Context, vault: &Vault) -> Result<PrivateKey, Failure> {
    let secret = read("RSA key", file)?;
    let text = text_of(&secret, file)?;
    let key = match PrivateKey::from_pem(text) {
        Err(CryptoError::PrivateKeyEncrypted) => {
            let passphrase = match given_passphrase(context)? {
                Some(given) => given,
                None => {
                    is_there(context, vault)?;
                    ask(&format!("Passphrase of the RSA key {}", file.display()))?
                }
            };
            PrivateKey::from_encrypted_pem(text, &passphrase)
        }
        read => read,
    };
    key.map_err(|error| match error {
        CryptoError::PrivateKeyCipher => unfit(file, &error)
            .hint("`openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY.pem -out NEW.pem` encrypts it in a way that is known"),
        CryptoError::PemLabel { .. } => {
            unfit(file, &error).hint("`openssl pkcs8 -topk8 -in KEY.pem -out NEW.pem` writes the form that is needed")
        }
        _ => unfit(file, &error),
    })
}

/// The key file that was named.
pub(crate) fn key_file(context: &Context) -> Option<&PathBuf> {
    context.global.key_file.as_ref().or(context.config.key_file.as_ref())
}

/// Reads a key file.
pub(crate) fn read_key_file(file: &Path) -> Result<KeyFile, Failure> {
    let text = read("key file", file)?;
    text_of(&text, file)?.parse().map_err(|error| unfit(file, &error))
}

/// A passphrase that need not be asked for.
pub(crate) fn given_passphrase(context: &Context) -> Result<Option<Secret>, Failure> {
    let given = if let Some(file) = &context.global.passphrase_file {
        read("passphrase file", file)?
    } else if let Some(passphrase) = variable("SB_PASSPHRASE") {
        Secret::new(passphrase.into_encoded_bytes())
    } else if let Some(command) = variable("SB_PASSPHRASE_COMMAND") {
        run(&command)?
    } else if let Some(file) = &context.config.passphrase_file {
        read("passphrase file", file)?
    } else if let Some(command) = &context.config.passphrase_command {
        run(command.as_ref())?
    } else {
        return Ok(None);
    };
    checked(given).map(Some)
}

/// The passphrase in this file.
pub(crate) fn passphrase_in(file: &Path) -> Result<Secret, Failure> {
    checked(read("passphrase file", file)?)
}

/// Asks for a new passphrase, twice.
pub(crate) fn ask_new() -> Result<Secret, Failure> {
    let first = ask("New passphrase")?;
    if ask("The same again")? == first {
        Ok(first)
    } else {
        Err(Failure::usage("the two passphrases are not the same").hint("Nothing was made; try again"))
    }
}

fn ask(question: &str) -> Result<Secret, Failure> {
    let typed = prompt::ask(question).map_err(|_| {
        Failure::usage("no passphrase or key was given, and there is no terminal to ask at")
            .hint("Give --key-file, --passphrase-file, SB_PASSPHRASE or SB_PASSPHRASE_COMMAND")
    });
    checked(Secret::new(typed?))
}

fn checked(given: Secret) -> Result<Secret, Failure> {
    passphrase(given).map_err(|error| Failure::new(error.to_string()).with_exit(Exit::WrongKey))
}

fn recovery_key(file: Option<&Path>, vault: &Vault) -> Result<RecoveryKey, Failure> {
    let text = match (file, variable("SB_RECOVERY_KEY")) {
        (Some(file), _) => read("recovery key file", file)?,
        (None, Some(key)) => Secret::new(key.into_encoded_bytes()),
        (None, None) => {
            let typed = prompt::ask(&format!("Recovery key of the vault {}", vault.location())).map_err(|_| {
                Failure::usage("no recovery key was given, and there is no terminal to ask at")
                    .hint("Give --recovery-key-file or SB_RECOVERY_KEY")
            });
            Secret::new(typed?)
        }
    };
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::new(format!("this is no recovery key: {error}"))
            .with_exit(Exit::WrongKey)
            .hint("It has 14 groups of four characters, as `sb init` printed it")
    };
    let text = std::str::from_utf8(text.as_bytes()).map_err(|error| wrong(&error))?;
    text.trim().parse().map_err(|error| wrong(&error))
}

fn run(command: &std::ffi::OsStr) -> Result<Secret, Failure> {
    let failed = |why: String| Failure::new(format!("the passphrase command `{}` {why}", command.display()));
    let shell = if cfg!(windows) { ["cmd", "/C"] } else { ["sh", "-c"] };
    let started =
        platform::command(shell[0]).arg(shell[1]).arg(command).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = started.map_err(|error| failed(format!("cannot be run: {error}")))?;
    let printed = child.stdout.take().map_or_else(|| Ok(Secret::new(Vec::new())), read_secret);
    let status = child.wait().map_err(|error| failed(format!("cannot be run: {error}")))?;
    match printed {
        _ if !status.success() => Err(failed(format!("failed: {status}"))),
        printed => printed.map_err(|error| failed(format!("cannot be read: {error}"))),
    }
}

/// No key or passphrase is longer.
const SECRET_MAX: usize = 64 << 10;

/// All there is, in one place from the beginning: a buffer that grows would leave copies behind.
fn read_secret(mut from: impl Read) -> io::Result<Secret> {
    let mut bytes = Vec::with_capacity(SECRET_MAX + 1);
    let read = from.by_ref().take(SECRET_MAX as u64 + 1).read_to_end(&mut bytes);
    let secret = Secret::new(bytes);
    read?;
    if secret.len() <= SECRET_MAX { Ok(secret) } else { Err(io::Error::other("it is too long")) }
}

/// A file that is not there is no wrong key.
fn read(what: &str, file: &Path) -> Result<Secret, Failure> {
    fs::File::open(file).and_then(read_secret).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::new(format!("the {what} `{}` is not there", file.display()))
            .hint("Check the path, and whether its disk is mounted"),
        _ => Failure::file("read", file, &error),
    })
}

fn text_of<'a>(secret: &'a Secret, file: &Path) -> Result<&'a str, Failure> {
    std::str::from_utf8(secret.as_bytes()).map_err(|_| unfit(file, &"it is not text"))
}

fn unfit(file: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("cannot use `{}`: {error}", file.display())).with_exit(Exit::WrongKey)
}

/// A file that is new and its owner's alone, and that goes again unless it is kept.
#[derive(Debug)]
pub(crate) struct NewSecretFile {
    path: PathBuf,
    file: fs::File,
    is_kept: bool,
}

impl NewSecretFile {
    /// Makes it; fails if there is such a file.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let file = platform::create_private(path).map_err(|error| Failure::file("make", path, &error))?;
        Ok(Self { path: path.to_owned(), file, is_kept: false })
    }

    /// Writes a line, durably. No copy of it is left in memory.
    pub(crate) fn write(&mut self, key: &dyn std::fmt::Display) -> Result<(), Failure> {
        let mut line = String::with_capacity(256);
        writeln!(line, "{key}").expect("writing to memory does not fail");
        let line = Secret::from(line);
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_all());
        let written = written.and_then(|()| platform::sync_folder_of(&self.path));
        written.map_err(|error| Failure::file("write", &self.path, &error))
    }

    /// Lets it stay.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for NewSecretFile {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A new key file with a new key in it.
pub(crate) fn make_key_file(path: &Path) -> Result<(KeyFile, NewSecretFile), Failure> {
    let mut file = NewSecretFile::create(path)?;
    let key = KeyFile::generate(&SystemRandom);
    file.write(&key)?;
    Ok((key, file))
}
