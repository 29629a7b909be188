//! Asking for what one person alone may not do, agreeing to it, and refusing it.

use sb_audit::Json;
use sb_rbac::{Action, Explanation, RequestKind, Resource};
use sb_repo::{Progress, Proposal, RequestId};

use crate::access::{deed, directory};
use crate::error::CoreError;
use crate::record::{Told, user_id};
use crate::requests::{Act, JudgedRequest};
use crate::session::Session;

/// The change requests of a vault.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestsReport {
    /// Every request, in the order in which they were made.
    pub requests: Vec<JudgedRequest>,
    /// Objects that should be proposals, and what is wrong with them.
    pub flawed: Vec<(String, sb_repo::Flaw)>,
}

/// A change request, and whether the user who opened the vault could carry it out now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShownRequest {
    /// The request.
    pub request: JudgedRequest,
    /// Whether it may be carried out and why, if it is open and about something that this version knows.
    pub decision: Option<Explanation>,
}

impl Session {
    /// Lists the change requests: everybody's, or one's own.
    ///
    /// # Errors
    /// [`CoreError::Denied`].
    pub fn requests(&self, own: bool) -> Result<RequestsReport, CoreError> {
        let list = |session: &Self| {
            let found = session.vault.requests();
            let flawed = found.flawed.clone();
            let mut requests = session.judged(found);
            requests.retain(|request| !own || request.filed.proposed.user == session.vault.user());
            Ok(RequestsReport { requests, flawed })
        };
        let asks = if own { Action::ShowVault } else { Action::ListRequests };
        self.look(deed("Request.List", asks), list, |_| None)
    }

    /// Shows a change request, and whether who opened the vault could carry it out now.
    ///
    /// # Errors
    /// [`CoreError::Denied`], [`CoreError::NoSuchRequest`].
    pub fn show_request(&self, id: &str) -> Result<ShownRequest, CoreError> {
        let show = |session: &Self| {
            let request = session.found_request(id)?;
            let decision = act_of(&request).filter(|_| request.state.is_open()).map(|act| {
                let change = session.change_request(&request);
                let question = session.request(session.vault.user(), act.asks(), act.resource(), change);
                session.access.authorizer.explain(&session.access.directory, &question)
            });
            Ok(ShownRequest { request, decision })
        };
        self.look(deed("Request.Show", Action::ListRequests), show, |shown| Some(request_id(shown.request.filed.id)))
    }

    /// Asks for what one person alone may not do. If nobody else could agree, a [cooling-off period](crate::COOLING_OFF) begins.
    ///
    /// # Errors
    /// [`CoreError::Denied`] also if it would be denied whoever agreed, [`CoreError::Policies`] if it is about policies that are not
    /// accepted, [`CoreError::NoSuchUser`], [`CoreError::NoSuchRole`]; in [`CoreError::Repo`] a vault that was rolled back, and failures
    /// of storage, state and keys.
    pub fn propose(
        &mut self,
        act: &Act,
        reason: Option<String>,
        progress: Progress<'_>,
    ) -> Result<JudgedRequest, CoreError> {
        self.renew()?;
        self.check_act(act)?;
        let (mut proposal, resource) = (Proposal::new(act.kind().name(), act.resource().to_string()), Resource::Vault);
        proposal.reason = reason;
        let asks = match act {
            Act::ActivatePolicies(text) => {
                proposal.text = Some(text.clone());
                Action::ProposePolicies
            }
            _ => Action::ProposeChange,
        };
        // What nobody's agreement would make possible is not asked for; of documents not everything is known yet.
        let is_known = !matches!(act, Act::Dispose(_) | Act::ReleaseHold(_) | Act::ShortenRetention(_));
        let asked = self.ask(asks, resource).and_then(|decision| match is_known && !self.needs_only_a_request(act) {
            true => self.ask(act.asks(), act.resource()).map(|_| decision),
            false => Ok(decision),
        });
        let vault = crate::record::vault_id(self.id());
        let propose = |session: &mut Self| Ok(session.vault.propose(&proposal)?);
        let id = self.change_asked(asked, "Request.Propose", &vault, progress, propose, |id| Told {
            object: Some(request_id(*id)),
            data: what(act),
            ..Told::default()
        })?;
        self.renew()?;
        self.found_request(&id.to_string())
    }

    /// Agrees to a change request, with the key of the user who opened the vault. It is worth something for exactly what is asked for, and
    /// as long as that user may agree.
    ///
    /// # Errors
    /// [`CoreError::Denied`], [`CoreError::NoSuchRequest`]; in [`CoreError::Repo`] a request that is closed, a vault that was rolled
    /// back, and failures of storage, state and keys.
    pub fn approve(&mut self, id: &str, progress: Progress<'_>) -> Result<JudgedRequest, CoreError> {
        self.renew()?;
        let request = self.found_request(id)?;
        self.decide(&request, Action::ApproveChange, true, progress)
    }

    /// Refuses a change request, or withdraws one's own.
    ///
    /// # Errors
    /// As [`approve`](Self::approve).
    pub fn reject(&mut self, id: &str, progress: Progress<'_>) -> Result<JudgedRequest, CoreError> {
        self.renew()?;
        let request = self.found_request(id)?;
        let is_own = request.filed.proposed.user == self.vault.user();
        let asks = if is_own { Action::CancelChange } else { Action::RejectChange };
        self.decide(&request, asks, false, progress)
    }

