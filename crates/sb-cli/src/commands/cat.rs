//! `sb cat`.

use std::ffi::{OsStr, OsString};

use clap::Args;
use sb_core::SnapshotPath;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Print a file of a snapshot
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb cat latest:/srv/clients/miller/invoice.pdf > invoice.pdf

The file's SHA-256 is compared with that of the day it was backed up; if the program fails, do not use what it wrote. \
With --json only errors are JSON: the output is the file.")]
pub(crate) struct CatArgs {
    /// Which snapshot, and which file in it
    #[arg(value_name = "SNAP:PATH")]
    at: OsString,
}

pub(crate) fn run(args: &CatArgs, context: &Context) -> Result<Exit, Failure> {
    let at = snapshot_path(&args.at)?;
    if at.path.is_none() {
        let text = args.at.display();
        return Err(Failure::usage(format!("`{text}` names no file")).hint("Write the snapshot, a colon and the path"));
    }
    let session = context.open()?;
    context.listen(|progress| session.cat(&at, progress, &mut |bytes| context.output.bytes(bytes)))?;
    Ok(Exit::Done)
}

/// Reads `SNAP[:PATH]`.
pub(crate) fn snapshot_path(text: &OsStr) -> Result<SnapshotPath, Failure> {
    SnapshotPath::parse(text).map_err(|error| Failure::usage(error.to_string()))
}
