//! Reading logs, each batch once, and telling which object is behind what is found.

use std::collections::BTreeSet;

use sb_audit::{Batch, Entry, Finding, History, TreeHead};
use sb_crypto::Digest;

use super::claims::{Claims, unmet};
use super::{LogEnd, LogFinding, batches_in, by_writer};
use crate::clock::Progress;
use crate::error::{Flaw, RepoError};
use crate::ids::KeyId;
use crate::live::read;
use crate::name::{ParsedName, Stem};
use crate::verify::each;
use crate::view::View;
use crate::wire::journal::{Loss, Lost};

/// A log that was read.
pub(crate) struct LogReading {
    pub(crate) writer: KeyId,
    /// What it says, if that was asked for, in the order of the numbers.
    pub(crate) entries: Vec<Entry>,
    pub(crate) findings: Vec<LogFinding>,
    /// Where its longest branch ends.
    pub(crate) newest: Option<LogEnd>,
    /// The same if it is to be remembered: not of a log that is another than the one remembered, or the evidence would be lost.
    pub(crate) end: Option<LogEnd>,
    /// Where its batches end: sizes and roots.
    pub(super) ends: BTreeSet<(u64, Digest)>,
    pub(super) claims: Claims,
}

/// Reads every log of which there is or was something. `keep` the entries or only look at them.
pub(crate) fn read_logs(view: &View, keep: bool, progress: Progress<'_>) -> Result<Vec<LogReading>, RepoError> {
    let seen = heads_seen(view);
    let mut logs = by_writer(view);
    // Of one that is gone altogether others may know.
    for (writer, _) in &seen {
        logs.entry(*writer).or_default();
    }
    let logs: Vec<_> = logs.into_iter().collect();
    let mut logs = each(&logs, |(writer, batches)| {
        let mut entries: Vec<(u64, Digest, Entry)> = Vec::new();
        let known = view.remembered.logs.get(writer).copied();
        let seen = seen.iter().filter(|(of, _)| of == writer).map(|(_, head)| *head).collect::<Vec<_>>();
        let mut reader = LogReader::new(view, *writer, known, &seen, 0);
        for (name, parsed) in since_listed(view, *writer, known).as_ref().unwrap_or(batches) {
            progress.check()?;
            if let Some(batch) = reader.read(name, parsed).filter(|_| keep) {
                let hashed = batch.leaves().iter().zip(batch.entries());
                entries.extend(hashed.map(|(leaf, entry)| (entry.seq, *leaf, entry.clone())));
            }
        }
        // Branches of a fork share what one machine's batch has and the other's, too.
        entries.sort_by_key(|(seq, leaf, _)| (*seq, *leaf));
        entries.dedup_by_key(|(_, leaf, _)| *leaf);
        let entries = entries.into_iter().map(|(_, _, entry)| entry).collect();
        Ok(LogReading { entries, ..reader.finish() })
    })?;
    let mut told = BTreeSet::new();
    for (_, finding) in unmet(view, &logs) {
        // One does for a log, and one for a journal.
        if !told.insert((finding.writer, matches!(finding.flaw, Flaw::Log(_)))) {
            continue;
        }
        match logs.iter_mut().find(|log| log.writer == finding.writer) {
            Some(log) => log.findings.push(finding),
            None => {
                let nothing = LogReader::new(view, finding.writer, None, &[], 0).finish();
                logs.push(LogReading { findings: vec![finding], ..nothing });
            }
        }
    }
    Ok(logs)
}

/// All that is gone and that somebody has seen, to be accepted.
pub(crate) fn losses(view: &View, progress: Progress<'_>) -> Result<Vec<Loss>, RepoError> {
    let logs = read_logs(view, false, progress)?;
    let mut losses: BTreeSet<Loss> = unmet(view, &logs).into_iter().map(|(loss, _)| loss).collect();
    // What journals and checkpoints say is compared while logs are read, so it is among the findings.
    for (writer, head) in heads_seen(view) {
        let log = logs.iter().find(|log| log.writer == writer);
        if log.is_none_or(|log| !log.ends.contains(&(head.size, head.root))) {
            losses.insert(Loss { writer, what: Lost::Log(head.size, head.root) });
        }
    }
    Ok(losses.into_iter().collect())
}

