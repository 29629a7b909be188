//! `sb snapshots`.

use clap::Args;
use sb_core::{Size, Snapshot, SnapshotsOptions};
use serde_json::{Value, json};

use crate::commands::choice::Among;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::with_path;
use crate::text::{count, local, number, shown, table};
use crate::when;

/// List snapshots
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb snapshots
  sb snapshots --latest 5 --host office
  sb snapshots --path /srv/clients/miller --since 2026-01-01 --until yesterday

Times are written as 2026-03-31, 2026-03-31 14:05, RFC 3339, today, yesterday, or 3h, 10d, 2w for that long ago.")]
pub(crate) struct SnapshotsArgs {
    /// Only so many of the newest
    #[arg(long, value_name = "N")]
    latest: Option<usize>,
    #[command(flatten)]
    among: Among,
    /// Only those begun then or later
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those begun before then; a day counts whole
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

pub(crate) fn run(args: &SnapshotsArgs, context: &Context) -> Result<Exit, Failure> {
    let options = options(args)?;
    let all = context.open()?.snapshots(&options)?;
    let output = &context.output;
    for (object, flaw) in &all.flawed {
        output.warn(&format!("`{object}` should be a snapshot and cannot be read: {flaw}"));
    }
    for (object, flaw) in &all.flawed_labels {
        output.warn(&format!("`{object}` cannot be read, so some snapshot may have other tags: {flaw}"));
    }
    for snapshot in &all.snapshots {
        output.event("snapshot", described(snapshot))?;
    }
    if all.snapshots.is_empty() {
        output.say("no snapshots")?;
    } else {
        let text = listed(&all.snapshots, output.verbose > 0);
        output.result(text.trim_end())?;
    }
    let damaged = all.flawed.len() + all.flawed_labels.len();
    output.event("summary", json!({ "snapshots": all.snapshots.len(), "damaged": damaged }))?;
    Ok(if damaged == 0 { Exit::Done } else { Exit::Damaged })
}

fn options(args: &SnapshotsArgs) -> Result<SnapshotsOptions, Failure> {
    let time = |text: &Option<String>| text.as_deref().map(when::given).transpose();
    let mut options = args.among.options()?;
    options.latest = args.latest;
    options.since = time(&args.since)?.map(|when| when.start);
    options.until = time(&args.until)?.map(|when| when.end);
    Ok(options)
}

fn listed(snapshots: &[Snapshot], whole_ids: bool) -> String {
    let heading = ["id", "begun", "host", "files", "size", "sources"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for snapshot in snapshots {
        let counts = snapshot.counts();
        let mut sources = snapshot.sources().iter().map(|path| shown(path)).collect::<Vec<_>>().join(" ");
        if !snapshot.tags().is_empty() {
            sources.push_str(&format!("  [{}]", shown(snapshot.tags().join(", ").as_bytes())));
        }
        if snapshot.problem_count() > 0 {
            sources.push_str(&format!("  partial: {}", count(snapshot.problem_count(), "problem")));
        }
        rows.push(vec![
            if whole_ids { snapshot.id.to_string() } else { snapshot.id.short() },
            local(snapshot.started()),
            shown(snapshot.host()),
            number(counts.files),
            Size(counts.bytes).to_string(),
            sources,
        ]);
    }
    table(&rows, &[3, 4])
}

/// A snapshot as programs are told.
pub(crate) fn described(snapshot: &Snapshot) -> Value {
    let counts = snapshot.counts();
    let sources = snapshot.sources().iter().map(|path| with_path(json!({}), "path", path)).collect::<Vec<_>>();
    let fields = json!({
        "snapshot_id": snapshot.id.to_string(),
        "started": snapshot.started().to_rfc3339(),
        "finished": snapshot.finished().to_rfc3339(),
        "sources": sources,
        "tags": snapshot.tags(),
        "files": counts.files,
        "folders": counts.folders,
        "others": counts.others,
        "bytes": counts.bytes,
        "new_bytes": counts.new_bytes,
        "stored_bytes": counts.stored_bytes,
        "problems": snapshot.problem_count(),
        "partial": snapshot.problem_count() > 0,
        "documents": snapshot.documents(),
        "document_root": snapshot.document_root().to_string(),
        "base": snapshot.base().map(|id| id.to_string()),
        "program_version": snapshot.program_version(),
    });
    with_path(fields, "host", snapshot.host())
}
