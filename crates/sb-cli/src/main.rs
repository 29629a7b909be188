//! `sb`: backups for accounting firms.
//!
//! The program reads the command line, the environment and the configuration, calls the operations of `sb-core`, and prints
//! what they report. It holds nothing that a program of somebody else's would have to write again.

mod exit;
mod failure;
mod hint;

mod output;
mod platform;
mod text;
mod when;

mod interrupt;
mod locks;
mod progress;
mod prompt;
mod secrets;

mod args;
mod context;

mod commands;

use std::process::ExitCode;

use clap::error::ErrorKind;

use args::{Cli, Command};
use context::{Context, read_config};
use exit::Exit;
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    platform::guard_memory();
    let (cli, name) = match Cli::read() {
        Ok(read) => read,
        Err(error) => return misused(&error),
    };
    let output = Output::new(cli.global.json, cli.global.quiet, cli.global.verbose).of(name);
    let needs_config = !matches!(
        cli.command,
        Command::Try(_) | Command::Witness(_) | Command::Config(_) | Command::Completions(_) | Command::Man(_)
    );
    let config = if needs_config { read_config(cli.global.config.as_deref()) } else { Ok(sb_core::Config::default()) };
    let config = match config {
        Ok(config) => config,
        Err(failure) => {
            output.failure(&failure);
            return failure.exit().into();
        }
    };
    if let Some(priority) = cli.global.io_priority
        && let Err(error) = platform::set_priority(priority)
    {
        output.warn(&format!("warning: cannot take that priority: {error}"));
    }
    let context = Context { global: cli.global, config, output, stop: interrupt::listen() };
    let done = commands::run(cli.command, &context).and_then(|exit| {
        context.output.flush()?;
        Ok(exit)
    });
    done.unwrap_or_else(|failure| {
        context.output.failure(&failure);
        failure.exit()
    })
    .into()
}

/// Help, the version, or a command line that makes no sense.
fn misused(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    let is_help = !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if wants_json && !is_help {
        // What follows the first paragraph is the usage and other hints.
        let text = error.to_string();
        let paragraph = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>().join(" ");
        let message = paragraph.trim_start_matches("error: ");
        Output::new(true, false, 0).failure(&Failure::usage(message).hint("`sb --help` shows how"));
    } else {
        // A closed pipe is no reason to complain.
        let _ = error.print();
    }
    if is_help && !error.use_stderr() { Exit::Done.into() } else { Exit::Usage.into() }
}
