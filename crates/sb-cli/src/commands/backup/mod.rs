//! `sb backup`.

mod hooks;
mod input;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use sb_core::source::{EntryPath, StreamSource};
use sb_core::{BackupOptions, BackupReport, Compression, CoreError, Progress, Session, Size, SnapshotType};
use serde_json::json;

use super::choice::snapshot_name;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::platform;
use crate::text::{count, duration, number, short};
use crate::when;
use input::{AllOrNothing, CommandLine, CommandOutput, UntilStopped};

/// So many problems are listed unless more is asked for.
const PROBLEMS_SHOWN: usize = 20;

/// Back up folders and files
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb backup /srv/clients
  sb backup /srv/clients /etc --exclude '*.tmp' --exclude-caches --tag daily
  sb backup --stdin-from-command --stdin-name books.sql -- pg_dump books
  find /srv -name '*.pdf' -print0 | sb backup --files-from -
  sb backup /srv/clients --exclude '*.bak' --dry-run -v

Only what changed since the last backup of the same paths is read; every snapshot is whole all the same. \
What cannot be read is listed, and the program ends with 3: the snapshot is there, but partial. The vault itself and the \
folder for local state are never backed up, nor is what restores at work or cut short have among the files: those called \
`.sb-restore-` or `.sb-restore-unfinished-` and 16 hexadecimal digits. A command for --stdin-from-command is started when \
the vault can take in what it prints; when sb ends, it stops that command, but not what that has started, such as the \
parts of a pipeline in `sh -c`, which end when they print to nobody. Patterns have the syntax of gitignore(5) and are matched below each PATH.")]
pub(crate) struct BackupArgs {
    /// What to back up [default: `backup.paths` of the configuration]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Leave out what matches this pattern; may be given more than once
    #[arg(short, long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// The same, where upper and lower case are alike
    #[arg(long, value_name = "GLOB")]
    iexclude: Vec<String>,
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
    #[arg(short = 'x', long)]
    one_file_system: bool,
    /// Back up the paths listed in this file too, one on each line or between NUL bytes; `-` is the standard input
    #[arg(long, value_name = "FILE")]
    files_from: Vec<PathBuf>,
    /// Back up what comes in at the standard input, as one file
    #[arg(long, conflicts_with_all = ["paths", "files_from", "stdin_from_command"])]
    stdin: bool,
    /// Name of the file in the snapshot [default: stdin]
    #[arg(long, alias = "stdin-filename", value_name = "PATH")]
    stdin_name: Option<PathBuf>,
    /// Back up what a command prints, as one file; the command follows after `--`, and if it fails there is no snapshot
    #[arg(long, conflicts_with = "files_from")]
    stdin_from_command: bool,
    /// What is read: what changed since the last backup, since the last full one, or every byte
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t = Type::Incremental)]
    kind: Type,
    /// Read every byte, as `--type full` does
    #[arg(short = 'f', long, hide = true)]
    force: bool,
    /// Compare with this snapshot [default: the newest of the same machine and paths, or its newest full one]
    #[arg(long, value_name = "SNAP")]
    parent: Option<OsString>,
    /// Only say what would be backed up, with -v which files, and how much the vault would grow; nothing is written, and no
    /// hook is run
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Take files for unchanged though their inode number is another, as on some network shares
    #[arg(long)]
    ignore_inode: bool,
    /// Take files for unchanged though the time of their last change of status is another, as on some network shares
    #[arg(long)]
    ignore_ctime: bool,
    /// Date the snapshot, such as `2026-03-31 18:00` [default: now]
    #[arg(long, value_name = "DATE")]
    time: Option<String>,
    /// How many threads work [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Run this in a shell first; if it fails, nothing is backed up
    #[arg(long, value_name = "COMMAND")]
    pre_command: Option<OsString>,
    /// Run this in a shell at the end, whatever came of it, with SB_STATUS (done, partial, failed) and SB_SNAPSHOT set
    #[arg(long, value_name = "COMMAND")]
    post_command: Option<OsString>,
    /// A word to find the snapshot by, or several with commas between; may be given more than once
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    tag: Vec<String>,
    /// Name of this machine in the snapshot [default: what the system calls itself]
    #[arg(short = 'H', long, value_name = "NAME")]
    host: Option<OsString>,
    /// How hard to compress [default: default]
    #[arg(long, value_name = "HOW", value_enum)]
    compression: Option<How>,
    /// The same as a zstd level, 1 (fast) to 19 (small) [default: 3]
    #[arg(long, value_name = "LEVEL", conflicts_with = "compression", value_parser = clap::value_parser!(i32).range(1..=19))]
    compression_level: Option<i32>,
    /// Free space in the vault's storage without which no backup begins [default: 16M, or a twentieth of the storage if that is less]
    #[arg(long, value_name = "SIZE")]
    free_minimum: Option<Size>,
}

/// How a backup is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Type {
    /// What changed since the last backup is read.
    Incremental,
    /// Every byte is read.
    Full,
    /// What changed since the last full backup is read.
    Differential,
}

