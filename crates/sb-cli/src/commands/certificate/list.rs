//! `sb certificate list`.

use clap::Args;
use sb_core::repo::Certificate;
use serde_json::json;

use super::kind;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{count, local, short, table};

/// List certificates
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb certificate list
  sb certificate list --latest 5")]
pub(crate) struct ListArgs {
    /// Only so many of the newest
    #[arg(long, value_name = "N")]
    latest: Option<usize>,
}

pub(super) fn run(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let mut all = context.open()?.certificates()?;
    if let Some(latest) = args.latest {
        let surplus = all.certificates.len().saturating_sub(latest);
        all.certificates.drain(..surplus);
    }
    let output = &context.output;
    for (object, flaw) in &all.flawed {
        output.warn(&format!("`{object}` should be part of a certificate and is not good: {flaw}"));
    }
    for certificate in &all.certificates {
        let run = certificate.statement.run();
        let fields = json!({
            "certificate": certificate.object.to_string(),
            "kind": kind(&certificate.statement),
            "result": run.result.as_str(),
            "started": run.started.to_rfc3339(),
            "finished": run.finished.to_rfc3339(),
            "snapshots": snapshots(certificate),
            "signatures": certificate.signatures.len(),
        });
        output.event("certificate", fields)?;
    }
    match all.certificates.as_slice() {
        [] => output.say("no certificates")?,
        certificates => output.result(listed(certificates).trim_end())?,
    }
    output.event("summary", json!({ "certificates": all.certificates.len(), "damaged": all.flawed.len() }))?;
    Ok(if all.flawed.is_empty() { Exit::Done } else { Exit::Damaged })
}

/// The ids of the snapshots that a certificate is of.
pub(super) fn snapshots(certificate: &Certificate) -> Vec<String> {
    let subjects = certificate.statement.subjects.iter();
    subjects.filter(|subject| subject.name.contains("/snapshot:")).map(|subject| subject.sha256.to_string()).collect()
}

fn listed(certificates: &[Certificate]) -> String {
    let mut rows = vec![["id", "of a", "result", "ended", "signatures", "snapshots"].map(str::to_owned).to_vec()];
    for certificate in certificates {
        let run = certificate.statement.run();
        let snapshots = snapshots(certificate);
        rows.push(vec![
            short(&certificate.object),
            kind(&certificate.statement).to_owned(),
            run.result.as_str().to_owned(),
            local(run.finished),
            certificate.signatures.len().to_string(),
            match snapshots.as_slice() {
                [one] => one[..8].to_owned(),
                many => count(many.len() as u64, "snapshot"),
            },
        ]);
    }
    table(&rows, &[4])
}
