//! `sb log checkpoint`.

use std::fs;
use std::path::PathBuf;

use clap::Args;
use sb_core::AnchorOptions;
use sb_core::audit::VerifierKey;
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::text::{count, harmless_line, local};

/// Have this machine's audit log signed by others, so that nobody can write it anew
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb log checkpoint --witness https://witness.example --witness-key 'witness.example/w1+…'
  sb log checkpoint --tsa https://tsa.example/tsr --tsa-ca tsa-root.pem

A witness (`sb witness`: a second machine, another firm, the auditor) confirms that the log has only grown; a time-stamping authority (RFC 3161), when it was \
like that. What they have signed is filed in the vault, and goes into what `sb certificate export` writes. Run it after each night's backups.")]
pub(crate) struct CheckpointArgs {
    /// Where a witness answers
    #[arg(long, value_name = "URL")]
    witness: Vec<String>,
    /// The key of that witness, as `sb witness init` printed it; one for each, in the same order
    #[arg(long, value_name = "VKEY")]
    witness_key: Vec<VerifierKey>,
    /// Where a time-stamping authority answers
    #[arg(long, value_name = "URL")]
    tsa: Vec<String>,
    /// The root certificate that vouches for that authority, in PEM; one for each, in the same order
    #[arg(long, value_name = "FILE")]
    tsa_ca: Vec<PathBuf>,
}

pub(super) fn run(args: &CheckpointArgs, context: &Context) -> Result<Exit, Failure> {
    let mut options = AnchorOptions::default();
    if args.witness.len() != args.witness_key.len() || args.tsa.len() != args.tsa_ca.len() {
        return Err(Failure::usage("each --witness needs its --witness-key, and each --tsa its --tsa-ca")
            .hint("What somebody signs is believed only by a key that is known from elsewhere"));
    }
    if args.witness.is_empty() && args.tsa.is_empty() {
        return Err(Failure::usage("nobody is named who is to sign").hint("Name a --witness or a --tsa"));
    }
    options.witnesses = args.witness.iter().cloned().zip(args.witness_key.iter().cloned()).collect();
    for (url, file) in args.tsa.iter().zip(&args.tsa_ca) {
        let root = fs::read(file).map_err(|error| Failure::file("read", file, &error))?;
        options.authorities.push((url.clone(), root));
    }
    let mut session = context.open()?;
    let report = context.watch("asking", |progress| session.anchor(&options, progress))?;
    let output = &context.output;
    output.say(&format!("checkpoint of {}", count(report.head.size, "record")))?;
    for anchor in &report.anchors {
        let time = local(anchor.time);
        output.event(
            "anchor",
            json!({ "kind": anchor.kind.as_str(), "by": anchor.by, "time": anchor.time.to_rfc3339() }),
        )?;
        output.say(&harmless_line(&format!("  signed by {} at {time}", anchor.by)))?;
    }
    for (url, error) in &report.failures {
        output.warn(&format!("`{url}` has not signed: {}", chain(error)));
    }
    let fields = json!({
        "log": report.writer.to_string(), "size": report.head.size, "root": report.head.root.to_string(),
        "anchors": report.anchors.len(), "failures": report.failures.len(),
    });
    output.event("summary", fields)?;
    Ok(if report.failures.is_empty() { Exit::Done } else { Exit::Partial })
}
