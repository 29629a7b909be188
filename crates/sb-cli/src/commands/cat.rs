//! `sb cat`.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};

use clap::{Args, ValueEnum};
use sb_core::{CoreError, Progress, RepoError, SnapshotPath};

use crate::commands::choice::{AsOf, in_one_word};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// Print a file of a snapshot, or a folder as a tar archive
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb cat latest:/srv/clients/miller/invoice.pdf > invoice.pdf
  sb cat latest:/srv/clients/miller | tar -xpC /tmp                  a folder, as tar
  sb cat --at 2026-03-31 :/srv/clients | ssh office tar -xC /restored
  sb cat latest:/ > everything.tar

Each file's SHA-256 is compared with that of the day it was backed up; if the program fails, do not use what it wrote. \
An archive has everything but sockets and holes; `tar --xattrs --xattrs-include='*' -xp` unpacks all of it. \
With --json only errors are JSON: the output is the file.")]
pub(crate) struct CatArgs {
    /// Which snapshot, and which file or folder in it
    #[arg(value_name = "SNAP:PATH")]
    at: OsString,
    /// Which file or folder, if not after a colon
    #[arg(value_name = "PATH", hide = true)]
    path: Option<OsString>,
    #[command(flatten)]
    as_of: AsOf,
    /// Print an archive of this format, of whatever it is [default: of folders, tar]
    #[arg(long, value_enum, value_name = "FORMAT")]
    archive: Option<Format>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// POSIX.1-2001 (pax), which every tar reads
    Tar,
}

pub(crate) fn run(args: &CatArgs, context: &Context) -> Result<Exit, Failure> {
    let at = args.as_of.place(in_one_word(Some(&args.at), args.path.as_deref())?.as_deref())?;
    if at.path.is_none() {
        let text = args.at.display();
        return Err(Failure::usage(format!("`{text}` names no file"))
            .hint(format!("Write the snapshot, a colon and the path; `{text}:/` is all of it, as tar")));
    }
    let mut session = args.as_of.apply(context.open()?)?;
    let output = &context.output;
    let print = |progress: Progress<'_>| match session.cat(&at, progress, &mut |bytes| output.bytes(bytes)) {
        Err(CoreError::Repo(RepoError::WrongKind { .. })) if session.is_folder(&at, progress)? => Ok(false),
        outcome => outcome.map(|_| true),
    };
    if args.archive.is_none() && context.listen(print)? {
        return Ok(Exit::Done);
    }
    if output.is_terminal() {
        return Err(Failure::usage("an archive is nothing to look at")
            .hint("Add `> FILE.tar`, or `| tar -t` to see what is in it"));
    }
    context.listen(|progress| session.archive(&at, progress, &mut Bytes(output)))?;
    Ok(Exit::Done)
}

/// Writes to the output.
struct Bytes<'a>(&'a Output);

impl Write for Bytes<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.bytes(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Reads `SNAP[:PATH]`.
pub(crate) fn snapshot_path(text: &OsStr) -> Result<SnapshotPath, Failure> {
    SnapshotPath::parse(text).map_err(|error| Failure::usage(error.to_string()))
}
