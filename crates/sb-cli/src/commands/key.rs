//! `sb key`.

use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use sb_core::crypto::{Kdf, RecoveryKey, SlotMethod};
use sb_core::repo::RepoError;
use sb_core::{CoreError, ListedKey, RotateReport};
use serde_json::json;

use super::request::{Why, or_asked};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::locks::{self, NewLock};
use crate::secrets::NewSecretFile;
use crate::text::{count, local, table};

/// The commands below `key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    List(ListArgs),
    Add(AddArgs),
    Passwd(PasswdArgs),
    Remove(RemoveArgs),
    Rotate(RotateArgs),
    ExportRecovery(ExportArgs),
}

/// List what lets you in, or everybody
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb key list
  sb key list --all")]
pub(crate) struct ListArgs {
    /// What lets others in, too
    #[arg(long)]
    all: bool,
}

/// Let yourself in by something else, too
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb key add --new-key-file ~/sb.key                   the key file alone
  sb key add --new-key-file ~/sb.key --ask-passphrase  key file and passphrase, both needed together
  sb key add --new-recipient token.pub.pem             an RSA-4096 key")]
pub(crate) struct AddArgs {
    #[command(flatten)]
    lock: NewLock,
}

/// Change the passphrase, or whatever has opened the vault now
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb key passwd                                        asks for the old one and twice for the new one
  sb key passwd --new-passphrase-file new.txt

What has opened the vault before opens it no more. Who has copied vault and passphrase before can still read what was in that copy.")]
pub(crate) struct PasswdArgs {
    #[command(flatten)]
    lock: NewLock,
}

/// Let nobody in by this any more
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb key remove 3fa94c21                               as `sb key list` shows it

The last key of a user cannot be removed.")]
pub(crate) struct RemoveArgs {
    /// Which: the beginning of its id
    #[arg(value_name = "KEY")]
    key: String,
}

/// Put new keys into use for everything that is backed up from now on
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb key rotate
  sb key rotate --json

The keys that open what is stored are replaced by new ones, for which nobody's passphrase is needed. The tables of pack keys are sealed to
the new ones; no pack is read or written, so it takes seconds. Backups and restores go on meanwhile; while a collection or another rotation
is running elsewhere, this ends with exit code 11. If it is cut short, or a backup that began before is still going on, run it again:
it goes on from there.

Whoever has copied earlier keys and what was sealed to them reads that for ever. The keys by which files are cut, named and found never
change, and neither do earlier private keys for names, as long as there are snapshots from then.")]
pub(crate) struct RotateArgs {
    /// Begin a new epoch though an earlier rotation is not finished
    #[arg(long)]
    new_epoch: bool,
}

/// Get a new recovery key to keep on paper, instead of the one before; takes two people
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb key export-recovery --reason 'the sheet is lost'  asks for it; once somebody else has agreed, the same again does it
  sb key export-recovery --recovery-key-out sheet.txt

Where there is nobody else who could agree, it waits for a week. The recovery key before opens nothing any more; the new one opens what you can open.")]
pub(crate) struct ExportArgs {
    /// Write the recovery key to this new file instead of showing it
    #[arg(long, value_name = "FILE")]
    recovery_key_out: Option<PathBuf>,
    #[command(flatten)]
    why: Why,
}

pub(crate) fn run(command: &KeyCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        KeyCommand::List(args) => list(args, context),
        KeyCommand::Add(args) => add(args, context),
        KeyCommand::Passwd(args) => passwd(args, context),
        KeyCommand::Remove(args) => remove(args, context),
        KeyCommand::Rotate(args) => rotate(args, context),
        KeyCommand::ExportRecovery(args) => export(args, context),
    }
}

fn list(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let session = context.open()?;
    let keys_overdue = context.warn_of_keys(&session.key_age());
    let keys = session.keys(!args.all)?;
    let output = &context.output;
    let mut rows = vec![["key", "user", "opened by", "hashed by"].map(str::to_owned).to_vec()];
    for key in &keys {
        let (method, kdf) = described(key);
        let fields = json!({
            "key_id": key.slot.id.to_string(),
            "user_id": key.slot.user.to_string(),
            "login": key.name,
            "method": method,
            "kdf": kdf,
            "in_use": key.is_in_use,
        });
        output.event("key", fields)?;
        rows.push(vec![
            key.slot.id.to_string()[..8].to_owned(),
            key.name.clone().unwrap_or_else(|| key.slot.user.to_string()[..8].to_owned()),
            format!("{method}{}", if key.is_in_use { " (now)" } else { "" }),
            kdf.unwrap_or_default(),
        ]);
    }
    output.result(table(&rows, &[]).trim_end())?;
    output.event("summary", json!({ "keys": keys.len(), "keys_overdue": keys_overdue }))?;
    Ok(Exit::Done)
}

fn rotate(args: &RotateArgs, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    let report = context.watch("rotating", |progress| session.rotate_keys(args.new_epoch, progress))?;
    let output = &context.output;
    for line in told(&report) {
        output.say(&line)?;
    }
    for (table, flaw) in &report.stuck {
        output.warn(&format!("`{table}` cannot be sealed anew: {flaw}"));
    }
    let due = session.key_age().due;
    output.result(&match report.is_finished {
        true => format!("finished; the next rotation is due by {}", local(due)),
        false => format!("NOT FINISHED: {}; then run `sb key rotate` again", hindrance(&report)),
    })?;
    output.event(
        "summary",
        json!({
            "epoch": report.epoch.number,
            "began": report.epoch.began.to_rfc3339(),
            "new": report.is_new,
            "due": due.to_rfc3339(),
            "users": report.granted,
            "tables": report.tables,
            "tables_stuck": report.stuck_count,
            "runs_from_before": report.running,
            "epochs_closed": report.closed,
            "name_keys_kept": report.names_kept,
            "finished": report.is_finished,
        }),
    )?;
    Ok(if report.stuck_count == 0 { Exit::Done } else { Exit::Damaged })
}

