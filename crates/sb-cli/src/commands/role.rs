//! `sb role`.

use clap::{Args, Subcommand};
use sb_core::rbac::{Action, Role};
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::table;

/// The commands below `role`.
#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    List(ListArgs),
    Define(DefineArgs),
    Remove(RemoveArgs),
}

/// List roles
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb role list")]
pub(crate) struct ListArgs {}

/// Define a role of your own, built upon others
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb role define trainee verifier
  sb role define tax-team operator restorer

The role's name stands in the vault in the clear. A role that somebody has can't be changed.")]
pub(crate) struct DefineArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
    /// The roles that it is built upon
    #[arg(value_name = "ROLE", required = true)]
    roles: Vec<String>,
}

/// Remove a role of your own that nobody has
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb role remove trainee")]
pub(crate) struct RemoveArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
}

pub(crate) fn run(command: &RoleCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        RoleCommand::List(_) => list(context),
        RoleCommand::Define(args) => change(&args.name, Some(&args.roles), context),
        RoleCommand::Remove(args) => change(&args.name, None, context),
    }
}

fn list(context: &Context) -> Result<Exit, Failure> {
    let report = context.open()?.users()?;
    let output = &context.output;
    let held =
        |name: &str| report.users.iter().filter(|user| user.member.roles.iter().any(|role| role == name)).count();
    let mut rows = vec![["role", "users", "what"].map(str::to_owned).to_vec()];
    let mut tell = |name: &str, what: String, includes: &[String]| {
        let fields =
            json!({ "role": name, "users": held(name), "includes": includes, "built_in": includes.is_empty() });
        rows.push(vec![name.to_owned(), held(name).to_string(), what]);
        output.event("role", fields)
    };
    for role in Role::ALL {
        tell(role.name(), words(role).to_owned(), &[])?;
    }
    for (name, includes) in &report.roles {
        tell(name, format!("all that {} may", includes.join(", ")), includes)?;
    }
    output.result(table(&rows, &[1]).trim_end())?;
    output.event("summary", json!({ "roles": Role::ALL.len() + report.roles.len() }))?;
    Ok(Exit::Done)
}

fn words(role: Role) -> &'static str {
    match role {
        Role::Verifier => "verifies that everything is there, and sees certificates",
        Role::Auditor => "sees logs, certificates, users and policies, until a day",
        Role::Operator => "adds backups, and can read none",
        Role::Restorer => "reads and restores documents",
        Role::ComplianceOfficer => "holds, signs and approves; sees names, and no contents",
        Role::DisposalExecutor => "carries out what was approved, and frees space",
        Role::Administrator => "users, roles and keys; no documents",
        Role::Owner => "everything",
        _ => "",
    }
}

fn change(name: &str, includes: Option<&[String]>, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    context.listen(|progress| session.define_role(name, includes, progress))?;
    context.output.say(&format!("{} role {name}", if includes.is_some() { "defined" } else { "removed" }))?;
    context.output.event("summary", json!({ "role": name }))?;
    Ok(Exit::Done)
}

/// The action of that name, however it is written.
pub(crate) fn action(name: &str) -> Result<Action, Failure> {
    let found = Action::all().find(|action| action.name().eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        let all: Vec<&str> = Action::all().map(Action::name).collect();
        Failure::usage(format!("there is no action `{name}`")).hint(format!("Actions: {}", all.join(", ")))
    })
}