/// How hard to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum How {
    /// Larger, and sooner done.
    Fast,
    /// As a rule the best.
    Default,
    /// Smaller, and slower by far.
    Dense,
}

impl From<Type> for SnapshotType {
    fn from(kind: Type) -> Self {
        match kind {
            Type::Incremental => Self::Incremental,
            Type::Full => Self::Full,
            Type::Differential => Self::Differential,
        }
    }
}

impl From<How> for Compression {
    fn from(how: How) -> Self {
        match how {
            How::Fast => Self::Fast,
            How::Default => Self::Default,
            How::Dense => Self::Dense,
        }
    }
}

pub(crate) fn run(mut args: BackupArgs, context: &Context) -> Result<Exit, Failure> {
    // First, so that nobody is asked for a passphrase and no hook is run for what makes no sense.
    let piped = Piped::of(&mut args)?;
    if args.dry_run {
        return Ok(if back_up(args, piped, context)?.is_partial() { Exit::Partial } else { Exit::Done });
    }
    let post = args.post_command.take();
    let outcome = hooks::before(args.pre_command.as_deref()).and_then(|()| back_up(args, piped, context));
    let (status, snapshot) = match &outcome {
        Ok(report) if report.is_partial() => ("partial", report.snapshot.to_string()),
        Ok(report) => ("done", report.snapshot.to_string()),
        Err(_) => ("failed", String::new()),
    };
    hooks::after(post.as_deref(), &context.output, status, &snapshot);
    Ok(if outcome?.is_partial() { Exit::Partial } else { Exit::Done })
}

fn back_up(args: BackupArgs, piped: Option<Piped>, context: &Context) -> Result<BackupReport, Failure> {
    let began = Instant::now();
    let is_rehearsal = args.dry_run;
    let (verb, open): (_, fn(&Context) -> _) =
        if is_rehearsal { ("rehearsing", Context::rehearse) } else { ("backing up", Context::open) };
    let options = options(args, context)?;
    let mut keys_overdue = false;
    let report = match piped {
        Some(piped) => {
            let mut session = open(context)?;
            keys_overdue |= context.warn_of_keys(&session.key_age());
            back_up_stream(&mut session, piped, &options, verb, context)
        }
        None => {
            if options.paths.is_empty() {
                return Err(CoreError::from(sb_core::source::SelectionError::NoSource).into());
            }
            let mut session = open(context)?;
            keys_overdue |= context.warn_of_keys(&session.key_age());
            context.watch(verb, |progress| session.backup(&options, progress))
        }
    };
    let report = report.map_err(|failure| match failure.exit() {
        Exit::Interrupted if !is_rehearsal => {
            failure.hint("There is no new snapshot, but what was stored is kept and used by the next run")
        }
        _ => failure,
    })?;
    tell(context, &report, keys_overdue, began.elapsed())?;
    Ok(report)
}

/// A stream that is to be backed up.
struct Piped {
    path: EntryPath,
    /// What prints it, unless it comes in by itself.
    command: Option<CommandLine>,
}

impl Piped {
    /// What the command line says of it, if it is to be one; then there are no paths.
    fn of(args: &mut BackupArgs) -> Result<Option<Self>, Failure> {
        let name = args.stdin_name.clone();
        if !args.stdin && !args.stdin_from_command {
            return match name {
                Some(_) => Err(Failure::usage("--stdin-name names what --stdin or --stdin-from-command back up")),
                None => Ok(None),
            };
        }
        let words = std::mem::take(&mut args.paths).into_iter().map(PathBuf::into_os_string);
        let command = args.stdin_from_command.then(|| CommandLine::new(words)).transpose()?;
        let path = input::stream_path(&name.unwrap_or_else(|| PathBuf::from("stdin")))?;
        Ok(Some(Self { path, command }))
    }

    /// `has_begun` becomes true when something can come in.
    fn open(self, stop: &'static AtomicBool, has_begun: &Arc<AtomicBool>) -> Result<StreamSource, Failure> {
        Ok(match self.command {
            Some(command) => input::stream(self.path, CommandOutput::new(command, stop, Arc::clone(has_begun))),
            None => {
                has_begun.store(true, Ordering::Relaxed);
                input::stream(self.path, UntilStopped { from: input::standard_input()?, stop })
            }
        })
    }
}

fn back_up_stream(
    session: &mut Session,
    piped: Piped,
    options: &BackupOptions,
    verb: &'static str,
    context: &Context,
) -> Result<BackupReport, Failure> {
    let has_begun = Arc::new(AtomicBool::new(false));
    let stream = piped.open(context.stop, &has_begun)?;
    let mut broken = None;
    let done = context.watch(verb, |progress| {
        let all = AllOrNothing { monitor: progress.monitor, stop: context.stop, problem: None.into() };
        let report = session.backup_source(&stream, options, Progress { monitor: &all, stop: context.stop });
        broken = all.problem.into_inner().unwrap_or_else(PoisonError::into_inner);
        report
    });
    match broken {
        Some(problem) => Err(Failure::new(problem.detail).hint(if has_begun.load(Ordering::Relaxed) {
            "There is no new snapshot, for what came in is not all there should be"
        } else {
            "Nothing has been backed up"
        })),
        None => done,
    }
}

