//! Granting keys anew to everybody.

use sb_crypto::{PrivateKey, PublicKey, Secret, SigningKey};

use super::KeySet;
use super::change::RollChange;
use crate::error::RepoError;
use crate::vault::Vault;
use crate::wire::slot::KeyBundle;

impl Vault {
    /// Grants of these keys what their roles need to all who have access, all in one entry; what anybody was granted before counts no
    /// more. A vault of one gets a roll by that, which says which grant counts. How many were granted keys.
    ///
    /// The vault was looked at just now.
    pub(crate) fn grant_to_all(
        &mut self,
        writer: &SigningKey,
        operation: &'static str,
        keys: &KeyBundle,
    ) -> Result<u64, RepoError> {
        self.check_complete(keys)?;
        let (root, seen) = (self.root_pair()?, self.current_roll()?);
        let gone = self.view.live.iter().map(|(name, _)| name).filter(|name| name.starts_with("grants/"));
        let gone = gone.map(str::to_owned).collect();
        let now = self.around.clock.now();
        let mut count = 0;
        let change = RollChange { operation, root, roll: seen.clone(), seen, gone };
        self.enter_roll_as(Some(writer), change, |vault, root, roll| {
            let needs = |member: &super::Member| member.keys != KeySet::NONE && member.has_access(now);
            let lost = roll.members.iter().find(|member| needs(member) && member.recipient.is_none());
            if let Some(member) = lost {
                return Err(RepoError::NoGrant { user: member.user });
            }
            let mut added = Vec::new();
            for member in &mut roll.members {
                let Some(recipient) = member.recipient.clone().filter(|_| needs(member)) else {
                    // They are granted keys when they are let in again.
                    member.grant = None;
                    continue;
                };
                added.extend(vault.grant(root, &recipient, &keys.limited_to(member.keys), member)?);
                count += 1;
            }
            Ok(added)
        })?;
        self.take_in_grants()?;
        Ok(count)
    }

    /// Fails unless these are all keys that the newest config names, as far as they are of that kind: who holds fewer, because somebody
    /// has rotated meanwhile, must not hand them out as all.
    pub(crate) fn check_complete(&self, keys: &KeyBundle) -> Result<(), RepoError> {
        let recipient = self.view.config.recipient;
        let opens = |secrets: &[(u64, Secret)], number: u64, public: &PublicKey| {
            let key = secrets.iter().find(|(other, _)| *other == number);
            let key = key.map(|(_, secret)| PrivateKey::from_secret_bytes(recipient, secret.as_bytes()));
            key.is_some_and(|key| key.is_ok_and(|key| key.public() == public))
        };
        for compartment in &self.view.config.compartments {
            for secrets in keys.compartments.iter().filter(|secrets| secrets.id == compartment.id) {
                let open = compartment.epochs.iter().map(|epoch| (epoch.number, &epoch.meta));
                let closed = compartment.closed.iter().map(|(number, meta)| (*number, meta));
                let mut metas = open.chain(closed);
                let mut contents = compartment.epochs.iter();
                let is_complete = (secrets.meta.is_empty() || metas.all(|(n, key)| opens(&secrets.meta, n, key)))
                    && (secrets.content.is_empty() || contents.all(|e| opens(&secrets.content, e.number, &e.content)));
                if !is_complete {
                    return Err(RepoError::KeysNotHeld { wanted: keys.set() });
                }
            }
        }
        Ok(())
    }

    /// Takes away what was granted, and said of users, before what counts now, if somebody was cut short before that.
    pub(crate) fn drop_superseded_grants(
        &mut self,
        writer: &SigningKey,
        operation: &'static str,
    ) -> Result<(), RepoError> {
        let Some((roll, newest, None)) = self.view.newest_roll()? else { return Ok(()) };
        let counts =
            |name: &str| name == newest || roll.members.iter().any(|member| member.grant.as_deref() == Some(name));
        let names = self.view.live.iter().map(|(name, _)| name);
        let names = names.filter(|name| name.starts_with("grants/") || name.starts_with("roles/"));
        let gone = names.filter(|name| !counts(name)).map(str::to_owned).collect();
        self.take_away(writer, operation, gone)
    }
}
