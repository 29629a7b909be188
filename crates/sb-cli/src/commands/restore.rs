//! `sb restore`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use sb_core::source::{MetadataProblem, TargetError};
use sb_core::{CoreError, Filter, Overwrite, Progress, RestoreOptions, RestoreProblem, RestoreReport, Size};
use serde_json::{Value, json};

use crate::commands::choice::AsOf;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::with_path;
use crate::text::{count, duration, number};

/// So many problems are listed unless more is asked for.
const PROBLEMS_SHOWN: usize = 20;

/// Restore a snapshot, a folder or a file
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb restore latest:/srv/clients/miller --to /tmp/miller     what was in that folder
  sb restore latest:/srv/clients/plan.xlsx --to .            one file
  sb restore 3fa9 --to /mnt/new                              everything, under its absolute paths
  sb restore latest:/srv/clients --to /tmp/c --include '*.pdf' --exclude drafts/
  sb restore latest:/srv/clients/miller --in-place           what is missing there, back to where it was
  sb restore latest:/srv/clients/miller --in-place --overwrite if-changed --delete --dry-run -v

Every file is compared with its SHA-256 before it gets its name. Nothing is written outside DIR, and no link is followed. \
A restore that was interrupted goes on with `--overwrite if-changed`, which leaves what is there and right; after one that was \
killed, or a power cut, contents are compared for that. \
Patterns have the syntax of gitignore(5) and are matched below PATH. \
Ends with 4 if the vault has lost something, with 3 if something could not be put back as it was or the snapshot itself is \
partial.")]
pub(crate) struct RestoreArgs {
    /// Which snapshot, and what of it
    #[arg(value_name = "SNAP[:PATH]", required_unless_present = "date")]
    at: Option<OsString>,
    #[command(flatten)]
    as_of: AsOf,
    /// Where to: a folder that is empty or does not exist
    #[arg(short = 't', long, visible_alias = "target", value_name = "DIR", conflicts_with = "in_place")]
    to: Option<PathBuf>,
    /// Restore to where it was; without --overwrite only what is missing there
    #[arg(long)]
    in_place: bool,
    /// Restore among what is there: replace nothing, what differs, what is older, or everything of the same name
    #[arg(long, value_enum, value_name = "WHEN")]
    overwrite: Option<When>,
    /// Restore only what matches this pattern, and what is below it; may be given more than once
    #[arg(short, long, value_name = "GLOB")]
    include: Vec<String>,
    /// Do not restore what matches this pattern; may be given more than once
    #[arg(short, long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Remove from the folders restored what the snapshot does not have in them, but not what the backup could not read or the
    /// patterns leave out
    #[arg(long)]
    delete: bool,
    /// Change nothing, only say what would be done; with -v for each entry
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// How many threads work [default: as many as the machine has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum When {
    Never,
    IfChanged,
    IfNewer,
    Always,
}

impl From<When> for Overwrite {
    fn from(when: When) -> Self {
        match when {
            When::Never => Self::Never,
            When::IfChanged => Self::IfChanged,
            When::IfNewer => Self::IfNewer,
            When::Always => Self::Always,
        }
    }
}

pub(crate) fn run(args: &RestoreArgs, context: &Context) -> Result<Exit, Failure> {
    let at = args.as_of.place(args.at.as_deref())?;
    if args.to.is_none() && !args.in_place {
        return Err(Failure::usage("nothing says where to restore to")
            .hint("Name a folder with --to, or write --in-place for where it was backed up"));
    }
    let options = options(args)?;
    let mut session = args.as_of.apply(context.open()?)?;
    let began = Instant::now();
    let verb = if args.dry_run { "comparing" } else { "restoring" };
    let report = context.watch(verb, |progress| match &args.to {
        Some(to) => session.restore(&at, to, options, progress),
        None => session.restore_in_place(&at, options, progress),
    });
    let report = report.map_err(|failure| match failure.exit() {
        Exit::Interrupted => {
            failure.hint("What is there already is whole; the same with `--overwrite if-changed` goes on from here")
        }
        _ => failure,
    })?;
    let missing = session.find(&at.snapshot, Progress::none())?.problem_count();
    let exit = exit(&report, missing);
    tell(args, context, &report, missing, (began.elapsed(), exit))?;
    Ok(exit)
}

