//! `sb forget`.

use std::collections::BTreeMap;

use chrono::Local;
use clap::Args;
use sb_core::{
    Choice, Clock, ForgetOptions, ForgetPlan, GroupBy, KeepRules, Reason, Selection, Session, Snapshot, SnapshotId,
    Span, SystemClock,
};
use serde_json::{Value, json};

use super::choice::Among;
use super::collect::{self, Limits};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::with_path;
use crate::text::{count, local, number, shown, table};

/// Forget snapshots: those named, or all that no rule keeps
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb forget 1a2b3c4d latest~5
  sb forget --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --keep-yearly 10 --dry-run
  sb forget --keep-within 30d --host office --collect

Rules count snapshots of the same machine and paths together, in local time; a snapshot stays if any rule keeps it, and of each
group one always does. The space of what is forgotten is freed by `sb collect`, or by --collect at once.")]
pub(crate) struct ForgetArgs {
    /// Snapshots to forget: the beginnings of ids, latest, latest~1
    #[arg(value_name = "SNAP", conflicts_with_all = ["rules", "among"])]
    snapshots: Vec<String>,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    among: Among,
    /// Count together what has these in common: host, paths, tags; none of them if empty
    #[arg(long, value_name = "LIST", default_value = "host,paths", value_parser = group_by)]
    group_by: GroupBy,
    /// Only say what would be forgotten
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Free the space at once, as `sb collect` does
    #[arg(long, visible_alias = "prune")]
    collect: bool,
    #[command(flatten)]
    limits: Limits,
}

/// What stays.
#[derive(Args, Debug)]
#[group(id = "rules", multiple = true)]
struct Rules {
    /// Keep the newest N
    #[arg(short = 'l', long, value_name = "N", value_parser = periods)]
    keep_last: Option<u32>,
    /// Keep the newest of each of N hours that have one; here and below N may be `unlimited`
    #[arg(short = 'H', long, value_name = "N", value_parser = periods)]
    keep_hourly: Option<u32>,
    /// Keep the newest of each of N days that have one
    #[arg(short = 'd', long, value_name = "N", value_parser = periods)]
    keep_daily: Option<u32>,
    /// Keep the newest of each of N weeks that have one
    #[arg(short = 'w', long, value_name = "N", value_parser = periods)]
    keep_weekly: Option<u32>,
    /// Keep the newest of each of N months that have one
    #[arg(short = 'm', long, value_name = "N", value_parser = periods)]
    keep_monthly: Option<u32>,
    /// Keep the newest of each of N years that have one
    #[arg(short = 'y', long, value_name = "N", value_parser = periods)]
    keep_yearly: Option<u32>,
    /// Keep what is at most this much older than the newest: 30d, 8w, 1y6m
    #[arg(long, value_name = "SPAN")]
    keep_within: Option<Span>,
    /// Keep the newest of each hour, as far back from the newest as this
    #[arg(long, value_name = "SPAN")]
    keep_within_hourly: Option<Span>,
    /// Keep the newest of each day, as far back as this
    #[arg(long, value_name = "SPAN")]
    keep_within_daily: Option<Span>,
    /// Keep the newest of each week, as far back as this
    #[arg(long, value_name = "SPAN")]
    keep_within_weekly: Option<Span>,
    /// Keep the newest of each month, as far back as this
    #[arg(long, value_name = "SPAN")]
    keep_within_monthly: Option<Span>,
    /// Keep the newest of each year, as far back as this
    #[arg(long, value_name = "SPAN")]
    keep_within_yearly: Option<Span>,
    /// Keep what has this tag, or all of several with commas between; may be given several times
    #[arg(long, value_name = "TAGS", value_parser = tags)]
    keep_tag: Vec<Tags>,
    /// Take no offence at a --keep-tag that no snapshot has
    #[arg(long, requires = "keep_tag")]
    allow_unused_tags: bool,
}

/// Tags that are meant together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tags(Vec<String>);

fn tags(text: &str) -> Result<Tags, String> {
    let tags: Vec<String> = text.split(',').map(|tag| tag.trim().to_owned()).collect();
    if tags.iter().any(String::is_empty) {
        Err("write a tag, or several with commas between".to_owned())
    } else {
        Ok(Tags(tags))
    }
}

