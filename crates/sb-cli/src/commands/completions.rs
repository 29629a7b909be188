//! `sb completions`.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::args::Cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Print what makes a shell complete the command line
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sb completions bash > ~/.local/share/bash-completion/completions/sb")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, context: &Context) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "sb", &mut script);
    context.output.bytes(&script)?;
    Ok(Exit::Done)
}
