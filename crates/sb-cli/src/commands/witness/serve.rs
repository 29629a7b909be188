//! `sb witness serve`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use sb_core::audit::Refusal;
use sb_core::witness::{CosignError, Served, Server, ServerLimits, Witness};
use sb_core::{Clock, SystemClock};
use serde_json::json;

use super::failure::told;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, chain};
use crate::output::Output;
use crate::text::{count, harmless_line, number};

/// Answer requests for cosignatures until told to stop
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb witness serve /srv/witness --listen 127.0.0.1:8380

It speaks HTTP (C2SP tlog-witness: POST /add-checkpoint) without TLS, so what is to be reached from elsewhere belongs behind a \
proxy that speaks TLS, such as nginx or Caddy. It stops on SIGINT or SIGTERM, with exit code 0. docs/witness.md has a \
service file.")]
pub(crate) struct ServeArgs {
    /// The witness's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Where to listen; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8380")]
    listen: String,
}

/// How often each happened.
#[derive(Debug, Default)]
struct Tally {
    cosigned: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

pub(super) fn run(args: &ServeArgs, context: &Context) -> Result<Exit, Failure> {
    let witness = Witness::open(&args.folder).map_err(told)?;
    let unusable = |error: std::io::Error| {
        Failure::new(format!("cannot listen at `{}`: {error}", args.listen))
            .hint("--listen takes an address of this machine and a port that is free, such as 127.0.0.1:8380")
    };
    let server = Server::bind(args.listen.as_str(), ServerLimits::default()).map_err(unusable)?;
    let address = server.address().map_err(unusable)?;
    let (output, name, logs) = (&context.output, witness.verifier().name(), witness.log_count());
    if !address.ip().is_loopback() {
        output.warn("warning: this can be reached from other machines, and without TLS; a proxy that speaks it belongs in front");
    }
    let watched = count(logs as u64, "log");
    output.say(&harmless_line(&format!("{name} answers at http://{address}/add-checkpoint, for {watched}")))?;
    output.event("listening", json!({ "name": name, "address": address.to_string(), "logs": logs }))?;
    let tally = Tally::default();
    let served = server.serve(&witness, &|| SystemClock.now(), &|served| tell(output, &tally, &served), context.stop);
    served.map_err(unusable)?;
    let [cosigned, refused, failed] =
        [&tally.cosigned, &tally.refused, &tally.failed].map(|counter| counter.load(Ordering::Relaxed));
    output.say(&format!("cosigned {} times, refused {} times", number(cosigned), number(refused)))?;
    output.event("summary", json!({ "name": name, "cosigned": cosigned, "refused": refused, "failed": failed }))?;
    Ok(Exit::Done)
}

/// Says what became of a request. Serving goes on where nobody listens to that.
fn tell(output: &Output, tally: &Tally, served: &Served<'_>) {
    match served {
        Served::Decided(Ok(cosigned)) => {
            tally.cosigned.fetch_add(1, Ordering::Relaxed);
            let (origin, size, root) = (&cosigned.origin, cosigned.head.size, cosigned.head.root.to_string());
            let _ = output.say(&harmless_line(&format!("cosigned {origin} at size {}", number(size))));
            let _ = output.event("cosigned", json!({ "origin": origin, "size": size, "root": root }));
        }
        Served::Decided(Err(CosignError::Refused(refusal))) => {
            if let Refusal::OtherRoot { .. } = refusal {
                output.warn("warning: a log has forked, or was written anew; `sb witness show` names it");
            }
            refuse(output, tally, refusal.status(), &chain(refusal));
        }
        Served::Decided(Err(error)) => {
            tally.failed.fetch_add(1, Ordering::Relaxed);
            output.warn(&format!("cannot cosign: {}", chain(error)));
        }
        Served::Refused { status, reason } => refuse(output, tally, *status, reason),
        Served::Broken(error) if output.verbose > 0 => output.warn(&format!("a connection broke: {error}")),
        _ => {}
    }
}

fn refuse(output: &Output, tally: &Tally, status: u16, reason: &str) {
    tally.refused.fetch_add(1, Ordering::Relaxed);
    let _ = output.say(&harmless_line(&format!("refused ({status}): {reason}")));
    let _ = output.event("refused", json!({ "status": status, "message": reason }));
}