fn periods(text: &str) -> Result<u32, String> {
    match text {
        "unlimited" => Ok(u32::MAX),
        number => {
            number.parse().ok().filter(|n| *n > 0).ok_or_else(|| "write a number from 1 on, or `unlimited`".to_owned())
        }
    }
}

fn group_by(text: &str) -> Result<GroupBy, String> {
    let mut by = GroupBy { host: false, paths: false, tags: false };
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "host" => by.host = true,
            "paths" => by.paths = true,
            "tags" => by.tags = true,
            _ => return Err("write any of `host`, `paths` and `tags`, with commas between".to_owned()),
        }
    }
    Ok(by)
}

pub(crate) fn run(args: &ForgetArgs, context: &Context) -> Result<Exit, Failure> {
    let options = options(args)?;
    let mut session = context.open()?;
    let now = SystemClock.now();
    let here = |time: chrono::DateTime<chrono::Utc>| time.with_timezone(&Local).naive_local();
    let plan = context.listen(|progress| session.plan_forgetting(&options, now, &here, progress))?;
    tell(&plan, args, context)?;
    if !args.dry_run && !plan.remove.is_empty() {
        context.watch("forgetting", |progress| session.forget(&plan.remove, progress))?;
    }
    let verb = if args.dry_run { "would forget" } else { "forgot" };
    context.output.result(&format!("{verb} {}", count(plan.remove.len() as u64, "snapshot")))?;
    let freed = free(&mut session, &plan, args, context)?;
    let kept: usize = plan.groups.iter().map(|group| group.keep.len()).sum();
    let mut summary = json!({ "forgotten": plan.remove.len(), "kept": kept, "dry_run": args.dry_run });
    if let Some(freed) = freed {
        summary["collected"] = freed;
    }
    context.output.event("summary", summary)?;
    Ok(Exit::Done)
}

/// Frees the space, or says what does.
fn free(
    session: &mut Session,
    plan: &ForgetPlan,
    args: &ForgetArgs,
    context: &Context,
) -> Result<Option<Value>, Failure> {
    if args.collect && !args.dry_run {
        let report = collect::collect(session, &args.limits.options(false, context), context)?;
        return Ok(Some(collect::described(&report)));
    }
    if !plan.remove.is_empty() && !args.dry_run {
        context.output.say("`sb collect` frees the space that only they needed")?;
    }
    Ok(None)
}

fn options(args: &ForgetArgs) -> Result<ForgetOptions, Failure> {
    let keep = &args.rules;
    let rules = KeepRules {
        last: keep.keep_last,
        hourly: keep.keep_hourly,
        daily: keep.keep_daily,
        weekly: keep.keep_weekly,
        monthly: keep.keep_monthly,
        yearly: keep.keep_yearly,
        within: keep.keep_within,
        within_hourly: keep.keep_within_hourly,
        within_daily: keep.keep_within_daily,
        within_weekly: keep.keep_within_weekly,
        within_monthly: keep.keep_within_monthly,
        within_yearly: keep.keep_within_yearly,
        tags: keep.keep_tag.iter().map(|Tags(tags)| tags.clone()).collect(),
    };
    if !args.snapshots.is_empty() {
        return Ok(ForgetOptions::new(Selection::Named(args.snapshots.clone())));
    }
    if rules.is_empty() {
        return Err(Failure::usage("neither snapshots nor a rule to keep some is given")
            .hint("Name snapshots, or give at least one of the --keep options; --dry-run shows what that would do"));
    }
    let mut options = ForgetOptions::new(Selection::ByRules(rules));
    options.group_by = args.group_by;
    options.unused_tags = keep.allow_unused_tags;
    options.among = args.among.options()?;
    Ok(options)
}