    fn decide(
        &mut self,
        request: &JudgedRequest,
        asks: Action,
        approve: bool,
        progress: Progress<'_>,
    ) -> Result<JudgedRequest, CoreError> {
        let (id, state) = (request.filed.id, request.state);
        let asked = match self.change_request(request).filter(|_| state.is_open()) {
            Some(change) => self.ask(asks, Resource::Request(change)),
            None => Err(CoreError::RequestClosed { id, state }),
        };
        let logged = if approve { "Request.Approve" } else { "Request.Reject" };
        let decide = |session: &mut Self| Ok(session.vault.decide(id, approve)?);
        self.change_asked(asked, logged, &request_id(id), progress, decide, |()| Told::default())?;
        self.renew()?;
        self.found_request(&id.to_string())
    }

    /// Gives the user who opened the vault a new recovery key, to be kept on paper; the one before opens nothing any more. It is shown
    /// once and stored nowhere.
    ///
    /// # Errors
    /// [`CoreError::NeedsApproval`], [`CoreError::Denied`]; in [`CoreError::Repo`] keys that the user does not have, and failures of
    /// storage, state and keys.
    pub fn export_recovery_key(&mut self, progress: Progress<'_>) -> Result<sb_crypto::RecoveryKey, CoreError> {
        self.renew()?;
        let act = Act::ExportRecoveryKey(self.vault.user());
        let sanction = self.sanction(&act);
        let request = sanction.as_ref().ok().and_then(|sanction| sanction.request);
        let export = |session: &mut Self| {
            let request =
                request.ok_or(CoreError::NeedsApproval { act: Box::new(act), pending: None, is_alone: false })?;
            Ok(session.vault.renew_recovery(request)?)
        };
        let asked = sanction.map(|sanction| sanction.decision);
        let user = user_id(self.vault.user());
        self.change_asked(asked, "Key.Export", &user, progress, export, |_| by_request(request))
    }

    /// Removes a user: what let them in opens nothing any more. What they have copied, of keys and of the vault, they keep, and the
    /// machines that they have enrolled are still believed.
    ///
    /// # Errors
    /// [`CoreError::NeedsApproval`], [`CoreError::Denied`], [`CoreError::NoSuchUser`]; in [`CoreError::Repo`] the last owner, and failures of
    /// storage, state and keys.
    pub fn remove_user(&mut self, user: sb_repo::UserId, progress: Progress<'_>) -> Result<(), CoreError> {
        self.renew()?;
        let act = Act::RemoveUser(user);
        self.check_act(&act)?;
        let sanction = self.sanction(&act);
        let request = sanction.as_ref().ok().and_then(|sanction| sanction.request);
        let remove = |session: &mut Self| Ok(session.vault.remove_user(user, request)?);
        let asked = sanction.map(|sanction| sanction.decision);
        self.change_asked(asked, "User.Remove", &user_id(user), progress, remove, |()| by_request(request))?;
        self.look_anew()
    }

    /// The change request whose id begins like this.
    fn found_request(&self, id: &str) -> Result<JudgedRequest, CoreError> {
        let requests = self.judged(self.vault.requests());
        let mut fitting =
            requests.into_iter().filter(|request| id.len() >= 4 && request.filed.id.to_string().starts_with(id));
        match (fitting.next(), fitting.next()) {
            (Some(found), None) => Ok(found),
            _ => Err(CoreError::NoSuchRequest { id: id.to_owned() }),
        }
    }

    /// That what is to be done can be done at all.
    pub(crate) fn check_act(&self, act: &Act) -> Result<(), CoreError> {
        let roll = self.vault.current_roll()?;
        let no_such_user = |user: sb_repo::UserId| CoreError::NoSuchUser { name: user.to_string() };
        match act {
            Act::RemoveUser(user) => roll.member(*user).map(drop).ok_or_else(|| no_such_user(*user)),
            Act::Roles(user, roles) => {
                roll.member(*user).ok_or_else(|| no_such_user(*user))?;
                self.check_roles(roles, &directory(&roll)?)
            }
            Act::ActivatePolicies(text) => Ok(sb_rbac::Policies::check(text, &directory(&roll)?).map(drop)?),
            _ => Ok(()),
        }
    }
}

/// What a request asks for, out of what it says.
fn act_of(request: &JudgedRequest) -> Option<Act> {
    let target = request.filed.proposal.targets.first()?;
    let (what, id) = target.split_once(':')?;
    let user = |id: &str| sb_repo::UserId::from_hex(id);
    Some(match (request.kind?, what) {
        (RequestKind::ExportKey, "key") => Act::ExportRecoveryKey(user(id.strip_prefix("recovery:")?)?),
        (RequestKind::RemoveUser, "user") => Act::RemoveUser(user(id)?),
        (RequestKind::Grant, "user") => {
            let (id, roles) = id.split_once('=')?;
            let roles = roles.trim_matches(['{', '}']).split(", ").map(|role| role.trim_matches('"').to_owned());
            Act::Roles(user(id)?, roles.collect())
        }
        (RequestKind::ActivatePolicies, "policies") => Act::ActivatePolicies(request.filed.proposal.text.clone()?),
        (RequestKind::Dispose, "document") => Act::Dispose(id.to_owned()),
        (RequestKind::ReleaseHold, "hold") => Act::ReleaseHold(id.to_owned()),
        (RequestKind::Shorten, "retention") => Act::ShortenRetention(id.to_owned()),
        _ => return None,
    })
}

/// What is asked for, as the log says it: ids, and names of roles.
fn what(act: &Act) -> Vec<(&'static str, Json)> {
    vec![("kind", Json::text(act.kind().name())), ("target", Json::text(act.resource().to_string()))]
}

/// By which request something was done.
pub(crate) fn by_request(request: Option<RequestId>) -> Told {
    let data = request.map(|id| ("request", Json::text(request_id(id))));
    Told { data: data.into_iter().collect(), ..Told::default() }
}

fn request_id(id: RequestId) -> String {
    format!("request:{id}")
}
