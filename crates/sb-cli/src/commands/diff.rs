//! `sb diff`.

use std::ffi::OsString;
use std::io;

use clap::Args;
use sb_core::{Change, DiffOptions, DiffSummary, Difference, Entry, EntryTally, Item, Size, Snapshot};
use serde_json::{Value, json};

use crate::commands::choice::{AsOf, snapshot_name};
use crate::commands::ls;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Output, with_path};
use crate::text::{local, number, shown, table};

/// Show what differs between two snapshots
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb diff latest~1 latest                         what changed since the backup before
  sb diff 3fa9 latest /srv/clients/miller         in one folder
  sb diff latest~1 latest --metadata              with what differs in permissions, owner, time or attributes alone

+ is in the second alone, - in the first alone; M has another content, T is of another type, U differs in metadata alone. \
Folders end with a slash. What both share is not looked at, so it takes as long as there are differences.")]
pub(crate) struct DiffArgs {
    /// The earlier snapshot
    #[arg(value_name = "SNAP")]
    before: OsString,
    /// The later snapshot
    #[arg(value_name = "SNAP")]
    after: OsString,
    /// Only what is at this path and below it
    #[arg(value_name = "PATH")]
    path: Option<OsString>,
    #[command(flatten)]
    as_of: AsOf,
    /// List what differs in metadata alone, too
    #[arg(long)]
    metadata: bool,
}

pub(crate) fn run(args: &DiffArgs, context: &Context) -> Result<Exit, Failure> {
    let [before, after] = [snapshot_name(&args.before)?, snapshot_name(&args.after)?];
    let mut options = DiffOptions::default();
    options.metadata = args.metadata;
    options.path = match &args.path {
        // As in `SNAP:PATH`: absolute, with no slashes too many.
        Some(path) => {
            let mut place = OsString::from("latest:");
            place.push(path);
            crate::commands::cat::snapshot_path(&place)?.path
        }
        None => None,
    };
    let session = args.as_of.apply(context.open()?)?;
    let output = &context.output;
    let escapes = output.is_terminal();
    let summary = context.listen(|progress| {
        session.diff(&before, &after, &options, progress, &mut |difference| print(output, &difference, escapes))
    })?;
    tell(output, &summary, args.metadata)?;
    Ok(Exit::Done)
}

fn marker(change: Change) -> &'static str {
    match change {
        Change::Added => "+",
        Change::Removed => "-",
        Change::Content => "M",
        Change::Type => "T",
        Change::Metadata => "U",
    }
}

fn print(output: &Output, difference: &Difference<'_>, escapes: bool) -> io::Result<()> {
    let marker = marker(difference.change);
    if output.json {
        let fields = json!({
            "modifier": marker,
            "before": difference.before.map(side),
            "after": difference.after.map(side),
        });
        return output.event("change", with_path(fields, "path", difference.path));
    }
    let mut line = format!("{marker}    ").into_bytes();
    line.extend(if escapes { shown(difference.path).into_bytes() } else { difference.path.to_vec() });
    if let Some(Item::Folder { .. }) = difference.after.or(difference.before).map(|entry| &entry.item) {
        line.push(b'/');
    }
    line.push(b'\n');
    output.bytes(&line)
}

fn side(entry: &Entry) -> Value {
    let mut fields = json!({ "kind": ls::kind(&entry.item).1 });
    if let Item::File(file) = &entry.item {
        fields["size"] = file.size.into();
        fields["sha256"] = file.sha256.to_string().into();
    }
    fields
}

fn tell(output: &Output, summary: &DiffSummary, lists_metadata: bool) -> Result<(), Failure> {
    let DiffSummary { before, after, report, .. } = summary;
    let name = |snapshot: &Snapshot| format!("{} of {}", snapshot.id.short(), local(snapshot.started()));
    let both = format!("{} and {}", name(before), name(after));
    if report.is_same() {
        output.say(&format!("nothing differs between {both}"))?;
    } else {
        output.say(&format!("\nBetween {both}:\n"))?;
        let heading = ["", "files", "folders", "others", "size"].map(str::to_owned).to_vec();
        let mut rows = vec![heading];
        for (what, tally) in [("added", report.added), ("removed", report.removed), ("changed", report.changed)] {
            let EntryTally { files, folders, others, bytes } = tally;
            let mut size = Size(bytes).to_string();
            if what == "changed" && report.changed_bytes_before != bytes {
                size.push_str(&format!(", before {}", Size(report.changed_bytes_before)));
            }
            rows.push(vec![what.to_owned(), number(files), number(folders), number(others), size]);
        }
        output.say(table(&rows, &[1, 2, 3]).trim_end())?;
        if report.types > 0 {
            output.say("What is of another type now counts as removed and added.")?;
        }
        if report.metadata > 0 {
            let (entries, them) = match report.metadata {
                1 => ("1 entry differs".to_owned(), "it"),
                n => (format!("{} entries differ", number(n)), "them"),
            };
            let listed = if lists_metadata { String::new() } else { format!("; --metadata lists {them}") };
            output.say(&format!("{entries} in metadata alone{listed}."))?;
        }
    }
    Ok(output.event(
        "summary",
        json!({
            "before": before.id.to_string(),
            "after": after.id.to_string(),
            "added": tally(&report.added),
            "removed": tally(&report.removed),
            "changed": tally(&report.changed),
            "changed_bytes_before": report.changed_bytes_before,
            "types": report.types,
            "metadata": report.metadata,
            "same": report.is_same(),
        }),
    )?)
}

fn tally(tally: &EntryTally) -> Value {
    json!({ "files": tally.files, "folders": tally.folders, "others": tally.others, "bytes": tally.bytes })
}
