//! `sb log show`.

use std::collections::BTreeMap;

use clap::Args;
use sb_core::audit::{Json, Outcome};
use sb_core::{LogReport, LoggedEntry};
use serde_json::{Value, json};

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::text::{harmless_line, local, table};
use crate::when;

/// Show the audit logs: what was done, denied or tried, by whom and when
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  sb log show                          the newest records of all machines
  sb log show --all --since 2026-01-01
  sb log show --open                   what was begun and has no end: it goes on, or was cut off
  sb log show -v                       intents and ids whole, too

A record `no outcome` was announced, and nobody knows how it ended: the run goes on, or it was killed.")]
pub(crate) struct ShowArgs {
    /// Only so many of the newest
    #[arg(long, value_name = "N", default_value_t = 50, conflicts_with = "all")]
    latest: usize,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Only what has no outcome
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    pub(super) span: Span,
}

/// Of which time.
#[derive(Args, Debug)]
pub(crate) struct Span {
    /// Only since then
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before then; a day counts whole
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Span {
    /// Leaves only what is of that time.
    pub(super) fn apply(&self, report: &mut LogReport) -> Result<(), Failure> {
        let time = |text: &Option<String>| text.as_deref().map(when::given).transpose();
        let (since, until) = (time(&self.since)?, time(&self.until)?);
        report.entries.retain(|logged| {
            let time = logged.entry.event.time;
            since.is_none_or(|since| time >= since.start) && until.is_none_or(|until| time < until.end)
        });
        Ok(())
    }
}

pub(super) fn run(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let session = context.open()?;
    let mut report = context.watch("reading", |progress| session.read_log(progress))?;
    args.span.apply(&mut report)?;
    let output = &context.output;
    // Whoever wants to know what was done has no use for what was announced and then done.
    let whole = output.verbose > 0 || output.json;
    report.entries.retain(|logged| {
        let is_announced = logged.entry.event.outcome == Outcome::Intent && !logged.is_open;
        if args.open { logged.is_open } else { whole || !is_announced }
    });
    if !args.all {
        let surplus = report.entries.len().saturating_sub(args.latest);
        report.entries.drain(..surplus);
    }
    for logged in &report.entries {
        output.event("record", described(logged, &report.names))?;
    }
    if report.entries.is_empty() {
        output.say("no records")?;
    } else {
        output.result(listed(&report, output.verbose > 0).trim_end())?;
    }
    let damaged = report.findings.iter().filter(|finding| finding.is_damage()).count();
    if damaged > 0 {
        output.warn("warning: the logs are damaged; `sb log verify` names what is wrong");
    }
    let kept = session.unlogged();
    output.event("summary", json!({ "records": report.entries.len(), "damaged": damaged, "kept": kept }))?;
    Ok(if damaged == 0 { Exit::Done } else { Exit::Damaged })
}

fn listed(report: &LogReport, whole: bool) -> String {
    let mut rows = vec![["time", "what", "outcome", "who", "to what"].map(str::to_owned).to_vec()];
    for logged in &report.entries {
        let event = &logged.entry.event;
        let about = match event.data.get("about") {
            Some(Json::Text(about)) => about,
            _ => event.object.as_str(),
        };
        let mut object = named(about, &report.names, whole);
        if let Some(Json::Text(reason)) = event.data.get("reason") {
            object.push_str(&format!("  ({reason})"));
        }
        rows.push(vec![
            local(event.time),
            event.action.to_string(),
            outcome(logged).to_lowercase(),
            named(event.actor.as_str(), &report.names, whole),
            object,
        ]);
    }
    table(&rows, &[])
}

/// How it ended, as exports have it.
pub(super) fn outcome(logged: &LoggedEntry) -> String {
    match logged.entry.event.outcome {
        Outcome::Intent if logged.is_open => "NO OUTCOME".to_owned(),
        other => other.as_str().to_uppercase(),
    }
}

/// An id as people read it: its name if it has one, else the kind of thing and the beginning of it.
fn named(id: &str, names: &BTreeMap<String, String>, whole: bool) -> String {
    if whole {
        return id.to_owned();
    }
    let short = match id.split_once(':') {
        Some((kind, rest)) => format!("{kind}:{}", rest.get(..8).unwrap_or(rest)),
        None => id.to_owned(),
    };
    names.get(id).map_or(short, |name| harmless_line(name))
}

/// A record as programs are told.
pub(super) fn described(logged: &LoggedEntry, names: &BTreeMap<String, String>) -> Value {
    let (entry, event) = (&logged.entry, &logged.entry.event);
    let data = Json::Object(event.data.clone()).to_string();
    json!({
        "time": event.time.to_rfc3339(),
        "operation": event.action.as_str(),
        "user": event.actor.as_str(),
        "user_name": names.get(event.actor.as_str()),
        "status": outcome(logged),
        "object": event.object.as_str(),
        "source": event.source.as_str(),
        "log": logged.writer.to_string(),
        "number": entry.seq,
        "intent": event.intent,
        "data": serde_json::from_str::<Value>(&data).unwrap_or(Value::Null),
    })
}
