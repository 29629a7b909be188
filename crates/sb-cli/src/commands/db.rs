//! `sb db`.

use clap::{Args, Subcommand};
use sb_core::{RebuildOptions, RebuildReport};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::count;

/// The commands below `db`.
#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    Rebuild(RebuildArgs),
}

/// Make the vault's locator anew out of its packs, and this machine a writer again
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb db rebuild                        after the local state was lost, or a locator was damaged
  sb db rebuild --accept-rollback      after an older copy of the vault was put back on purpose")]
pub(crate) struct RebuildArgs {
    /// Take the vault as it is, even if this machine remembers more than it has
    #[arg(long)]
    accept_rollback: bool,
}

pub(crate) fn run(command: &DbCommand, context: &Context) -> Result<Exit, Failure> {
    let DbCommand::Rebuild(args) = command;
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
