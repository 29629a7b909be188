//! Writing what a session does to the audit log.
//!
//! What changes the vault is announced before and told after, so that a crash leaves a question and not a gap; if it can't be
//! announced it is not done. What shows contents is told after, what only looks is kept on this machine and told with what comes
//! next. Ids are opaque: neither names nor paths stand in a log.

use chrono::{DateTime, Utc};
use sb_audit::{Action as Logged, Event, JournalHead, Json, OpaqueId, Outcome};
use sb_crypto::Digest;
use sb_rbac::{Action, Decision};
use sb_repo::{Certified, KeyId, Progress, RepoError, SnapshotId, Unlogged, UserId, VaultId};
use sb_store::StoreError;

use crate::access::{Deed, deed, policies, resource};
use crate::error::CoreError;
use crate::session::Session;

/// From so many kept events on, opening the vault tells of them.
const KEPT_MAX: usize = 64;

/// What shows which snapshots there are.
pub(crate) const LIST: Deed = deed("Vault.List", Action::SeeSnapshots);
/// What frees space.
pub(crate) const COLLECT: Deed = deed("Vault.Collect", Action::CollectVault);

/// What an entry says of how something went.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// To what it was done, where that was not known before.
    pub(crate) object: Option<String>,
    pub(crate) data: Vec<(&'static str, Json)>,
    /// The journal entry that has it.
    pub(crate) journal: Option<JournalHead>,
    /// The certificate that was issued with it.
    pub(crate) certified: Option<Certified>,
}

/// A snapshot as logs name it.
pub(crate) fn snapshot_id(id: SnapshotId) -> String {
    format!("snapshot:{id}")
}

/// A user as logs name them.
pub(crate) fn user_id(id: UserId) -> String {
    format!("user:{id}")
}

/// A vault as logs name it.
pub(crate) fn vault_id(id: VaultId) -> String {
    format!("vault:{id}")
}

impl Session {
    /// Does what changes the vault, and writes that to the log before and after.
    pub(crate) fn change<T>(
        &mut self,
        deed: Deed,
        object: &str,
        progress: Progress<'_>,
        act: impl FnOnce(&mut Self) -> Result<T, CoreError>,
        told: impl FnOnce(&T) -> Told,
    ) -> Result<T, CoreError> {
        let asked = self.ask(deed.asks, resource(deed.asks, self.id(), object));
        self.change_asked(asked, deed.logged, object, progress, act, told)
    }

    /// The same for what was asked for already.
    pub(crate) fn change_asked<T>(
        &mut self,
        asked: Result<Decision, CoreError>,
        action: &'static str,
        object: &str,
        progress: Progress<'_>,
        act: impl FnOnce(&mut Self) -> Result<T, CoreError>,
        told: impl FnOnce(&T) -> Told,
    ) -> Result<T, CoreError> {
        let by = match asked {
            Ok(decision) => policies(&decision),
            Err(error) => return self.refuse_to(action, object, error, progress),
        };
        if self.place.is_rehearsing() {
            return act(self);
        }
        let intent = match self.announce(action, object, progress) {
            // Else a full disk could never be freed.
            Err(CoreError::Repo(RepoError::Store(StoreError::Full { .. }))) if action == COLLECT.logged => None,
            announced => Some(announced?),
        };
        let done = act(self);
        let outcome = match &done {
            Ok(done) => {
                // The outcome is of what was announced; what came of it is told beside that.
                let mut told = told(done);
                let about = told.object.take().map(|about| ("about", Json::text(about)));
                told.data.extend(about);
                self.outcome(action, object, &by, told)
            }
            Err(error) => vec![self.failure(action, object, error)],
        };
        let log = self.vault.own_writer().ok().flatten();
        let answer = |event: Event| match intent {
            Some((announced, intent)) if event.action.as_str() == action && log == Some(announced) => {
                event.answering(intent)
            }
            // The machine goes on under a new name since.
            Some((announced, intent)) if event.action.as_str() == action => {
                let place = [("log", Json::text(announced.to_string())), ("number", Json::Integer(intent))];
                event.with("announced", Json::object(place))
            }
            Some(_) => event,
            None => event.with("unannounced", Json::text("no-space")),
        };
        self.conclude(Vec::new(), outcome.into_iter().map(answer).collect(), progress);
        done
    }

    /// Does what shows contents or what somebody relies on, and writes that to the log.
    pub(crate) fn disclose<T>(
        &mut self,
        deed: Deed,
        object: &str,
        progress: Progress<'_>,
        act: impl FnOnce(&mut Self) -> Result<T, CoreError>,
        told: impl FnOnce(&T) -> Told,
    ) -> Result<T, CoreError> {
        let action = deed.logged;
        let by = match self.ask(deed.asks, resource(deed.asks, self.id(), object)) {
            Ok(decision) => policies(&decision),
            Err(error) => return self.refuse_to(action, object, error, progress),
        };
        if self.place.is_rehearsing() {
            return act(self);
        }
        // What is logged from here on seems to have told of all before.
        let late = self.untold().unwrap_or_default();
        let done = act(self);
        let outcome = match &done {
            Ok(done) => self.outcome(action, object, &by, told(done)),
            Err(error) => vec![self.failure(action, object, error)],
        };
        self.conclude(late, outcome, progress);
        done
    }

