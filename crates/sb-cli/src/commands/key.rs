//! `sb key`.

use clap::{Args, Subcommand};
use sb_core::ListedKey;
use sb_core::crypto::{Kdf, SlotMethod};
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::locks::{self, NewLock};
use crate::text::table;

/// The commands below `key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    List(ListArgs),
    Add(AddArgs),
    Passwd(PasswdArgs),
    Remove(RemoveArgs),
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

pub(crate) fn run(command: &KeyCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        KeyCommand::List(args) => list(args, context),
        KeyCommand::Add(args) => add(args, context),
        KeyCommand::Passwd(args) => passwd(args, context),
        KeyCommand::Remove(args) => remove(args, context),
    }
}

fn list(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let keys = context.open()?.keys(!args.all)?;
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
    output.event("summary", json!({ "keys": keys.len() }))?;
    Ok(Exit::Done)
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