/// Command line and configuration together: lists are joined, single values of the command line win.
fn options(args: BackupArgs, context: &Context) -> Result<BackupOptions, Failure> {
    let section = &context.config.backup;
    let mut source = section.source_options();
    source = args.exclude.into_iter().fold(source, sb_core::SourceOptions::exclude);
    source = args.iexclude.into_iter().fold(source, sb_core::SourceOptions::iexclude);
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
    options.paths = args.paths;
    options.paths.extend(input::paths_from(&args.files_from)?);
    if options.paths.is_empty() && args.files_from.is_empty() {
        options.paths.clone_from(&section.paths);
    }
    options.kind = if args.force { SnapshotType::Full } else { args.kind.into() };
    if args.parent.is_some() && options.kind == SnapshotType::Differential {
        return Err(Failure::usage("a differential backup is compared with the newest full one, not with a --parent"));
    }
    options.parent = args.parent.as_deref().map(snapshot_name).transpose()?;
    options.dry_run = args.dry_run;
    (options.ignore_ctime, options.ignore_inode) = (args.ignore_ctime, args.ignore_inode);
    options.threads = args.threads.map_or(0, usize::from);
    options.time = args.time.as_deref().map(when::given).transpose()?.map(|when| when.start);
    let host = args.host.map(OsString::into_encoded_bytes).or_else(|| section.host.clone().map(String::into_bytes));
    options.host = host.unwrap_or_else(platform::host_name);
    options.tags = section.tags.iter().cloned().chain(args.tag).collect();
    let level = args.compression.map(|how| Compression::from(how).level()).or(args.compression_level);
    if let Some(level) = level.or(section.compression_level) {
        options.compression_level = level;
    }
    options.free_minimum = args.free_minimum.or(section.free_minimum);
    Ok(options)
}

fn name_of(kind: SnapshotType) -> &'static str {
    match kind {
        SnapshotType::Full => "full",
        SnapshotType::Incremental => "incremental",
        SnapshotType::Differential => "differential",
    }
}

/// What could not be read, or not as it was.
fn tell_problems(context: &Context, report: &BackupReport) {
    let output = &context.output;
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

fn tell(context: &Context, report: &BackupReport, keys_overdue: bool, time: Duration) -> Result<(), Failure> {
    let (output, counts) = (&context.output, report.counts);
    if !output.json {
        tell_problems(context, report);
    }
    let (kind, base) = (name_of(report.kind), report.base.filter(|_| report.kind != SnapshotType::Full));
    let since = base.map_or_else(String::new, |base| format!(" since {}", base.short()));
    let time_taken = duration(time);
    output.say(&if report.dry_run {
        format!("dry run, {kind}{since}, in {time_taken}: nothing has been written; the snapshot would be as follows")
    } else {
        let id = if output.verbose > 0 { report.snapshot.to_string() } else { report.snapshot.short() };
        format!("snapshot {id}, {kind}{since}, taken in {time_taken}")
    })?;
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
    let changes = report.changes;
    let [new, changed, unchanged] = [changes.new, changes.changed, changes.unchanged].map(number);
    output.say(&format!("  files   {new} new, {changed} changed, {unchanged} unchanged"))?;
    let grew = if report.dry_run { "would grow" } else { "grew" };
    let (new, stored) = (Size(counts.new_bytes), Size(counts.stored_bytes));
    output.say(&format!("  new     {new}; the vault {grew} by {stored} in packs"))?;
    if report.adopted > 0 {
        output.say(&format!("  reused  {} of a run that was cut short", count(report.adopted, "object")))?;
    }
    if let Some(certified) = &report.certificate {
        let read = format!("{} ({})", count(report.read_back.objects, "object"), Size(report.read_back.bytes));
        output.say(&format!("  proof   certificate {}; {read} read back and compared", short(&certified.object)))?;
    }
    if report.is_partial() && !output.json {
        let is = if report.dry_run { "would be" } else { "is" };
        output.warn(&format!("the snapshot {is} partial: what is named above is missing from it, or incomplete in it"));
    }
    Ok(output.event(
        "summary",
        json!({
            "snapshot_id": (!report.dry_run).then(|| report.snapshot.to_string()),
            "dry_run": report.dry_run,
            "type": kind,
            "base_id": report.base.map(|base| base.to_string()),
            "files_new": changes.new,
            "files_changed": changes.changed,
            "files_unchanged": changes.unchanged,
            "files": counts.files,
            "folders": counts.folders,
            "others": counts.others,
            "bytes": counts.bytes,
            "new_chunks": counts.new_chunks,
            "new_bytes": counts.new_bytes,
            "stored_bytes": counts.stored_bytes,
            "adopted_objects": report.adopted,
            "certificate": report.certificate.map(|certified| certified.object.to_string()),
            "read_back_objects": report.read_back.objects,
            "read_back_bytes": report.read_back.bytes,
            "problems": report.problem_count,
            "partial": report.is_partial(),
            "keys_overdue": keys_overdue,
            "seconds": time.as_secs_f64(),
        }),
    )?)
}
