//! `sb config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sb_core::{Config, SAMPLE_CONFIG};
use serde_json::json;

use crate::context::{Context, usual_config};
use crate::exit::Exit;
use crate::failure::{Failure, chain};

/// The commands below `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print a configuration that explains itself
    #[command(after_help = "Example:\n  sb config sample > sb.toml")]
    Sample,
    Check(CheckArgs),
}

/// Check a configuration without doing anything
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sb config check sb.toml")]
pub(crate) struct CheckArgs {
    /// The file [default: --config, SB_CONFIG or the usual place]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(crate) fn run(command: &ConfigCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Sample => {
            context.output.result(SAMPLE_CONFIG.trim_end())?;
            context.output.event("summary", json!({ "sample": SAMPLE_CONFIG }))?;
            Ok(Exit::Done)
        }
        ConfigCommand::Check(args) => check(args, context),
    }
}

fn check(args: &CheckArgs, context: &Context) -> Result<Exit, Failure> {
    let named = args.file.clone().or_else(|| context.global.config.clone());
    let Some(file) = named.or_else(usual_config) else {
        return Err(Failure::usage("no configuration is named").hint("Write `sb config check FILE`"));
    };
    let config = Config::read(&file)?;
    let faults: Vec<String> = config.check().iter().map(|fault| chain(fault)).collect();
    let output = &context.output;
    if config.vault.is_none() {
        output.say("no vault is named, so each command needs --vault or SB_VAULT")?;
    }
    for fault in &faults {
        output.warn(fault);
    }
    if faults.is_empty() {
        output.say(&format!("`{}` is in order", file.display()))?;
    }
    output.event("summary", json!({ "file": file.display().to_string(), "faults": faults }))?;
    Ok(if faults.is_empty() { Exit::Done } else { Exit::Usage })
}
