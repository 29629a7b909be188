//! Naming the keys of a new epoch, and taking those of earlier ones out.

use sb_crypto::{PrivateKey, PublicKey};
use sb_store::{ObjectName, create};

use super::{OPERATION, Rotation};
use crate::error::{Flaw, RepoError};
use crate::live::read;
use crate::name::{ObjectKind, ParsedName, Stem, TWIN};
use crate::sessions::write_twice;
use crate::vault::Change;
use crate::view::{read_config, with_twins};
use crate::wire::config::{CompartmentPublic, Config, Epoch};
use crate::wire::frame::{Author, Header};
use crate::wire::journal::Added;

impl Rotation<'_> {
    /// True if keys were granted that the config does not name yet.
    pub(super) fn is_pending(&self) -> bool {
        let compartments = &self.vault.view.config.compartments;
        compartments.iter().any(|compartment| matches!(self.pending(compartment), Ok(Some(_))))
    }

    fn pending(&self, compartment: &CompartmentPublic) -> Result<Option<Epoch>, RepoError> {
        let newest = compartment.epochs.last().map_or(0, |epoch| epoch.number);
        let mut granted = self.vault.keyring.keys.compartments.iter();
        let Some(secrets) = granted.find(|secrets| secrets.id == compartment.id) else { return Ok(None) };
        let recipient = self.vault.view.config.recipient;
        let public = |bytes: &[u8]| -> Result<PublicKey, RepoError> {
            Ok(PrivateKey::from_secret_bytes(recipient, bytes)?.public().clone())
        };
        for (number, meta) in secrets.meta.iter().filter(|(number, _)| *number > newest) {
            if let Some((_, content)) = secrets.content.iter().find(|(other, _)| other == number) {
                let (meta, content) = (public(meta.as_bytes())?, public(content.as_bytes())?);
                return Ok(Some(Epoch { number: *number, meta, content }));
            }
        }
        Ok(None)
    }

    /// Names the keys that were granted: from here on everything is sealed to them.
    pub(super) fn open_epoch(&mut self) -> Result<(), RepoError> {
        let mut config = self.vault.view.config.clone();
        for compartment in &mut config.compartments {
            let pending = self.pending(compartment)?;
            compartment.epochs.extend(pending);
        }
        config.began = Some(self.vault.around.clock.now());
        self.publish(config)
    }

    /// Names the content keys of all epochs but the newest no more: nobody relies any more on what is sealed to them from here on.
    pub(super) fn close_epochs(&mut self) -> Result<(), RepoError> {
        let mut config = self.vault.view.config.clone();
        for compartment in &mut config.compartments {
            let newest = compartment.epochs.pop();
            compartment.closed.extend(compartment.epochs.drain(..).map(|epoch| (epoch.number, epoch.meta)));
            compartment.epochs.extend(newest);
        }
        self.publish(config)
    }

    /// Makes this the vault's config, after the one there is.
    fn publish(&mut self, mut config: Config) -> Result<(), RepoError> {
        let before = self.current_config()?;
        config.previous = Some(self.vault.hash_of(&before)?);
        config.generation += 1;
        config.created = self.vault.around.clock.now();
        self.check_still_ours()?;
        if self.vault.newer_config()?.is_some() {
            return Err(RepoError::Busy { since: config.created });
        }
        let (header, stem) = (Header::clear(ObjectKind::Config, self.vault.id()), Stem::config(config.generation));
        let by_root = Author::outside(&self.root);
        let added = write_twice(&*self.vault.around.storage, &by_root, header, &config.encode(), &stem)?;
        let change = Change { operation: OPERATION, added, ..Change::default() };
        self.vault.append(self.author.key, self.author.run, change)?;
        self.drop_older_configs()?;
        self.vault.refresh()
    }

    /// Enters the config that counts, of which somebody was cut short before it stood in a journal.
    pub(super) fn enter_config(&mut self) -> Result<(), RepoError> {
        let name = self.current_config()?;
        let (bytes, view) = (self.bytes_of(&name)?, &self.vault.view);
        let mut added = Vec::new();
        for copy in [name.clone(), format!("{TWIN}{name}")] {
            if !view.listing.contains_key(&copy) {
                create(&*self.vault.around.storage, &ObjectName::new(copy.as_str())?, &bytes)?;
            }
            if !view.live.contains(&copy) {
                let digest = Some(sb_crypto::sha256(&bytes));
                added.push(Added { name: copy, size: bytes.len() as u64, digest });
            }
        }
        if !added.is_empty() {
            let change = Change { operation: OPERATION, added, ..Change::default() };
            self.vault.append(self.author.key, self.author.run, change)?;
        }
        Ok(())
    }

    pub(super) fn drop_older_configs(&mut self) -> Result<(), RepoError> {
        let newest = self.vault.newer_config()?.map_or(self.vault.view.config.generation, |config| config.generation);
        let is_older = |name: &&str| {
            name.starts_with("config/")
                && ParsedName::parse(name).is_some_and(|parsed| parsed.stem.generation() < newest)
        };
        let older = self.vault.view.live.iter().map(|(name, _)| name).filter(is_older).map(str::to_owned).collect();
        self.vault.take_away(self.author.key, OPERATION, older)
    }

    /// The object that the vault's config is read from, without its twin.
    fn current_config(&self) -> Result<String, RepoError> {
        let view = &self.vault.view;
        let is_it = |name: &&str| {
            let read = read_config(&*view.storage, name, Some(view.config.root), None);
            read.is_ok_and(|(_, config)| config == view.config)
        };
        let name = with_twins(&view.listing, "config/").into_iter().find(is_it);
        let missing = || RepoError::Damaged { name: "config".to_owned(), flaw: Flaw::Missing };
        name.map(|name| name.strip_prefix(TWIN).unwrap_or(name).to_owned()).ok_or_else(missing)
    }

    fn bytes_of(&self, name: &str) -> Result<Vec<u8>, RepoError> {
        let storage = &*self.vault.around.storage;
        let is_whole = |bytes: &Vec<u8>| ParsedName::parse(name).is_some_and(|p| p.fits(&sb_crypto::sha256(bytes)));
        let copies = [name.to_owned(), format!("{TWIN}{name}")];
        let whole = copies.iter().find_map(|copy| read(storage, copy).ok().filter(is_whole));
        whole.ok_or_else(|| RepoError::Damaged { name: name.to_owned(), flaw: Flaw::WrongHash })
    }
}