    /// Looks at something, and keeps that until something is written to the log. `object` is told what was found.
    pub(crate) fn look<T>(
        &self,
        deed: Deed,
        act: impl FnOnce(&Self) -> Result<T, CoreError>,
        object: impl FnOnce(&T) -> Option<String>,
    ) -> Result<T, CoreError> {
        let vault = vault_id(self.id());
        let asked = self.ask(deed.asks, resource(deed.asks, self.id(), &vault));
        let by = asked.as_ref().map(policies).unwrap_or_default();
        let done = asked.and_then(|_| act(self));
        if !self.place.is_rehearsing() {
            let event = match &done {
                Ok(found) => {
                    let object = object(found).unwrap_or(vault);
                    with_policies(self.event(deed.logged, &object, Outcome::Success), &by)
                }
                Err(error) => self.failure(deed.logged, &vault, error),
            };
            // Nobody is kept from looking because there is no room to write that down.
            let _ = self.vault.spool(&event);
        }
        done
    }

    /// Writes to the log that something was not allowed.
    fn refuse_to<T>(
        &mut self,
        action: &'static str,
        object: &str,
        error: CoreError,
        progress: Progress<'_>,
    ) -> Result<T, CoreError> {
        if !self.place.is_rehearsing() {
            let outcome = self.failure(action, object, &error);
            self.conclude(Vec::new(), vec![outcome], progress);
        }
        Err(error)
    }

    /// The same of the vault as a whole.
    pub(crate) fn refuse<T>(&mut self, action: &'static str, error: CoreError) -> Result<T, CoreError> {
        let vault = vault_id(self.id());
        self.refuse_to(action, &vault, error, Progress::none())
    }

    /// Keeps that something failed before anything was done.
    pub(crate) fn failed<T>(&self, deed: Deed, error: CoreError) -> Result<T, CoreError> {
        self.look(deed, |_| Err(error), |_| None)
    }

    /// Writes to the log what was kept, if there is much of it.
    pub(crate) fn catch_up(&mut self) {
        if !self.vault.lacks_certificate() && self.vault.spooled() >= KEPT_MAX {
            // It stays kept if that fails.
            let late = self.untold().unwrap_or_default();
            let _ = self.vault.log(&late);
        }
    }

    /// How many things were done that are not in the vault's log yet, because it could not be written to.
    pub fn unlogged(&self) -> usize {
        self.vault.spooled()
    }

    /// What runs did that were cut short before they could say so.
    fn untold(&self) -> Result<Vec<Event>, CoreError> {
        Ok(self.vault.unlogged()?.iter().flat_map(|unlogged| self.late(unlogged)).collect())
    }

