//! `sb log`.

mod anchor;
mod export;
mod show;

use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use sb_core::audit::Note;
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{count, harmless_line};

/// The commands below `log`.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    Show(show::ShowArgs),
    Verify(VerifyArgs),
    Export(export::ExportArgs),
    Checkpoint(anchor::CheckpointArgs),
    Name(NameArgs),
}

/// Compare the audit logs with the journals, and with checkpoints that others have kept
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb log verify
  sb log verify --checkpoint from-the-witness.txt

What a witness, an auditor or another machine has seen of a log must be in it: that alone shows that the whole vault was not put back to an \
earlier day. Ends with 4 if anything is gone or was written anew.")]
pub(crate) struct VerifyArgs {
    /// A checkpoint that somebody else has kept: a signed note
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
}

/// Say what an id in the logs stands for
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb log name user:5be2… 'Ann Miller'
  sb log name user:5be2… --erase

Logs hold ids only, for a log cannot forget. Names are sealed in the vault, and `sb log show` and `sb log export` show them to who can read \
the vault. Erasing one removes it from the vault; copies of the vault made before keep it.")]
pub(crate) struct NameArgs {
    /// The id, such as `user:…` or `machine:…`
    id: String,
    /// What it stands for
    #[arg(required_unless_present = "erase")]
    name: Option<String>,
    /// Nobody is to know any more
    #[arg(long, conflicts_with = "name")]
    erase: bool,
}

pub(crate) fn run(command: &LogCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        LogCommand::Show(args) => show::run(args, context),
        LogCommand::Verify(args) => verify(args, context),
        LogCommand::Export(args) => export::run(args, context),
        LogCommand::Checkpoint(args) => anchor::run(args, context),
        LogCommand::Name(args) => name(args, context),
    }
}

/// Reads checkpoints that others have kept.
pub(crate) fn checkpoints(files: &[PathBuf]) -> Result<Vec<Note>, Failure> {
    let read = |file: &PathBuf| {
        let bytes = fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
        Note::parse(&bytes).map_err(|error| {
            Failure::usage(format!("`{}` is no checkpoint: {error}", file.display()))
                .hint("A checkpoint is a signed note, as a witness keeps them in the folder `heads`")
        })
    };
    files.iter().map(read).collect()
}

fn verify(args: &VerifyArgs, context: &Context) -> Result<Exit, Failure> {
    let checkpoints = checkpoints(&args.checkpoint)?;
    let mut session = context.open()?;
    let report = context.watch("reading", |progress| session.verify_log(&checkpoints, progress))?;
    let output = &context.output;
    let mut damaged = 0;
    for finding in &report.findings {
        damaged += u64::from(finding.is_damage());
        let fields =
            json!({ "object": finding.object, "flaw": finding.flaw.to_string(), "damage": finding.is_damage() });
        output.event("log_finding", fields)?;
        output.result(&harmless_line(&format!("`{}`: {}", finding.object, finding.flaw)))?;
    }
    let logs = count(report.sizes.len() as u64, "log");
    output.say(&format!("read {} in {logs}", count(report.entries.len() as u64, "record")))?;
    if !checkpoints.is_empty() && damaged == 0 {
        output.say(&format!("they contain what {} had seen", count(checkpoints.len() as u64, "checkpoint")))?;
    }
    let odd = report.findings.len() as u64 - damaged;
    if damaged == 0 {
        output.say("nothing is gone, and nothing was written anew")?;
    } else {
        output.result(&format!("DAMAGE FOUND in {}", count(damaged, "place")))?;
    }
    let fields = json!({
        "logs": report.sizes.len(), "entries": report.entries.len(), "checkpoints": checkpoints.len(), "damaged": damaged, "odd": odd,
        "good": damaged == 0,
    });
    output.event("summary", fields)?;
    Ok(if damaged == 0 { Exit::Done } else { Exit::Damaged })
}

fn name(args: &NameArgs, context: &Context) -> Result<Exit, Failure> {
    if args.id.parse::<sb_core::audit::OpaqueId>().is_err() {
        return Err(
            Failure::usage(format!("`{}` is no id of the logs", args.id)).hint("`sb log show -v` shows them whole")
        );
    }
    let mut session = context.open()?;
    context.listen(|progress| session.name_id(&args.id, args.name.as_deref(), progress))?;
    let output = &context.output;
    output.say(&match &args.name {
        Some(name) => format!("{} is {} from now on", args.id, harmless_line(name)),
        None => format!("what {} stands for is known to nobody any more", args.id),
    })?;
    output.event("summary", json!({ "id": args.id, "name": args.name }))?;
    Ok(Exit::Done)
}
