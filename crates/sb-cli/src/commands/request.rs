//! `sb request`, and asking for what one person alone may not do.

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use sb_core::chrono::{DateTime, Utc};
use sb_core::rbac::RequestKind;
use sb_core::repo::UserId;
use sb_core::{Act, CoreError, JudgedRequest, RequestState, Session};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{count, harmless_line, local, table};

/// The commands below `request`.
#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    List(ListArgs),
    Show(ShowArgs),
    Approve(ApproveArgs),
    Reject(RejectArgs),
    Propose(ProposeArgs),
}

/// List what was asked for, and how far it has got
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb request list                                      what is open
  sb request list --all                                and what was done, refused or not done in time
  sb request list --own                                what you have asked for")]
pub(crate) struct ListArgs {
    /// Also those that nothing can become of any more
    #[arg(long)]
    all: bool,
    /// Your own alone
    #[arg(long)]
    own: bool,
}

/// Show what is asked for, who has agreed, and whether you could carry it out now
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb request show 3fa94c21")]
pub(crate) struct ShowArgs {
    /// Which: the beginning of its id
    #[arg(value_name = "REQUEST")]
    request: String,
}

/// Agree to what somebody else asks for
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb request approve 3fa94c21

What you sign is for exactly what the request says, once. Whoever asked then runs the command again that was refused.")]
pub(crate) struct ApproveArgs {
    /// Which: the beginning of its id
    #[arg(value_name = "REQUEST")]
    request: String,
}

/// Refuse what somebody else asks for, or withdraw what you have asked for
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb request reject 3fa94c21")]
pub(crate) struct RejectArgs {
    /// Which: the beginning of its id
    #[arg(value_name = "REQUEST")]
    request: String,
}

/// Ask to dispose of a document, release a hold or shorten a retention
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  sb request propose release-hold h_17 --reason 'the case is closed'

What has a command of its own is asked for by that command: `sb user remove`, `sb user change`, `sb key export-recovery`, `sb policy activate`.")]
pub(crate) struct ProposeArgs {
    /// What
    #[arg(value_name = "WHAT", value_enum)]
    what: What,
    /// Of which document, hold or retention: its id
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    why: Why,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    Dispose,
    ReleaseHold,
    ShortenRetention,
}

/// Why something is asked for.
#[derive(Args, Debug)]
pub(crate) struct Why {
    /// Why, if others have to agree; only who reads names of documents can read it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(crate) fn run(command: &RequestCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        RequestCommand::List(args) => list(args, context),
        RequestCommand::Show(args) => show(&args.request, context),
        RequestCommand::Approve(args) => decide(&args.request, true, context),
        RequestCommand::Reject(args) => decide(&args.request, false, context),
        RequestCommand::Propose(args) => propose(args, context),
    }
}

/// What an act came to. If others have to agree first, that is asked for, unless it is already.
pub(crate) fn or_asked<T>(
    done: Result<T, CoreError>,
    session: &mut Session,
    why: &Why,
    context: &Context,
) -> Result<T, Failure> {
    let (act, pending, is_alone) = match done {
        Err(CoreError::NeedsApproval { act, pending, is_alone }) => (act, pending, is_alone),
        done => return Ok(done?),
    };
    let refusal = CoreError::NeedsApproval { act: act.clone(), pending, is_alone };
    let failure = Failure::from(refusal);
    if let Some((id, state)) = pending {
        let id = &id.to_string()[..8];
        return Err(failure.hint(format!("Request {id} asks for it already: {}", what_next(id, state, None))));
    }
    let asked = context.listen(|progress| session.propose(&act, why.reason.clone(), progress))?;
    context.output.event("request", fields(&asked, &session.vault().user_logins()))?;
    let id = &asked.filed.id.to_string()[..8];
    Err(failure
        .hint(format!("It is asked for now, as request {id}: {}", what_next(id, asked.state, Some(asked.lapses)))))
}

