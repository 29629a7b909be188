//! The firm's policies.

use sb_audit::Json;
use sb_crypto::sha256;
use sb_rbac::{Action, Policies};
use sb_repo::Progress;

use crate::access::{deed, directory};
use crate::error::CoreError;
use crate::ops::requests::by_request;
use crate::requests::Act;
use crate::session::Session;

impl Session {
    /// The text of the firm's policies; `None` if there are none but those of the built-in roles.
    ///
    /// # Errors
    /// [`CoreError::Denied`]; in [`CoreError::Repo`] a roll that can't be read.
    pub fn policies(&self) -> Result<Option<String>, CoreError> {
        let show = |session: &Self| Ok(session.vault.current_roll()?.policies);
        self.look(deed("Policies.Show", Action::ListPolicies), show, |_| None)
    }

    /// Checks policies against the roles there are, and that they permit nothing that guard rails forbid, without putting them into
    /// force.
    ///
    /// # Errors
    /// [`CoreError::Denied`], and [`CoreError::Policies`], which says what is wrong with them.
    pub fn check_policies(&self, text: &str) -> Result<Policies, CoreError> {
        let check = |session: &Self| {
            let roll = session.vault.current_roll()?;
            Ok(Policies::check(text, &directory(&roll)?)?)
        };
        self.look(deed("Policies.Check", Action::ListPolicies), check, |_| None)
    }

    /// Puts the firm's policies into force instead of those before; with an empty text there are none but those of the built-in roles.
    ///
    /// # Errors
    /// [`CoreError::NeedsApproval`], [`CoreError::Policies`], [`CoreError::Denied`]; in [`CoreError::Repo`] failures of storage, state and
    /// keys.
    pub fn activate_policies(&mut self, text: &str, progress: Progress<'_>) -> Result<(), CoreError> {
        self.renew()?;
        let act = Act::ActivatePolicies(text.to_owned());
        self.check_act(&act)?;
        let sanction = self.sanction(&act);
        let request = sanction.as_ref().ok().and_then(|sanction| sanction.request);
        let activate = |session: &mut Self| {
            let policies = Some(text.to_owned()).filter(|text| !text.is_empty());
            Ok(session.vault.change_roll(request, |roll| roll.policies = policies)?)
        };
        let vault = crate::record::vault_id(self.id());
        let asked = sanction.map(|sanction| sanction.decision);
        self.change_asked(asked, "Policies.Activate", &vault, progress, activate, |()| {
            let mut told = by_request(request);
            told.data.push(("sha256", Json::text(sha256(text.as_bytes()).to_string())));
            told
        })?;
        self.look_anew()
    }
}
