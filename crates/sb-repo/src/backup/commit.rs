//! The last look before a snapshot is acknowledged: is everything it relies on still there?

use std::collections::BTreeSet;

use sb_store::{ObjectName, StoreError};

use crate::error::{Flaw, RepoError};
use crate::ids::TableId;
use crate::live::read;
use crate::locator::Scope;
use crate::name::ParsedName;
use crate::vault::Vault;
use crate::view::read_config;
use crate::wire::lease::Condemned;

impl Vault {
    /// What a new snapshot may rely on.
    pub(super) fn writing(&self) -> Result<Scope, RepoError> {
        Ok(Scope::Writing { condemned: self.condemned()?, unusable_tables: self.unusable_tables.clone() })
    }

    /// Names that collectors are about to delete. Fails if one of their lists can't be read.
    pub(super) fn condemned(&self) -> Result<BTreeSet<String>, RepoError> {
        let mut names = BTreeSet::new();
        for listed in self.around.storage.list("condemned")? {
            let undecidable = || RepoError::Damaged { name: listed.name.clone(), flaw: Flaw::Undecidable };
            let Some(parsed) = ParsedName::parse(&listed.name) else { continue };
            let bytes = match self.around.storage.read(&ObjectName::new(listed.name.as_str())?) {
                Ok(bytes) => bytes,
                // Gone since it was listed: that collection is over, and what it deleted is found missing below.
                Err(StoreError::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let frame = match self.view.trust.check(&parsed, &bytes) {
                Ok(frame) => frame,
                Err(Flaw::WrongHash) => return Err(undecidable()),
                // Undamaged, so no collector's: anybody may have put it there.
                Err(_) => continue,
            };
            names.extend(Condemned::decode(frame.body).map_err(|_| undecidable())?.names);
        }
        Ok(names)
    }

    /// Fails if one of these packs, or a table with a key of theirs, is condemned or gone, or the config is another by now.
    /// Tables that can't be used are not relied on again.
    ///
    /// Comes after the snapshot is durable: a collector condemns first and looks for snapshots then, so one of the two sees
    /// the other.
    pub(super) fn check_still_there(
        &mut self,
        packs: &BTreeSet<String>,
        tables: &BTreeSet<TableId>,
    ) -> Result<(), RepoError> {
        self.check_config()?;
        if packs.is_empty() {
            return Ok(());
        }
        let condemned = self.condemned()?;
        let there: BTreeSet<String> =
            self.around.storage.list("packs")?.into_iter().map(|listed| listed.name).collect();
        if let Some(gone) = packs.iter().find(|name| condemned.contains(*name) || !there.contains(*name)) {
            return Err(RepoError::Condemned { name: gone.clone() });
        }
        let usable = self.usable_tables(tables, &condemned)?;
        let mut unusable = tables - &usable;
        let first = unusable.first().copied();
        self.unusable_tables.append(&mut unusable);
        match first {
            Some(id) => Err(RepoError::Condemned { name: format!("session table {id}") }),
            None => Ok(()),
        }
    }

    /// Those of these tables of which one copy is live, whole and not condemned.
    pub(super) fn usable_tables(
        &self,
        tables: &BTreeSet<TableId>,
        condemned: &BTreeSet<String>,
    ) -> Result<BTreeSet<TableId>, RepoError> {
        let mut usable = BTreeSet::new();
        let mut listed = self.around.storage.list("sessions")?;
        listed.extend(self.around.storage.list("twin/sessions")?);
        for name in listed.into_iter().map(|listed| listed.name) {
            let Some(parsed) = ParsedName::parse(&name) else { continue };
            let Some(id) = TableId::from_hex(parsed.stem.id()) else { continue };
            if !tables.contains(&id) || usable.contains(&id) || condemned.contains(&name) {
                continue;
            }
            let bytes = self.view.live.contains(&name).then(|| read(&*self.around.storage, &name));
            if bytes
                .is_some_and(|bytes| bytes.and_then(|bytes| self.view.trust.check(&parsed, &bytes).map(drop)).is_ok())
            {
                usable.insert(id);
            }
        }
        Ok(usable)
    }

    /// Fails if there is a newer config, whose keys this run has not used.
    fn check_config(&self) -> Result<(), RepoError> {
        for listed in self.around.storage.list("config")? {
            let is_newer = |parsed: ParsedName| parsed.stem.generation() > self.view.config.generation;
            if ParsedName::parse(&listed.name).is_some_and(is_newer)
                && read_config(&*self.around.storage, &listed.name, Some(self.keyring.root), None).is_ok()
            {
                return Err(RepoError::Condemned { name: "the config".to_owned() });
            }
        }
        Ok(())
    }
}