/// Where logs ended when journals mentioned them, checkpoints of them were filed, and others saw them; not what is known to be gone.
fn heads_seen(view: &View) -> Vec<(KeyId, TreeHead)> {
    let filed = view.checkpoints().checkpoints.into_iter().map(|checkpoint| (checkpoint.writer, checkpoint.head));
    let said = view.live.logs.iter().map(|(writer, head)| (*writer, *head));
    let is_missed = |(writer, head): &(KeyId, TreeHead)| {
        !view.live.accepted.contains(&Loss { writer: *writer, what: Lost::Log(head.size, head.root) })
    };
    filed.chain(said).filter(is_missed).chain(view.witnessed.iter().copied()).collect()
}

/// The batches of a log as they are now, if the one that this machine remembers was not there when the vault was listed: another
/// of its processes may have written it since.
pub(super) fn since_listed(view: &View, writer: KeyId, known: Option<LogEnd>) -> Option<Vec<(String, ParsedName)>> {
    known.filter(|known| !view.listing.contains_key(&known.object(writer)))?;
    let listed = view.storage.list(&format!("log/{writer}")).ok()?;
    Some(batches_in(listed.into_iter().map(|listed| listed.name)))
}

/// Reads the batches of one log in the order of their names.
pub(super) struct LogReader<'v> {
    view: &'v View,
    writer: KeyId,
    remembered: Option<LogEnd>,
    /// What lies before this entry is not read.
    start: u64,
    /// None if nobody vouches for the writer, so that no batch counts.
    history: Option<History>,
    /// Batches that are good, by the entries that they hold.
    good: Vec<(std::ops::Range<u64>, String)>,
    /// Batches that the writer has signed and that are none, in the order that the history finds them in.
    broken: Vec<String>,
    /// Names of batches that are not what they were, and the entries that they began with.
    damaged: BTreeSet<(u64, String)>,
    findings: Vec<LogFinding>,
    newest: Option<LogEnd>,
    ends: BTreeSet<(u64, Digest)>,
    claims: Claims,
}

impl<'v> LogReader<'v> {
    /// Of the log of `writer`, which had these heads when others saw it. What lies before entry `start` is not read.
    pub(super) fn new(
        view: &'v View,
        writer: KeyId,
        remembered: Option<LogEnd>,
        seen: &[TreeHead],
        start: u64,
    ) -> Self {
        let heads: Vec<_> = remembered.iter().map(|end| end.head).chain(seen.iter().copied()).collect();
        Self {
            view,
            writer,
            remembered,
            start,
            history: view.log_key(writer).map(|key| History::new(key, &heads)),
            good: Vec::new(),
            broken: Vec::new(),
            damaged: BTreeSet::new(),
            findings: Vec::new(),
            newest: None,
            ends: BTreeSet::new(),
            claims: Claims::default(),
        }
    }

    /// Reads the next batch. Returned if it is good; what is wrong is among the findings.
    pub(super) fn read(&mut self, name: &str, parsed: &ParsedName) -> Option<Batch> {
        let first = parsed.stem.generation();
        let bytes = read(&*self.view.storage, name);
        let checked = bytes.as_ref().map_err(Flaw::clone).and_then(|bytes| self.view.trust.check(parsed, bytes));
        let body = match checked {
            Ok(frame) => frame.body,
            Err(flaw) => {
                // Damage changes bytes, and then they do not fit the name; all else is not of this log.
                if is_damage(&flaw) {
                    self.damaged.insert((first, name.to_owned()));
                }
                self.findings.push(LogFinding { writer: self.writer, object: name.to_owned(), flaw });
                return None;
            }
        };
        let Some(batch) = self.history.as_mut().and_then(|history| history.read(first, body)) else {
            self.broken.push(name.to_owned());
            return None;
        };
        let head = batch.tip().head();
        self.ends.insert((head.size, head.root));
        batch.entries().iter().for_each(|entry| self.claims.hear(entry));
        if self.newest.is_none_or(|newest| newest.head.size < head.size) {
            let digest = parsed.hash.parse().expect("a parsed name has 64 digits");
            self.newest = Some(LogEnd { head, first, digest });
        }
        self.good.push((first..head.size, name.to_owned()));
        Some(batch)
    }

