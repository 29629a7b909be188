//! What this machine knows of its clock: the newest time it has shown, how often it was set back, and the newest time that somebody
//! else has signed.

use chrono::{DateTime, Utc};
use sb_audit::{Anchor, AnchorKind};

use super::State;
use crate::error::RepoError;

/// How far a clock may go back, in seconds, without having been set back: services that keep it right take small steps.
const SLACK: i64 = 2;
const FILE: &str = "clock";

/// What is remembered of a clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClockMemory {
    pub(crate) newest: Option<DateTime<Utc>>,
    pub(crate) rollbacks: u64,
    pub(crate) anchor: Option<Anchor>,
}

impl State {
    pub(crate) fn clock(&self) -> ClockMemory {
        let text = self.small(FILE).and_then(|bytes| String::from_utf8(bytes).ok());
        text.map_or_else(ClockMemory::default, |text| parse(&text))
    }

    /// Takes note of the time. The time that the clock had shown before, if it was set back since.
    pub(crate) fn note_time(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, RepoError> {
        let mut memory = self.clock();
        let before = memory.newest.filter(|newest| newest.timestamp() > now.timestamp() + SLACK);
        memory.rollbacks += u64::from(before.is_some());
        // Told once; from here on it is this time that must not be set back.
        memory.newest = Some(now);
        self.keep_clock(&memory).map(|()| before)
    }

    /// Takes note of a time that somebody else has signed, and this machine has verified.
    pub(crate) fn note_anchor(&self, anchor: Anchor) -> Result<(), RepoError> {
        let mut memory = self.clock();
        if memory.anchor.as_ref().is_none_or(|known| known.time < anchor.time) {
            memory.anchor = Some(anchor);
        }
        self.keep_clock(&memory)
    }

    fn keep_clock(&self, memory: &ClockMemory) -> Result<(), RepoError> {
        self.set_small(FILE, print(memory).as_bytes())
    }
}

fn print(memory: &ClockMemory) -> String {
    let mut text = format!("rollbacks {}\n", memory.rollbacks);
    if let Some(newest) = memory.newest {
        text.push_str(&format!("newest {}\n", newest.timestamp()));
    }
    if let Some(Anchor { kind, by, time }) = &memory.anchor {
        text.push_str(&format!("anchor {} {} {by}\n", kind.as_str(), time.timestamp()));
    }
    text
}

/// What can't be read says nothing.
fn parse(text: &str) -> ClockMemory {
    let mut memory = ClockMemory::default();
    let time = |seconds: &str| seconds.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    for line in text.lines() {
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            ["rollbacks", count] => memory.rollbacks = count.parse().unwrap_or(0),
            ["newest", seconds] => memory.newest = time(seconds),
            ["anchor", kind, seconds, by] => {
                let kinds = [AnchorKind::Witness, AnchorKind::TimeStamp];
                let kind = kinds.into_iter().find(|known| known.as_str() == kind);
                memory.anchor = kind.zip(time(seconds)).map(|(kind, time)| Anchor { kind, by: by.to_owned(), time });
            }
            _ => {}
        }
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_clock_that_is_set_back_is_told_of_once_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        for state in [State::in_memory(), State::open(folder.path()).unwrap()] {
            let told: Vec<_> = [100, 200, 199, 50, 60].map(|time| state.note_time(at(time)).unwrap()).into();
            assert_eq!(told, [None, None, None, Some(at(199)), None]);
            assert_eq!(state.clock().rollbacks, 1);
        }
    }

    #[test]
    fn the_newest_time_that_others_have_signed_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let anchor = |by: &str, time| Anchor { kind: AnchorKind::TimeStamp, by: by.to_owned(), time: at(time) };
        for state in [State::in_memory(), State::open(folder.path()).unwrap()] {
            state.note_time(at(5)).unwrap();
            for (by, time) in [("An authority", 100), ("Another", 300), ("An authority", 200)] {
                state.note_anchor(anchor(by, time)).unwrap();
            }
            let memory = state.clock();
            assert_eq!((memory.anchor, memory.newest), (Some(anchor("Another", 300)), Some(at(5))));
        }
    }

    #[test]
    fn what_is_not_understood_says_nothing() {
        assert_eq!(parse("rollbacks x\nnewest\nanchor a b c\n\u{0}"), ClockMemory::default());
    }
}