/// What has to happen before it is done.
fn what_next(id: &str, state: RequestState, lapses: Option<DateTime<Utc>>) -> String {
    let before = lapses.map_or_else(String::new, |lapses| format!(" before {}", local(lapses)));
    match state {
        RequestState::Waiting { .. } => {
            format!("somebody else who may agree runs `sb request approve {id}`, then run this again{before}")
        }
        RequestState::CoolingOff { until } => {
            format!("run this again after {}{}", local(until), before.replacen(" before", " and before", 1))
        }
        _ => "run this again".to_owned(),
    }
}

fn list(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let session = context.open()?;
    let report = session.requests(args.own)?;
    let (output, names) = (&context.output, session.vault().user_logins());
    for (object, flaw) in &report.flawed {
        output.warn(&format!("warning: `{object}` should be a request and cannot be read: {flaw}"));
    }
    let mut rows = vec![["request", "asked by", "at", "state", "for"].map(str::to_owned).to_vec()];
    for request in report.requests.iter().filter(|request| args.all || request.state.is_open()) {
        output.event("request", fields(request, &names))?;
        rows.push(vec![
            request.filed.id.to_string()[..8].to_owned(),
            called(request.filed.proposed.user, &names),
            local(request.filed.proposed.time),
            in_words(request.state),
            asked_for(request, &names),
        ]);
    }
    let shown = rows.len() as u64 - 1;
    if shown > 0 {
        output.result(table(&rows, &[]).trim_end())?;
    } else {
        output.say(if args.all { "nothing was asked for" } else { "nothing is asked for" })?;
    }
    output.event("summary", json!({ "requests": shown }))?;
    Ok(Exit::Done)
}

fn show(id: &str, context: &Context) -> Result<Exit, Failure> {
    let session = context.open()?;
    let shown = session.show_request(id)?;
    let (output, names, request) = (&context.output, session.vault().user_logins(), &shown.request);
    let filed = &request.filed;
    let mut lines = vec![
        format!("request   {}", filed.id),
        format!("asked by  {} at {}", called(filed.proposed.user, &names), local(filed.proposed.time)),
        format!("for       {}", asked_for(request, &names)),
    ];
    match &filed.proposal.reason {
        Some(reason) => lines.push(format!("reason    {}", harmless_line(reason))),
        None if filed.has_reason => lines.push("reason    given, and you may not read it".to_owned()),
        None => {}
    }
    for (word, said) in [("agreed", &filed.approvals), ("refused", &filed.rejections), ("done", &filed.carried_out)] {
        for by in said {
            let counts = word != "agreed" || request.counted.contains(&by.user);
            let note = if counts { "" } else { ", which does not count" };
            lines.push(format!("{word:<9} by {} at {}{note}", called(by.user, &names), local(by.time)));
        }
    }
    lines.push(format!("state     {}", in_words(request.state)));
    if request.state.is_open() {
        lines.push(format!("lapses    {}", local(request.lapses)));
    }
    if let Some(explained) = &shown.decision {
        let may = if explained.decision.is_allowed { "yes" } else { "no" };
        lines.push(format!("you may   {may}: {}", explained.because.join("; ")));
    }
    if let Some(text) = &filed.proposal.text {
        lines.push(format!("\n{}", crate::text::harmless(text)));
    }
    output.result(&lines.join("\n"))?;
    let mut summary = fields(request, &names);
    summary["text"] = json!(filed.proposal.text);
    summary["allowed"] = json!(shown.decision.as_ref().map(|explained| explained.decision.is_allowed));
    summary["because"] = json!(shown.decision.as_ref().map(|explained| &explained.because));
    output.event("summary", summary)?;
    Ok(Exit::Done)
}

fn decide(id: &str, approve: bool, context: &Context) -> Result<Exit, Failure> {
    let mut session = context.open()?;
    let request = context.listen(|progress| match approve {
        true => session.approve(id, progress),
        false => session.reject(id, progress),
    })?;
    let (names, word) = (session.vault().user_logins(), if approve { "agreed to" } else { "refused" });
    let id = request.filed.id.to_string();
    context.output.say(&format!("{word} request {}: {}", &id[..8], asked_for(&request, &names)))?;
    context.output.event("summary", fields(&request, &names))?;
    Ok(Exit::Done)
}

