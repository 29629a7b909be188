//! `sb verify`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use sb_core::chrono::TimeDelta;
use sb_core::crypto::Digest;
use sb_core::{DueSummary, Finding, Flaw, Size, VerifyLevel, VerifyOptions, VerifyReport};
use serde_json::{Value, json};

use crate::commands::log::checkpoints;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::hint::LOST_CERTIFICATE;
use crate::output::with_path;
use crate::text::{count, duration, harmless_line, local, number, short, shown};
use crate::when;

/// So many documents are listed for each object unless more is asked for.
const DOCUMENTS_SHOWN: usize = 10;

/// Folders of the vault whose objects hold nothing that would not be told of by the documents lost with them, or that is not
/// there a second time.
const TOLD_BY_DOCUMENTS: [&str; 13] = [
    "packs/",
    "locator/",
    "reserve/",
    "leases/",
    "fences/",
    "condemned/",
    "log/",
    "certificates/",
    "signatures/",
    "checkpoints/",
    "stamps/",
    "names/",
    "twin/",
];

/// Verify the vault, and name what any damage touches
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb verify                      every byte read, every chunk opened
  sb verify --level restore      every document rebuilt and compared, too
  sb verify --public             with no key at all: every object's SHA-256 and signature
  sb verify --max-age 30d --budget 10min
                                 each night a little, so that every pack is read within 30 days

Without a key, all signatures are followed to the root key with the fingerprint that --fingerprint states or that this machine \
remembers; with neither, the fingerprint found is printed, for comparison with the recovery sheet. Ends with 4 if damage was found.")]
pub(crate) struct VerifyArgs {
    /// How deep to look [default: data; with --public, `objects` is all there is]
    #[arg(long, value_enum)]
    level: Option<Level>,
    /// With no key: that every object is there, unchanged and signed
    #[arg(long)]
    public: bool,
    /// Read of the packs only those that this machine has not read for so long, such as 30d; no documents
    #[arg(long, value_name = "AGE", value_parser = when::span, conflicts_with = "public")]
    max_age: Option<TimeDelta>,
    /// With --max-age, begin nothing after so long, such as 10min; the next night goes on
    #[arg(long, value_name = "TIME", value_parser = when::span, requires = "max_age")]
    budget: Option<TimeDelta>,
    /// A checkpoint that a witness or an auditor has kept: the logs must contain what it saw
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// What is done anyway, unless another level is asked for
    #[arg(long, hide = true, conflicts_with_all = ["level", "public"])]
    read_data: bool,
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
    let seen = if args.public { public(args, context)? } else { opened(args, context)? };
    tell(args, context, &seen, began.elapsed())?;
    let report = &seen.report;
    Ok(if report.is_good() { Exit::Done } else { Exit::Damaged })
}

/// The root key that all signatures lead to, and whether anything but the vault itself says that it is the right one.
#[derive(Clone, Copy, Debug)]
struct Root {
    fingerprint: Digest,
    is_known: bool,
}

/// What was found, by whose word, and the certificate of it.
struct Seen {
    report: VerifyReport,
    root: Root,
    certificate: Option<Digest>,
    due: Option<DueSummary>,
    /// Unknown without a key.
    keys_overdue: Option<bool>,
}

fn public(args: &VerifyArgs, context: &Context) -> Result<Seen, Failure> {
    if matches!(args.level, Some(Level::Data | Level::Restore)) {
        return Err(Failure::usage("with no key, nothing deeper than the level `objects` can be verified")
            .hint("Leave out --public, or --level"));
    }
    let (vault, fingerprint) = (context.vault()?, context.fingerprint()?);
    let checkpoints = checkpoints(&args.checkpoint)?;
    let report = context.watch("verifying", |progress| vault.verify_public(fingerprint, &checkpoints, progress))?;
    let root = Root { fingerprint: report.root_fingerprint, is_known: report.root_known };
    Ok(Seen { report: report.verified, root, certificate: None, due: None, keys_overdue: None })
}

fn opened(args: &VerifyArgs, context: &Context) -> Result<Seen, Failure> {
    if args.max_age.is_some() && matches!(args.level, Some(Level::Restore)) {
        return Err(
            Failure::usage("documents are not rebuilt pack by pack").hint("Leave out --max-age, or --level restore")
        );
    }
    let mut options = VerifyOptions::default();
    (options.max_age, options.budget) = (args.max_age, args.budget);
    options.checkpoints = checkpoints(&args.checkpoint)?;
    let mut session = context.open()?;
    let keys_overdue = Some(context.warn_of_keys(&session.key_age()));
    options.level = match args.level.unwrap_or(Level::Data) {
        Level::Objects => VerifyLevel::Objects,
        Level::Data => VerifyLevel::Data,
        Level::Restore => VerifyLevel::Restore,
    };
    let verified = context.watch("verifying", |progress| session.verify(options, progress))?;
    let certificate = match verified.certificate {
        Ok(certified) => Some(certified.object),
        Err(error) => {
            context.output.warn(&format!("warning: there is no certificate of this verification: {}", chain(&error)));
            None
        }
    };
    // The slot that the key opened vouches for it.
    let root = Root { fingerprint: session.root_fingerprint(), is_known: true };
    Ok(Seen { report: verified.report, root, certificate, due: verified.due, keys_overdue })
}

