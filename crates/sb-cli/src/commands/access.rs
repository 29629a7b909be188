//! `sb access`.

use clap::{Args, Subcommand};
use sb_core::rbac::PolicyKind;
use serde_json::json;

use super::role::action;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// The commands below `access`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    Explain(ExplainArgs),
}

/// Explain whether somebody may do something, and what would have to change
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb access explain nina RestoreDocument
  sb access explain nina RestoreDocument snapshot:3fa9 --two-factors
  sb access explain omar CreateSnapshot

What somebody can read is decided by keys: who has no role that reads has no key that does, whatever policies say.")]
pub(crate) struct ExplainArgs {
    /// Who: a login, or the beginning of an id
    #[arg(value_name = "USER")]
    who: String,
    /// What, such as CreateSnapshot or RestoreDocument
    #[arg(value_name = "ACTION")]
    action: String,
    /// To what, such as snapshot:3fa9; the vault, if nothing is said
    #[arg(value_name = "RESOURCE", default_value = "vault")]
    resource: String,
    /// As if they had opened the vault with a passphrase and a key file together
    #[arg(long)]
    two_factors: bool,
}

pub(crate) fn run(command: &AccessCommand, context: &Context) -> Result<Exit, Failure> {
    let AccessCommand::Explain(args) = command;
    let action = action(&args.action)?;
    let session = context.open()?;
    let user = session.find_user(&args.who)?;
    let explained = session.explain(user, action, &args.resource, args.two_factors)?;
    let decision = &explained.decision;
    let may = if decision.is_allowed { "may" } else { "may not" };
    let output = &context.output;
    output.result(&format!("{} {may} {}: {}", args.who, action.words(), explained.because.join("; ")))?;
    for (place, suggestion) in explained.suggestions.iter().enumerate() {
        let start = if place == 0 { "it would be allowed with" } else { "or with" };
        output.result(&format!("{start} {suggestion}"))?;
    }
    let kind = |kind: PolicyKind| match kind {
        PolicyKind::GuardRail => "guard rail",
        PolicyKind::BuiltIn => "built in",
        PolicyKind::Firm => "firm",
        _ => "grant",
    };
    let policies: Vec<_> =
        decision.determined_by.iter().map(|by| json!({ "policy": by.id, "kind": kind(by.kind) })).collect();
    let fields = json!({
        "user_id": user.to_string(),
        "action": action.name(),
        "allowed": decision.is_allowed,
        "because": explained.because,
        "policies": policies,
        "suggestions": explained.suggestions.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    output.event("summary", fields)?;
    Ok(Exit::Done)
}
