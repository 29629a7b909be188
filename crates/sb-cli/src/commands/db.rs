//! `sb db`.

use clap::{Args, Subcommand};
use sb_core::{Doubt, IndexReport, RebuildOptions, RebuildReport};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{count, harmless_line};

/// The commands below `db`.
#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    Verify(VerifyArgs),
    Rebuild(RebuildArgs),
}

/// Check what this machine remembers of the vault, and the vault's locator against its packs
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb db verify

Nothing is written, and nothing that was backed up depends on what is checked here: `sb db rebuild` makes it anew. \
Ends with 4 if something is wrong. `sb verify` checks the backups themselves.")]
pub(crate) struct VerifyArgs {}

/// Make the vault's locator anew out of its packs, and this machine a writer again
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb db rebuild                        after the local state was lost, or a locator was damaged
  sb db rebuild --accept-rollback      after an older copy of the vault was put back on purpose

With --accept-rollback, what the vault holds whole and no journal names is entered anew: snapshots, and tags with them.")]
pub(crate) struct RebuildArgs {
    /// Take the vault as it is, even if this machine remembers more than it has
    #[arg(long)]
    accept_rollback: bool,
}

pub(crate) fn run(command: &DbCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        DbCommand::Verify(_) => verify(context),
        DbCommand::Rebuild(args) => rebuild(args, context),
    }
}

fn verify(context: &Context) -> Result<Exit, Failure> {
    let session = context.open()?;
    let report = context.watch("checking", |progress| session.check_index(progress))?;
    let output = &context.output;
    for doubt in &report.doubts {
        output.event("doubt", json!({ "kind": kind(doubt), "detail": doubt.to_string(), "rebuild": mends(doubt) }))?;
        output.result(&harmless_line(&format!("{doubt}; {}", remedy(doubt))))?;
    }
    output.say(&format!(
        "compared {} with {} in {}",
        count(report.increments, "locator object"),
        count(report.chunks, "chunk"),
        count(report.packs, "pack")
    ))?;
    if report.stale > 0 {
        let packs = count(report.stale, "pack");
        output.say(&format!("the locator also knows {packs} that are gone, which does no harm"))?;
    }
    if report.stranger {
        output.say("this machine has no log key that the vault knows: the next command that writes makes one")?;
    }
    if report.is_good() {
        output.say("nothing is wrong")?;
    }
    output.event("summary", described(&report))?;
    Ok(if report.is_good() { Exit::Done } else { Exit::Damaged })
}

fn described(report: &IndexReport) -> Value {
    json!({
        "good": report.is_good(),
        "increments": report.increments,
        "packs": report.packs,
        "chunks": report.chunks,
        "stale": report.stale,
        "stranger": report.stranger,
        "doubts": report.doubts.len(),
    })
}

fn kind(doubt: &Doubt) -> &'static str {
    match doubt {
        Doubt::LogKey { .. } => "log_key",
        Doubt::RolledBack(_) => "rolled_back",
        Doubt::Journals(_) => "journals",
        Doubt::Unreadable { .. } => "unreadable",
        Doubt::Disagrees { .. } => "disagrees",
        Doubt::Footer { .. } => "footer",
        Doubt::Unindexed(_) => "unindexed",
        _ => "other",
    }
}

/// True if rebuilding mends it without further ado.
fn mends(doubt: &Doubt) -> bool {
    matches!(doubt, Doubt::Unreadable { .. } | Doubt::Disagrees { .. } | Doubt::Unindexed(_))
}

fn remedy(doubt: &Doubt) -> &'static str {
    match doubt {
        Doubt::LogKey { .. } => "remove the file `log.key` from the state folder, then `sb db rebuild` makes a new one",
        Doubt::RolledBack(_) => "`sb db rebuild --accept-rollback` takes the vault as it is, if you know why",
        Doubt::Journals(_) => "`sb verify` names them; rebuilding does not bring them back",
        Doubt::Footer { .. } => "`sb verify` shows what that touches; rebuilding keeps what the locator says of it",
        _ => "`sb db rebuild` mends it",
    }
}

fn rebuild(args: &RebuildArgs, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    let mut options = RebuildOptions::default();
    options.accept_rollback = args.accept_rollback;
    let report = context.watch("rebuilding", |progress| session.rebuild(options, progress))?;
    tell(context, &report)?;
    Ok(if report.lost.is_empty() && report.kept.is_empty() { Exit::Done } else { Exit::Damaged })
}

fn tell(context: &Context, report: &RebuildReport) -> Result<(), Failure> {
    let output = &context.output;
    for (pack, cause) in &report.kept {
        output.warn(&format!("the index in `{pack}` cannot be read, so that of the old locator was kept: {cause}"));
    }
    for (pack, cause) in &report.lost {
        let text = "is not indexed: it cannot be read, so what only it holds cannot be restored now";
        output.warn(&format!("`{pack}` {text}: {cause}"));
    }
    output.say(&format!(
        "located {} in {} anew, in place of {}",
        count(report.chunks, "chunk"),
        count(report.packs, "pack"),
        count(report.replaced, "locator object")
    ))?;
    if report.enrolled {
        output.say("this machine writes under a new name from now on: its old log key is lost or not used any more")?;
    }
    if report.accepted {
        output
            .say("the vault was taken as it is: backups that this machine remembered and the vault has not are lost")?;
    }
    let packs = |packs: &[(String, String)]| -> Vec<Value> {
        packs.iter().map(|(pack, cause)| json!({ "object": pack, "cause": cause })).collect()
    };
    Ok(output.event(
        "summary",
        json!({
            "packs": report.packs,
            "chunks": report.chunks,
            "replaced": report.replaced,
            "enrolled": report.enrolled,
            "rollback_accepted": report.accepted,
            "kept": packs(&report.kept),
            "lost": packs(&report.lost),
        }),
    )?)
}
