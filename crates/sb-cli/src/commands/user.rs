//! `sb user`.

use clap::{Args, Subcommand};
use sb_core::chrono::{DateTime, Utc};
use sb_core::{AddUserOptions, ChangeUserOptions, ListedUser, Progress};
use serde_json::{Value, json};

use super::request::{Why, or_asked};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::locks::{self, NewLock};
use crate::text::{count, local, table};
use crate::when;

/// The commands below `user`.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    List(ListArgs),
    Add(AddArgs),
    Change(ChangeArgs),
    Lock(LockArgs),
    Unlock(UnlockArgs),
    Reset(ResetArgs),
    Remove(RemoveArgs),
}

/// List users and their roles
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb user list")]
pub(crate) struct ListArgs {}

/// Let somebody else in
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb user add nina --role operator                     asks for a passphrase for her
  sb user add nina --role restorer --new-key-file nina.key
  sb user add audit-2026 --role auditor --until 2026-12-31

Roles: verifier, auditor (needs --until), operator (adds backups, reads none), restorer, complianceOfficer, disposalExecutor, administrator (users \
and keys, no documents), owner (everything), and those of `sb role define`. Nobody gives keys that he has not himself.

From the second user on, whoever manages users or restores has to open the vault with a passphrase and a key file together: \
`sb key add --new-key-file FILE --ask-passphrase` makes both ready.")]
pub(crate) struct AddArgs {
    /// What they write after --user; lower-case letters, digits, and . _ - @ inside
    #[arg(value_name = "LOGIN")]
    login: String,
    /// Their role; several with commas between, or the option again
    #[arg(long, value_name = "ROLE", required = true, value_delimiter = ',')]
    role: Vec<String>,
    /// When their access ends: a date, or a moment
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    #[command(flatten)]
    lock: NewLock,
}

/// Change somebody's roles, or when their access ends
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb user change nina --role operator,restorer         all roles from then on
  sb user change audit-2026 --until 2027-03-31
  sb user change nina --no-end

Nobody changes their own roles alone: that is asked for, and once somebody else has agreed, the same command does it.")]
pub(crate) struct ChangeArgs {
    /// Who: a login, or the beginning of an id
    #[arg(value_name = "USER")]
    who: String,
    /// All roles from then on; several with commas between
    #[arg(long, value_name = "ROLE", value_delimiter = ',')]
    role: Vec<String>,
    /// When their access ends
    #[arg(long, value_name = "WHEN", conflicts_with = "no_end")]
    until: Option<String>,
    /// Their access does not end
    #[arg(long)]
    no_end: bool,
    #[command(flatten)]
    why: Why,
}

/// Let somebody in no more, for now
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb user lock nina

What lets her in stays as it is, and opens the vault again after `sb user unlock nina`. This program keeps her out; the keys that she was granted she still has. \
To take those away, too, give her a role that needs none: `sb user change nina --role verifier`.")]
pub(crate) struct LockArgs {
    /// Who: a login, or the beginning of an id
    #[arg(value_name = "USER")]
    who: String,
}

/// Let somebody in again
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb user unlock nina")]
pub(crate) struct UnlockArgs {
    /// Who: a login, or the beginning of an id
    #[arg(value_name = "USER")]
    who: String,
}

/// Give somebody who has lost passphrase or key file new ones
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb user reset nina --new-key-file nina-2.key

What let her in before opens nothing any more.")]
pub(crate) struct ResetArgs {
    /// Who: a login, or the beginning of an id
    #[arg(value_name = "USER")]
    who: String,
    #[command(flatten)]
    lock: NewLock,
}

/// Let somebody in no more, for ever; takes two people
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb user remove nina --reason 'has left the firm'

It is asked for; once somebody else has agreed with `sb request approve`, the same again does it. Where there is nobody else who could agree, it waits for a week. To \
keep somebody out at once there is `sb user lock`.

What let her in opens nothing any more, and she is granted no keys. What she has copied before, of vault and keys, she can still read: `sb key rotate` \
makes new keys for what comes after. Machines that she has enrolled are still believed.")]
pub(crate) struct RemoveArgs {
    /// Who: a login, or the beginning of an id
    #[arg(value_name = "USER")]
    who: String,
    #[command(flatten)]
    why: Why,
}

pub(crate) fn run(command: &UserCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        UserCommand::List(_) => list(context),
        UserCommand::Add(args) => add(args, context),
        UserCommand::Change(args) => change(args, context),
        UserCommand::Lock(args) => lock(&args.who, true, context),
        UserCommand::Unlock(args) => lock(&args.who, false, context),
        UserCommand::Reset(args) => reset(args, context),
        UserCommand::Remove(args) => remove(args, context),
    }
}

