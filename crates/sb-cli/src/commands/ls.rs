//! `sb ls`.

use std::ffi::OsString;
use std::io;

use clap::Args;
use sb_core::chrono::DateTime;
use sb_core::{Entry, Item, LsOptions};
use serde_json::{Value, json};

use crate::commands::choice::{AsOf, in_one_word};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, with_path};
use crate::text::{local, shown};

/// List what is in a snapshot
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb ls latest                        what is in the folders that were backed up
  sb ls latest~1:/srv/clients -l      a folder of the snapshot before, with details
  sb ls 3fa9 -R                       everything
  sb ls --at 2026-03-31 /srv/clients  a folder as it was backed up last on that day or before

SNAP is the beginning of an id, `latest`, or `latest~1` for the one before it. Paths are printed as they are; on a terminal, \
what could not be shown is escaped.")]
pub(crate) struct LsArgs {
    /// Which snapshot, and where in it
    #[arg(value_name = "SNAP[:PATH]", required_unless_present = "date")]
    at: Option<OsString>,
    /// Where in it, if not after a colon
    #[arg(value_name = "PATH", hide = true)]
    path: Option<OsString>,
    #[command(flatten)]
    as_of: AsOf,
    /// With permissions, owner, size and time
    #[arg(short)]
    long: bool,
    /// What is in folders, too
    #[arg(short = 'R', long)]
    recursive: bool,
}

pub(crate) fn run(args: &LsArgs, context: &Context) -> Result<Exit, Failure> {
    let at = args.as_of.place(in_one_word(args.at.as_deref(), args.path.as_deref())?.as_deref())?;
    let session = args.as_of.apply(context.open()?)?;
    let output = &context.output;
    let escapes = output.is_terminal();
    let mut options = LsOptions::default();
    options.recursive = args.recursive;
    let report = context.listen(|progress| {
        session.ls(&at, options, progress, &mut |path, entry| print(output, path, entry, args.long, escapes))
    })?;
    output.event(
        "summary",
        json!({
            "snapshot_id": report.snapshot.to_string(),
            "entries": report.entries,
            "files": report.files,
            "bytes": report.bytes,
        }),
    )?;
    Ok(Exit::Done)
}

/// Prints an entry as a line, or as an object for programs.
fn print(output: &Output, path: &[u8], entry: &Entry, long: bool, escapes: bool) -> io::Result<()> {
    if output.json {
        return output.event("entry", described(path, entry));
    }
    output.bytes(&line(path, entry, long, escapes))
}

/// A path, and with `long` what `ls -l` has.
pub(crate) fn line(path: &[u8], entry: &Entry, long: bool, escapes: bool) -> Vec<u8> {
    let name = |bytes: &[u8]| if escapes { shown(bytes).into_bytes() } else { bytes.to_vec() };
    let mut line = Vec::new();
    if long {
        line.extend_from_slice(details(entry).as_bytes());
    }
    line.extend(name(path));
    match &entry.item {
        Item::Folder { .. } => line.push(b'/'),
        Item::Symlink { target } if long => {
            line.extend_from_slice(b" -> ");
            line.extend(name(target));
        }
        Item::Redacted { leaves } => {
            line.extend_from_slice(format!("({} documents that were disposed of)", leaves.len()).as_bytes());
        }
        _ => {}
    }
    line.push(b'\n');
    line
}

/// Letter and name of a kind.
pub(crate) fn kind(item: &Item) -> (char, &'static str) {
    match item {
        Item::File(_) => ('-', "file"),
        Item::Folder { .. } => ('d', "folder"),
        Item::Symlink { .. } => ('l', "symlink"),
        Item::Fifo => ('p', "fifo"),
        Item::Socket => ('s', "socket"),
        Item::CharDevice { .. } => ('c', "char_device"),
        Item::BlockDevice { .. } => ('b', "block_device"),
        Item::Redacted { .. } => ('x', "disposed"),
    }
}

fn size(item: &Item) -> u64 {
    if let Item::File(file) = item { file.size } else { 0 }
}

/// As `ls -l` writes them.
fn details(entry: &Entry) -> String {
    let owner = |name: &Option<Vec<u8>>, id: u32| name.as_ref().map_or_else(|| id.to_string(), |name| shown(name));
    let time = DateTime::from_timestamp(entry.mtime.seconds, entry.mtime.nanoseconds);
    format!(
        "{}{} {:<8} {:<8} {:>12} {} ",
        kind(&entry.item).0,
        permissions(entry.mode),
        owner(&entry.user, entry.uid),
        owner(&entry.group, entry.gid),
        size(&entry.item),
        time.map_or_else(|| "(no such time)".to_owned(), local),
    )
}

/// `rwxr-x---`, with set-user-id, set-group-id and sticky where the execute bits are (POSIX ls).
fn permissions(mode: u32) -> String {
    let mut text = String::with_capacity(9);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// An entry as programs are told.
pub(crate) fn described(path: &[u8], entry: &Entry) -> Value {
    let time = DateTime::from_timestamp(entry.mtime.seconds, entry.mtime.nanoseconds);
    let mut fields = json!({
        "kind": kind(&entry.item).1,
        "mode": format!("{:04o}", entry.mode),
        "uid": entry.uid,
        "gid": entry.gid,
        "mtime": time.map(|time| time.to_rfc3339()),
    });
    for (key, name) in [("user", &entry.user), ("group", &entry.group)] {
        if let Some(name) = name {
            fields = with_path(fields, key, name);
        }
    }
    match &entry.item {
        Item::File(file) => {
            fields["size"] = file.size.into();
            fields["sha256"] = file.sha256.to_string().into();
        }
        Item::Symlink { target } => fields = with_path(fields, "target", target),
        _ => {}
    }
    with_path(fields, "path", path)
}

#[cfg(test)]
mod tests {
    use super::permissions;

    #[test]
    fn permissions_are_written_as_ls_does() {
        for (mode, text) in [
            (0o755, "rwxr-xr-x"),
            (0o640, "rw-r-----"),
            (0o4755, "rwsr-xr-x"),
            (0o2644, "rw-r-Sr--"),
            (0o1777, "rwxrwxrwt"),
            (0o1000, "--------T"),
        ] {
            assert_eq!(permissions(mode), text);
        }
    }
}
