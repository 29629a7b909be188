//! `sb man`.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use serde_json::json;

use crate::args::Cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Write the manual pages
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sb man /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Where to: a folder, which is made if need be
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn run(args: &ManArgs, context: &Context) -> Result<Exit, Failure> {
    let failed = |error: std::io::Error| Failure::file("write", &args.folder, &error);
    fs::create_dir_all(&args.folder).map_err(failed)?;
    // A page for each command that can be given, not for `help`.
    let command = Cli::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, &args.folder).map_err(failed)?;
    let output = &context.output;
    output.say(&format!("wrote the manual pages to {}", args.folder.display()))?;
    output.event("summary", json!({ "folder": args.folder.display().to_string() }))?;
    Ok(Exit::Done)
}