fn tell(args: &VerifyArgs, context: &Context, seen_all: &Seen, time: Duration) -> Result<(), Failure> {
    let Seen { report, root, certificate, due, keys_overdue } = seen_all;
    let output = &context.output;
    for finding in &report.findings {
        output.event("finding", described(finding))?;
        for line in lines(finding, output.verbose > 0) {
            output.result(&line)?;
        }
    }
    let level = name(report.level);
    output.say(&format!("verified {} at level `{level}` in {}", seen(report), duration(time)))?;
    if let Some(due) = due {
        output.say(&format!("read {} of {} that were due", number(due.read), count(due.due, "pack")))?;
        output.say(&match due.all_read_since {
            Some(since) => format!("every pack has been read since {}", local(since)),
            None => "not every pack has been read yet".to_owned(),
        })?;
    }
    if let Some(certificate) = certificate {
        output.say(&format!("certificate {}", short(certificate)))?;
    }
    if args.public {
        output.say("with no key: contents were not opened, only compared with their SHA-256 and signatures")?;
    }
    if !root.is_known {
        let text = "all signatures lead to the root key with this fingerprint; compare it with the recovery sheet, or state it \
                    with --fingerprint:";
        output.result(&format!("{text}\n    {}", root.fingerprint))?;
    }
    if !report.unfinished.is_empty() {
        let text = "are whole but in no journal yet: of a run that goes on or was cut short, whose next backup takes them over";
        output.say(&format!("{} {text}", count(report.unfinished.len() as u64, "object")))?;
    }
    let loss = (!args.public).then(|| Loss::of(&report.findings));
    if report.is_good() {
        output.say("nothing is wrong")?;
    } else {
        let objects = count(report.findings.len() as u64, "object");
        let unknown = || "without a key it cannot be said which documents that touches".to_owned();
        output.result(&format!("DAMAGE FOUND in {objects}: {}", loss.as_ref().map_or_else(unknown, Loss::told)))?;
        if report.findings.iter().any(lacks_certificate) {
            output.result(LOST_CERTIFICATE)?;
        }
    }
    Ok(output.event(
        "summary",
        json!({
            "level": level,
            "public": args.public,
            "root_fingerprint": root.fingerprint.to_string(),
            "root_known": root.is_known,
            "good": report.is_good(),
            "objects": report.objects,
            "bytes": report.bytes,
            "snapshots": report.snapshots,
            "documents": report.documents,
            "findings": report.findings.len(),
            "lost_documents": loss.as_ref().map(|loss| loss.documents),
            "lost_folders": loss.as_ref().map(|loss| loss.folders),
            "lost_snapshots": loss.as_ref().map(|loss| loss.snapshots),
            "loss_is_all_told": loss.as_ref().map(|loss| loss.is_all_told),
            "unfinished": report.unfinished,
            "certificate": certificate.map(|certificate| certificate.to_string()),
            "packs_due": due.map(|due| due.due),
            "packs_read": due.map(|due| due.read),
            "all_read_since": due.and_then(|due| due.all_read_since).map(|since| since.to_rfc3339()),
            "keys_overdue": keys_overdue,
            "seconds": time.as_secs_f64(),
        }),
    )?)
}

fn seen(report: &VerifyReport) -> String {
    let mut seen = format!("{} ({})", count(report.objects, "object"), Size(report.bytes));
    for (number, word) in [(report.snapshots, "snapshot"), (report.documents, "document")] {
        if number > 0 {
            seen.push_str(&format!(", {}", count(number, word)));
        }
    }
    seen
}

/// True for an entry of a journal that may be good: its writer's certificate is missing.
fn lacks_certificate(finding: &Finding) -> bool {
    finding.flaw == Flaw::UnknownSigner && finding.object.starts_with("journal/")
}

/// What is known to be lost.
#[derive(Debug, PartialEq, Eq)]
struct Loss {
    documents: u64,
    /// Of each all or part of what is below it.
    folders: u64,
    snapshots: u64,
    /// Nothing else can be lost by what was found.
    is_all_told: bool,
}

impl Loss {
    fn of(findings: &[Finding]) -> Self {
        // A document that lay in two packs is named under both.
        let lost: BTreeSet<_> = findings.iter().flat_map(|finding| &finding.documents).collect();
        let folders = lost.iter().filter(|document| document.is_folder).count();
        let is_told = |finding: &Finding| {
            finding.flaw == Flaw::Surplus || TOLD_BY_DOCUMENTS.iter().any(|folder| finding.object.starts_with(folder))
        };
        Self {
            documents: (lost.len() - folders) as u64,
            folders: folders as u64,
            snapshots: findings.iter().filter_map(lost_snapshot).count() as u64,
            is_all_told: folders == 0 && findings.iter().all(is_told),
        }
    }

