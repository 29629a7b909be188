//! `sb certificate export`.

use std::path::{Path, PathBuf};

use clap::Args;
use sb_core::EvidenceOptions;
use sb_core::audit::VerifierKey;
use serde_json::json;

use super::show::title;
use super::verify::authorities;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{count, quoted};

/// Write a folder by which an auditor can check a certificate without us
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb certificate export latest --to evidence

The folder holds the certificate, its entry in the audit log, whose keys are whose up to the vault's root key, what witnesses and time-stamping \
authorities have signed, a page in plain words, and verify.sh, which needs a shell and openssl, and neither our software, nor a secret, nor a network. \
The auditor must know the root key's fingerprint from elsewhere, such as the recovery sheet.")]
pub(crate) struct ExportArgs {
    /// The certificate: the beginning of its id, or the snapshot it is of
    #[arg(value_name = "CERT|SNAP")]
    certificate: String,
    /// The folder, which must be new or empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The key of a witness whose cosignatures go along, besides those that `sb log checkpoint` has asked
    #[arg(long, value_name = "VKEY")]
    witness_key: Vec<VerifierKey>,
    /// The root certificate (PEM) of an authority whose time stamps go along
    #[arg(long, value_name = "FILE")]
    tsa_ca: Vec<PathBuf>,
}

pub(super) fn run(args: &ExportArgs, context: &Context) -> Result<Exit, Failure> {
    let mut options = EvidenceOptions::new(args.certificate.clone());
    options.witnesses.clone_from(&args.witness_key);
    let read = |file: &PathBuf| Ok(authorities(file)?.1);
    options.authorities = args.tsa_ca.iter().map(read).collect::<Result<_, Failure>>()?;
    write(&options, &args.to, context)
}

/// Writes the folder and says how it is checked.
pub(super) fn write(options: &EvidenceOptions, folder: &Path, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    let report = context.watch("writing", |progress| session.export_evidence(options, folder, progress))?;
    let output = &context.output;
    let files = count(report.files.len() as u64, "file");
    output.say(&format!("{} in {}: {files}", title(&report.certificate), folder.display()))?;
    let place = quoted(&folder.display().to_string());
    output.say("an auditor checks it with\n")?;
    output.result(&format!("    cd {place} && sh verify.sh {}\n", report.root_fingerprint))?;
    output.say("and must know that fingerprint from elsewhere, such as the recovery sheet")?;
    if report.witnesses + report.stamps == 0 {
        output.say("nobody else has signed the log since: `sb log checkpoint` has it witnessed or stamped")?;
    }
    output.event(
        "summary",
        json!({
            "certificate": report.certificate.object.to_string(),
            "folder": folder.display().to_string(),
            "files": report.files,
            "witnesses": report.witnesses,
            "stamps": report.stamps,
            "root_fingerprint": report.root_fingerprint.to_string(),
            "script_sha256": report.script_sha256.to_string(),
        }),
    )?;
    Ok(Exit::Done)
}
