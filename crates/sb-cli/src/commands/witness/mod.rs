//! `sb witness`.

mod cosign;
mod failure;
mod serve;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sb_core::audit::VerifierKey;
use sb_core::crypto::SystemRandom;
use sb_core::witness::{Overview, Watched, Witness};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::text::{harmless_line, local, number, quoted, table};
use failure::told;

/// The commands below `witness`.
#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    Init(InitArgs),
    AddLog(AddLogArgs),
    Serve(serve::ServeArgs),
    Cosign(cosign::CosignArgs),
    Show(ShowArgs),
}

/// Make a witness with a new key, in a new folder
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb witness init /srv/witness --name witness.example/w1

It prints the witness's verifier key, which is public: give it to whoever is to believe its cosignatures, by a way that \
nobody can tamper with. The folder needs no backup, and an older copy of it must never be put back: a witness that has \
forgotten what it cosigned is none.")]
pub(crate) struct InitArgs {
    /// Where: an empty folder, or one that does not exist yet
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The name that it signs under, by custom without a scheme, such as witness.example/w1
    #[arg(long, value_name = "NAME")]
    name: String,
}

/// Watch a log, or accept another key of one
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb witness add-log /srv/witness firm.example/log-1+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k

Stop `sb witness serve` before, and start it again afterwards.")]
pub(crate) struct AddLogArgs {
    /// The witness's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The log's verifier key, which its owner has
    #[arg(value_name = "VKEY")]
    key: String,
}

/// List the logs that a witness watches, and what it cosigned last of each
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb witness show /srv/witness

It can be used while the witness is being served. Ends with 4 if a log has forked: the folder `forks` then has two checkpoints \
of the same size that the log has signed, which proves it to anybody.")]
pub(crate) struct ShowArgs {
    /// The witness's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn run(command: &WitnessCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        WitnessCommand::Init(args) => init(args, context),
        WitnessCommand::AddLog(args) => add_log(args, context),
        WitnessCommand::Serve(args) => serve::run(args, context),
        WitnessCommand::Cosign(args) => cosign::run(args, context),
        WitnessCommand::Show(args) => show(args, context),
    }
}

fn init(args: &InitArgs, context: &Context) -> Result<Exit, Failure> {
    let witness = Witness::init(&args.folder, &args.name, &SystemRandom).map_err(told)?;
    let (output, key) = (&context.output, witness.verifier().to_string());
    output.say("The witness's verifier key, for whoever is to believe its cosignatures:\n")?;
    output.result(&key)?;
    output.say(&format!("\nIts private key is in `{}`, and stays there. Next:", args.folder.display()))?;
    let folder = quoted(&args.folder.to_string_lossy());
    output.say(&format!("  sb witness add-log {folder} VKEY      for each log it is to watch"))?;
    output.say(&format!("  sb witness serve {folder}"))?;
    let (folder, name) = (args.folder.display().to_string(), witness.verifier().name());
    output.event("summary", json!({ "folder": folder, "name": name, "verifier_key": key }))?;
    Ok(Exit::Done)
}

fn add_log(args: &AddLogArgs, context: &Context) -> Result<Exit, Failure> {
    let key: VerifierKey = args.key.parse().map_err(|error| {
        Failure::usage(format!("`{}` is no verifier key: {}", args.key, chain(&error)))
            .hint("It is one line of a name, eight hexadecimal digits and base64, with `+` between them")
    })?;
    let mut witness = Witness::open(&args.folder).map_err(told)?;
    let is_new = witness.add_log(key.clone()).map_err(told)?;
    let output = &context.output;
    let does = if is_new { "watches" } else { "was already watching" };
    output.say(&harmless_line(&format!("{} {does} {} with this key", witness.verifier().name(), key.name())))?;
    output.event("summary", json!({ "origin": key.name(), "verifier_key": key.to_string(), "added": is_new }))?;
    Ok(Exit::Done)
}

fn show(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let witness = Overview::read(&args.folder).map_err(told)?;
    let output = &context.output;
    output.say(&format!("{}\n", witness.verifier))?;
    let mut rows = vec![["log", "size", "root", "cosigned"].map(str::to_owned).to_vec()];
    for log in &witness.logs {
        rows.push(row(log));
        output.event("watched_log", described(log))?;
    }
    if witness.logs.is_empty() {
        output.say("no logs")?;
    } else {
        output.result(table(&rows, &[1]).trim_end())?;
    }
    let forked: Vec<_> = witness.logs.iter().filter_map(|log| Some((log, log.fork?))).collect();
    for (log, fork) in &forked {
        output.warn(&format!(
            "warning: the log `{}` has forked: it has also signed the root {} at size {}",
            log.origin, fork.root, fork.size
        ));
    }
    let (name, key) = (witness.verifier.name(), witness.verifier.to_string());
    let counts = json!({ "name": name, "verifier_key": key, "logs": witness.logs.len(), "forked": forked.len() });
    output.event("summary", counts)?;
    Ok(if forked.is_empty() { Exit::Done } else { Exit::Damaged })
}

fn row(log: &Watched) -> Vec<String> {
    let origin = harmless_line(&log.origin);
    match log.latest {
        Some(seen) => vec![origin, number(seen.head.size), seen.head.root.to_string(), local(seen.time)],
        None => vec![origin, "-".to_owned(), "-".to_owned(), "nothing yet".to_owned()],
    }
}

fn described(log: &Watched) -> Value {
    let keys: Vec<String> = log.keys.iter().map(ToString::to_string).collect();
    json!({
        "origin": log.origin,
        "verifier_keys": keys,
        "size": log.latest.map(|seen| seen.head.size),
        "root": log.latest.map(|seen| seen.head.root.to_string()),
        "time": log.latest.map(|seen| seen.time.to_rfc3339()),
        "fork_size": log.fork.map(|fork| fork.size),
        "fork_root": log.fork.map(|fork| fork.root.to_string()),
    })
}
