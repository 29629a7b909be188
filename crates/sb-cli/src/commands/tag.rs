//! `sb tag`.

use std::ffi::OsString;

use clap::{ArgGroup, Args};
use sb_core::{TagOptions, TagReport};
use serde_json::json;

use crate::commands::choice::{Among, AsOf, snapshot_name};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{count, shown, table};

/// Change the tags of snapshots
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("change").args(["set", "add", "remove"]).multiple(true).required(true), after_help = "\
Examples:
  sb tag latest --add 'tax return'
  sb tag 3fa9 77b0 --remove draft --add final
  sb tag --host office --tag draft --remove draft      all of them
  sb tag latest --set ''                               no tags at all

A snapshot itself never changes and keeps its id: its tags are kept beside it, signed by the user who gave them.")]
pub(crate) struct TagArgs {
    /// Which snapshots
    #[arg(value_name = "SNAP")]
    snapshots: Vec<OsString>,
    #[command(flatten)]
    as_of: AsOf,
    #[command(flatten)]
    among: Among,
    /// In place of all tags it has; several with commas between, here and below
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    set: Vec<String>,
    /// Besides those it has
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    add: Vec<String>,
    /// No more
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    remove: Vec<String>,
    /// Change nothing, but show what would be changed
    #[arg(short = 'n', long)]
    dry_run: bool,
}

pub(crate) fn run(args: TagArgs, context: &Context) -> Result<Exit, Failure> {
    let mut options = TagOptions::default();
    options.snapshots = args.snapshots.iter().map(|name| snapshot_name(name)).collect::<Result<_, _>>()?;
    options.among = args.among.options()?;
    if args.as_of.is_given() && options.snapshots.is_empty() {
        options.among.latest = Some(1);
    }
    if options.snapshots.is_empty() && options.among.is_all() {
        return Err(Failure::usage("no snapshot is named")
            .hint("Write `latest` or the beginning of an id, or choose several with --host, --path or --tag"));
    }
    options.set = (!args.set.is_empty()).then_some(args.set);
    (options.add, options.remove, options.dry_run) = (args.add, args.remove, args.dry_run);
    let mut session = args.as_of.apply(context.open()?)?;
    let report = context.watch("tagging", |progress| session.tag(&options, progress))?;
    tell(context, &report, args.dry_run)?;
    Ok(Exit::Done)
}

fn tell(context: &Context, report: &TagReport, dry_run: bool) -> Result<(), Failure> {
    let output = &context.output;
    let list = |tags: &[String]| {
        if tags.is_empty() { "no tags".to_owned() } else { format!("[{}]", shown(tags.join(", ").as_bytes())) }
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for tagged in &report.changed {
        let fields =
            json!({ "snapshot_id": tagged.snapshot.to_string(), "before": tagged.before, "tags": tagged.after });
        output.event("tagged", fields)?;
        let id = if output.verbose > 0 { tagged.snapshot.to_string() } else { tagged.snapshot.short() };
        rows.push(vec![id, list(&tagged.before), "->".to_owned(), list(&tagged.after)]);
    }
    if !rows.is_empty() {
        output.say(table(&rows, &[]).trim_end())?;
    }
    let changed = count(report.changed.len() as u64, "snapshot");
    match (report.changed.is_empty(), report.unchanged) {
        (true, 0) => output.say("there is no such snapshot")?,
        (true, n) => output.say(&format!("{} needed no change", count(n, "snapshot")))?,
        (false, _) if dry_run => output.say(&format!("would change {changed}"))?,
        (false, 0) => output.say(&format!("changed {changed}"))?,
        (false, n) => output.say(&format!("changed {changed}; {n} needed no change"))?,
    }
    let summary = json!({ "changed": report.changed.len(), "unchanged": report.unchanged, "dry_run": dry_run });
    Ok(output.event("summary", summary)?)
}
