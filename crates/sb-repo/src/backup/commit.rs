//! The last look before a snapshot is acknowledged: is everything it relies on still there?

use std::collections::BTreeSet;

use crate::error::{Flaw, RepoError};
use crate::live::read;
use crate::name::ParsedName;
use crate::vault::Vault;
use crate::wire::lease::Condemned;

impl Vault {
    /// Names that collectors are about to delete.
    pub(super) fn condemned(&self) -> Result<BTreeSet<String>, RepoError> {
        let mut names = BTreeSet::new();
        for listed in self.around.storage.list("condemned")? {
            let damaged = |flaw: Flaw| RepoError::Damaged { name: listed.name.clone(), flaw };
            let Some(parsed) = ParsedName::parse(&listed.name) else { continue };
            let bytes = match read(&*self.around.storage, &listed.name) {
                Ok(bytes) => bytes,
                // Gone since it was listed: that collection is over, and what it deleted is found missing below.
                Err(_) => continue,
            };
            let frame = match self.view.trust.check(&parsed, &bytes) {
                Ok(frame) => frame,
                // What it said can't be known any more.
                Err(flaw @ Flaw::WrongHash) => return Err(damaged(flaw)),
                // Undamaged, so no collector's: anybody may have put it there.
                Err(_) => continue,
            };
            names.extend(Condemned::decode(frame.body).map_err(|flaw| damaged(flaw.into()))?.names);
        }
        Ok(names)
    }

    /// Fails if one of these packs, or a table with a key of theirs, is condemned or gone.
    ///
    /// Comes after the snapshot is durable: a collector condemns first and looks for snapshots then, so one of the two sees
    /// the other.
    pub(super) fn check_still_there(
        &self,
        packs: &BTreeSet<String>,
        tables: &BTreeSet<Vec<u8>>,
    ) -> Result<(), RepoError> {
        if packs.is_empty() {
            return Ok(());
        }
        let condemned = self.condemned()?;
        let there: BTreeSet<String> =
            self.around.storage.list("packs")?.into_iter().map(|listed| listed.name).collect();
        if let Some(gone) = packs.iter().find(|name| condemned.contains(*name) || !there.contains(*name)) {
            return Err(RepoError::Condemned { name: gone.clone() });
        }
        let mut sessions = self.around.storage.list("sessions")?;
        sessions.extend(self.around.storage.list("twin/sessions")?);
        let ids: BTreeSet<String> = sessions
            .iter()
            .filter(|listed| !condemned.contains(&listed.name))
            .filter_map(|listed| Some(ParsedName::parse(&listed.name)?.stem.id().to_owned()))
            .collect();
        let needed = tables.iter().filter_map(|id| crate::ids::TableId::from_slice(id)).map(|id| id.to_string());
        match needed.into_iter().find(|id| !ids.contains(id)) {
            Some(id) => Err(RepoError::Condemned { name: format!("session table {id}") }),
            None => Ok(()),
        }
    }
}
