//! Which snapshots to keep. A pure function, in the words that restic's `forget` has.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDateTime, Timelike, Utc};

use super::span::Span;
use crate::error::RepoError;
use crate::ids::SnapshotId;
use crate::snapshots::Snapshot;

/// What the rules need to know of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: SnapshotId,
    /// When it was begun.
    pub time: DateTime<Utc>,
    /// The machine.
    pub host: Vec<u8>,
    /// What was backed up.
    pub paths: Vec<Vec<u8>>,
    /// Words given to find it by.
    pub tags: Vec<String>,
}

impl From<&Snapshot> for Candidate {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            id: snapshot.id,
            time: snapshot.started(),
            host: snapshot.host().to_vec(),
            paths: snapshot.sources().to_vec(),
            tags: snapshot.tags().to_vec(),
        }
    }
}

/// Rules; a snapshot stays if any of them keeps it. Numbers count periods that have a snapshot, of each of which the newest is
/// kept; `u32::MAX` is all of them. Default: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeepRules {
    /// The newest so many.
    pub last: Option<u32>,
    /// Of so many hours.
    pub hourly: Option<u32>,
    /// Of so many days.
    pub daily: Option<u32>,
    /// Of so many weeks (ISO 8601: from Monday).
    pub weekly: Option<u32>,
    /// Of so many months.
    pub monthly: Option<u32>,
    /// Of so many years.
    pub yearly: Option<u32>,
    /// All that are at most this much older than the newest of their group.
    pub within: Option<Span>,
    /// The newest of each hour, among those that are at most this much older than the newest of their group.
    pub within_hourly: Option<Span>,
    /// Of each day.
    pub within_daily: Option<Span>,
    /// Of each week.
    pub within_weekly: Option<Span>,
    /// Of each month.
    pub within_monthly: Option<Span>,
    /// Of each year.
    pub within_yearly: Option<Span>,
    /// All that have every tag of one of these lists.
    pub tags: Vec<Vec<String>>,
}

impl KeepRules {
    /// True if no rule keeps anything.
    pub fn is_empty(&self) -> bool {
        let counts = [self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly];
        let spans = [
            self.within,
            self.within_hourly,
            self.within_daily,
            self.within_weekly,
            self.within_monthly,
            self.within_yearly,
        ];
        counts.iter().all(|count| count.unwrap_or(0) == 0) && spans.iter().all(Option::is_none) && self.tags.is_empty()
    }

    /// A list of tags that none of these has, if there is one: it keeps nothing, which nobody can have meant.
    pub fn unused_tags<'a>(&self, candidates: impl Iterator<Item = &'a [String]> + Clone) -> Option<&[String]> {
        let is_used = |wanted: &&Vec<String>| candidates.clone().any(|tags| has_all(tags, wanted));
        self.tags.iter().find(|wanted| !is_used(wanted)).map(Vec::as_slice)
    }
}

/// What snapshots must have in common for the rules to count them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupBy {
    /// The machine.
    pub host: bool,
    /// What was backed up.
    pub paths: bool,
    /// All tags.
    pub tags: bool,
}

/// Machine and paths.
impl Default for GroupBy {
    fn default() -> Self {
        Self { host: true, paths: true, tags: false }
    }
}

/// Why a snapshot stays.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// One of the newest.
    Last,
    /// The newest of its hour.
    Hourly,
    /// The newest of its day.
    Daily,
    /// The newest of its week.
    Weekly,
    /// The newest of its month.
    Monthly,
    /// The newest of its year.
    Yearly,
    /// Not much older than the newest.
    Within,
    /// Has these tags.
    Tags(Vec<String>),
    /// Begun later than now, by a clock that is wrong: it says nothing about what is old, and counts for no rule.
    Future,
    /// The newest of a group that the rules would have emptied.
    Newest,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Last => f.write_str("last"),
            Self::Hourly => f.write_str("hourly"),
            Self::Daily => f.write_str("daily"),
            Self::Weekly => f.write_str("weekly"),
            Self::Monthly => f.write_str("monthly"),
            Self::Yearly => f.write_str("yearly"),
            Self::Within => f.write_str("within"),
            Self::Tags(tags) => write!(f, "tag {}", tags.join(",")),
            Self::Future => f.write_str("in the future"),
            Self::Newest => f.write_str("newest of its group"),
        }
    }
}

/// A snapshot that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which.
    pub id: SnapshotId,
    /// Why; there is always a reason.
    pub reasons: Vec<Reason>,
}

/// What becomes of one group of snapshots. All lists are newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The machine, where that tells groups apart.
    pub host: Option<Vec<u8>>,
    /// What was backed up, sorted, where that tells groups apart.
    pub paths: Option<Vec<Vec<u8>>>,
    /// The tags, sorted, where they tell groups apart.
    pub tags: Option<Vec<String>>,
    /// What stays.
    pub keep: Vec<Kept>,
    /// What goes.
    pub remove: Vec<SnapshotId>,
}

type Key = (Option<Vec<u8>>, Option<Vec<Vec<u8>>>, Option<Vec<String>>);

