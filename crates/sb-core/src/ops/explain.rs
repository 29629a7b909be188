//! Why somebody may do something, or not.

use sb_rbac::{Action, Explanation};
use sb_repo::UserId;

use crate::access::{deed, resource};
use crate::error::CoreError;
use crate::session::Session;

impl Session {
    /// Whether a user may do this, by which policies, and what would have to change. Where keys decide, it is those of the user's roles.
    ///
    /// `two_factors` is how they are taken to open the vault.
    ///
    /// # Errors
    /// [`CoreError::Denied`].
    pub fn explain(
        &self,
        user: UserId,
        action: Action,
        object: &str,
        two_factors: bool,
    ) -> Result<Explanation, CoreError> {
        let explain = |session: &Self| {
            let mut request = session.request(user, action, resource(action, session.id(), object), None);
            request.context.mfa = two_factors;
            Ok(session.access.authorizer.explain(&session.access.directory, &request))
        };
        // Of oneself everybody may know.
        let asks = if user == self.vault.user() { Action::ShowVault } else { Action::ExplainAccess };
        self.look(deed("Access.Explain", asks), explain, |_| None)
    }
}
