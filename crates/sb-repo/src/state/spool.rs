//! Events that are still to be logged in the vault: those of reading, and those that could not be logged at the time.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use sb_audit::{AppendError, Entry, Event};

use super::{Place, State, failed, locked, open_lock, private};
use crate::error::RepoError;

impl State {
    /// Keeps an event until it is logged. It is durable on return.
    pub(crate) fn spool(&self, event: &Event) -> Result<(), RepoError> {
        // It gets its number when it is logged; an outcome's is above that of its intent.
        let entry = Entry { seq: event.intent.map_or(0, |intent| intent.saturating_add(1)), event: event.clone() };
        let unwritable = |source| RepoError::Unloggable(AppendError::Unwritable { event: 0, source });
        // Whatever a crash has left of the line before ends here.
        let line = [b"\n", entry.to_bytes().map_err(unwritable)?.as_slice(), b"\n"].concat();
        match &*self.0 {
            Place::Untouched(_) => Ok(()),
            Place::Memory { inner, .. } => {
                locked(inner).spool.extend(line);
                Ok(())
            }
            Place::Folder(folder) | Place::Among(folder) => {
                let path = folder.join("spool");
                append(folder, &path, &line).map_err(|source| failed("write", &path, source))
            }
        }
    }

    /// The events that are still to be logged. `act` is given them and says whether they are logged now; nobody else looks at them
    /// meanwhile.
    pub(crate) fn deliver<T>(&self, act: impl FnOnce(Vec<Event>) -> Result<T, RepoError>) -> Result<T, RepoError> {
        match &*self.0 {
            Place::Untouched(_) => act(Vec::new()),
            Place::Memory { inner, .. } => {
                let spool = std::mem::take(&mut locked(inner).spool);
                act(parse(&spool)).inspect_err(|_| locked(inner).spool.splice(..0, spool).for_each(drop))
            }
            Place::Folder(folder) | Place::Among(folder) => {
                let path = folder.join("spool");
                let io = |source| failed("read", &path, source);
                if !path.exists() {
                    return act(Vec::new());
                }
                let lock = open_lock(&folder.join("spool.lock")).map_err(io)?;
                lock.lock().map_err(io)?;
                let spool = match fs::read(&path) {
                    Ok(spool) => spool,
                    Err(error) if error.kind() == ErrorKind::NotFound => return act(Vec::new()),
                    Err(error) => return Err(io(error)),
                };
                let done = act(parse(&spool))?;
                // Should that fail, they are logged twice, which is better than not at all.
                let _ = fs::remove_file(&path);
                Ok(done)
            }
        }
    }

    /// How many events are still to be logged.
    pub(crate) fn spooled(&self) -> usize {
        match &*self.0 {
            Place::Untouched(state) => state.spooled(),
            Place::Memory { inner, .. } => parse(&locked(inner).spool).len(),
            Place::Folder(folder) | Place::Among(folder) => {
                fs::read(folder.join("spool")).map_or(0, |bytes| parse(&bytes).len())
            }
        }
    }
}

fn append(folder: &Path, path: &Path, line: &[u8]) -> std::io::Result<()> {
    let lock: File = open_lock(&folder.join("spool.lock"))?;
    lock.lock()?;
    let mut file = private_append(path)?;
    file.write_all(line)?;
    file.sync_data()
}

fn private_append(path: &Path) -> std::io::Result<File> {
    private().append(true).open(path)
}

/// A line that was cut short by a crash, or that is none, says nothing.
fn parse(bytes: &[u8]) -> Vec<Event> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    lines.filter_map(|line| Entry::parse(line).ok()).map(|entry| entry.event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use sb_audit::Outcome;

    fn event(n: u32) -> Event {
        let id = |text: &str| text.parse().unwrap();
        let action = "Snapshot.Read".parse().unwrap();
        Event::new(DateTime::UNIX_EPOCH, id("host:a"), id("u_1"), action, id(&format!("s_{n}")), Outcome::Success)
    }

    #[test]
    fn events_wait_in_order_until_they_are_logged() {
        let folder = tempfile::tempdir().unwrap();
        for state in [State::in_memory(), State::open(folder.path()).unwrap()] {
            assert_eq!(state.deliver(|events| Ok(events.len())).unwrap(), 0);
            state.spool(&event(1)).unwrap();
            state.spool(&event(2)).unwrap();
            assert_eq!(state.spooled(), 2);
            let failed = state.deliver(|_| Err::<(), _>(RepoError::Interrupted));
            assert!(failed.is_err());
            state.spool(&event(3)).unwrap();
            assert_eq!(state.deliver(Ok).unwrap(), [event(1), event(2), event(3)]);
            assert_eq!((state.spooled(), state.deliver(|events| Ok(events.len())).unwrap()), (0, 0));
        }
    }

    #[test]
    fn what_a_crash_has_cut_short_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path()).unwrap();
        state.spool(&event(1)).unwrap();
        let path = folder.path().join("spool");
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"{\"action\":\"Snap");
        fs::write(&path, bytes).unwrap();
        state.spool(&event(2)).unwrap();
        state.spool(&event(3)).unwrap();
        assert_eq!(state.deliver(Ok).unwrap(), [event(1), event(2), event(3)]);
    }
}
