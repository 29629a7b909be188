//! `sb find`.

use std::cell::Cell;
use std::ffi::OsString;

use clap::{ArgGroup, Args, ValueEnum};
use sb_core::{EntryKind, FindOptions, FindReport, Pattern, Snapshot, SnapshotId};
use serde_json::{Value, json};

use crate::commands::choice::{Among, AsOf, snapshot_name};
use crate::commands::ls;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{count, local, number, quoted, shown};
use crate::when;

/// Find files and folders by name, in every snapshot or in one
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("one").args(["snapshot", "date"]).multiple(true), after_help = "\
Examples:
  sb find invoice-4711.pdf                      in every snapshot, the newest first
  sb find '*miller*' -i --snapshot latest       in one, whatever the case
  sb find '/srv/clients/**/2025/*.xlsx' -l      by path, with details
  sb find '*' --at 2026-03-31 --type f --newer 2026-03-01

A pattern without a slash is that of a name, with one that of a path, which begins anywhere unless the pattern begins with a \
slash: `*` any characters, `?` one, `[a-z]` one of these, `**` any folders, `\\` takes what follows as it is. \
Quote patterns, or the shell takes them for its own. Needs no index, and reads what snapshots share once. \
Times are written as 2026-03-31, 2026-03-31 14:05, RFC 3339, today, yesterday, or 3h, 10d, 2w for that long ago.")]
pub(crate) struct FindArgs {
    /// What to find: any of these
    #[arg(value_name = "GLOB", required = true)]
    patterns: Vec<OsString>,
    /// Upper and lower case are the same
    #[arg(short, long)]
    ignore_case: bool,
    /// Only in this snapshot
    #[arg(short, long, value_name = "SNAP")]
    snapshot: Option<OsString>,
    #[command(flatten)]
    as_of: AsOf,
    #[command(flatten)]
    among: Among,
    /// Only files (f), folders (d) or symbolic links (l)
    #[arg(long = "type", value_enum, value_name = "f|d|l", hide_possible_values = true, value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Only what was modified then or later
    #[arg(long, value_name = "DATE")]
    newer: Option<String>,
    /// Only what was modified before then
    #[arg(long, value_name = "DATE")]
    older: Option<String>,
    /// With permissions, owner, size and time
    #[arg(short)]
    long: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Regular files
    #[value(name = "f", alias = "file")]
    File,
    /// Folders
    #[value(name = "d", aliases = ["dir", "folder"])]
    Folder,
    /// Symbolic links
    #[value(name = "l", aliases = ["link", "symlink"])]
    Symlink,
}

pub(crate) fn run(args: &FindArgs, context: &Context) -> Result<Exit, Failure> {
    let options = options(args)?;
    let session = args.as_of.apply(context.open()?)?;
    let output = &context.output;
    let escapes = output.is_terminal();
    let last: Cell<Option<SnapshotId>> = Cell::new(None);
    let report = context.listen(|progress| {
        session.find_entries(&options, progress, &mut |snapshot, path, entry| {
            if output.json {
                let mut fields = ls::described(path, entry);
                fields["snapshot_id"] = snapshot.id.to_string().into();
                return output.event("match", fields);
            }
            let before = last.replace(Some(snapshot.id));
            if !output.quiet && before != Some(snapshot.id) {
                output.bytes(heading(snapshot, before.is_some()).as_bytes())?;
            }
            output.bytes(&ls::line(path, entry, args.long, escapes))
        })
    })?;
    tell(context, args, &report)?;
    Ok(if report.unreadable == 0 { Exit::Done } else { Exit::Damaged })
}

fn options(args: &FindArgs) -> Result<FindOptions, Failure> {
    let mut options = FindOptions::default();
    for text in &args.patterns {
        let pattern = Pattern::new(text.as_encoded_bytes(), args.ignore_case);
        let wrong = |error| Failure::usage(format!("`{}` is no pattern: {error}", text.display()));
        options.query.patterns.push(pattern.map_err(wrong)?);
    }
    options.query.kinds = args
        .kinds
        .iter()
        .map(|kind| match kind {
            Kind::File => EntryKind::File,
            Kind::Folder => EntryKind::Folder,
            Kind::Symlink => EntryKind::Symlink,
        })
        .collect();
    options.query.newer = args.newer.as_deref().map(when::given).transpose()?.map(|when| when.start);
    options.query.older = args.older.as_deref().map(when::given).transpose()?.map(|when| when.start);
    options.among = args.among.options()?;
    options.snapshot = match &args.snapshot {
        Some(name) => Some(snapshot_name(name)?),
        // One of that machine or path is meant, then, and of several the newest.
        None if args.as_of.is_given() && options.among.is_all() => Some("latest".to_owned()),
        None => None,
    };
    if args.as_of.is_given() && options.snapshot.is_none() {
        options.among.latest = Some(1);
    }
    Ok(options)
}

fn heading(snapshot: &Snapshot, follows: bool) -> String {
    let space = if follows { "\n" } else { "" };
    let host = shown(snapshot.host());
    format!("{space}in snapshot {} of {}, {host}:\n", snapshot.id.short(), local(snapshot.started()))
}

fn tell(context: &Context, args: &FindArgs, report: &FindReport) -> Result<(), Failure> {
    let output = &context.output;
    let searched = count(report.snapshots, "snapshot");
    let matches =
        if report.matches == 1 { "1 match".to_owned() } else { format!("{} matches", number(report.matches)) };
    match (report.matches, report.snapshots) {
        (0, _) => output.say(&format!("nothing found in {searched}{}", wider(args)))?,
        (_, 1) => output.say(&format!("\n{matches}"))?,
        _ => output.say(&format!("\n{matches} in {} of {searched}", report.found_in))?,
    }
    Ok(output.event("summary", described(report))?)
}

/// What would find more, where whole names alone were asked for.
fn wider(args: &FindArgs) -> String {
    let is_plain = |text: &OsString| !text.as_encoded_bytes().iter().any(|byte| b"*?[/".contains(byte));
    if !args.patterns.iter().all(is_plain) {
        return String::new();
    }
    let pattern = shown(format!("*{}*", args.patterns[0].display()).as_bytes());
    format!("; {} finds names that have this in them", quoted(&pattern))
}

fn described(report: &FindReport) -> Value {
    json!({
        "snapshots": report.snapshots,
        "found_in": report.found_in,
        "matches": report.matches,
        "unreadable": report.unreadable,
    })
}
