//! `sb stats`.

use std::ffi::OsString;

use clap::{Args, ValueEnum};
use sb_core::{ChunkStats, ContentStats, Size, StatsOptions, StatsReport};
use serde_json::{Value, json};

use crate::commands::choice::{Among, AsOf, snapshot_name};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{count, local, number, table};

/// Show how much is protected, and how much that takes
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb stats                                  the whole vault
  sb stats latest                           one snapshot: what of it is different, and what it takes
  sb stats --host office                    all snapshots of a machine
  sb stats latest --mode restore-size       as much as restoring it writes, and nothing else

Without a snapshot, option or mode nothing but the index is read. Otherwise the trees of the snapshots are gone through, what they share once.")]
pub(crate) struct StatsArgs {
    /// Only these snapshots
    #[arg(value_name = "SNAP")]
    snapshots: Vec<OsString>,
    #[command(flatten)]
    as_of: AsOf,
    #[command(flatten)]
    among: Among,
    /// One number instead of all
    #[arg(long, value_enum, value_name = "MODE")]
    mode: Option<Mode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Files and bytes that restoring every snapshot writes
    RestoreSize,
    /// Different contents of files, and their bytes
    FilesByContents,
    /// Different chunks, and their bytes as they are stored
    RawData,
}

pub(crate) fn run(args: &StatsArgs, context: &Context) -> Result<Exit, Failure> {
    let mut options = StatsOptions::default();
    options.snapshots = args.snapshots.iter().map(|name| snapshot_name(name)).collect::<Result<_, _>>()?;
    options.among = args.among.options()?;
    if args.as_of.is_given() && options.snapshots.is_empty() {
        options.among.latest = Some(1);
    }
    let is_chosen = !options.snapshots.is_empty() || !options.among.is_all();
    options.contents = match args.mode {
        Some(mode) => mode != Mode::RestoreSize,
        None => is_chosen,
    };
    let session = args.as_of.apply(context.open()?)?;
    let report = context.watch("measuring", |progress| session.stats(&options, progress))?;
    let output = &context.output;
    match args.mode {
        Some(mode) => output.result(&one(mode, &report))?,
        None => output.result(all(&report, is_chosen).trim_end())?,
    }
    output.event("summary", described(&report))?;
    Ok(Exit::Done)
}

fn one(mode: Mode, report: &StatsReport) -> String {
    let contents = report.contents.unwrap_or_default();
    let in_snapshots = format!("in {}", count(report.snapshots, "snapshot"));
    match mode {
        Mode::RestoreSize => format!("{}, {} {in_snapshots}", count(report.files, "file"), Size(report.bytes)),
        Mode::FilesByContents => {
            let files = count(contents.contents, "different file");
            format!("{files}, {} {in_snapshots}", Size(contents.content_bytes))
        }
        Mode::RawData => {
            let (chunks, stored) = total(&contents);
            format!("{}, {} stored for what is {in_snapshots}", count(chunks, "different chunk"), Size(stored))
        }
    }
}

/// Chunks of all kinds, and their bytes as stored.
fn total(contents: &ContentStats) -> (u64, u64) {
    let (content, metadata) = (contents.content, contents.metadata);
    (content.chunks + metadata.chunks, content.stored + metadata.stored)
}

fn all(report: &StatsReport, is_chosen: bool) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, size: u64, what: String| rows.push(vec![name.to_owned(), Size(size).to_string(), what]);
    let span = match report.span {
        Some((first, last)) if first != last => format!(", from {} to {}", local(first), local(last)),
        Some((only, _)) => format!(" of {}", local(only)),
        None => String::new(),
    };
    let files = count(report.files, "file");
    row("protected", report.bytes, format!("{files} in {}{span}", count(report.snapshots, "snapshot")));
    if let Some(contents) = &report.contents {
        let ContentStats { contents: different, content_bytes, content, .. } = *contents;
        row("different", content_bytes, format!("{} of these files, by their contents", number(different)));
        chunks(&mut row, &content, report.bytes);
        let (_, stored) = total(contents);
        row("stored", stored, format!("with names and folders{}", ratio(report.bytes, stored, "than is protected")));
    }
    if !is_chosen {
        chunks(&mut row, &report.stored.content, report.bytes);
        let packs = count(report.stored.packs, "pack");
        let saved = ratio(report.bytes, report.vault_bytes, "than is protected");
        row("stored", report.vault_bytes, format!("with names, folders, index and keys, in {packs}{saved}"));
        if report.reserve_bytes > 0 {
            row(
                "reserve",
                report.reserve_bytes,
                "kept so that something can be deleted when the disk is full".to_owned(),
            );
        }
    }
    table(&rows, &[1])
}

/// Deduplication and compression.
fn chunks(row: &mut impl FnMut(&str, u64, String), content: &ChunkStats, protected: u64) {
    let chunks = count(content.chunks, "different chunk");
    row("deduplicated", content.bytes, format!("in {chunks}{}", ratio(protected, content.bytes, "than is protected")));
    row("compressed", content.stored, format!("and encrypted{}", ratio(content.bytes, content.stored, "than before")));
}

/// How many times less it is.
fn ratio(before: u64, after: u64, than: &str) -> String {
    let times = before as f64 / after.max(1) as f64;
    if after == 0 || times < 1.05 { String::new() } else { format!(": {times:.1} times less {than}") }
}

fn described(report: &StatsReport) -> Value {
    let chunks =
        |stats: &ChunkStats| json!({ "chunks": stats.chunks, "bytes": stats.bytes, "stored_bytes": stats.stored });
    let contents = report.contents.as_ref().map(|contents| {
        json!({
            "files": contents.contents,
            "bytes": contents.content_bytes,
            "content": chunks(&contents.content),
            "metadata": chunks(&contents.metadata),
        })
    });
    json!({
        "snapshots": report.snapshots,
        "oldest": report.span.map(|(oldest, _)| oldest.to_rfc3339()),
        "newest": report.span.map(|(_, newest)| newest.to_rfc3339()),
        "files": report.files,
        "bytes": report.bytes,
        "different": contents,
        "vault": {
            "bytes": report.vault_bytes,
            "reserve_bytes": report.reserve_bytes,
            "packs": report.stored.packs,
            "pack_bytes": report.stored.pack_bytes,
            "content": chunks(&report.stored.content),
            "metadata": chunks(&report.stored.metadata),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::ratio;

    #[test]
    fn ratios_are_said_where_there_is_something_to_say() {
        assert_eq!(ratio(100, 50, "than before"), ": 2.0 times less than before");
        assert_eq!((ratio(100, 99, "x"), ratio(5, 0, "x"), ratio(0, 5, "x")), Default::default());
    }
}
