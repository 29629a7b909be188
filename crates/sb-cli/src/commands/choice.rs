//! Which snapshots a command is about: options that several commands share.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::Args;
use sb_core::{Session, SnapshotPath, SnapshotsOptions};

use crate::failure::Failure;
use crate::when;

/// Snapshots by what they are of.
#[derive(Args, Clone, Debug)]
#[group(id = "among")]
pub(crate) struct Among {
    /// Only snapshots of this machine
    #[arg(long, value_name = "NAME")]
    host: Option<OsString>,
    /// Only snapshots that back up this path
    #[arg(long, value_name = "PATH")]
    path: Option<PathBuf>,
    /// Only snapshots with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
}

impl Among {
    pub(crate) fn options(&self) -> Result<SnapshotsOptions, Failure> {
        let mut options = SnapshotsOptions::default();
        options.host = self.host.clone().map(OsString::into_encoded_bytes);
        options.path = match &self.path {
            Some(path) => {
                let path = std::path::absolute(path).map_err(|error| Failure::file("find", path, &error))?;
                // Dots and double slashes are gone by its components.
                Some(path.components().collect::<PathBuf>().into_os_string().into_encoded_bytes())
            }
            None => None,
        };
        options.tag.clone_from(&self.tag);
        Ok(options)
    }
}

/// The vault as of a time.
#[derive(Args, Clone, Debug)]
pub(crate) struct AsOf {
    /// As of then: `latest` is the newest snapshot of that time, and need not be written; a day counts whole
    #[arg(long = "at", value_name = "DATE")]
    date: Option<String>,
}

impl AsOf {
    /// True if it was asked for.
    pub(crate) fn is_given(&self) -> bool {
        self.date.is_some()
    }

    /// The session as of then.
    pub(crate) fn apply(&self, session: Session) -> Result<Session, Failure> {
        Ok(match &self.date {
            Some(date) => session.as_of(when::given(date)?.last()),
            None => session,
        })
    }

    /// Reads `SNAP[:PATH]`; with a date, `latest` may be left out.
    pub(crate) fn place(&self, text: Option<&OsStr>) -> Result<SnapshotPath, Failure> {
        let parse = |text: &OsStr| SnapshotPath::parse(text).map_err(|error| Failure::usage(error.to_string()));
        let Some(text) = text else { return parse("latest".as_ref()) };
        let begins = text.as_encoded_bytes().first();
        if self.is_given() && matches!(begins, Some(b':' | b'/')) {
            let mut whole = OsString::from(if begins == Some(&b':') { "latest" } else { "latest:" });
            whole.push(text);
            return parse(&whole);
        }
        parse(text)
    }
}

/// `SNAP:PATH` in one word or, as other programs take it, in two.
pub(crate) fn in_one_word(at: Option<&OsStr>, path: Option<&OsStr>) -> Result<Option<OsString>, Failure> {
    let Some((at, path)) = at.zip(path) else { return Ok(at.map(OsStr::to_owned)) };
    let has_path = SnapshotPath::parse(at).is_ok_and(|at| at.path.is_some());
    if has_path || at.as_encoded_bytes().starts_with(b"/") {
        return Err(Failure::usage(format!(
            "`{}` and `{}` are two paths, and one is taken",
            at.display(),
            path.display()
        )));
    }
    let mut whole = at.to_owned();
    whole.push(":");
    whole.push(path);
    Ok(Some(whole))
}

/// Reads `SNAP` where no path may follow.
pub(crate) fn snapshot_name(text: &OsStr) -> Result<String, Failure> {
    let at = SnapshotPath::parse(text).map_err(|error| Failure::usage(error.to_string()))?;
    match at.path {
        None => Ok(at.snapshot),
        Some(_) => Err(Failure::usage(format!("`{}` has a path, and a snapshot alone is meant here", text.display()))),
    }
}
