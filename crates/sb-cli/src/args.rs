//! The command line.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use sb_core::{Size, SizeError};

use crate::commands;
use crate::platform::variable;

/// Backups for accounting firms: encrypted, deduplicated, and proved to be restorable.
#[derive(Debug, Parser)]
#[command(
    name = "sb",
    version,
    arg_required_else_help = true,
    max_term_width = 110,
    after_help = "\
Begin with `sb try`: a whole life on a throw-away vault, in a minute.

Exit codes: 0 done, 1 failed, 2 usage, 3 partial (something could not be read, or not be put back), 4 damage found, \
5 denied, 10 no vault there, 11 a collection or rotation is running elsewhere, 12 wrong passphrase or key, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Reads the command line, and for what is not in it the environment.
    /// The second is what the command is called, such as `db rebuild`.
    pub(crate) fn read() -> Result<(Self, String), clap::Error> {
        let matches = Self::reading(true).try_get_matches().map_err(|error| {
            // What is wrong with the command line itself is told as if no variables were set: nobody has typed those.
            Self::reading(false).try_get_matches().err().unwrap_or(error)
        })?;
        let (mut names, mut below) = (Vec::new(), matches.subcommand());
        while let Some((name, matches)) = below {
            names.push(name);
            below = matches.subcommand();
        }
        Ok((Self::from_arg_matches(&matches)?, names.join(" ")))
    }

    /// The command line, with or without those variables that are set.
    fn reading(variables: bool) -> clap::Command {
        Self::command().mut_args(|argument| {
            let is_set = variables && argument.get_env().and_then(|name| variable(name.to_str()?)).is_some();
            if is_set { argument } else { argument.env(Resettable::Reset) }
        })
    }
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// Where the vault is: a path or a URL
    #[arg(short = 'r', long, visible_alias = "repo", global = true, env = "SB_VAULT", hide_env_values = true, value_name = "URL", help_heading = VAULT)]
    pub(crate) vault: Option<OsString>,
    /// Configuration file; without it, securebackup/config.toml in the folder for configurations, if there is one
    #[arg(long, global = true, env = "SB_CONFIG", hide_env_values = true, value_name = "FILE", help_heading = VAULT)]
    pub(crate) config: Option<PathBuf>,
    /// File with the key that opens the vault, or with one half of it where there is a passphrase too
    #[arg(long, global = true, env = "SB_KEY_FILE", hide_env_values = true, value_name = "FILE", help_heading = VAULT)]
    pub(crate) key_file: Option<PathBuf>,
    /// File with the passphrase; SB_PASSPHRASE or the output of SB_PASSPHRASE_COMMAND are taken too
    #[arg(
        long, global = true, env = "SB_PASSPHRASE_FILE", hide_env_values = true, value_name = "FILE", help_heading = VAULT
    )]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Your login, where several users are let in
    #[arg(long, global = true, env = "SB_USER", hide_env_values = true, value_name = "LOGIN", help_heading = VAULT)]
    pub(crate) user: Option<String>,
    /// Open the vault with its recovery key, from SB_RECOVERY_KEY or typed in
    #[arg(long, global = true, help_heading = VAULT)]
    pub(crate) recovery_key: bool,
    /// Open the vault with the recovery key in this file
    #[arg(long, global = true, value_name = "FILE", help_heading = VAULT)]
    pub(crate) recovery_key_file: Option<PathBuf>,
    /// Open the vault with this RSA-4096 private key in PEM (PKCS#8); if it is encrypted, the passphrase is the key's
    #[arg(long, global = true, value_name = "FILE", help_heading = VAULT)]
    pub(crate) rsa_key: Option<PathBuf>,
    /// The root fingerprint that `sb init` printed; a vault with another one is refused
    #[arg(long, global = true, env = "SB_FINGERPRINT", hide_env_values = true, value_name = "HEX", help_heading = VAULT)]
    pub(crate) fingerprint: Option<String>,
    /// Write no more to the vault than this each second, such as 5M
    #[arg(long, global = true, value_name = "RATE", value_parser = rate, help_heading = LOAD)]
    pub(crate) limit_upload: Option<NonZeroU64>,
    /// Read no more from the vault than this each second
    #[arg(long, global = true, value_name = "RATE", value_parser = rate, help_heading = LOAD)]
    pub(crate) limit_download: Option<NonZeroU64>,
    /// How much other programs are to wait for this one, or this one for them; high needs the right to it
    #[arg(long, global = true, value_name = "HOW", value_enum, help_heading = LOAD)]
    pub(crate) io_priority: Option<IoPriority>,
    /// Print JSON Lines, with a summary at the end
    #[arg(long, global = true, help_heading = OUTPUT)]
    pub(crate) json: bool,
    /// Print results and trouble only
    #[arg(short, long, global = true, help_heading = OUTPUT)]
    pub(crate) quiet: bool,
    /// Say more; twice says more still
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = OUTPUT)]
    pub(crate) verbose: u8,
}

