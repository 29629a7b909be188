//! Listing snapshots.

use chrono::{DateTime, Utc};
use sb_repo::{Snapshot, Snapshots};

use crate::error::CoreError;
use crate::record::LIST;
use crate::session::Session;

/// Which snapshots to list; the default is all.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SnapshotsOptions {
    /// Only those of this machine.
    pub host: Option<Vec<u8>>,
    /// Only those that back up this path: it is one of their sources or lies in one. Absolute, raw bytes.
    pub path: Option<Vec<u8>>,
    /// Only those with this tag.
    pub tag: Option<String>,
    /// Only those begun then or later.
    pub since: Option<DateTime<Utc>>,
    /// Only those begun before then.
    pub until: Option<DateTime<Utc>>,
    /// Of those, only so many of the newest.
    pub latest: Option<usize>,
}

impl SnapshotsOptions {
    /// True if it chooses none.
    pub fn is_all(&self) -> bool {
        let Self { host, path, tag, since, until, latest } = self;
        let texts = host.is_none() && path.is_none() && tag.is_none();
        texts && since.is_none() && until.is_none() && latest.is_none()
    }

    pub(super) fn wants(&self, snapshot: &Snapshot) -> bool {
        self.host.as_ref().is_none_or(|host| snapshot.host() == host)
            && self.path.as_ref().is_none_or(|path| snapshot.sources().iter().any(|source| covers(source, path)))
            && self.tag.as_ref().is_none_or(|tag| snapshot.tags().contains(tag))
            && self.since.is_none_or(|since| snapshot.started() >= since)
            && self.until.is_none_or(|until| snapshot.started() < until)
    }
}

/// True if `path` is `source` or lies in it.
fn covers(source: &[u8], path: &[u8]) -> bool {
    let folder = source.strip_suffix(b"/").unwrap_or(source);
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

impl Session {
    /// The snapshots asked for, oldest first, and all objects that should be one and can't be read.
    ///
    /// # Errors
    /// [`CoreError::Repo`] if the user's keys do not open snapshots.
    pub fn snapshots(&self, options: &SnapshotsOptions) -> Result<Snapshots, CoreError> {
        self.look(LIST, |session| session.chosen(options), |_| None)
    }

    /// The same for operations that tell the log themselves.
    pub(crate) fn chosen(&self, options: &SnapshotsOptions) -> Result<Snapshots, CoreError> {
        let mut all = self.counting()?;
        all.snapshots.retain(|snapshot| options.wants(snapshot));
        if let Some(latest) = options.latest {
            let surplus = all.snapshots.len().saturating_sub(latest);
            all.snapshots.drain(..surplus);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_source_covers_itself_and_what_is_in_it() {
        for (source, path, covered) in [
            ("/clients", "/clients", true),
            ("/clients", "/clients/miller", true),
            ("/clients", "/clients-old", false),
            ("/clients/miller", "/clients", false),
            ("/", "/clients", true),
            ("/", "/", true),
        ] {
            assert_eq!(covers(source.as_bytes(), path.as_bytes()), covered, "{source} {path}");
        }
    }
}