    /// Announces what is about to be done. Returns in whose log, and the number of the entry.
    fn announce(
        &mut self,
        action: &'static str,
        object: &str,
        progress: Progress<'_>,
    ) -> Result<(KeyId, u64), CoreError> {
        let mut events = self.untold()?;
        let before = events.len() as u64;
        events.push(self.event(action, object, Outcome::Intent));
        match self.vault.log(&events) {
            Ok(position) => {
                if let Some(flaw) = position.anew {
                    let text = "cannot be continued, so this machine goes on under a new name";
                    progress.monitor.warning(&format!("this machine's audit log {text}: {flaw}"));
                }
                Ok((position.writer, position.first + before))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes to the log how it went, after what is late. What is done is done: if it can't be written, it is kept, and told later.
    fn conclude(&mut self, late: Vec<Event>, outcome: Vec<Event>, progress: Progress<'_>) {
        let error = match self.vault.lacks_certificate() {
            // Whoever looks is not to change that; the next backup does.
            true => CoreError::LostCertificate,
            false => match self.vault.log(&[late, outcome.clone()].concat()) {
                Ok(_) => return,
                Err(error) => error.into(),
            },
        };
        let kept = outcome.iter().try_for_each(|event| self.vault.spool(event));
        let text = match kept {
            Ok(()) => "and is kept on this machine until it can be",
            Err(_) => "nor can it be kept on this machine, so that nothing tells of it",
        };
        progress.monitor.warning(&format!("this cannot be written to the vault's audit log now ({error}), {text}"));
    }

    fn outcome(&self, action: &'static str, object: &str, by: &[String], told: Told) -> Vec<Event> {
        let event = self.event(action, told.object.as_deref().unwrap_or(object), Outcome::Success);
        let mut event = with_policies(event, by);
        for (key, value) in told.data {
            event = event.with(key, value);
        }
        if let Some(journal) = &told.journal {
            event = event.with("entry", entry(journal));
        }
        let issue = told.certified.map(|certified| self.issue(&certified.object, certified.statement_sha256));
        [event].into_iter().chain(issue).collect()
    }

    /// That a certificate was issued: what its proof is about.
    pub(crate) fn issue(&self, certificate: &Digest, statement: Digest) -> Event {
        let event = self.event(Logged::CERTIFICATE_ISSUE, &format!("certificate:{certificate}"), Outcome::Success);
        event.with("statement_sha256", Json::text(statement.to_string()))
    }

    /// What a run did that was cut short before it could say so.
    fn late(&self, unlogged: &Unlogged) -> Vec<Event> {
        let action = match unlogged.operation.as_str() {
            "backup" => "Snapshot.Create",
            "forget" => "Snapshot.Forget",
            "tag" => "Snapshot.Tag",
            "collect" => "Vault.Collect",
            "certify" => "Vault.Verify",
            "anchor" => "Log.Anchor",
            "sign" => "Certificate.Sign",
            "rotate" => "Key.Rotate",
            "propose" => "Request.Propose",
            "approve" => "Request.Approve",
            "reject" => "Request.Reject",
            "renew-recovery" => "Key.Export",
            "remove-user" => "User.Remove",
            "enrol" => "Machine.Enrol",
            "init" => "Vault.Create",
            _ => "Vault.Change",
        };
        let object = unlogged.snapshots.first().map(|id| format!("snapshot:{id}"));
        let object = object.unwrap_or_else(|| vault_id(self.id()));
        let event = self.event(action, &object, Outcome::Success).with("entry", entry(&unlogged.journal));
        let mut events = vec![event.with("late", Json::text(unlogged.operation.as_str()))];
        let certificates = self.vault.view().certificates_among(&unlogged.certificates);
        events.extend(certificates.iter().map(|found| self.issue(&found.object, found.statement_sha256())));
        events
    }

    fn failure(&self, action: &'static str, object: &str, error: &CoreError) -> Event {
        let outcome = if error.is_denial() { Outcome::Denied } else { Outcome::Failed };
        let event = self.event(action, object, outcome).with("reason", Json::text(reason(error)));
        match error {
            CoreError::Denied { policies, .. } => with_policies(event, policies),
            _ => event,
        }
    }

    fn event(&self, action: &'static str, object: &str, outcome: Outcome) -> Event {
        let machine = self.vault.own_writer().ok().flatten();
        let machine = machine.map_or_else(|| "new".to_owned(), |writer| writer.to_string());
        let actor = user_id(self.vault.user());
        event(self.place.clock.now(), &machine, &actor, action, object, outcome)
    }
}

/// The event, and the policies by which it was allowed or denied.
fn with_policies(event: Event, policies: &[String]) -> Event {
    let list = policies.iter().map(Json::text).collect();
    if policies.is_empty() { event } else { event.with("policies", Json::List(list)) }
}

/// An event of this program. Ids that are none, which nobody passes, are shown as such.
pub(crate) fn event(
    time: DateTime<Utc>,
    machine: &str,
    actor: &str,
    action: &'static str,
    object: &str,
    outcome: Outcome,
) -> Event {
    let id = |text: &str| text.parse::<OpaqueId>().unwrap_or_else(|_| "unknown".parse().expect("an id"));
    let action = action.parse().expect("every action is of two words");
    Event::new(time, id(&format!("machine:{machine}/sb")), id(actor), action, id(object), outcome)
}

/// A journal entry as logs name it.
fn entry(journal: &JournalHead) -> Json {
    let fields = [("number", Json::Integer(journal.number)), ("sha256", Json::text(journal.sha256.to_string()))];
    Json::object(fields)
}

/// Why something failed, without any name.
fn reason(error: &CoreError) -> &'static str {
    match error {
        CoreError::NoVault { .. } => "no-vault",
        CoreError::Denied { .. } => "role",
        CoreError::NeedsApproval { .. } => "approval",
        CoreError::OwnClients => "oneself",
        CoreError::LockedOut { .. } => "locked-out",
        CoreError::NoSnapshotThen { .. }
        | CoreError::Repo(
            RepoError::NoSuchSnapshot { .. } | RepoError::AmbiguousSnapshot { .. } | RepoError::NoSuchPath { .. },
        ) => "not-found",
        CoreError::Repo(RepoError::WrongCredential | RepoError::NoSuchSlot { .. }) => "credential",
        CoreError::Repo(RepoError::NoReadingKey { .. }) => "no-key",
        CoreError::Repo(RepoError::RolledBack { .. } | RepoError::LogRolledBack { .. }) => "rolled-back",
        CoreError::Repo(RepoError::Interrupted) => "interrupted",
        CoreError::Repo(RepoError::Store(StoreError::Full { .. }) | RepoError::LowSpace { .. }) => "no-space",
        CoreError::Repo(RepoError::Store(_)) => "storage",
        CoreError::Repo(RepoError::State { .. }) | CoreError::StateFolder { .. } => "state",
        CoreError::Repo(RepoError::ReadBack { .. }) => "read-back",
        CoreError::Repo(RepoError::Busy { .. }) => "busy",
        CoreError::Repo(RepoError::Target(_)) => "target",
        error if error.is_damage() => "damage",
        _ => "request",
    }
}
