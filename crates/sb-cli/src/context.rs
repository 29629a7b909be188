//! What a command works with: the command line and the configuration brought together.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use sb_core::crypto::{Credential, Digest};
use sb_core::repo::RepoError;
use sb_core::{Config, CoreError, KeyAge, Limits, Location, Progress, Session, Vault, fingerprint, state_root};

use crate::args::Global;
use crate::failure::{Failure, chain};
use crate::hint::LOST_CERTIFICATE;
use crate::output::Output;
use crate::platform::variable;
use crate::text::local;
use crate::{progress, secrets};

/// So often somebody at a terminal is asked for a passphrase.
const ATTEMPTS: u32 = 3;

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) config: Config,
    pub(crate) output: Output,
    pub(crate) stop: &'static AtomicBool,
}

impl Context {
    /// The vault that is meant.
    pub(crate) fn vault(&self) -> Result<Vault, Failure> {
        let configured = self.config.vault.as_ref().map(OsString::from);
        let Some(url) = self.global.vault.clone().or(configured) else {
            return Err(Failure::usage("no vault is named")
                .hint("Name it with --vault, SB_VAULT or in a configuration, or try everything out with `sb try`"));
        };
        self.vault_at(&url)
    }

    /// The vault at a place.
    pub(crate) fn vault_at(&self, url: &OsStr) -> Result<Vault, Failure> {
        let location = Location::parse(url).map_err(CoreError::from)?;
        let limits = Limits { up: self.global.limit_upload, down: self.global.limit_download };
        let vault = Vault::new(location, self.state_root()?).with_limits(limits);
        let vault = match self.global.user.as_ref().or(self.config.user.as_ref()) {
            Some(login) => vault.as_user(login.as_str()),
            None => vault,
        };
        let vault = match &self.config.issuer {
            Some(issuer) => vault.with_issuer(issuer),
            None => vault,
        };
        Ok(match self.config.keys.rotate_after {
            Some(span) => vault.with_rotation_after(span),
            None => vault,
        })
    }

    fn state_root(&self) -> Result<PathBuf, Failure> {
        // The environment goes first, then the configuration, then the usual places.
        let configured = self.config.state_dir.clone().filter(|_| variable("SB_STATE_DIR").is_none());
        configured.or_else(|| state_root(&variable)).ok_or_else(|| {
            Failure::usage("there is no folder for local state, for neither SB_STATE_DIR nor HOME is set")
                .hint("Set SB_STATE_DIR")
        })
    }

    /// The fingerprint that the vault's root key must have, if one was given.
    pub(crate) fn fingerprint(&self) -> Result<Option<Digest>, Failure> {
        let Some(text) = self.global.fingerprint.as_ref().or(self.config.fingerprint.as_ref()) else { return Ok(None) };
        let wrong = |_| Failure::usage(format!("`{text}` is no fingerprint: it has 64 hexadecimal digits"));
        fingerprint(text).map(Some).map_err(wrong)
    }

    /// The vault, opened with whatever was given for it.
    pub(crate) fn open(&self) -> Result<Session, Failure> {
        self.open_vault(&self.vault()?)
    }

    /// The same for a dry run, which writes neither to the vault nor to the folder for local state.
    pub(crate) fn rehearse(&self) -> Result<Session, Failure> {
        self.open_vault(&self.vault()?.rehearsing())
    }

    fn open_vault(&self, vault: &Vault) -> Result<Session, Failure> {
        let fingerprint = self.fingerprint()?;
        // Each further attempt waits longer.
        let mut attempts = if secrets::are_typed(self) { ATTEMPTS } else { 1 };
        let session = loop {
            attempts -= 1;
            match try_all(vault, &secrets::credentials(self, vault)?, fingerprint) {
                Err(CoreError::Repo(RepoError::WrongCredential)) if attempts > 0 => {
                    self.output.warn("wrong passphrase or key; try again");
                }
                opened => break opened?,
            }
        };
        self.warn_of_flaws(&session);
        self.warn_of_clock(&session);
        Ok(session)
    }

