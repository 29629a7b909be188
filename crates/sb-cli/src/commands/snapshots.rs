//! `sb snapshots`.

use std::ffi::OsString;
use std::path::PathBuf;

use chrono::Local;
use clap::Args;
use sb_core::{Clock, Size, Snapshot, SnapshotsOptions, SystemClock};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::with_path;
use crate::text::{count, local, number, shown, table};
use crate::when::{self, When};

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
    /// Only those of this machine
    #[arg(long, value_name = "NAME")]
    host: Option<OsString>,
    /// Only those that back up this path
    #[arg(long, value_name = "PATH")]
    path: Option<PathBuf>,
    /// Only those with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
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
    for snapshot in &all.snapshots {
        output.event("snapshot", described(snapshot))?;
    }
    if all.snapshots.is_empty() {
        output.say("no snapshots")?;
    } else {
        let text = listed(&all.snapshots, output.verbose > 0);
        output.result(text.trim_end())?;
    }
    output.event("summary", json!({ "snapshots": all.snapshots.len(), "damaged": all.flawed.len() }))?;
    Ok(if all.flawed.is_empty() { Exit::Done } else { Exit::Damaged })
}

fn options(args: &SnapshotsArgs) -> Result<SnapshotsOptions, Failure> {
    let now = SystemClock.now().with_timezone(&Local);
    let time = |text: &Option<String>| -> Result<Option<When>, Failure> {
        let Some(text) = text else { return Ok(None) };
        let when = when::parse(text, &now);
        when.map(Some).ok_or_else(|| {
            Failure::usage(format!("`{text}` is no time")).hint(
                "Write 2026-03-31, 2026-03-31 14:05, RFC 3339, today, yesterday, now, or 3h, 10d, 2w for that long ago",
            )
        })
    };
    let mut options = SnapshotsOptions::default();
    options.latest = args.latest;
    options.host = args.host.clone().map(OsString::into_encoded_bytes);
    options.path = match &args.path {
        Some(path) => {
            let path = std::path::absolute(path).map_err(|error| Failure::file("find", path, &error))?;
            // Dots and double slashes are gone by its components.
            Some(path.components().collect::<PathBuf>().into_os_string().into_encoded_bytes())
        }
        None => None,
    };
    options.tag.clone_from(&args.tag);
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

fn described(snapshot: &Snapshot) -> Value {
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
