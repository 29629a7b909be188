//! What lets users in: listing it, and changing one's own.

use sb_audit::Json;
use sb_crypto::Lock;
use sb_rbac::{Action, Resource};
use sb_repo::{Progress, SlotId, SlotInfo, UserId};

use crate::access::deed;
use crate::error::CoreError;
use crate::record::Told;
use crate::session::Session;

/// Something that lets a user in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListedKey {
    /// What anybody can see of it.
    pub slot: SlotInfo,
    /// Whose it is, where that may be read.
    pub name: Option<String>,
    /// True for what has opened the vault now.
    pub is_in_use: bool,
}

impl Session {
    /// Lists what lets users in: everybody's, or one's own.
    ///
    /// # Errors
    /// [`CoreError::Denied`].
    pub fn keys(&self, own: bool) -> Result<Vec<ListedKey>, CoreError> {
        let list = |session: &Self| {
            let (names, slots) = (session.vault.user_logins(), session.vault.view().slots());
            let in_use = session.vault.slot();
            let slots = slots.into_iter().filter(|slot| !own || slot.user == session.vault.user());
            let listed = slots.map(|slot| ListedKey {
                name: names.get(&slot.user).cloned(),
                is_in_use: in_use.starts_with(&format!("keys/{}.", slot.id)),
                slot,
            });
            Ok(listed.collect())
        };
        let asks = if own { Action::ShowVault } else { Action::ListKeys };
        self.look(deed("Key.List", asks), list, |_| None)
    }

    /// Lets the user who opened the vault in by something else, too.
    ///
    /// # Errors
    /// [`CoreError::Denied`]; in [`CoreError::Repo`] an algorithm that the vault does not want, a vault that was rolled back, and failures of storage, state and keys.
    pub fn add_key(&mut self, lock: &Lock, progress: Progress<'_>) -> Result<SlotId, CoreError> {
        let asked = self.ask(Action::AddOwnSlot, slot("new", self.vault.user()));
        let add = |session: &mut Self| Ok(session.vault.add_lock(lock)?);
        let user = crate::record::user_id(self.vault.user());
        self.change_asked(asked, "Key.Add", &user, progress, add, |id| Told {
            data: vec![("key", Json::text(id.to_string()))],
            ..Told::default()
        })
    }

    /// Changes what has let the user in now to something else. What did it before opens nothing any more.
    ///
    /// # Errors
    /// As [`add_key`](Self::add_key).
    pub fn change_key(&mut self, lock: &Lock, progress: Progress<'_>) -> Result<(), CoreError> {
        let asked = self.ask(Action::ChangeOwnSlot, slot("own", self.vault.user()));
        let change = |session: &mut Self| Ok(session.vault.change_lock(lock)?);
        let user = crate::record::user_id(self.vault.user());
        self.change_asked(asked, "Key.Change", &user, progress, change, |()| Told::default())
    }

    /// Removes something that lets a user in: one's own, or with the right to it another's.
    ///
    /// # Errors
    /// [`CoreError::NoSuchKey`], and as [`add_key`](Self::add_key).
    pub fn remove_key(&mut self, id: &str, progress: Progress<'_>) -> Result<(), CoreError> {
        let slots = self.vault.view().slots();
        let mut fitting = slots.iter().filter(|slot| id.len() >= 4 && slot.id.to_string().starts_with(id));
        let (Some(found), None) = (fitting.next(), fitting.next()) else {
            return Err(CoreError::NoSuchKey { id: id.to_owned() });
        };
        let asks = if found.user == self.vault.user() { Action::RemoveOwnSlot } else { Action::ResetSlot };
        let asked = self.ask(asks, slot(&found.id.to_string(), found.user));
        let (id, user) = (found.id, crate::record::user_id(found.user));
        let remove = |session: &mut Self| Ok(session.vault.remove_slot(id)?);
        self.change_asked(asked, "Key.Remove", &user, progress, remove, |()| Told {
            data: vec![("key", Json::text(id.to_string()))],
            ..Told::default()
        })
    }
}

fn slot(id: &str, owner: UserId) -> Resource {
    Resource::Slot { id: id.to_owned(), owner: owner.to_string().as_str().into() }
}