    fn told(&self) -> String {
        let known = [(self.documents, "document"), (self.folders, "folder"), (self.snapshots, "snapshot")];
        let known: Vec<String> = known.iter().filter(|(n, _)| *n > 0).map(|(n, word)| count(*n, word)).collect();
        match (self.is_all_told, known.is_empty()) {
            (true, true) => "no document is lost".to_owned(),
            (true, false) => format!("{} lost, all others can be restored", known.join(", ")),
            (false, true) => "which documents that touches cannot be said".to_owned(),
            (false, false) => format!("{} lost, and perhaps more", known.join(", ")),
        }
    }
}

/// The short id of the snapshot that is lost with the finding's object, if that is one.
fn lost_snapshot(finding: &Finding) -> Option<&str> {
    let id = finding.object.strip_prefix("snapshots/")?;
    // Some flaws are not those of the object itself: it is whole, but what it needs is not; or it is not the vault's.
    let is_lost = !matches!(
        finding.flaw,
        Flaw::NeedsChunk(_) | Flaw::WrongContent | Flaw::WrongDocumentRoot | Flaw::Surplus | Flaw::Resurrected
    );
    id.get(..8).filter(|_| is_lost)
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
    let mut lines = vec![harmless_line(&format!("`{}` {}", finding.object, finding.flaw))];
    lines.extend(lost_snapshot(finding).map(|id| format!("    snapshot {} is lost", shown(id.as_bytes()))));
    let limit = if all { usize::MAX } else { DOCUMENTS_SHOWN };
    for document in finding.documents.iter().take(limit) {
        let place = format!("{}:{}", document.snapshot.short(), shown(&document.path));
        lines.push(if document.is_folder {
            format!("    lost: all or part of what is below {place}")
        } else {
            format!("    lost: {place}")
        });
    }
    if finding.documents.len() > limit {
        lines.push(format!("    and {} more; -v lists them", finding.documents.len() - limit));
    }
    lines
}

fn described(finding: &Finding) -> Value {
    let documents = finding.documents.iter().map(|document| {
        let fields = json!({ "snapshot_id": document.snapshot.to_string(), "folder": document.is_folder });
        with_path(fields, "path", &document.path)
    });
    json!({
        "object": finding.object,
        "flaw": finding.flaw.to_string(),
        "documents": documents.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sb_core::{DocumentRef, SnapshotId};

    fn finding(object: &str, flaw: Flaw, documents: &[(&str, bool)]) -> Finding {
        let snapshot = SnapshotId::from_hex(&"ab".repeat(32)).unwrap();
        let documents = documents.iter().map(|(path, is_folder)| DocumentRef {
            snapshot,
            path: path.as_bytes().to_vec(),
            is_folder: *is_folder,
        });
        Finding { object: object.to_owned(), flaw, documents: documents.collect() }
    }

    fn told(findings: &[Finding]) -> String {
        Loss::of(findings).told()
    }

    #[test]
    fn nothing_is_said_to_be_safe_that_may_not_be() {
        let pack = |documents| finding("packs/aa/aa", Flaw::WrongHash, documents);
        assert_eq!(told(&[pack(&[])]), "no document is lost");
        for object in
            ["twin/config/0", "log/a", "certificates/a", "signatures/a", "checkpoints/a", "stamps/a", "names/a"]
        {
            assert_eq!(told(&[finding(object, Flaw::Missing, &[])]), "no document is lost");
        }
        let twice = [pack(&[("/a", false), ("/b", false)]), finding("packs/bb/bb", Flaw::Missing, &[("/a", false)])];
        assert_eq!(told(&twice), "2 documents lost, all others can be restored");
        assert_eq!(told(&[pack(&[("/a", false), ("/", true)])]), "1 document, 1 folder lost, and perhaps more");
        for object in ["journal/a/1", "config/0", "users/a", "writers/a", "keys/a", "sessions/a", "what/ever"] {
            assert_eq!(told(&[finding(object, Flaw::Missing, &[])]), "which documents that touches cannot be said");
            let lost = [finding(object, Flaw::Missing, &[]), pack(&[("/a", false)])];
            assert_eq!(told(&lost), "1 document lost, and perhaps more");
        }
    }

    #[test]
    fn snapshots_and_folders_that_are_lost_are_named() {
        let name = format!("snapshots/{}", "ab".repeat(32));
        let gone = finding(&name, Flaw::Missing, &[]);
        assert_eq!(lines(&gone, false), [format!("`{name}` missing"), "    snapshot abababab is lost".to_owned()]);
        assert_eq!(told(&[gone]), "1 snapshot lost, and perhaps more");
        let bare = finding(&name, Flaw::WrongContent, &[("/x\u{1b}", false), ("/y", true)]);
        let named = ["    lost: abababab:/x\\u{1b}", "    lost: all or part of what is below abababab:/y"];
        assert_eq!(lines(&bare, false)[1..], named);
        let odd = finding("packs/\u{1b}\n", Flaw::Surplus, &[]);
        assert_eq!(lines(&odd, false), [r"`packs/\u{1b}\n` does not belong here"]);
    }
}