const VAULT: &str = "Vault and keys";
const OUTPUT: &str = "Output";
const LOAD: &str = "Load on this machine";

/// How soon the system serves this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum IoPriority {
    /// After all others, on processors and disks.
    Low,
    /// As any other.
    Normal,
    /// Before others.
    High,
}

/// Bytes a second. A bare number means bytes to some programs and kibibytes to others, so a unit is asked for.
fn rate(text: &str) -> Result<NonZeroU64, String> {
    let size: Size = text.strip_suffix("/s").unwrap_or(text).parse().map_err(|error: SizeError| error.to_string())?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("write a unit: `{text}K` for KiB a second, or `{text}B` for bytes"));
    }
    NonZeroU64::new(size.0).ok_or_else(|| "nothing a second would take for ever".to_owned())
}

/// One variant for each file in `commands`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Try(commands::trial::TryArgs),
    Init(commands::init::InitArgs),
    Backup(commands::backup::BackupArgs),
    #[command(visible_alias = "list")]
    Snapshots(commands::snapshots::SnapshotsArgs),
    Ls(commands::ls::LsArgs),
    Find(commands::find::FindArgs),
    #[command(visible_alias = "dump")]
    Cat(commands::cat::CatArgs),
    Diff(commands::diff::DiffArgs),
    Restore(commands::restore::RestoreArgs),
    Forget(commands::forget::ForgetArgs),
    #[command(visible_alias = "prune")]
    Collect(commands::collect::CollectArgs),
    #[command(visible_alias = "check")]
    Verify(commands::verify::VerifyArgs),
    Info(commands::info::InfoArgs),
    Stats(commands::stats::StatsArgs),
    Tag(commands::tag::TagArgs),
    /// Certificates: what was backed up and verified, for people who do not trust us
    #[command(subcommand)]
    Certificate(commands::certificate::CertificateCommand),
    /// The audit logs: who did what, or tried to
    #[command(subcommand)]
    Log(commands::log::LogCommand),
    /// Users: who is let in, and with which roles
    #[command(subcommand)]
    User(commands::user::UserCommand),
    /// Roles: what users may do
    #[command(subcommand)]
    Role(commands::role::RoleCommand),
    /// Keys: what lets users in
    #[command(subcommand)]
    Key(commands::key::KeyCommand),
    /// What one person alone may not do: asking for it, and agreeing
    #[command(subcommand)]
    Request(commands::request::RequestCommand),
    /// The firm's own policies: who may do what, beyond roles
    #[command(subcommand)]
    Policy(commands::policy::PolicyCommand),
    /// Who may do what, and why
    #[command(subcommand)]
    Access(commands::access::AccessCommand),
    /// What the vault and this machine can make anew
    #[command(subcommand)]
    Db(commands::db::DbCommand),
    /// A witness for the audit logs of others: it needs no vault
    #[command(subcommand)]
    Witness(commands::witness::WitnessCommand),
    /// The configuration file
    #[command(subcommand)]
    Config(commands::config::ConfigCommand),
    Completions(commands::completions::CompletionsArgs),
    #[command(hide = true)]
    Man(commands::man::ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        Cli::command().debug_assert();
    }

    #[test]
    fn rates_have_units() {
        assert_eq!([rate("5M"), rate("1.5k/s")].map(|rate| rate.unwrap().get()), [5 << 20, 1536]);
        for wrong in ["5", "0K", "fast", ""] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_command_has_help_and_an_example() {
        let all = Cli::command();
        let below = all.get_subcommands().flat_map(clap::Command::get_subcommands);
        for command in all.get_subcommands().filter(|command| !command.has_subcommands()).chain(below) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains("sb "), "{} has no example", command.get_name());
        }
    }
}
