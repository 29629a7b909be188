//! `sb witness cosign`: one request, from a file to a file, for machines without a network.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use sb_core::witness::Witness;
use sb_core::{Clock, SystemClock};
use serde_json::json;

use super::failure::{refused, told};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{harmless_line, number};

/// More than any request has.
const REQUEST_BYTES_MAX: u64 = 1 << 20;

/// Cosign a checkpoint once, from a file, without a network
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb witness cosign /srv/witness /mnt/stick/request --output /mnt/stick/cosignature
  sb witness cosign /srv/witness - < request > cosignature

The request is the body of `add-checkpoint` (C2SP tlog-witness), the cosignature the body of the answer. What is cosigned counts \
from then on, also if the answer gets lost: the log then asks again from the new size.")]
pub(crate) struct CosignArgs {
    /// The witness's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The request; `-` reads it from standard input
    #[arg(value_name = "FILE")]
    request: PathBuf,
    /// Write the cosignature to this file instead of printing it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &CosignArgs, context: &Context) -> Result<Exit, Failure> {
    let request = read(&args.request).map_err(|error| Failure::file("read", &args.request, &error))?;
    let witness = Witness::open(&args.folder).map_err(told)?;
    let cosigned = witness.cosign(&request, SystemClock.now()).map_err(refused)?;
    let (output, head) = (&context.output, cosigned.head);
    if let Some(file) = &args.output {
        write(file, cosigned.cosignature.as_bytes()).map_err(|error| {
            Failure::file("write", file, &error)
                .hint(format!("The checkpoint counts as cosigned: let the log ask again from size {}", head.size))
        })?;
        output.say(&harmless_line(&format!("cosigned {} at size {}", cosigned.origin, number(head.size))))?;
    } else if !output.json {
        output.bytes(cosigned.cosignature.as_bytes())?;
    }
    output.event(
        "summary",
        json!({
            "origin": cosigned.origin,
            "size": head.size,
            "root": head.root.to_string(),
            "cosignature": cosigned.cosignature,
            "output": args.output.as_ref().map(|file| file.display().to_string()),
        }),
    )?;
    Ok(Exit::Done)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        io::stdin().lock().take(REQUEST_BYTES_MAX).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(REQUEST_BYTES_MAX).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// A stick is pulled out soon, so what is on it is there for good.
fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut opened = File::create(file)?;
    opened.write_all(bytes)?;
    if fs::metadata(file)?.is_file() { opened.sync_all() } else { Ok(()) }
}
