//! The last look before a snapshot is acknowledged: is everything it relies on still there?

use std::collections::BTreeSet;

use sb_crypto::sha256;
use sb_store::{ObjectName, StoreError};

use crate::collect::condemned_lists;
use crate::error::RepoError;
use crate::ids::TableId;
use crate::live::read;
use crate::locator::Scope;
use crate::name::ParsedName;
use crate::vault::Vault;
use crate::view::read_config;
use crate::wire::config::Config;
use crate::wire::journal::Added;

impl Vault {
    /// What a new snapshot may rely on.
    pub(super) fn writing(&self) -> Result<Scope, RepoError> {
        Ok(Scope::Writing { condemned: self.condemned()?, unusable_tables: self.unusable_tables.clone() })
    }

    /// Names that collectors are about to delete. Fails if one of their lists can't be read.
    pub(super) fn condemned(&self) -> Result<BTreeSet<String>, RepoError> {
        Ok(condemned_lists(&self.view)?.into_iter().flat_map(|list| list.names).collect())
    }

    /// The last look of all, after the journal entry: a collector that took this run for dead, and looked before the entry
    /// was there, has condemned the snapshot before that, and deletes it before it lifts the list. Nobody has been told of the
    /// snapshot yet.
    pub(super) fn check_acknowledged(&self, snapshot: &Added) -> Result<(), RepoError> {
        self.check_there(&snapshot.name, &self.condemned()?)
    }

    fn check_there(&self, name: &str, condemned: &BTreeSet<String>) -> Result<(), RepoError> {
        let gone = || RepoError::Condemned { name: name.to_owned() };
        if condemned.contains(name) {
            return Err(gone());
        }
        match self.around.storage.size(&ObjectName::new(name)?) {
            Err(StoreError::NotFound { .. }) => Err(gone()),
            other => Ok(other.map(drop)?),
        }
    }

    /// Fails if one of these packs, or of those that the run has stored itself, or a table with a key of theirs, is condemned or
    /// gone, or the keys that the run has sealed to are. Tables that can't be used are not relied on again.
    ///
    /// Comes after the snapshot is durable: a collector condemns first and looks for snapshots then, so one of the two sees
    /// the other.
    pub(crate) fn check_still_there(
        &mut self,
        packs: &BTreeSet<String>,
        tables: &BTreeSet<TableId>,
        own: &[Added],
    ) -> Result<(), RepoError> {
        self.check_epoch()?;
        let of =
            |folder: &'static str| own.iter().map(|o| o.name.as_str()).filter(move |name| name.starts_with(folder));
        let packs: BTreeSet<&str> = packs.iter().map(String::as_str).chain(of("packs/")).collect();
        let own_tables = of("sessions/").filter_map(ParsedName::parse);
        let own_tables = own_tables.filter_map(|parsed| TableId::from_hex(parsed.stem.id()));
        let tables: BTreeSet<TableId> = tables.iter().copied().chain(own_tables).collect();
        if packs.is_empty() {
            return Ok(());
        }
        let condemned = self.condemned()?;
        let there: BTreeSet<String> =
            self.around.storage.list("packs")?.into_iter().map(|listed| listed.name).collect();
        if let Some(gone) = packs.iter().find(|name| condemned.contains(**name) || !there.contains(**name)) {
            return Err(RepoError::Condemned { name: (*gone).to_owned() });
        }
        let own: BTreeSet<&str> = of("sessions/").chain(of("twin/sessions/")).collect();
        // Each copy, for who took this run for dead between the two has removed both: the second came back under its name.
        for name in &own {
            self.check_there(name, &condemned)?;
        }
        let mut usable = self.usable_tables(&tables, &own, &condemned)?;
        if usable.len() < tables.len() {
            // Somebody may have sealed them anew since the vault was looked at.
            self.refresh()?;
            usable = self.usable_tables(&tables, &own, &condemned)?;
        }
        let mut unusable = &tables - &usable;
        let first = unusable.first().copied();
        self.unusable_tables.append(&mut unusable);
        match first {
            Some(id) => Err(RepoError::Condemned { name: format!("session table {id}") }),
            None => Ok(()),
        }
    }

    /// Those of these tables of which one copy is live or the run's own, whole and not condemned.
    pub(crate) fn usable_tables(
        &self,
        tables: &BTreeSet<TableId>,
        own: &BTreeSet<&str>,
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
            let recorded = self.view.live.get(&name);
            if recorded.is_none() && !own.contains(name.as_str()) {
                continue;
            }
            let Ok(bytes) = read(&*self.around.storage, &name) else { continue };
            let is_whole = match recorded.and_then(|recorded| recorded.digest) {
                // A journal has signed that.
                Some(digest) => sha256(&bytes) == digest,
                None => self.view.trust.check(&parsed, &bytes).is_ok(),
            };
            if is_whole {
                usable.insert(id);
            }
        }
        Ok(usable)
    }

    /// Fails if the keys of the epoch that this run has sealed to may be destroyed by now. While the newest config names them they are
    /// not: who destroys keys takes them out of the config first, then looks for what is sealed to them, and finds what this run
    /// made durable before it came here (docs/decisions/0025-rotation.md).
    fn check_epoch(&self) -> Result<(), RepoError> {
        let Some(config) = self.newer_config()? else { return Ok(()) };
        let is_named = config.compartments.iter().any(|compartment| compartment.epochs.contains(self.epoch()));
        let ours = &self.view.config;
        let needs_more = config.incompatible != ours.incompatible || config.writer_only != ours.writer_only;
        if is_named && !needs_more { Ok(()) } else { Err(RepoError::Condemned { name: "the config".to_owned() }) }
    }

    /// The newest config, if there is one since the vault was looked at.
    pub(crate) fn newer_config(&self) -> Result<Option<Config>, RepoError> {
        let mut newest: Option<Config> = None;
        for listed in self.around.storage.list("config")? {
            let known = newest.as_ref().unwrap_or(&self.view.config).generation;
            if ParsedName::parse(&listed.name).is_some_and(|parsed| parsed.stem.generation() > known)
                && let Ok((_, config)) = read_config(&*self.around.storage, &listed.name, Some(self.keyring.root), None)
            {
                newest = Some(config);
            }
        }
        Ok(newest)
    }
}