/// Says what becomes of each snapshot, and why.
fn tell(plan: &ForgetPlan, args: &ForgetArgs, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    let known: BTreeMap<SnapshotId, &Snapshot> =
        plan.snapshots.iter().map(|snapshot| (snapshot.id, snapshot)).collect();
    let cells = |id: &SnapshotId| -> Vec<String> {
        let id_cell = if output.verbose > 0 { id.to_string() } else { id.short() };
        match known.get(id) {
            Some(snapshot) => vec![id_cell, local(snapshot.started()), shown(snapshot.host()), sources(snapshot)],
            None => vec![id_cell, "damaged".to_owned(), String::new(), String::new()],
        }
    };
    let fate = if args.dry_run { "would go" } else { "goes" };
    for group in &plan.groups {
        let mut rows = vec![["", "id", "begun", "host", "sources", "reasons"].map(str::to_owned).to_vec()];
        let keep = group.keep.iter().map(|kept| (kept.id, Some(&kept.reasons)));
        let all: Vec<_> = keep.chain(group.remove.iter().map(|id| (*id, None))).collect();
        for (id, reasons) in &all {
            let first = if reasons.is_some() { "stays" } else { fate };
            let last = reasons.map(|reasons| told(reasons).join(", ")).unwrap_or_default();
            rows.push([vec![first.to_owned()], cells(id), vec![shown(last.as_bytes())]].concat());
            output.event("decision", decided(*id, reasons.map(Vec::as_slice), known.get(id).copied()))?;
        }
        output.say(&heading(group))?;
        output.say(&table(&rows, &[]))?;
    }
    if plan.groups.is_empty() {
        let rows: Vec<_> = plan.remove.iter().map(|id| [vec![fate.to_owned()], cells(id)].concat()).collect();
        for id in &plan.remove {
            output.event("decision", decided(*id, None, known.get(id).copied()))?;
        }
        if !rows.is_empty() {
            output.say(table(&rows, &[]).trim_end())?;
        }
    }
    Ok(())
}

fn told(reasons: &[Reason]) -> Vec<String> {
    reasons.iter().map(ToString::to_string).collect()
}

fn sources(snapshot: &Snapshot) -> String {
    snapshot.sources().iter().map(|path| shown(path)).collect::<Vec<_>>().join(" ")
}

fn heading(group: &Choice) -> String {
    let (kept, gone) = (group.keep.len() as u64, group.remove.len() as u64);
    let mut of = Vec::new();
    of.extend(group.host.as_ref().map(|host| format!("host {}", shown(host))));
    let paths = group.paths.as_ref().map(|paths| paths.iter().map(|path| shown(path)).collect::<Vec<_>>().join(" "));
    of.extend(paths);
    of.extend(group.tags.as_ref().map(|tags| format!("tags {}", shown(tags.join(", ").as_bytes()))));
    let of = if of.is_empty() { "all".to_owned() } else { of.join(", ") };
    let verb = |n, one, many| if n == 1 { one } else { many };
    let (stay, go) = (verb(kept, "stays", "stay"), verb(gone, "goes", "go"));
    format!("{of}: {} {stay}, {} {go}", count(kept, "snapshot"), number(gone))
}

fn decided(id: SnapshotId, reasons: Option<&[Reason]>, snapshot: Option<&Snapshot>) -> Value {
    let mut fields = json!({
        "snapshot_id": id.to_string(),
        "keep": reasons.is_some(),
        "reasons": reasons.map(told).unwrap_or_default(),
    });
    match snapshot {
        Some(snapshot) => {
            fields["started"] = snapshot.started().to_rfc3339().into();
            let sources = snapshot.sources().iter().map(|path| with_path(json!({}), "path", path));
            fields["sources"] = sources.collect::<Vec<_>>().into();
            with_path(fields, "host", snapshot.host())
        }
        None => fields,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_periods_begin_at_one_and_may_have_no_end() {
        assert_eq!((periods("7"), periods("unlimited")), (Ok(7), Ok(u32::MAX)));
        for wrong in ["0", "-1", "", "many"] {
            assert!(periods(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tags_with_commas_between_are_meant_together() {
        let read = |text: &str| tags(text).map(|Tags(tags)| tags.join("|"));
        assert_eq!((read("tax return"), read("a, b")), (Ok("tax return".to_owned()), Ok("a|b".to_owned())));
        for wrong in ["", "a,", ",", " "] {
            assert!(tags(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn groups_are_named_by_what_they_have_in_common() {
        assert_eq!(group_by("host,paths"), Ok(GroupBy::default()));
        assert_eq!(group_by(" tags "), Ok(GroupBy { host: false, paths: false, tags: true }));
        assert_eq!(group_by(""), Ok(GroupBy { host: false, paths: false, tags: false }));
        assert!(group_by("user").is_err());
    }
}
