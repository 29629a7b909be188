//! `sb backup`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use sb_core::{BackupOptions, BackupReport, Size};
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::platform;
use crate::text::{count, duration};

/// So many problems are listed unless more is asked for.
const PROBLEMS_SHOWN: usize = 20;

/// Back up folders and files
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb backup /srv/clients
  sb backup /srv/clients /etc --exclude '*.tmp' --exclude-caches --tag daily

What cannot be read is listed, and the program ends with 3: the snapshot is there, but partial. The vault itself and the \
folder for local state are never backed up. Patterns have the syntax of gitignore(5) and are matched below each PATH.")]
pub(crate) struct BackupArgs {
    /// What to back up [default: `backup.paths` of the configuration]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Leave out what matches this pattern; may be given more than once
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Leave out what matches one of the patterns in this file
    #[arg(long, value_name = "FILE")]
    exclude_file: Vec<PathBuf>,
    /// Leave out what is in folders marked as caches by a CACHEDIR.TAG
    #[arg(long)]
    exclude_caches: bool,
    /// Leave out what is in folders that hold something of this name
    #[arg(long, value_name = "NAME")]
    exclude_if_present: Vec<OsString>,
    /// Leave out files larger than this, such as 500M or 2G
    #[arg(long, value_name = "SIZE")]
    exclude_larger_than: Option<Size>,
    /// Stay on the file systems of the given paths
    #[arg(long)]
    one_file_system: bool,
    /// A word to find the snapshot by; may be given more than once
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Name of this machine in the snapshot [default: what the system calls itself]
    #[arg(long, value_name = "NAME")]
    host: Option<OsString>,
    /// How hard to compress, 1 (fast) to 19 (small) [default: 3]
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(i32).range(1..=19))]
    compression_level: Option<i32>,
    /// Free space in the vault's storage without which no backup begins [default: 16M, or a twentieth of the storage if that is less]
    #[arg(long, value_name = "SIZE")]
    free_minimum: Option<Size>,
}

pub(crate) fn run(args: BackupArgs, context: &Context) -> Result<Exit, Failure> {
    let options = options(args, context);
    if options.paths.is_empty() {
        return Err(sb_core::CoreError::from(sb_core::source::SelectionError::NoSource).into());
    }
    let mut session = context.open()?;
    let began = Instant::now();
    let done = context.watch("backing up", |progress| session.backup(&options, progress));
    let report = done.map_err(|failure| match failure.exit() {
        Exit::Interrupted => {
            failure.hint("There is no new snapshot, but what was stored is kept and used by the next run")
        }
        _ => failure,
    })?;
    tell(context, &report, began.elapsed())?;
    Ok(if report.is_partial() { Exit::Partial } else { Exit::Done })
}

/// Command line and configuration together: lists are joined, single values of the command line win.
fn options(args: BackupArgs, context: &Context) -> BackupOptions {
    let section = &context.config.backup;
    let mut source = section.source_options();
    source = args.exclude.into_iter().fold(source, sb_core::SourceOptions::exclude);
    source = args.exclude_file.into_iter().fold(source, sb_core::SourceOptions::exclude_file);
    source = args.exclude_if_present.into_iter().fold(source, sb_core::SourceOptions::exclude_if_present);
    source = source
        .exclude_caches(args.exclude_caches || section.exclude_caches)
        .one_file_system(args.one_file_system || section.one_file_system);
    if let Some(size) = args.exclude_larger_than {
        source = source.exclude_larger_than(size.0);
    }
    let mut options = BackupOptions::default();
    options.source = source;
    options.paths = if args.paths.is_empty() { section.paths.clone() } else { args.paths };
    let host = args.host.map(OsString::into_encoded_bytes).or_else(|| section.host.clone().map(String::into_bytes));
    options.host = host.unwrap_or_else(platform::host_name);
    options.tags = section.tags.iter().cloned().chain(args.tag).collect();
    if let Some(level) = args.compression_level.or(section.compression_level) {
        options.compression_level = level;
    }
    options.free_minimum = args.free_minimum.or(section.free_minimum);
    options
}

fn tell(context: &Context, report: &BackupReport, time: Duration) -> Result<(), Failure> {
    let (output, counts) = (&context.output, report.counts);
    if !output.json {
        let shown = if output.verbose > 0 { usize::MAX } else { PROBLEMS_SHOWN };
        for problem in report.problems.iter().take(shown) {
            output.warn(&problem.to_string());
        }
        let rest = report.problem_count - report.problems.len().min(shown) as u64;
        if rest > 0 {
            let more = if output.verbose > 0 { "" } else { "; -v lists them" };
            output.warn(&format!("and {}{more}", count(rest, "more problem")));
        }
    }
    let id = if output.verbose > 0 { report.snapshot.to_string() } else { report.snapshot.short() };
    output.say(&format!("snapshot {id}, taken in {}", duration(time)))?;
    let others = match counts.others {
        0 => String::new(),
        n => format!(", {} (links, devices and the like)", count(n, "other")),
    };
    output.say(&format!(
        "  holds   {} in {}{others}: {}",
        count(counts.files, "file"),
        count(counts.folders, "folder"),
        Size(counts.bytes)
    ))?;
    output.say(&format!(
        "  new     {}; the vault grew by {} in packs",
        Size(counts.new_bytes),
        Size(counts.stored_bytes)
    ))?;
    if report.adopted > 0 {
        output.say(&format!("  reused  {} of a run that was cut short", count(report.adopted, "object")))?;
    }
    if report.is_partial() && !output.json {
        output.warn("the snapshot is partial: what is named above is missing from it, or incomplete in it");
    }
    Ok(output.event(
        "summary",
        json!({
            "snapshot_id": report.snapshot.to_string(),
            "files": counts.files,
            "folders": counts.folders,
            "others": counts.others,
            "bytes": counts.bytes,
            "new_chunks": counts.new_chunks,
            "new_bytes": counts.new_bytes,
            "stored_bytes": counts.stored_bytes,
            "adopted_objects": report.adopted,
            "problems": report.problem_count,
            "partial": report.is_partial(),
            "seconds": time.as_secs_f64(),
        }),
    )?)
}