fn options(args: &RestoreArgs) -> Result<RestoreOptions, Failure> {
    let mut options = RestoreOptions::default();
    options.overwrite = args.overwrite.map(Overwrite::from);
    options.filter = Filter::new(&args.include, &args.exclude).map_err(CoreError::from)?;
    options.delete = args.delete;
    options.dry_run = args.dry_run;
    options.threads = args.threads.map_or(0, usize::from);
    Ok(options)
}

/// How to end where so many entries are `missing` from the snapshot itself. Disposed documents are gone by right.
fn exit(report: &RestoreReport, missing: u64) -> Exit {
    if report.is_damaged() {
        Exit::Damaged
    } else if missing > 0 || !is_as_it_was(report) {
        Exit::Partial
    } else {
        Exit::Done
    }
}

fn is_as_it_was(report: &RestoreReport) -> bool {
    report.problems.iter().all(|problem| matches!(problem, RestoreProblem::Disposed { .. }))
}

fn tell(
    args: &RestoreArgs,
    context: &Context,
    report: &RestoreReport,
    missing: u64,
    (time, exit): (Duration, Exit),
) -> Result<(), Failure> {
    let output = &context.output;
    for problem in &report.problems {
        output.event("problem", described(problem))?;
    }
    if !output.json {
        list_problems(context, report);
    }
    say_what_was_done(args, context, report, time)?;
    if missing > 0 && !output.json {
        let entries = if missing == 1 { "1 entry".to_owned() } else { format!("{} entries", number(missing)) };
        let stays = if args.delete { "; what is there of them was not deleted" } else { "" };
        output.warn(&format!("the snapshot is partial: {entries} could not be read when it was made{stays}"));
    }
    if report.resumed && report.kept > 0 && options(args)?.overwrite.is_none_or(|policy| policy == Overwrite::Never) {
        output.warn(
            "an earlier restore here was cut short, and what it left was not looked into; `--overwrite if-changed` puts right \
             what is not whole",
        );
    }
    match exit {
        _ if output.json => {}
        Exit::Damaged => output.warn(
            "damage found: what is listed above could not be read from the vault, everything else was restored whole. \
             `sb verify` shows all that is damaged.",
        ),
        Exit::Partial if !is_as_it_was(report) => output.warn("not everything could be put back as it was: see above"),
        _ => {}
    }
    Ok(output.event(
        "summary",
        json!({
            "files": report.files,
            "folders": report.folders,
            "others": report.others,
            "bytes": report.bytes,
            "overwritten": report.overwritten,
            "unchanged": report.unchanged,
            "adjusted": report.adjusted,
            "kept": report.kept,
            "deleted": report.deleted,
            "dry_run": args.dry_run,
            "problems": report.problems.len(),
            "snapshot_problems": missing,
            "damaged": report.is_damaged(),
            "complete": report.problems.is_empty() && missing == 0,
            "seconds": time.as_secs_f64(),
        }),
    )?)
}

fn say_what_was_done(
    args: &RestoreArgs,
    context: &Context,
    report: &RestoreReport,
    time: Duration,
) -> Result<(), Failure> {
    let output = &context.output;
    let what = format!("{} and {}", count(report.files, "file"), count(report.folders, "folder"));
    let place = args.to.as_ref().map_or_else(|| "in place".to_owned(), |to| format!("to {}", to.display()));
    let size = Size(report.bytes);
    if args.dry_run {
        output.say(&format!("would restore {what} {place}: {size}; nothing was changed"))?;
    } else {
        output.say(&format!("restored {what} {place} in {}: {size}", duration(time)))?;
    }
    let met = [report.files, report.folders, report.others, report.unchanged, report.kept, report.deleted];
    if met.iter().all(|n| *n == 0) && report.problems.is_empty() && !args.include.is_empty() {
        output.say("  nothing matches what is to be included")?;
    }
    for (number_of, what) in [
        (report.overwritten, "in place of what was there"),
        (report.unchanged, "there already, as in the snapshot"),
        (report.adjusted, "there already but for their metadata, which they got"),
        (report.kept, "not restored, since something else is there and stays; --overwrite says otherwise"),
        (report.deleted, "deleted, since the snapshot does not have them"),
    ] {
        if number_of > 0 {
            output.say(&format!("  {} {what}", number(number_of)))?;
        }
    }
    Ok(())
}

