//! The ledger of verification: when this machine last read which pack in full, and how deep it looked.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use chrono::{DateTime, Utc};

use super::{Place, State, create_private_folder, failed, locked, open_lock, replace};
use crate::error::RepoError;
use crate::ids::PackId;

/// How deep a pack was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// Its bytes have its SHA-256.
    Objects = 1,
    /// Every chunk in it has its id, too.
    Data = 2,
}

/// When packs were last read in full, each at each depth.
pub(crate) type Ledger = BTreeMap<(PackId, Depth), DateTime<Utc>>;

/// Pack, time in seconds, depth.
const RECORD: usize = 32 + 8 + 1;
/// A ledger in which as many records are superseded as there are others is written anew, from this many on.
const ROOMY: usize = 1024;

impl State {
    /// All that is in the ledger. What can't be read is not in it: the pack counts as never read. Nor is what was entered while the
    /// clock was ahead of `now`, or nothing would be due for as long as it was.
    pub(crate) fn ledger(&self, now: DateTime<Utc>) -> Ledger {
        match &*self.0 {
            Place::Untouched(state) => state.ledger(now),
            Place::Among(_) => Ledger::new(),
            Place::Memory { inner, .. } => parse(&locked(inner).ledger, now),
            Place::Folder(folder) => {
                fs::read(folder.join("ledger")).map_or_else(|_| Ledger::new(), |bytes| parse(&bytes, now))
            }
        }
    }

    /// Enters that these packs were read. Losing it costs another reading, so a machine that can't write it goes on.
    pub(crate) fn enter_read(&self, packs: &[(PackId, Depth)], time: DateTime<Utc>) -> Result<(), RepoError> {
        let records: Vec<u8> = packs.iter().flat_map(|(pack, depth)| record(pack, *depth, time)).collect();
        match &*self.0 {
            _ if packs.is_empty() => Ok(()),
            Place::Untouched(_) => Ok(()),
            Place::Memory { inner, .. } => {
                locked(inner).ledger.extend(records);
                Ok(())
            }
            Place::Folder(folder) | Place::Among(folder) => append(folder, &records, time),
        }
    }
}

fn record(pack: &PackId, depth: Depth, time: DateTime<Utc>) -> Vec<u8> {
    let mut record = pack.as_bytes().to_vec();
    record.extend_from_slice(&time.timestamp().to_be_bytes());
    record.push(depth as u8);
    record
}

fn parse(bytes: &[u8], now: DateTime<Utc>) -> Ledger {
    let mut ledger = Ledger::new();
    // A record that was cut short by a crash says nothing.
    for record in bytes.chunks_exact(RECORD) {
        let (pack, rest) = record.split_at(32);
        let (seconds, depth) = rest.split_at(8);
        let seconds = i64::from_be_bytes(seconds.try_into().expect("eight bytes"));
        let depth = match depth {
            [1] => Depth::Objects,
            [2] => Depth::Data,
            _ => continue,
        };
        let time = DateTime::from_timestamp(seconds, 0).filter(|time| *time <= now);
        if let (Some(pack), Some(time)) = (PackId::from_slice(pack), time) {
            // Who looks deeper has looked at the rest.
            let depths = if depth == Depth::Data { &[Depth::Objects, Depth::Data][..] } else { &[Depth::Objects] };
            for depth in depths {
                let known = ledger.entry((pack, *depth)).or_insert(time);
                *known = time.max(*known);
            }
        }
    }
    ledger
}

fn append(folder: &Path, records: &[u8], now: DateTime<Utc>) -> Result<(), RepoError> {
    let path = folder.join("ledger");
    let io = |source| failed("write", &path, source);
    create_private_folder(folder).map_err(io)?;
    let lock = open_lock(&folder.join("ledger.lock")).map_err(io)?;
    lock.lock().map_err(io)?;
    let mut bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed("read", &path, error)),
    };
    let torn = bytes.len() % RECORD;
    bytes.truncate(bytes.len() - torn);
    let count = (bytes.len() + records.len()) / RECORD;
    if torn > 0 || bytes.is_empty() || count > ROOMY && count > 2 * parse(&bytes, now).len() {
        bytes.extend_from_slice(records);
        let ledger = parse(&bytes, now);
        let anew: Vec<u8> = ledger.iter().flat_map(|((pack, depth), time)| record(pack, *depth, *time)).collect();
        return replace(&path, &anew);
    }
    OpenOptions::new().append(true).open(&path).and_then(|mut file| file.write_all(records)).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(n: u8) -> PackId {
        PackId::new([n; 32])
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn the_newest_reading_counts_and_a_deep_one_for_both_depths() {
        let folder = tempfile::tempdir().unwrap();
        for state in [State::in_memory(), State::open(folder.path()).unwrap()] {
            assert!(state.ledger(at(1000)).is_empty());
            state.enter_read(&[(pack(1), Depth::Data), (pack(2), Depth::Objects)], at(100)).unwrap();
            state.enter_read(&[(pack(1), Depth::Objects)], at(200)).unwrap();
            state.enter_read(&[(pack(1), Depth::Objects)], at(50)).unwrap();
            let ledger = state.ledger(at(1000));
            assert_eq!(ledger.get(&(pack(1), Depth::Objects)), Some(&at(200)));
            assert_eq!(ledger.get(&(pack(1), Depth::Data)), Some(&at(100)));
            assert_eq!(ledger.get(&(pack(2), Depth::Objects)), Some(&at(100)));
            assert_eq!(ledger.get(&(pack(2), Depth::Data)), None);
        }
    }

    #[test]
    fn what_a_crash_has_cut_short_says_nothing_and_spoils_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        state.enter_read(&[(pack(1), Depth::Objects), (pack(2), Depth::Objects)], at(100)).unwrap();
        let path = folder.path().join("ledger");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert_eq!(state.ledger(at(1000)).len(), 1);
        state.enter_read(&[(pack(3), Depth::Objects)], at(200)).unwrap();
        let packs: Vec<_> = state.ledger(at(1000)).into_keys().map(|(pack, _)| pack).collect();
        assert_eq!(packs, [pack(1), pack(3)]);
    }

    #[test]
    fn it_does_not_grow_with_every_reading_of_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        let packs: Vec<_> = (0..100).map(|n| (pack(n), Depth::Objects)).collect();
        for time in 0..100 {
            state.enter_read(&packs, at(time)).unwrap();
        }
        let size = fs::metadata(folder.path().join("ledger")).unwrap().len();
        assert!(size <= 41 * 1200, "{size} bytes");
        assert!(state.ledger(at(1000)).values().all(|time| *time == at(99)));
    }

    #[test]
    fn a_clock_that_was_ahead_puts_nothing_off() {
        let folder = tempfile::tempdir().unwrap();
        for state in [State::in_memory(), State::open(folder.path()).unwrap()] {
            state.enter_read(&[(pack(1), Depth::Objects)], at(100)).unwrap();
            state.enter_read(&[(pack(1), Depth::Objects), (pack(2), Depth::Objects)], at(9_000_000)).unwrap();
            state.enter_read(&[(pack(1), Depth::Objects)], at(200)).unwrap();
            assert_eq!(state.ledger(at(300)), Ledger::from([((pack(1), Depth::Objects), at(200))]));
            for time in 201..400 {
                state.enter_read(&[(pack(1), Depth::Objects); 20], at(time)).unwrap();
            }
            assert_eq!(state.ledger(at(500)), Ledger::from([((pack(1), Depth::Objects), at(399))]));
        }
    }
}
