//! `sb try`: a vault's whole life in a minute, with nothing but the operations that the other commands call.

mod compare;
mod firm;
mod life;
mod steps;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use sb_core::{CoreError, RepoError};
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use steps::Steps;

/// Try everything out on a throw-away vault
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb try                 with a small sample firm that it makes itself
  sb try /srv/clients    with a folder of yours, which is only read

Everything it makes is in one temporary folder (TMPDIR says where), which it removes again.")]
pub(crate) struct TryArgs {
    /// A folder to try it with; nothing in it is changed
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Leave the temporary folder for a look around
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(args: &TryArgs, context: &Context) -> Result<Exit, Failure> {
    let source = args.folder.as_deref().map(checked).transpose()?;
    let mut builder = tempfile::Builder::new();
    let temp = builder.prefix("sb-try-").tempdir().map_err(|error| {
        Failure::new(format!("cannot make a temporary folder: {error}")).hint("TMPDIR can name a place for it")
    })?;
    let folder = temp.path().canonicalize().map_err(|error| Failure::file("find", temp.path(), &error))?;
    if source.as_ref().is_some_and(|source| folder.starts_with(source)) {
        return Err(Failure::usage(format!(
            "`{}` holds the temporary folder",
            folder.parent().unwrap_or(&folder).display()
        ))
        .hint("Try another folder, or let TMPDIR name another place"));
    }
    context.output.say(&format!("A vault's life, in {}:\n", folder.display()))?;
    let mut steps = Steps::new(&context.output);
    let lived = life::live(context, &folder, source.as_deref(), &mut steps);
    match lived {
        Ok(is_partial) => {
            if args.keep {
                let _ = temp.keep();
            } else {
                remove(&folder);
            }
            farewell(context, args, &folder, steps.count())?;
            Ok(if is_partial { Exit::Partial } else { Exit::Done })
        }
        Err(failure) if failure.exit() == Exit::Interrupted => {
            remove(&folder);
            Err(failure)
        }
        Err(failure) => {
            let _ = temp.keep();
            Err(failure.also(&format!("Everything is still in {} for a look; it can be deleted", folder.display())))
        }
    }
}

fn checked(folder: &Path) -> Result<PathBuf, Failure> {
    let found = folder.canonicalize().map_err(|error| Failure::file("find", folder, &error).with_exit(Exit::Usage))?;
    if found.is_dir() { Ok(found) } else { Err(Failure::usage(format!("`{}` is not a folder", folder.display()))) }
}

/// Stops where an operation could not be asked to.
fn check_stop(context: &Context) -> Result<(), Failure> {
    if context.stop.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(CoreError::from(RepoError::Interrupted).into());
    }
    Ok(())
}

fn farewell(context: &Context, args: &TryArgs, folder: &Path, steps: usize) -> Result<(), Failure> {
    let output = &context.output;
    if args.keep {
        let place = folder.display();
        output.say("")?;
        output.result(&format!("All of it is in {place}."))?;
        output.say("Look around:")?;
        let options = format!("--vault {place}/vault --key-file {place}/sb.key");
        output.say(&format!("  SB_STATE_DIR={place}/state sb snapshots {options}"))?;
    } else {
        output.say("\nAll of it is gone again. For real:")?;
        output.say("  sb init /mnt/backup/vault           asks for a passphrase, prints the recovery key once")?;
        output.say("  export SB_VAULT=/mnt/backup/vault")?;
        output.say("  sb backup /srv/clients              and again every day")?;
        output.say("  sb snapshots                        what there is")?;
        output.say("  sb restore latest:/srv/clients --to /tmp/clients")?;
        output.say("  sb verify                           every byte")?;
    }
    Ok(output.event(
        "summary",
        json!({ "steps": steps, "good": true, "folder": args.keep.then(|| folder.display().to_string()) }),
    )?)
}

/// Removes a folder and all that is in it, also where what was restored is read-only.
fn remove(folder: &Path) {
    if fs::remove_dir_all(folder).is_err() {
        open_up(folder);
        let _ = fs::remove_dir_all(folder);
    }
}

fn open_up(folder: &Path) {
    #[cfg(unix)]
    let _ = fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}
