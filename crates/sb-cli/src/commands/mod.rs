//! The commands, one file each: what each takes, which operation it calls, and what it prints.

pub(crate) mod access;
pub(crate) mod backup;
pub(crate) mod cat;
pub(crate) mod certificate;
pub(crate) mod choice;
pub(crate) mod collect;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod db;
pub(crate) mod diff;
pub(crate) mod find;
pub(crate) mod forget;
pub(crate) mod info;
pub(crate) mod init;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod policy;
pub(crate) mod request;
pub(crate) mod restore;
pub(crate) mod role;
pub(crate) mod snapshots;
pub(crate) mod stats;
pub(crate) mod tag;
pub(crate) mod trial;
pub(crate) mod user;
pub(crate) mod verify;
pub(crate) mod witness;

use crate::args::Command;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Does what was asked for.
pub(crate) fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Try(args) => trial::run(&args, context),
        Command::Init(args) => init::run(&args, context),
        Command::Backup(args) => backup::run(args, context),
        Command::Snapshots(args) => snapshots::run(&args, context),
        Command::Ls(args) => ls::run(&args, context),
        Command::Find(args) => find::run(&args, context),
        Command::Cat(args) => cat::run(&args, context),
        Command::Diff(args) => diff::run(&args, context),
        Command::Stats(args) => stats::run(&args, context),
        Command::Tag(args) => tag::run(args, context),
        Command::Restore(args) => restore::run(&args, context),
        Command::Forget(args) => forget::run(&args, context),
        Command::Collect(args) => collect::run(&args, context),
        Command::Verify(args) => verify::run(&args, context),
        Command::Info(args) => info::run(&args, context),
        Command::Certificate(command) => certificate::run(&command, context),
        Command::Log(command) => log::run(&command, context),
        Command::User(command) => user::run(&command, context),
        Command::Role(command) => role::run(&command, context),
        Command::Key(command) => key::run(&command, context),
        Command::Request(command) => request::run(&command, context),
        Command::Policy(command) => policy::run(&command, context),
        Command::Access(command) => access::run(&command, context),
        Command::Db(command) => db::run(&command, context),
        Command::Witness(command) => witness::run(&command, context),
        Command::Config(command) => config::run(&command, context),
        Command::Completions(args) => completions::run(&args, context),
        Command::Man(args) => man::run(&args, context),
    }
}