fn told(report: &RotateReport) -> Vec<String> {
    let (number, began) = (report.epoch.number, local(report.epoch.began));
    let mut lines = vec![match report.is_new {
        true => format!("began epoch {number}: everything is sealed to its keys from now on"),
        false => format!("went on with epoch {number}, which began at {began}"),
    }];
    if report.granted > 0 {
        lines.push(format!("granted {} the keys of their roles", count(report.granted, "user")));
    }
    lines.push(format!("sealed {} of pack keys anew, and touched no pack", count(report.tables, "table")));
    if report.closed > 0 {
        lines.push(format!("destroyed the private keys for contents of {}", count(report.closed, "earlier epoch")));
    }
    if report.names_kept > 0 {
        let epochs = count(report.names_kept, "earlier epoch");
        lines.push(format!("keeps the private keys for names of {epochs}: snapshots from then are sealed to them"));
    }
    lines
}

/// Why private keys of earlier epochs are still there.
fn hindrance(report: &RotateReport) -> String {
    if report.running > 0 {
        let runs = count(report.running, "backup");
        return format!("{runs} from before may be going on, and earlier keys are needed until that is over");
    }
    match report.stuck_count {
        0 => "a run has stored keys meanwhile that are not in its journal yet; let it end".to_owned(),
        n => format!("earlier keys are kept for {}; put back whole copies", count(n, "damaged table")),
    }
}

fn described(key: &ListedKey) -> (&'static str, Option<String>) {
    let hashed = |kdf: Kdf| match kdf {
        Kdf::Argon2id { memory_kib, passes, .. } => format!("Argon2id, {} MiB, {passes} passes", memory_kib / 1024),
        Kdf::Pbkdf2HmacSha256 { rounds } => format!("PBKDF2-HMAC-SHA-256, {rounds} rounds"),
    };
    match key.slot.method {
        SlotMethod::Passphrase { kdf } => ("passphrase", Some(hashed(kdf))),
        SlotMethod::KeyFile => ("key file", None),
        SlotMethod::PassphraseAndKeyFile { kdf } => ("passphrase and key file", Some(hashed(kdf))),
        SlotMethod::Rsa { .. } => ("RSA key", None),
        SlotMethod::Recovery => ("recovery key", None),
    }
}

fn add(args: &AddArgs, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    let (lock, made) = args.lock.lock(&session)?;
    let id = locks::used(made, context.listen(|progress| session.add_key(&lock, progress)))?.to_string();
    context.output.say(&format!("added key {}", &id[..8]))?;
    context.output.event("summary", json!({ "key_id": id }))?;
    Ok(Exit::Done)
}

fn passwd(args: &PasswdArgs, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    let (lock, made) = args.lock.lock(&session)?;
    locks::used(made, context.listen(|progress| session.change_key(&lock, progress)))?;
    context.output.say("changed; what opened the vault before opens it no more")?;
    context.output.event("summary", json!({ "changed": true }))?;
    Ok(Exit::Done)
}

fn remove(args: &RemoveArgs, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    context.listen(|progress| session.remove_key(&args.key, progress))?;
    context.output.say(&format!("removed key {}", args.key))?;
    context.output.event("summary", json!({ "key_id": args.key }))?;
    Ok(Exit::Done)
}

fn export(args: &ExportArgs, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    let output = &context.output;
    let mut file = args.recovery_key_out.as_deref().map(NewSecretFile::create).transpose()?;
    let mut trouble = None;
    // The key before stays good until this one is where it can be found.
    let mut keep = |recovery: &RecoveryKey| {
        let text = recovery.to_string();
        let kept = match &mut file {
            Some(file) => file.write(&text),
            None => {
                let shown =
                    output.result(&format!("Recovery key, shown this once and stored nowhere:\n\n    {text}\n"));
                shown.and_then(|()| Ok(output.event("recovery_key", json!({ "recovery_key": text }))?))
            }
        };
        kept.map_err(|failure| {
            trouble = Some(failure);
            io::ErrorKind::BrokenPipe.into()
        })
    };
    let exported = context.hear(|progress| session.export_recovery_key(&mut keep, progress));
    match (trouble, &exported) {
        (Some(failure @ Failure::Told { .. }), Err(_)) => {
            return Err(failure.also("The recovery key before stays good"));
        }
        (Some(_), Err(CoreError::Repo(RepoError::Output(_)))) => {
            return Err(Failure::new("the new recovery key could not be shown, so the one before stays good"));
        }
        _ => {}
    }
    or_asked(exported, &mut session, &args.why, context)?;
    file.into_iter().for_each(NewSecretFile::keep);
    let path = args.recovery_key_out.as_ref().map(|path| path.display().to_string());
    if let Some(path) = &path {
        output.result(&format!("Recovery key: written to `{path}`. Print it, then delete the file."))?;
    }
    output.say("The one before opens nothing any more: destroy the sheet.")?;
    output.event("summary", json!({ "recovery_key_file": path }))?;
    Ok(Exit::Done)
}
