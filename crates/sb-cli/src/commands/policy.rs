//! `sb policy`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::request::{Why, or_asked};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::harmless;

/// The commands below `policy`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    Show(ShowArgs),
    Check(CheckArgs),
    Activate(ActivateArgs),
}

/// Print the firm's policies that are in force
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb policy show > policies.cedar")]
pub(crate) struct ShowArgs {}

/// Check policies without putting them into force
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb policy check policies.cedar

Policies are written in Cedar, each with an @id: see `sb access explain` for what they decide. They are refused if alone they would permit what a guard rail \
forbids, such as approving one's own request, with a case that shows it.")]
pub(crate) struct CheckArgs {
    /// File with the policies
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Put the firm's policies into force instead of those before; takes two people
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb policy activate policies.cedar                    asks for it; once somebody else has agreed, the same again does it
  sb policy activate --none                            none but those of the built-in roles

Where there is nobody else who could agree, it waits for a week instead.")]
pub(crate) struct ActivateArgs {
    /// File with the policies
    #[arg(value_name = "FILE", required_unless_present = "none", conflicts_with = "none")]
    file: Option<PathBuf>,
    /// No policies of the firm's own
    #[arg(long)]
    none: bool,
    #[command(flatten)]
    why: Why,
}

pub(crate) fn run(command: &PolicyCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        PolicyCommand::Show(_) => show(context),
        PolicyCommand::Check(args) => check(args, context),
        PolicyCommand::Activate(args) => activate(args, context),
    }
}

fn show(context: &Context) -> Result<Exit, Failure> {
    let policies = context.open()?.policies()?;
    match &policies {
        Some(text) => context.output.result(harmless(text).trim_end())?,
        None => context.output.say("no policies of the firm's own are in force")?,
    }
    context.output.event("summary", json!({ "policies": policies }))?;
    Ok(Exit::Done)
}

fn check(args: &CheckArgs, context: &Context) -> Result<Exit, Failure> {
    let text = read(&args.file)?;
    let policies = context.open()?.check_policies(&text)?;
    let ids: Vec<&str> = policies.ids().collect();
    context.output.say(&format!(
        "{}, and no guard rail is undone",
        if ids.len() == 1 { "1 good policy".to_owned() } else { format!("{} good policies", ids.len()) }
    ))?;
    context.output.event("summary", json!({ "policies": ids }))?;
    Ok(Exit::Done)
}

fn activate(args: &ActivateArgs, context: &Context) -> Result<Exit, Failure> {
    let text = args.file.as_deref().map_or_else(|| Ok(String::new()), read)?;
    let mut session = context.open()?;
    let done = context.hear(|progress| session.activate_policies(&text, progress));
    or_asked(done, &mut session, &args.why, context)?;
    context.output.say(if text.is_empty() {
        "no policies of the firm's own are in force"
    } else {
        "the policies are in force"
    })?;
    context.output.event("summary", json!({ "active": !text.is_empty() }))?;
    Ok(Exit::Done)
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!("cannot read the policies `{}`: {error}", file.display())).hint("Check the path")
    })
}