fn propose(args: &ProposeArgs, context: &Context) -> Result<Exit, Failure> {
    let act = match args.what {
        What::Dispose => Act::Dispose(args.id.clone()),
        What::ReleaseHold => Act::ReleaseHold(args.id.clone()),
        What::ShortenRetention => Act::ShortenRetention(args.id.clone()),
    };
    let mut session = context.open()?;
    let request = context.listen(|progress| session.propose(&act, args.why.reason.clone(), progress))?;
    let names = session.vault().user_logins();
    let id = &request.filed.id.to_string()[..8];
    context.output.say(&format!("asked for, as request {id}: {}", in_words(request.state)))?;
    context.output.event("summary", fields(&request, &names))?;
    Ok(Exit::Done)
}

fn called(user: UserId, names: &BTreeMap<UserId, String>) -> String {
    names.get(&user).cloned().unwrap_or_else(|| user.to_string()[..8].to_owned())
}

fn in_words(state: RequestState) -> String {
    match state {
        RequestState::Ready => "can be carried out".to_owned(),
        RequestState::Waiting { approvals } => format!("waits for {}", count(u64::from(approvals), "approval")),
        RequestState::CoolingOff { until } => format!("cools off until {}", local(until)),
        RequestState::Rejected => "refused or withdrawn".to_owned(),
        RequestState::CarriedOut => "done".to_owned(),
        RequestState::Lapsed => "lapsed".to_owned(),
        RequestState::Void => "void: who asked may not ask any more".to_owned(),
        _ => "damaged: not all that was said of it can be read".to_owned(),
    }
}

/// What is asked for, with names where they are known.
fn asked_for(request: &JudgedRequest, names: &BTreeMap<UserId, String>) -> String {
    let target =
        request.filed.proposal.targets.iter().map(|target| named(target, names)).collect::<Vec<_>>().join(", ");
    let what = match request.kind {
        Some(RequestKind::ExportKey) => "a new recovery key for",
        Some(RequestKind::RemoveUser) => "to remove",
        Some(RequestKind::Grant) => "to give oneself roles:",
        Some(RequestKind::ActivatePolicies) => "to put into force",
        Some(RequestKind::Dispose) => "to dispose of",
        Some(RequestKind::ReleaseHold) => "to release",
        Some(RequestKind::Shorten) => "to shorten",
        _ => return harmless_line(&format!("{} {target}", request.filed.proposal.kind)),
    };
    harmless_line(&format!("{what} {target}"))
}

/// A target with the name of the user in it.
fn named(target: &str, names: &BTreeMap<UserId, String>) -> String {
    let rest = target.strip_prefix("user:").or_else(|| target.strip_prefix("key:recovery:"));
    let Some(rest) = rest else { return target.to_owned() };
    let (id, after) = rest.split_once('=').map_or((rest, None), |(id, after)| (id, Some(after)));
    let user = UserId::from_hex(id).map_or_else(|| id.to_owned(), |user| called(user, names));
    after.map_or_else(|| user.clone(), |after| format!("{user} {after}"))
}

fn fields(request: &JudgedRequest, names: &BTreeMap<UserId, String>) -> Value {
    let filed = &request.filed;
    let by = |said: &[sb_core::repo::SignedBy]| -> Vec<Value> {
        let one = |by: &sb_core::repo::SignedBy| json!({ "user_id": by.user.to_string(), "login": names.get(&by.user), "time": by.time.to_rfc3339() });
        said.iter().map(one).collect()
    };
    let until = match request.state {
        RequestState::CoolingOff { until } => Some(until.to_rfc3339()),
        _ => None,
    };
    json!({
        "request_id": filed.id.to_string(),
        "kind": filed.proposal.kind,
        "targets": filed.proposal.targets,
        "reason": filed.proposal.reason,
        "state": request.state.name(),
        "proposed": by(&[filed.proposed])[0],
        "approvals": by(&filed.approvals),
        "counted": request.counted.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "rejections": by(&filed.rejections),
        "carried_out": by(&filed.carried_out),
        "cools_off_until": until,
        "lapses": request.lapses.to_rfc3339(),
    })
}
