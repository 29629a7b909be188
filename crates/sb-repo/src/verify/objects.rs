//! Objects: journals against listing, SHA-256 and signature of each. No key needed.

use std::collections::{BTreeMap, BTreeSet};

use sb_store::{ObjectName, StoreError};

use super::parallel::each;
use super::{Finding, VerifyReport};
use crate::access::Roll;
use crate::certificates::check_certificates;
use crate::clock::{Counter, Progress};
use crate::collect::about_to_go;
use crate::error::{Flaw, RepoError};
use crate::live::{Live, list, read};
use crate::logs::{LogFinding, read_logs};
use crate::name::{ObjectKind, ParsedName};
use crate::object::check_object;
use crate::view::View;
use crate::wire::cbor::Malformed;
use crate::wire::config::Config;
use crate::wire::frame::Frame;
use crate::wire::lease::{Condemned, Fence, Lease};
use crate::wire::request::Statement;
use crate::wire::slot::Slot;

/// `behind` is how many bytes are checked after that.
pub(super) fn verify(view: &View, behind: u64, progress: Progress<'_>) -> Result<VerifyReport, RepoError> {
    verify_but(view, &BTreeSet::new(), behind, progress)
}

/// The same without reading the objects in `skipped`, of which it only sees that they are there, with the size that they should have.
pub(super) fn verify_but(
    view: &View,
    skipped: &BTreeSet<&str>,
    behind: u64,
    progress: Progress<'_>,
) -> Result<VerifyReport, RepoError> {
    let mut report = VerifyReport::new();
    let read = view.listing.iter().filter(|(name, _)| !skipped.contains(name.as_str())).map(|(_, size)| size);
    progress.monitor.expect(Counter::Bytes, read.sum::<u64>() + behind);
    for (name, flaw) in view.live.flaws.iter().chain(&view.live.forks).chain(&view.live.intruders) {
        report.find(name, flaw.clone());
    }
    let mut of_proofs: BTreeMap<String, Flaw> = BTreeMap::new();
    for log in read_logs(view, false, progress)? {
        report.log_ends.extend(log.end.map(|end| (log.writer, end)));
        for finding in log.findings.into_iter().filter(LogFinding::is_damage) {
            of_proofs.entry(finding.object).or_insert(finding.flaw);
        }
    }
    of_proofs.extend(check_certificates(view));
    let going = about_to_go(view);
    for (name, size) in view.listing.iter().filter(|(name, _)| skipped.contains(name.as_str())) {
        match view.live.get(name) {
            Some(recorded) if recorded.size != *size => {
                report.find(name, Flaw::WrongSize { found: *size, expected: recorded.size });
            }
            _ => {}
        }
    }
    let listed = view.listing.iter().filter(|(name, _)| !skipped.contains(name.as_str()));
    let listed: Vec<(&String, u64)> = listed.map(|(name, size)| (name, *size)).collect();
    let states = each(&listed, |(name, size)| {
        progress.check()?;
        let state = check(view, name, *size, &going);
        progress.monitor.count(Counter::Objects, 1);
        progress.monitor.count(Counter::Bytes, *size);
        Ok(state)
    })?;
    for ((name, size), state) in listed.into_iter().zip(states) {
        report.objects += 1;
        report.bytes += size;
        match of_proofs.remove(name).map_or(state, State::Flawed) {
            State::Good => {}
            State::Unfinished => report.unfinished.push(name.clone()),
            State::Flawed(flaw) => drop(report.find(name, flaw)),
        }
    }
    for (name, flaw) in of_proofs {
        report.find(&name, flaw);
    }
    let mut later: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (name, _) in view.live.iter() {
        // A reserve is there to be given up.
        if view.listing.contains_key(name) || name.starts_with("reserve/") {
            continue;
        }
        // Some folders are listed before the journals; what has come between is in an entry already.
        let (folder, _) = name.rsplit_once('/').unwrap_or(("", name));
        let there = later.entry(folder).or_insert_with(|| {
            let listed = view.storage.list(folder).unwrap_or_default();
            listed.into_iter().map(|listed| listed.name).collect()
        });
        if !there.contains(name) {
            report.find(name, Flaw::Missing);
        }
    }
    take_back_removed(view, &mut report);
    Ok(report)
}

