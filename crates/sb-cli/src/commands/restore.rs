//! `sb restore`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use sb_core::source::{MetadataProblem, TargetError};
use sb_core::{CoreError, RestoreOptions, RestoreProblem, RestoreReport, Size};
use serde_json::{Value, json};

use crate::commands::cat::snapshot_path;
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

Every file is compared with its SHA-256 before it gets its name. Nothing is written outside DIR, and no link is followed. \
Ends with 4 if the vault has lost something, with 3 if something could not be put back as it was or the snapshot itself is \
partial.")]
pub(crate) struct RestoreArgs {
    /// Which snapshot, and what of it
    #[arg(value_name = "SNAP[:PATH]")]
    at: OsString,
    /// Where to: a folder that is empty or does not exist
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Restore among what is there, and replace files of the same names
    #[arg(long, value_enum, value_name = "WHEN")]
    overwrite: Option<Overwrite>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Overwrite {
    Always,
}

pub(crate) fn run(args: &RestoreArgs, context: &Context) -> Result<Exit, Failure> {
    let at = snapshot_path(&args.at)?;
    let session = context.open()?;
    let mut options = RestoreOptions::default();
    options.overwrite = matches!(args.overwrite, Some(Overwrite::Always));
    let began = Instant::now();
    let report = context.watch("restoring", |progress| session.restore(&at, &args.to, options, progress))?;
    let missing = session.vault().find_snapshot(&at.snapshot).map_err(CoreError::from)?.problem_count();
    let exit = exit(&report, missing);
    tell(args, context, &report, missing, (began.elapsed(), exit))?;
    Ok(exit)
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
    output.say(&format!(
        "restored {} and {} to {} in {}: {}",
        count(report.files, "file"),
        count(report.folders, "folder"),
        args.to.display(),
        duration(time),
        Size(report.bytes)
    ))?;
    if missing > 0 && !output.json {
        let entries = if missing == 1 { "1 entry".to_owned() } else { format!("{} entries", number(missing)) };
        output.warn(&format!("the snapshot is partial: {entries} could not be read when it was made"));
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
            "problems": report.problems.len(),
            "snapshot_problems": missing,
            "damaged": report.is_damaged(),
            "complete": report.problems.is_empty() && missing == 0,
            "seconds": time.as_secs_f64(),
        }),
    )?)
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
