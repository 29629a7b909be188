//! `sb init`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use sb_core::crypto::{KeyFile, Lock, RecipientAlgorithm};
use sb_core::{InitOptions, InitReport};
use serde_json::json;

use crate::commands::info::NOT_VALIDATED;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::locks::{self, KdfChoice, check_length, lock_of, read_recipient};
use crate::secrets::{self, NewSecretFile};
use crate::text::quoted;

/// Make a vault
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb init /mnt/backup/vault                        asks for a passphrase
  sb init /mnt/backup/vault --key-file ~/sb.key    makes the key file if it does not exist

With a key file and no passphrase in SB_PASSPHRASE, SB_PASSPHRASE_FILE or SB_PASSPHRASE_COMMAND, the key file alone opens \
the vault; with both, both are needed. With --recipient and neither of them, the RSA key alone opens it. The recovery key opens it in any case: it is shown once and stored nowhere.")]
pub(crate) struct InitArgs {
    /// Where to make it: a folder that is empty or does not exist [default: --vault]
    #[arg(value_name = "URL")]
    url: Option<OsString>,
    /// How the passphrase is hashed [default: argon2id, or pbkdf2-hmac-sha256 with --approved-algorithms]
    #[arg(long, value_enum)]
    kdf: Option<KdfChoice>,
    /// What the vault's keys are sealed with; fixed for its life [default: x25519, or p256 with --approved-algorithms]
    #[arg(long, value_enum)]
    algorithm: Option<Algorithm>,
    /// Nothing but algorithms that NIST approves; fixed for its life. Not a validated module: see docs/approved-algorithms.md
    #[arg(long)]
    approved_algorithms: bool,
    /// RSA-4096 public key in PEM whose private half shall open the vault, too; may be given more than once
    #[arg(long, value_name = "FILE")]
    recipient: Vec<PathBuf>,
    /// Write the recovery key to this new file instead of showing it
    #[arg(long, value_name = "FILE")]
    recovery_key_out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Algorithm {
    X25519,
    P256,
    Rsa4096,
}

pub(crate) fn run(args: &InitArgs, context: &Context) -> Result<Exit, Failure> {
    let vault = match &args.url {
        Some(url) => context.vault_at(url)?,
        None => context.vault()?,
    };
    // Before anything is asked.
    let kdf = locks::kdf(args.kdf, args.approved_algorithms)?;
    let recipients = args.recipient.iter().map(|file| read_recipient(file)).collect::<Result<Vec<_>, _>>()?;
    let needs_passphrase = secrets::key_file(context).is_none() && recipients.is_empty();
    let passphrase = match secrets::given_passphrase(context)? {
        None if needs_passphrase => Some(secrets::ask_new()?),
        given => given,
    };
    passphrase.as_ref().map_or(Ok(()), check_length)?;
    // Files are made after the last question, at which Ctrl-C would leave them behind.
    let recovery_file = args.recovery_key_out.as_deref().map(NewSecretFile::create).transpose()?;
    let (key, new_key_file) = key_file(context)?;
    let mut options = InitOptions::default();
    options.algorithm = args.algorithm.map(|algorithm| match algorithm {
        Algorithm::X25519 => RecipientAlgorithm::HpkeX25519,
        Algorithm::P256 => RecipientAlgorithm::HpkeP256,
        Algorithm::Rsa4096 => RecipientAlgorithm::Rsa4096,
    });
    options.approved_only = args.approved_algorithms;
    options.locks = lock_of(kdf, passphrase, key).into_iter().chain(recipients).collect();
    let report = vault.init(&options)?;

    // From here on there is a vault, so its keys must not get lost whatever happens.
    let made_key = new_key_file.is_some();
    let rsa_alone = options.locks.iter().all(|lock| matches!(lock, Lock::Rsa(_)));
    new_key_file.into_iter().for_each(NewSecretFile::keep);
    let shows_recovery = match recovery_file {
        Some(mut file) => match file.write(&report.recovery) {
            Ok(()) => {
                file.keep();
                false
            }
            Err(failure) => {
                context.output.failure(&failure);
                true
            }
        },
        None => true,
    };
    tell(args, context, &vault.location().to_string(), &report, Made { made_key, rsa_alone, shows_recovery })?;
    Ok(Exit::Done)
}

/// The key file that was named: the one there is, or a new one.
fn key_file(context: &Context) -> Result<(Option<KeyFile>, Option<NewSecretFile>), Failure> {
    secrets::key_file(context).map_or(Ok((None, None)), |path| locks::key_file(path))
}

/// What became of the keys.
#[derive(Clone, Copy, Debug)]
struct Made {
    /// There was no key file before.
    made_key: bool,
    /// Nothing but an RSA key and the recovery key open the vault.
    rsa_alone: bool,
    /// The recovery key is in no file.
    shows_recovery: bool,
}

fn tell(args: &InitArgs, context: &Context, location: &str, report: &InitReport, made: Made) -> Result<(), Failure> {
    let Made { made_key, rsa_alone, shows_recovery } = made;
    let output = &context.output;
    let key_file = secrets::key_file(context).map(|path| path.display().to_string());
    let recovery_file = args.recovery_key_out.as_ref().map(|path| path.display().to_string());
    let fingerprint = report.root_fingerprint.to_string();
    if shows_recovery {
        output.result(&format!("Recovery key, shown this once and stored nowhere:\n\n    {}\n", report.recovery))?;
    } else if let Some(file) = &recovery_file {
        output.result(&format!("Recovery key: written to `{file}`. Print it, then delete the file.\n"))?;
    }
    output.result(&format!("Root fingerprint, which tells this vault from a forged one:\n\n    {fingerprint}\n"))?;
    output.say(&format!("The vault {} is at {location}.", report.vault))?;
    if let (true, Some(file)) = (made_key, &key_file) {
        output.say(&format!("The new key file `{file}` opens it: keep a copy of it on another disk."))?;
    }
    if args.approved_algorithms {
        output.say(&format!("It uses approved algorithms only. {NOT_VALIDATED}."))?;
    }
    output.say(
        "Write recovery key and fingerprint on paper and keep them where a fire here does not reach them.\n\
         If every passphrase, key file and the recovery key are lost, the vault is lost: nobody can open it, not even we.",
    )?;
    output.say(&format!(
        "\nNext: sb backup --vault {}{} PATH…",
        quoted(location),
        key_option(key_file.as_deref(), rsa_alone)
    ))?;
    let mut summary = json!({
        "vault": location,
        "vault_id": report.vault.to_string(),
        "root_fingerprint": fingerprint,
        "approved_algorithms": args.approved_algorithms,
        "key_file": key_file,
        "recovery_key_file": recovery_file.filter(|_| !shows_recovery),
    });
    if shows_recovery {
        summary["recovery_key"] = report.recovery.to_string().into();
    }
    Ok(output.event("summary", summary)?)
}

/// What opens the vault, as far as it need not be asked for.
fn key_option(key_file: Option<&str>, rsa_alone: bool) -> String {
    match key_file {
        Some(file) => format!(" --key-file {}", quoted(file)),
        None if rsa_alone => " --rsa-key PRIVATE.pem".to_owned(),
        None => String::new(),
    }
}
