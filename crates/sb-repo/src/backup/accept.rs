//! Taking the vault as it is where entries of journals are lost: what is whole of what they named is entered anew.

use sb_crypto::SigningKey;

use super::adopt::Orphan;
use crate::clock::Progress;
use crate::error::RepoError;
use crate::labels::read_label;
use crate::name::{ObjectKind, ParsedName, snapshot};
use crate::vault::{Change, Vault};
use crate::wire::journal::Added;

impl Vault {
    /// Enters what is whole and in no journal, tags too: the user takes the vault as it is. Something that had been removed and
    /// was not deleted yet may come back, and tags count that were given to some snapshots only.
    pub(crate) fn accept_lost_entries(&mut self, writer: &SigningKey, progress: Progress<'_>) -> Result<(), RepoError> {
        let live = &self.view.live;
        if live.is_incomplete() && !live.lacks_whole_journals_only() {
            let text = "journals are damaged, so nothing is taken over that no journal names; `verify` tells which";
            progress.monitor.warning(text);
            return Ok(());
        }
        self.around.storage.sweep()?;
        let mut added = self.judged(progress)?.whole;
        let labels = self.as_if_live(&added, |vault| vault.lost_labels(progress))?;
        let removed = self.superseded(&labels);
        added.extend(labels.iter().map(Orphan::added));
        added.extend(self.lost_proofs(progress)?);
        self.enter(writer, Change { operation: "adopt", added, removed, ..Change::default() }, progress)?;
        self.refresh()
    }

    /// What was certified, signed, stamped or named, and no journal knows. Each says for itself what it is of.
    fn lost_proofs(&self, progress: Progress<'_>) -> Result<Vec<Added>, RepoError> {
        let is_proof = |kind: ObjectKind| kind.counts_only_if_entered() && kind != ObjectKind::Label;
        let strays = self.unknown().filter(|(_, parsed)| is_proof(parsed.kind));
        let (proofs, _) = self.orphans(strays, progress)?;
        Ok(proofs.iter().map(Orphan::added).collect())
    }

    /// The labels that no journal knows, of snapshots that are live.
    fn lost_labels(&self, progress: Progress<'_>) -> Result<Vec<Orphan>, RepoError> {
        let strays = self.unknown().filter(|(_, parsed)| parsed.kind == ObjectKind::Label);
        let (mut labels, _) = self.orphans(strays, progress)?;
        let keys = self.keys()?;
        labels.retain(|label| match read_label(&self.view, keys, &label.parsed, &label.name) {
            Ok(read) => self.view.live.contains(snapshot(&read.snapshot).as_str()),
            Err(error) => {
                progress.monitor.warning(&format!("the tags in `{}` are not taken over: {error}", label.name));
                false
            }
        });
        Ok(labels)
    }

    /// Labels that one of these replaces and that are gone, which the lost entry said: nobody is to miss them.
    fn superseded(&self, labels: &[Orphan]) -> Vec<(String, u64)> {
        let is_gone = |name: &str| !self.view.listing.contains_key(name);
        let is_replaced = |old: &ParsedName| {
            let replaces =
                |new: &ParsedName| new.stem.id() == old.stem.id() && new.stem.generation() > old.stem.generation();
            old.kind == ObjectKind::Label && labels.iter().any(|label| replaces(&label.parsed))
        };
        let live = self.view.live.iter();
        let old =
            live.filter(|(name, _)| is_gone(name) && ParsedName::parse(name).is_some_and(|old| is_replaced(&old)));
        old.map(|(name, recorded)| (name.to_owned(), recorded.size)).collect()
    }
}
