//! `sb certificate`.

mod export;
mod list;
mod show;
mod verify;

use clap::{Args, Subcommand};
use sb_core::Progress;
use sb_core::audit::{Predicate, Statement};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::short;

/// The commands below `certificate`.
#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Export(export::ExportArgs),
    Verify(verify::VerifyArgs),
    Sign(SignArgs),
}

/// Sign a certificate as a second person
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb certificate sign latest

The certificate itself does not change: the signature of the user who opened the vault is filed beside that of the machine, and both go into \
what `sb certificate export` writes.")]
pub(crate) struct SignArgs {
    /// The certificate: the beginning of its id, or the snapshot it is of
    #[arg(value_name = "CERT|SNAP")]
    certificate: String,
}

pub(crate) fn run(command: &CertificateCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        CertificateCommand::List(args) => list::run(args, context),
        CertificateCommand::Show(args) => show::run(args, context),
        CertificateCommand::Export(args) => export::run(args, context),
        CertificateCommand::Verify(args) => verify::run(args, context),
        CertificateCommand::Sign(args) => sign(args, context),
    }
}

fn sign(args: &SignArgs, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    let sign = |progress: Progress<'_>| session.sign_certificate(&args.certificate, progress);
    let (certificate, is_new) = context.listen(sign)?;
    let output = &context.output;
    let id = short(&certificate.object);
    output.say(&match is_new {
        true => format!("signed certificate {id}"),
        false => format!("certificate {id} had that signature already"),
    })?;
    output.event("summary", json!({ "certificate": certificate.object.to_string(), "new": is_new }))?;
    Ok(Exit::Done)
}

/// What kind of run a certificate is of.
fn kind(statement: &Statement) -> &'static str {
    match statement.predicate {
        Predicate::Backup(_) => "backup",
        Predicate::Verification(_) => "verification",
        _ => "other",
    }
}

/// What a statement says, as programs are told: as it is signed.
fn said(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap_or(Value::Null)
}
