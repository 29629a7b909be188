//! `sb certificate show`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use sb_core::audit::{Predicate, RunResult, Statement};
use sb_core::{EvidenceOptions, ShownCertificate, Size, SnapshotPath};
use serde_json::json;

use super::{kind, said};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{count, harmless_line, local, short};

/// Show what a certificate says, or prove one document
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb certificate show latest
  sb certificate show latest:/srv/clients/miller/2025.pdf --export DIR

With a path and --export, the folder proves that a file of this name and SHA-256 was in the backup, and shows nothing else of it: neither other \
names nor how many clients there are.")]
pub(crate) struct ShowArgs {
    /// The certificate: the beginning of its id, or the snapshot it is of; with a path, a document in it
    #[arg(value_name = "CERT|SNAP[:PATH]")]
    certificate: OsString,
    /// Write a folder for an auditor with the proof of that document
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
}

pub(super) fn run(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let at = SnapshotPath::parse(&args.certificate).map_err(|error| Failure::usage(error.to_string()))?;
    let mut options = EvidenceOptions::new(at.snapshot.clone());
    options.document.clone_from(&at.path);
    match (&args.export, &at.path) {
        (Some(folder), _) => super::export::write(&options, folder, context),
        (None, Some(_)) => {
            Err(Failure::usage("a document is proved by a folder of files").hint("Name one with --export"))
        }
        (None, None) => show(&at.snapshot, context),
    }
}

fn show(name: &str, context: &Context) -> Result<Exit, Failure> {
    let session = context.open()?;
    let shown = context.listen(|progress| session.certificate(name, progress))?;
    let output = &context.output;
    for line in lines(&shown) {
        output.result(&harmless_line(&line))?;
    }
    let certificate = &shown.certificate;
    output.event(
        "summary",
        json!({
            "certificate": certificate.object.to_string(),
            "kind": kind(&certificate.statement),
            "statement_sha256": certificate.statement_sha256().to_string(),
            "statement": said(&certificate.payload),
            "signatures": certificate.signatures.iter().map(|by| by.key.fingerprint().to_string()).collect::<Vec<_>>(),
            "log": shown.logged.map(|(writer, _)| writer.to_string()),
            "log_entry": shown.logged.map(|(_, number)| number),
            "witnessed_at": shown.anchored.as_ref().map(|filed| filed.head.size),
        }),
    )?;
    Ok(Exit::Done)
}

fn lines(shown: &ShownCertificate) -> Vec<String> {
    let certificate = &shown.certificate;
    let (statement, run) = (&certificate.statement, certificate.statement.run());
    let result = match run.result {
        RunResult::Passed => "PASSED",
        RunResult::Partial => "PARTIAL: some of it could not be done, nothing of what was done is wrong",
        RunResult::Failed => "FAILED: something is wrong",
    };
    let mut lines = vec![
        format!("certificate  {}", certificate.object),
        format!("of a         {}, {} to {}", kind(statement), local(run.started), local(run.finished)),
        format!("result       {result}"),
        format!("issuer       {}", run.issuer),
    ];
    lines.extend(statement.subjects.iter().take(5).map(|subject| format!("of           {}", subject.name)));
    if statement.subjects.len() > 5 {
        lines.push(format!("             and {} more", statement.subjects.len() - 5));
    }
    lines.extend(facts(statement));
    lines.push(format!("signed by    {}", count(certificate.signatures.len() as u64, "key")));
    lines.push(match (&shown.logged, &shown.anchored) {
        (None, _) => "logged       no: its run was cut short before".to_owned(),
        (Some((_, number)), None) => {
            format!("logged       as entry {number}, which nobody else has signed yet (`sb log checkpoint`)")
        }
        (Some((_, number)), Some(filed)) => {
            let others = filed.note.signatures().len() - 1 + filed.stamps.len();
            format!(
                "logged       as entry {number}; {} of others over the log after it",
                count(others as u64, "signature")
            )
        }
    });
    lines.extend(run.limits.iter().map(|limit| format!("limit        {limit}")));
    lines
}

fn facts(statement: &Statement) -> Vec<String> {
    let tree = |root: &dyn std::fmt::Display| format!("documents    tree {root}");
    match &statement.predicate {
        Predicate::Backup(backup) => {
            let (counts, written, referenced) = (backup.counts, backup.written, backup.referenced);
            let read =
                referenced.read_in_full.map_or("not all of which this machine has ever read".to_owned(), |since| {
                    format!("each read in full since {}", local(since))
                });
            let mut facts = vec![
                format!("holds        {}, {}", count(counts.documents, "document"), Size(counts.bytes)),
                format!(
                    "written      {} ({}), read back and compared",
                    count(written.objects, "object"),
                    Size(written.bytes)
                ),
            ];
            if referenced.objects > 0 {
                facts.push(format!(
                    "referenced   {} ({}), {read}",
                    count(referenced.objects, "pack"),
                    Size(referenced.bytes)
                ));
            }
            if counts.problems > 0 {
                facts.push(format!("problems     {}", count(counts.problems, "source")));
            }
            facts.extend(backup.run.document_tree.map(|documents| tree(&documents.root)));
            facts
        }
        Predicate::Verification(verification) => {
            let counts = verification.counts;
            let mut facts = vec![format!("level        {}", verification.method)];
            facts.extend(
                verification
                    .read
                    .map(|read| format!("read         {} ({})", count(read.objects, "object"), Size(read.bytes))),
            );
            if counts.documents > 0 {
                let (verified, all) = (counts.verified, count(counts.documents, "document"));
                facts.push(format!(
                    "verified     {verified} of {all}, {} corrupt, {} missing",
                    counts.corrupt, counts.missing
                ));
            }
            facts
        }
        _ => Vec::new(),
    }
}

/// How a certificate is named in a line.
pub(super) fn title(shown: &sb_core::repo::Certificate) -> String {
    format!("certificate {} of a {}", short(&shown.object), kind(&shown.statement))
}