/// Lists them: a user who is not root can't give any file to its owner, and need not be told of each.
fn list_problems(context: &Context, report: &RestoreReport) {
    let output = &context.output;
    let limit = if output.verbose > 0 { usize::MAX } else { PROBLEMS_SHOWN };
    let mut alike: BTreeMap<String, Vec<&MetadataProblem>> = BTreeMap::new();
    let mut others = Vec::new();
    for problem in &report.problems {
        match problem {
            RestoreProblem::Metadata(problem) if output.verbose == 0 => {
                alike.entry(format!("{}: {}", problem.attribute, problem.source)).or_default().push(problem);
            }
            problem => others.push(problem.to_string()),
        }
    }
    for (_, problems) in alike {
        let first = problems[0];
        others.push(match problems.len() {
            1 => first.to_string(),
            n => {
                format!("{first}; the same goes for {}", count(n as u64 - 1, "more entry").replace("entrys", "entries"))
            }
        });
    }
    others.iter().take(limit).for_each(|text| output.warn(text));
    let rest = others.len().saturating_sub(limit) as u64;
    if rest > 0 {
        output.warn(&format!("and {}; -v lists them", count(rest, "more problem")));
    }
    let in_the_way = |problem: &RestoreProblem| {
        use TargetError::{NotAFolder, WouldEscape};
        matches!(problem, RestoreProblem::NotWritten(NotAFolder { .. } | WouldEscape { .. }))
    };
    if report.problems.iter().any(in_the_way) {
        output.warn(
            "what is in the way of a folder can be moved away, or is replaced with `--overwrite if-changed`; in the way of folders \
             above those that were backed up it stays, and --to restores elsewhere",
        );
    }
}

fn described(problem: &RestoreProblem) -> Value {
    let fields = json!({ "kind": kind(problem), "detail": problem.to_string() });
    match path(problem) {
        Some(path) => with_path(fields, "path", path),
        None => fields,
    }
}

/// What it is about: a path in the snapshot, or as seen from the folder restored into.
fn path(problem: &RestoreProblem) -> Option<&[u8]> {
    match problem {
        RestoreProblem::Lost { path, .. }
        | RestoreProblem::Degraded { path, .. }
        | RestoreProblem::Disposed { path, .. }
        | RestoreProblem::Inconsistent { path } => Some(path.as_bytes()),
        RestoreProblem::Metadata(problem) => Some(problem.path.as_bytes()),
        RestoreProblem::NotWritten(error) => unwritten(error),
        _ => None,
    }
}

fn unwritten(error: &TargetError) -> Option<&[u8]> {
    match error {
        TargetError::Full { path, .. }
        | TargetError::Denied { path, .. }
        | TargetError::WouldEscape { path }
        | TargetError::NameTaken { path }
        | TargetError::Spared { path }
        | TargetError::NotAFolder { path }
        | TargetError::IsAFolder { path }
        | TargetError::Missing { path }
        | TargetError::WrongKind { path }
        | TargetError::PastEnd { path, .. }
        | TargetError::Unsupported { path }
        | TargetError::Failed { path, .. } => Some(path.as_bytes()),
        _ => None,
    }
}

fn kind(problem: &RestoreProblem) -> &'static str {
    match problem {
        RestoreProblem::Lost { .. } => "lost",
        RestoreProblem::NotWritten(_) => "not_written",
        RestoreProblem::Metadata(_) => "metadata",
        RestoreProblem::Degraded { .. } => "degraded",
        RestoreProblem::Disposed { .. } => "disposed",
        RestoreProblem::Inconsistent { .. } => "inconsistent",
        RestoreProblem::ListLost { .. } | RestoreProblem::Unlisted { .. } => "not_deleted",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sb_core::RepoError;

    #[test]
    fn what_is_restored_without_something_is_damage() {
        let error = RepoError::NoVault;
        let problem = RestoreProblem::Degraded { path: "/a".to_owned(), what: "holes", error };
        let detail = problem.to_string();
        assert_eq!(described(&problem), json!({ "kind": "degraded", "path": "/a", "detail": detail }));
        let mut report = RestoreReport::default();
        report.problems.push(problem);
        assert_eq!((exit(&report, 0), is_as_it_was(&report)), (Exit::Damaged, false));
    }
}