    /// Reading goes on with what a rolled-back or damaged vault still has, but nobody should take that for the newest.
    fn warn_of_flaws(&self, session: &Session) {
        let (vault, advice) = (session.vault(), "`sb verify` names what is missing");
        match (vault.check_heads(), vault.view().journal_flaws()) {
            (Err(error), _) => {
                self.output.warn(&format!("warning: {}. What is shown may be old; {advice}.", chain(&error)));
            }
            (Ok(()), 0) if vault.view().unvouched_entries() > 0 => {
                let text = "warning: not all that was backed up may be shown";
                self.output.warn(&format!("{text}. {LOST_CERTIFICATE}."));
            }
            (Ok(()), 0) => {}
            (Ok(()), _) => self.output.warn(&format!("warning: the vault's journals are damaged; {advice}.")),
        }
    }

    /// Certificates and logs carry the machine's time as it claims it.
    fn warn_of_clock(&self, session: &Session) {
        if let Some(before) = session.clock_set_back_from() {
            let text = "the clock was set back: this machine had seen";
            self.output.warn(&format!("warning: {text} {}. Certificates will say so; set it right.", local(before)));
        }
    }

    /// Says that keys are to be rotated, once that is due. Whether it is.
    pub(crate) fn warn_of_keys(&self, age: &KeyAge) -> bool {
        if age.is_overdue {
            let (began, due) = (local(age.epoch.began), local(age.due));
            let text = format!("the keys are in use since {began}, and were to be rotated by {due}");
            self.output.warn(&format!("warning: {text}: an owner does it with `sb key rotate`"));
        }
        age.is_overdue
    }

    /// Runs an operation while somebody watches, and may stop it.
    pub(crate) fn watch<T>(
        &self,
        verb: &'static str,
        run: impl FnOnce(Progress<'_>) -> Result<T, CoreError>,
    ) -> Result<T, Failure> {
        Ok(progress::watch(&self.output, verb, self.stop, run)?)
    }

    /// The same for who wants to know why it was not done.
    pub(crate) fn hear<T>(&self, run: impl FnOnce(Progress<'_>) -> Result<T, CoreError>) -> Result<T, CoreError> {
        run(Progress { monitor: &progress::Warnings(&self.output), stop: self.stop })
    }

    /// Runs an operation whose output itself shows how it goes.
    pub(crate) fn listen<T>(&self, run: impl FnOnce(Progress<'_>) -> Result<T, CoreError>) -> Result<T, Failure> {
        Ok(self.hear(run)?)
    }
}

/// The vault, opened with the first of these that is of the kind that opens it.
fn try_all(vault: &Vault, credentials: &[Credential], fingerprint: Option<Digest>) -> Result<Session, CoreError> {
    let mut last = None;
    for credential in credentials {
        match vault.open(credential, fingerprint) {
            Err(error @ CoreError::Repo(RepoError::NoSuchSlot { .. })) => last = last.or(Some(error)),
            opened => return opened,
        }
    }
    Err(last.expect("at least one credential was tried"))
}

/// The configuration that is meant: the one that was named, or else the usual one if it is there.
pub(crate) fn read_config(named: Option<&Path>) -> Result<Config, Failure> {
    if let Some(file) = named {
        return Ok(Config::read(file)?);
    }
    match usual_config().filter(|file| file.exists()) {
        Some(file) => Ok(Config::read(&file)?),
        None => Ok(Config::default()),
    }
}

/// Where a configuration is looked for (XDG Base Directory Specification 0.8).
pub(crate) fn usual_config() -> Option<PathBuf> {
    let set = |name| variable(name).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config"))).or_else(|| set("APPDATA"))?;
    Some(folder.join("securebackup/config.toml"))
}
