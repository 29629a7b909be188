//! Destroying the private keys of earlier epochs.

use super::tables::Scan;
use super::{OPERATION, Rotation};
use crate::error::RepoError;
use crate::wire::slot::KeyBundle;

impl Rotation<'_> {
    /// Destroys the private keys for contents of all epochs but the newest, if nothing is sealed to them any more, nor will be.
    ///
    /// First the config names them no more: from there on nobody enters what is sealed to them. Only then it is looked for what
    /// is: whatever was durable before, and may be entered yet, is found.
    pub(super) fn retire(&mut self, scan: Scan) -> Result<Scan, RepoError> {
        if !scan.is_clear() {
            return Ok(scan);
        }
        let is_open = self.vault.view.config.compartments.iter().any(|compartment| compartment.epochs.len() > 1);
        let scan = if is_open {
            self.close_epochs()?;
            self.seal_tables()?
        } else {
            scan
        };
        let keys = self.newest_contents();
        let count =
            |keys: &KeyBundle| keys.compartments.iter().map(|secrets| secrets.content.len() as u64).sum::<u64>();
        let closed = count(&self.vault.keyring.keys) - count(&keys);
        if scan.is_clear() && closed > 0 {
            self.check_still_ours()?;
            self.vault.refresh()?;
            self.vault.check_witnesses()?;
            self.done.granted = self.vault.grant_to_all(self.author.key, OPERATION, &keys)?;
            self.done.closed = closed;
        }
        Ok(scan)
    }

    /// The keys that there are, without those for contents of earlier epochs.
    fn newest_contents(&self) -> KeyBundle {
        let mut keys = self.vault.keyring.keys.clone();
        for compartment in &self.vault.view.config.compartments {
            let newest = compartment.epochs.last().map_or(0, |epoch| epoch.number);
            for secrets in keys.compartments.iter_mut().filter(|secrets| secrets.id == compartment.id) {
                secrets.content.retain(|(number, _)| *number >= newest);
            }
        }
        keys
    }

    /// Takes away what was replaced, where somebody was cut short before doing so.
    pub(super) fn tidy(&mut self) -> Result<(), RepoError> {
        self.vault.refresh()?;
        self.drop_older_configs()?;
        self.vault.drop_superseded_grants(self.author.key, OPERATION)?;
        self.vault.refresh()?;
        self.delete_removed()
    }
}