/// Decides by rules what stays. `local` says what the calendar and the clock show at a time: days end where the people are. No
/// group is ever emptied.
///
/// # Errors
/// [`RepoError::EmptyPolicy`] if no rule keeps anything.
pub fn choose(
    candidates: &[Candidate],
    rules: &KeepRules,
    group_by: GroupBy,
    now: DateTime<Utc>,
    local: &dyn Fn(DateTime<Utc>) -> NaiveDateTime,
) -> Result<Vec<Choice>, RepoError> {
    if rules.is_empty() {
        return Err(RepoError::EmptyPolicy);
    }
    let mut groups: BTreeMap<Key, Vec<&Candidate>> = BTreeMap::new();
    for candidate in candidates {
        groups.entry(key(candidate, group_by)).or_default().push(candidate);
    }
    let choices = groups.into_iter().map(|((host, paths, tags), mut members)| {
        members.sort_by_key(|member| std::cmp::Reverse((member.time, member.id)));
        members.dedup_by_key(|member| member.id);
        let (mut keep, mut remove) = (Vec::new(), Vec::new());
        for (member, reasons) in members.iter().zip(reasons(&members, rules, now, local)) {
            if reasons.is_empty() { remove.push(member.id) } else { keep.push(Kept { id: member.id, reasons }) }
        }
        // What claims to be of the future is no reason to let all that is not go.
        if keep.iter().all(|kept| kept.reasons == [Reason::Future]) && !remove.is_empty() {
            keep.push(Kept { id: remove.remove(0), reasons: vec![Reason::Newest] });
        }
        Choice { host, paths, tags, keep, remove }
    });
    Ok(choices.collect())
}

fn key(candidate: &Candidate, by: GroupBy) -> Key {
    let mut paths = candidate.paths.clone();
    paths.sort();
    let mut tags = candidate.tags.clone();
    tags.sort();
    (by.host.then(|| candidate.host.clone()), by.paths.then_some(paths), by.tags.then_some(tags))
}

/// Why each of a group stays, newest first; nothing where it goes.
fn reasons(
    members: &[&Candidate],
    rules: &KeepRules,
    now: DateTime<Utc>,
    local: &dyn Fn(DateTime<Utc>) -> NaiveDateTime,
) -> Vec<Vec<Reason>> {
    let newest = members.iter().find(|member| member.time <= now).map(|member| member.time);
    let since = |span: Option<Span>| span.zip(newest).map(|(span, newest)| span.before(newest));
    let mut periods = periods(rules, &since);
    let within = since(rules.within);
    let mut all = Vec::new();
    for (number, member) in (0..).zip(members) {
        if member.time > now {
            all.push(vec![Reason::Future]);
            continue;
        }
        let mut reasons = Vec::new();
        let moment = Moment { utc: member.time, local: local(member.time), number };
        for period in &mut periods {
            if period.keeps(&moment) && !reasons.contains(&period.reason) {
                reasons.push(period.reason.clone());
            }
        }
        if within.is_some_and(|from| member.time >= from) {
            reasons.push(Reason::Within);
        }
        let tags = rules.tags.iter().filter(|wanted| has_all(&member.tags, wanted));
        reasons.extend(tags.cloned().map(Reason::Tags));
        all.push(reasons);
    }
    all
}

fn has_all(tags: &[String], wanted: &[String]) -> bool {
    wanted.iter().all(|tag| tags.contains(tag))
}

/// When a snapshot was begun, and which of its group it is.
struct Moment {
    utc: DateTime<Utc>,
    local: NaiveDateTime,
    number: i64,
}

/// Which period a moment is in.
type PeriodOf = fn(&Moment) -> i64;

/// A rule of the kind "the newest of each of so many periods", or "of all since then".
struct Period {
    reason: Reason,
    left: u32,
    since: Option<DateTime<Utc>>,
    last: Option<i64>,
    of: PeriodOf,
}

impl Period {
    /// True for the first of each period, the newest.
    fn keeps(&mut self, moment: &Moment) -> bool {
        let here = (self.of)(moment);
        if self.left == 0 || self.last == Some(here) || self.since.is_some_and(|since| moment.utc < since) {
            return false;
        }
        self.last = Some(here);
        // All of them is without end.
        self.left = if self.left == u32::MAX { u32::MAX } else { self.left - 1 };
        true
    }
}

fn periods(rules: &KeepRules, since: &dyn Fn(Option<Span>) -> Option<DateTime<Utc>>) -> Vec<Period> {
    let last: PeriodOf = |moment| moment.number;
    let rules = [
        (Reason::Last, last, rules.last, None),
        (Reason::Hourly, hour, rules.hourly, rules.within_hourly),
        (Reason::Daily, day, rules.daily, rules.within_daily),
        (Reason::Weekly, week, rules.weekly, rules.within_weekly),
        (Reason::Monthly, month, rules.monthly, rules.within_monthly),
        (Reason::Yearly, year, rules.yearly, rules.within_yearly),
    ];
    let each = rules.into_iter().flat_map(|(reason, of, count, within)| {
        let since = since(within);
        let counted = count.map(|left| Period { reason: reason.clone(), left, since: None, last: None, of });
        counted.into_iter().chain(since.map(|_| Period { reason, left: u32::MAX, since, last: None, of }))
    });
    each.collect()
}

/// In the night when the clock goes back two hours have one name; what differs is how far the clock is from UTC.
fn hour(moment: &Moment) -> i64 {
    let offset = (moment.local - moment.utc.naive_utc()).num_seconds();
    ((day(moment) * 24 + i64::from(moment.local.hour())) << 20) + offset
}

fn day(moment: &Moment) -> i64 {
    i64::from(moment.local.num_days_from_ce())
}

fn week(moment: &Moment) -> i64 {
    i64::from(moment.local.iso_week().year()) * 100 + i64::from(moment.local.iso_week().week())
}

fn month(moment: &Moment) -> i64 {
    i64::from(moment.local.year()) * 12 + i64::from(moment.local.month0())
}

fn year(moment: &Moment) -> i64 {
    i64::from(moment.local.year())
}

#[cfg(test)]
mod tests;
