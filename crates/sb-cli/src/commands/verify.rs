//! `sb verify`.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use sb_core::{Finding, Size, VerifyLevel, VerifyOptions, VerifyReport};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::with_path;
use crate::text::{count, duration, shown};

/// So many documents are listed for each object unless more is asked for.
const DOCUMENTS_SHOWN: usize = 10;

/// Verify the vault, and name what any damage touches
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb verify                      every byte read, every chunk opened
  sb verify --level restore      every document rebuilt and compared, too
  sb verify --public             with no key at all: every object's SHA-256 and signature

Ends with 4 if damage was found.")]
pub(crate) struct VerifyArgs {
    /// How deep to look
    #[arg(long, value_enum, default_value_t = Level::Data, conflicts_with = "public")]
    level: Level,
    /// With no key: that every object is there, unchanged and signed
    #[arg(long)]
    public: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    /// Every object is there, unchanged and signed
    Objects,
    /// And everything in it opens, and every snapshot is complete
    Data,
    /// And every document has the SHA-256 it was backed up with
    Restore,
}

pub(crate) fn run(args: &VerifyArgs, context: &Context) -> Result<Exit, Failure> {
    let began = Instant::now();
    let report = if args.public {
        let (vault, fingerprint) = (context.vault()?, context.fingerprint()?);
        context.watch("verifying", |progress| vault.verify_public(fingerprint, progress))?
    } else {
        let session = context.open()?;
        let mut options = VerifyOptions::default();
        options.level = match args.level {
            Level::Objects => VerifyLevel::Objects,
            Level::Data => VerifyLevel::Data,
            Level::Restore => VerifyLevel::Restore,
        };
        context.watch("verifying", |progress| session.verify(options, progress))?
    };
    tell(args, context, &report, began.elapsed())?;
    Ok(if report.is_good() { Exit::Done } else { Exit::Damaged })
}

fn tell(args: &VerifyArgs, context: &Context, report: &VerifyReport, time: Duration) -> Result<(), Failure> {
    let output = &context.output;
    for finding in &report.findings {
        output.event("finding", described(finding))?;
        for line in lines(finding, output.verbose > 0) {
            output.result(&line)?;
        }
    }
    let mut seen = format!("{} ({})", count(report.objects, "object"), Size(report.bytes));
    if report.snapshots > 0 {
        seen.push_str(&format!(", {}", count(report.snapshots, "snapshot")));
    }
    if report.documents > 0 {
        seen.push_str(&format!(", {}", count(report.documents, "document")));
    }
    let level = name(report.level);
    output.say(&format!("verified {seen} at level `{level}` in {}", duration(time)))?;
    if args.public {
        output.say("with no key: contents were not opened, only compared with their SHA-256 and signatures")?;
    }
    if !report.unfinished.is_empty() {
        let text = "are whole but in no journal yet: of a run that goes on or was cut short, whose next backup takes them over";
        output.say(&format!("{} {text}", count(report.unfinished.len() as u64, "object")))?;
    }
    let documents: usize = report.findings.iter().map(|finding| finding.documents.len()).sum();
    let lost = match documents {
        _ if args.public => "without a key it cannot be said which documents that touches".to_owned(),
        0 => "no document is lost".to_owned(),
        n => format!("{} lost, all others can be restored", count(n as u64, "document")),
    };
    if report.is_good() {
        output.say("nothing is wrong")?;
    } else {
        let objects = count(report.findings.len() as u64, "object");
        output.result(&format!("DAMAGE FOUND in {objects}: {lost}"))?;
    }
    Ok(output.event(
        "summary",
        json!({
            "level": level,
            "public": args.public,
            "good": report.is_good(),
            "objects": report.objects,
            "bytes": report.bytes,
            "snapshots": report.snapshots,
            "documents": report.documents,
            "findings": report.findings.len(),
            "lost_documents": documents,
            "unfinished": report.unfinished,
            "seconds": time.as_secs_f64(),
        }),
    )?)
}

/// The level as it is written on the command line.
pub(crate) fn name(level: VerifyLevel) -> &'static str {
    match level {
        VerifyLevel::Objects => "objects",
        VerifyLevel::Data => "data",
        VerifyLevel::Restore => "restore",
    }
}

fn lines(finding: &Finding, all: bool) -> Vec<String> {
    let mut lines = vec![format!("`{}` {}", finding.object, finding.flaw)];
    let limit = if all { usize::MAX } else { DOCUMENTS_SHOWN };
    for document in finding.documents.iter().take(limit) {
        lines.push(format!("    lost: {}:{}", document.snapshot.short(), shown(&document.path)));
    }
    if finding.documents.len() > limit {
        lines.push(format!("    and {} more; -v lists them", finding.documents.len() - limit));
    }
    lines
}

fn described(finding: &Finding) -> Value {
    let documents: Vec<Value> = finding
        .documents
        .iter()
        .map(|document| with_path(json!({ "snapshot_id": document.snapshot.to_string() }), "path", &document.path))
        .collect();
    json!({ "object": finding.object, "flaw": finding.flaw.to_string(), "documents": documents })
}