    /// All that was found, each with the object that it is about.
    pub(super) fn finish(mut self) -> LogReading {
        let examined = self.history.take().map(History::finish);
        let mut findings = examined.map_or_else(Vec::new, |examined| examined.findings);
        if let (None, Some(remembered)) = (self.view.log_key(self.writer), self.remembered) {
            findings.push(Finding::RolledBack { remembered: remembered.head, size: 0 });
        }
        let is_another = |finding: &Finding| {
            use Finding::{Fork, Rewritten, RolledBack, Unconnected};
            matches!(finding, Fork { .. } | Unconnected { .. } | RolledBack { .. } | Rewritten { .. })
        };
        let keeps_memory = self.remembered.is_some() && findings.iter().any(is_another);
        let mut broken = std::mem::take(&mut self.broken).into_iter();
        for finding in findings {
            let object = if let Finding::Broken { .. } = &finding { broken.next() } else { self.object(&finding) };
            if let Some(object) = object {
                self.findings.push(LogFinding { writer: self.writer, object, flaw: Flaw::Log(Box::new(finding)) });
            }
        }
        LogReading {
            writer: self.writer,
            entries: Vec::new(),
            findings: self.findings,
            newest: self.newest,
            end: self.newest.filter(|_| !keeps_memory),
            ends: self.ends,
            claims: self.claims,
        }
    }

    /// The object that a finding is about; `None` if that has been named already.
    fn object(&self, finding: &Finding) -> Option<String> {
        match finding {
            Finding::Gap { to, .. } if *to <= self.start => None,
            Finding::Gap { from, .. } => {
                let damaged = self.damaged.range((*from, String::new())..).next();
                damaged.is_none_or(|(first, _)| first != from).then(|| Stem::log(self.writer, *from).signed_text())
            }
            Finding::RolledBack { .. } | Finding::Rewritten { .. } => {
                let Some(known) = self.remembered.filter(|known| is_about(finding, &known.head)) else {
                    // Others have seen that. Where batches are gone or damaged, which is told, no more can be said.
                    let is_explained = self.findings.iter().any(|other| other.explains(finding));
                    return (!is_explained).then(|| format!("log/{}", self.writer));
                };
                let object = known.object(self.writer);
                (!self.damaged.iter().any(|(_, name)| *name == object)).then_some(object)
            }
            Finding::Fork { at: seq }
            | Finding::Unconnected { first: seq }
            | Finding::OpenIntent { seq, .. }
            | Finding::UnknownIntent { seq, .. }
            | Finding::TimeWentBack { seq, .. } => self.batch_with(*seq),
            _ => Some(format!("log/{}", self.writer)),
        }
    }

    /// The batch with this entry; of several branches, the one that was read last.
    fn batch_with(&self, seq: u64) -> Option<String> {
        let up_to = self.good.partition_point(|(entries, _)| entries.start <= seq);
        let found = self.good[..up_to].iter().rev().find(|(entries, _)| entries.contains(&seq));
        found.map(|(_, name)| name.clone())
    }
}

/// True if a log is not as it was with this head.
fn is_about(finding: &Finding, head: &TreeHead) -> bool {
    matches!(finding, Finding::RolledBack { remembered, .. } | Finding::Rewritten { remembered } if remembered == head)
}

/// True if an object was good once, as its name says, or can't be told to be anything.
pub(super) fn is_damage(flaw: &Flaw) -> bool {
    matches!(flaw, Flaw::WrongHash | Flaw::Unreadable(_))
}