fn list(context: &Context) -> Result<Exit, Failure> {
    let report = context.open()?.users()?;
    let output = &context.output;
    let mut rows = vec![["user", "id", "roles", "access", "keys"].map(str::to_owned).to_vec()];
    for user in &report.users {
        output.event("user", event(user))?;
        let id = user.member.user.to_string();
        rows.push(vec![
            format!("{}{}", user.name.as_deref().unwrap_or("?"), if user.is_you { " (you)" } else { "" }),
            if output.verbose > 0 { id } else { id[..8].to_owned() },
            user.member.roles.join(", "),
            access(user),
            user.slots.to_string(),
        ]);
    }
    output.result(table(&rows, &[4]).trim_end())?;
    output.event("summary", json!({ "users": report.users.len() }))?;
    Ok(Exit::Done)
}

fn event(user: &ListedUser) -> Value {
    json!({
        "user_id": user.member.user.to_string(),
        "login": user.name,
        "roles": user.member.roles,
        "active": user.member.active,
        "clients": user.member.clients,
        "access_until": user.member.access_until.map(|until| until.to_rfc3339()),
        "keys": user.slots,
        "you": user.is_you,
    })
}

fn access(user: &ListedUser) -> String {
    match (user.member.active, user.member.access_until) {
        (false, _) => "locked".to_owned(),
        (true, Some(until)) => format!("until {}", local(until)),
        (true, None) => "open".to_owned(),
    }
}

fn add(args: &AddArgs, context: &Context) -> Result<Exit, Failure> {
    let until = args.until.as_deref().map(end).transpose()?;
    let mut session = context.open()?;
    let (lock, made) = args.lock.lock(&session)?;
    let mut options = AddUserOptions::new(args.login.as_str(), lock, args.role.clone());
    options.access_until = until;
    let user = locks::used(made, context.listen(|progress| session.add_user(&options, progress)))?;
    let output = &context.output;
    output.say(&format!(
        "added {} as {}; they open the vault with --user {}",
        args.login,
        args.role.join(", "),
        args.login
    ))?;
    output.event("summary", json!({ "user_id": user.to_string(), "login": args.login, "roles": args.role }))?;
    Ok(Exit::Done)
}

fn change(args: &ChangeArgs, context: &Context) -> Result<Exit, Failure> {
    let mut options = ChangeUserOptions::default();
    options.roles = (!args.role.is_empty()).then(|| args.role.clone());
    options.access_until = match &args.until {
        Some(until) => Some(Some(end(until)?)),
        None => args.no_end.then_some(None),
    };
    if options.roles.is_none() && options.access_until.is_none() {
        return Err(Failure::usage("nothing is to be changed").hint("Give --role, --until or --no-end"));
    }
    let mut session = context.open()?;
    let user = session.find_user(&args.who)?;
    let changed = context.hear(|progress| session.change_user(user, &options, progress));
    or_asked(changed, &mut session, &args.why, context)?;
    done(context, user.to_string(), &format!("changed {}", args.who))
}

fn lock(name: &str, locked: bool, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    let user = session.find_user(name)?;
    context.listen(|progress: Progress<'_>| session.lock_user(user, locked, progress))?;
    done(context, user.to_string(), &format!("{} {name}", if locked { "locked" } else { "unlocked" }))
}

fn reset(args: &ResetArgs, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    let user = session.find_user(&args.who)?;
    let (lock, made) = args.lock.lock(&session)?;
    locks::used(made, context.listen(|progress| session.reset_user(user, lock, progress)))?;
    done(context, user.to_string(), &format!("{} has {}", args.who, count(1, "new key")))
}

fn remove(args: &RemoveArgs, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    let user = session.find_user(&args.who)?;
    let removed = context.hear(|progress| session.remove_user(user, progress));
    or_asked(removed, &mut session, &args.why, context)?;
    let text = "what they have copied they can still read; `sb key rotate` makes new keys for what comes after";
    done(context, user.to_string(), &format!("removed {}; {text}", args.who))
}

fn done(context: &Context, user: String, text: &str) -> Result<Exit, Failure> {
    context.output.say(text)?;
    context.output.event("summary", json!({ "user_id": user }))?;
    Ok(Exit::Done)
}

/// When access ends: of a day, with its end.
fn end(text: &str) -> Result<DateTime<Utc>, Failure> {
    when::given(text).map(|when| when.end)
}
