//! A vault that nobody has opened yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sb_audit::{Json, Outcome};
use sb_crypto::{Credential, Digest, Random, SystemRandom};
use sb_repo::{Clock, RepoError, Span, State, Surroundings, VaultId, View};
use sb_store::{Limits, Storage, StoreError, Throttled};

use crate::access::Access;
use crate::clock::SystemClock;
use crate::error::CoreError;
use crate::location::Location;
use crate::record::event;
use crate::session::Session;

/// After a wrong passphrase the next one waits a second, and each further one twice as long as the one before, until it waits about a minute.
const GUESS_DOUBLINGS: u32 = 6;

/// When keys are to be rotated after they came into use, unless somebody says otherwise.
const ROTATE_AFTER: Span = Span { months: 0, hours: 90 * 24 };

/// Where a vault is, or is to be, and where this machine remembers things of it. Nothing is read before an operation.
#[derive(Clone, Debug)]
pub struct Vault {
    pub(crate) location: Location,
    pub(crate) state_root: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    /// Who says to come in.
    pub(crate) login: Option<String>,
    /// How often something was refused.
    refused: Arc<AtomicU32>,
    /// Who issues certificates.
    pub(crate) issuer: Option<String>,
    limits: Limits,
    /// When keys are to be rotated after they came into use.
    pub(crate) rotate_after: Span,
    rehearsing: bool,
}

impl Vault {
    /// The vault at a location. Local state is kept in a folder of its own in `state_root` (see [`state_root`](crate::state_root())).
    pub fn new(location: Location, state_root: impl Into<PathBuf>) -> Self {
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let (issuer, limits) = (None, Limits::default());
        let (login, refused) = (None, Arc::default());
        let state_root = state_root.into();
        Self {
            location,
            state_root,
            clock,
            random,
            login,
            refused,
            issuer,
            limits,
            rotate_after: ROTATE_AFTER,
            rehearsing: false,
        }
    }

    /// The same for a rehearsal: what is opened reads the vault and what this machine remembers of it, and writes to neither. What
    /// seems to be done with it is not.
    #[must_use]
    pub fn rehearsing(self) -> Self {
        Self { rehearsing: true, ..self }
    }

    /// The same for the user with this login. Without one, every slot that what is presented could open is tried.
    #[must_use]
    pub fn as_user(self, login: impl Into<String>) -> Self {
        Self { login: Some(login.into()), ..self }
    }

    /// The same with another issuer of certificates than the vault's id, such as the firm's domain.
    #[must_use]
    pub fn with_issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// The same where keys are to be rotated so long after they came into use. Without it, 90 days.
    #[must_use]
    pub fn with_rotation_after(self, rotate_after: Span) -> Self {
        Self { rotate_after, ..self }
    }

    /// The same with limits of how much is written to the vault, and read from it, each second.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The same with another source of randomness.
    #[must_use]
    pub fn with_random(self, random: Arc<dyn Random>) -> Self {
        Self { random, ..self }
    }

    /// Where it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Opens the vault. `fingerprint` is that of its root key, where it is known from the recovery sheet; this machine
    /// remembers it from the first time on.
    ///
    /// # Errors
    /// [`CoreError::NoVault`], and in [`CoreError::Repo`] a wrong or unfit credential, another root key than expected, damage
    /// to everything that says what the vault is, and failures of storage and state.
    pub fn open(&self, credential: &Credential, fingerprint: Option<Digest>) -> Result<Session, CoreError> {
        let storage = self.storage()?;
        // Which vault it is, and so which state folder is its, only the slot can say: anybody could add a config.
        let state = State::among(&self.state_root);
        let around = self.surroundings(storage, state);
        self.hold_back();
        let opened = match &self.login {
            Some(login) => sb_repo::Vault::open_as(around.clone(), login, credential, fingerprint),
            None => sb_repo::Vault::open(around.clone(), credential, fingerprint),
        };
        if let Err(RepoError::WrongCredential) = &opened {
            self.refused.fetch_add(1, Ordering::Relaxed);
            if !self.rehearsing {
                self.log_refusal(&around);
            }
        }
        let vault = opened.map_err(|error| CoreError::from(error).at(&self.location))?;
        self.refused.store(0, Ordering::Relaxed);
        let (place, method, access) = (self.clone(), method(credential), Access::of(&vault)?);
        let mut session = Session { vault, place, access, method, as_of: None, set_back: None };
        session.check_in()?;
        if !self.rehearsing {
            session.settle_in()?;
        }
        Ok(session)
    }

    /// Waits the longer the more often something was refused, so that this process is no help in guessing.
    fn hold_back(&self) {
        let refused = self.refused.load(Ordering::Relaxed);
        if refused > 0 {
            std::thread::sleep(Duration::from_secs(1 << (refused - 1).min(GUESS_DOUBLINGS)));
        }
    }

    /// Writes to the log, with this machine's key, that somebody has tried to get in.
    fn log_refusal(&self, around: &Surroundings) {
        let event = event(self.clock.now(), "own", "unknown", "Vault.Open", "vault", Outcome::Denied);
        // If it can't be told, that the credential is wrong is still what has to be said.
        let _ = sb_repo::log_unopened(around, &event.with("reason", Json::text("credential")));
    }

    /// True if nothing is written.
    pub(crate) fn is_rehearsing(&self) -> bool {
        self.rehearsing
    }

    /// What anybody can see of the vault without a key, compared with what this machine remembers of it.
    pub(crate) fn view(&self, fingerprint: Option<Digest>) -> Result<View, CoreError> {
        View::open(self.storage()?, &State::among(&self.state_root), fingerprint)
            .map_err(|error| CoreError::from(error).at(&self.location))
    }

    fn storage(&self) -> Result<Arc<dyn Storage>, CoreError> {
        let storage = self.location.open().map_err(|error| match error {
            StoreError::NotFound { .. } => CoreError::NoVault { location: self.location.clone() },
            error => error.into(),
        })?;
        Ok(self.limited(storage))
    }

    /// The storage with the limits there are.
    pub(crate) fn limited(&self, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
        if self.limits == Limits::default() { storage } else { Arc::new(Throttled::new(storage, self.limits)) }
    }

    pub(crate) fn surroundings(&self, storage: Arc<dyn Storage>, state: State) -> Surroundings {
        let around = Surroundings { storage, state, clock: self.clock.clone(), random: self.random.clone() };
        if self.rehearsing { around.rehearsing() } else { around }
    }

    pub(crate) fn state_folder(&self, id: VaultId) -> PathBuf {
        self.state_root.join(id.to_string())
    }

    /// Whether something at this path would be in the vault's folder. Links on the way are resolved as far as it exists.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        let Some(vault) = self.location.folder().and_then(|folder| folder.canonicalize().ok()) else { return false };
        let Ok(path) = std::path::absolute(path) else { return false };
        let existing = path.ancestors().find_map(|ancestor| ancestor.canonicalize().ok());
        existing.is_some_and(|existing| existing.starts_with(vault))
    }
}

fn method(credential: &Credential) -> &'static str {
    match credential {
        Credential::Passphrase(_) => "passphrase",
        Credential::KeyFile(_) => "key file",
        Credential::PassphraseAndKeyFile(..) => "passphrase and key file",
        Credential::Rsa(_) => "RSA key",
        Credential::Recovery(_) => "recovery key",
    }
}
