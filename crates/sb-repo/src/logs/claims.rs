//! What entries of a log say of its writer's journal and of the logs of others, compared with what is there.

use std::collections::{BTreeMap, BTreeSet};

use sb_audit::{Entry, Finding, Json, TreeHead};
use sb_crypto::Digest;
use sb_store::ObjectName;

use super::LogFinding;
use super::read::LogReading;
use crate::error::Flaw;
use crate::ids::KeyId;
use crate::live::names_in;
use crate::name::Stem;
use crate::view::View;
use crate::wire::journal::{Loss, Lost};

pub(super) const JOURNAL: &str = "journal";
pub(super) const NUMBER: &str = "number";
pub(super) const SHA256: &str = "sha256";
pub(super) const LOGS: &str = "logs";
pub(super) const WRITER: &str = "writer";
pub(super) const SIZE: &str = "size";
pub(super) const ROOT: &str = "root";

/// Of how many other logs an entry says where they end; it must not get too long.
pub(super) const OTHERS_MAX: usize = 256;

/// What the entries of one log say.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Numbers and hashes of entries of its writer's journal.
    journal: BTreeMap<u64, Digest>,
    logs: BTreeSet<(KeyId, u64, Digest)>,
}

impl Claims {
    /// The newest entry of the journal that is named.
    pub(super) fn newest_entry(&self) -> Option<(u64, Digest)> {
        self.journal.last_key_value().map(|(number, digest)| (*number, *digest))
    }

    pub(super) fn hear(&mut self, entry: &Entry) {
        let data = &entry.event.data;
        self.journal.extend(data.get(JOURNAL).and_then(journal));
        if let Some(Json::List(logs)) = data.get(LOGS) {
            self.logs.extend(logs.iter().filter_map(log));
        }
    }
}

/// The number and hash of the journal entry that `data` names.
pub(super) fn journal(json: &Json) -> Option<(u64, Digest)> {
    let Json::Object(fields) = json else { return None };
    match (fields.get(NUMBER)?, fields.get(SHA256)?) {
        (Json::Integer(number), Json::Text(digest)) => Some((*number, digest.parse().ok()?)),
        _ => None,
    }
}

fn log(json: &Json) -> Option<(KeyId, u64, Digest)> {
    let Json::Object(fields) = json else { return None };
    match (fields.get(WRITER)?, fields.get(SIZE)?, fields.get(ROOT)?) {
        (Json::Text(writer), Json::Integer(size), Json::Text(root)) => {
            Some((KeyId::from_hex(writer)?, *size, root.parse().ok()?))
        }
        _ => None,
    }
}

/// What somebody has seen and is not there, though nobody has accepted that: what it is, and how the log or journal looks now.
pub(super) fn unmet(view: &View, logs: &[LogReading]) -> Vec<(Loss, LogFinding)> {
    let claimed: BTreeSet<_> = logs.iter().flat_map(|log| log.claims.logs.iter().copied()).collect();
    let entries = logs.iter().filter_map(|log| lost_entry(view, log));
    let ends = claimed.into_iter().filter_map(|(writer, size, root)| {
        let log = logs.iter().find(|log| log.writer == writer);
        let finding = contradiction(log, TreeHead { size, root }, view.log_key(writer).is_some())?;
        let flaw = Flaw::Log(Box::new(finding));
        let loss = Loss { writer, what: Lost::Log(size, root) };
        // What has come since the vault was listed is not gone.
        (!has_grown(view, writer)).then(|| (loss, LogFinding { writer, object: format!("log/{writer}"), flaw }))
    });
    let unmet: Vec<_> = entries.chain(ends).collect();
    unmet.into_iter().filter(|(loss, _)| !view.live.accepted.contains(loss)).collect()
}

/// What is wrong with a log that somebody has seen with this head.
fn contradiction(log: Option<&LogReading>, head: TreeHead, is_vouched: bool) -> Option<Finding> {
    let size = log.and_then(|log| log.newest).map_or(0, |end| end.head.size);
    let ends = log.map(|log| &log.ends);
    if ends.is_some_and(|ends| ends.contains(&(head.size, head.root))) {
        return None;
    }
    let finding = match head.size > size {
        true => Finding::RolledBack { remembered: head, size },
        false => Finding::Rewritten { remembered: head },
    };
    // It is not whole anyway, and that has been said.
    let explains = |known: &LogFinding| if is_vouched { known.explains(&finding) } else { known.is_damage() };
    let is_explained = log.is_some_and(|log| log.findings.iter().any(explains));
    (!is_explained).then_some(finding)
}

/// The newest journal entry that a log names, if it is not there.
fn lost_entry(view: &View, log: &LogReading) -> Option<(Loss, LogFinding)> {
    let (number, digest) = log.claims.newest_entry()?;
    let name = Stem::journal(log.writer, number).name(&digest);
    let came = || ObjectName::new(name.as_str()).is_ok_and(|name| view.storage.size(&name).is_ok());
    if view.listing.contains_key(name.as_str()) || came() {
        return None;
    }
    let flaw = Flaw::RolledBack(number);
    let loss = Loss { writer: log.writer, what: Lost::Entry(number, digest) };
    Some((loss, LogFinding { writer: log.writer, object: name.to_string(), flaw }))
}

fn has_grown(view: &View, writer: KeyId) -> bool {
    let folder = format!("log/{writer}");
    let known = names_in(&view.listing, &format!("{folder}/")).count();
    view.storage.list(&folder).is_ok_and(|listed| listed.len() > known)
}