/// What was removed since it was listed is missing for that reason: somebody collects or rotates keys meanwhile.
fn take_back_removed(view: &View, report: &mut VerifyReport) {
    let is_gone = |finding: &Finding| {
        let tells = matches!(finding.flaw, Flaw::Missing | Flaw::Unreadable(_) | Flaw::Resurrected);
        let size = ObjectName::new(finding.object.as_str()).map(|name| view.storage.size(&name));
        tells && matches!(size, Ok(Err(StoreError::NotFound { .. })))
    };
    if !report.findings.iter().any(is_gone) {
        return;
    }
    let Ok(listing) = list(&*view.storage) else { return };
    let live = Live::replay(&*view.storage, &listing, &view.trust, &view.remembered);
    report.take_back(|finding| is_gone(finding) && live.is_removed(&finding.object));
}

/// How an object is.
enum State {
    Good,
    /// Of what goes on, or was cut short.
    Unfinished,
    Flawed(Flaw),
}

fn check(view: &View, name: &str, size: u64, going: &BTreeSet<String>) -> State {
    let Some(parsed) = ParsedName::parse(name) else { return State::Flawed(Flaw::Surplus) };
    // Journals were read and checked when they were replayed, logs before all else.
    if parsed.kind.is_numbered() {
        return State::Good;
    }
    let checked = match check_object(view, &parsed, name) {
        Ok(checked) => checked,
        // Whoever held it has given it back since the listing.
        Err(Flaw::Unreadable(_)) if parsed.kind.is_transient() => return State::Good,
        Err(flaw) => return State::Flawed(flaw),
    };
    if let Err(flaw) = decodes(view, &parsed, name) {
        return State::Flawed(flaw);
    }
    if view.live.is_removed(name) {
        return if going.contains(name) { State::Unfinished } else { State::Flawed(Flaw::Resurrected) };
    }
    match view.live.get(name) {
        Some(recorded) if recorded.size != size => {
            State::Flawed(Flaw::WrongSize { found: size, expected: recorded.size })
        }
        Some(recorded) if recorded.digest.is_some_and(|digest| digest != checked.digest) => {
            State::Flawed(Flaw::WrongHash)
        }
        None if parsed.kind.counts_only_if_entered() => State::Good,
        None if !parsed.kind.is_transient() => State::Unfinished,
        _ => State::Good,
    }
}

/// That a slot was given to its user by who may.
fn slot(view: &View, name: &str) -> Result<(), Flaw> {
    let bytes = read(&*view.storage, name)?;
    let frame = Frame::parse(&bytes)?;
    let user = Slot::decode(frame.body)?.user;
    if view.trust.gives_slots_to(user, frame.trailer.signer) { Ok(()) } else { Err(Flaw::UnknownSigner) }
}

/// That small objects in the clear say something; the others need keys for that.
fn decodes(view: &View, parsed: &ParsedName, name: &str) -> Result<(), Flaw> {
    let decode: fn(&[u8]) -> Result<(), Malformed> = match parsed.kind {
        ObjectKind::Config => |body| Config::decode(body).map(drop),
        ObjectKind::Slot => return slot(view, name),
        ObjectKind::Roll => |body| Roll::decode(body).map(drop),
        ObjectKind::Request => |body| Statement::decode(body).map(drop),
        ObjectKind::Lease => |body| Lease::decode(body).map(drop),
        ObjectKind::Fence => |body| Fence::decode(body).map(drop),
        ObjectKind::Condemned => |body| Condemned::decode(body).map(drop),
        _ => return Ok(()),
    };
    let bytes = match read(&*view.storage, name) {
        Ok(bytes) => bytes,
        Err(Flaw::Unreadable(_)) if parsed.kind.is_transient() => return Ok(()),
        Err(flaw) => return Err(flaw),
    };
    Ok(decode(Frame::parse(&bytes)?.body)?)
}
