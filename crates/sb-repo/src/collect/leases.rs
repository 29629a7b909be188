//! Who is writing.

use std::collections::{BTreeMap, BTreeSet};

use super::condemn::{Found, Signed, transients, whole};
use crate::error::{Flaw, RepoError};
use crate::ids::{KeyId, RunId, SnapshotId};
use crate::trust::key_id;
use crate::vault::Vault;
use crate::wire::lease::Lease;

/// What a lease says of a run that may be going on.
#[derive(Clone, Debug, Default)]
struct Going {
    /// The snapshots it builds on.
    bases: Vec<SnapshotId>,
    /// The epoch whose keys it seals to.
    epoch: u64,
}

/// The leases there were when somebody looked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    /// Runs that may be going on.
    live: BTreeMap<RunId, Going>,
    /// Leases of runs that are over, by name.
    pub(super) spent: Vec<String>,
    /// Those of them that were this machine's.
    pub(crate) own: Vec<String>,
}

impl Leases {
    /// Reads all leases; one that can't be read is an error, for it may say what must not be deleted. Of this machine's runs it
    /// is known whether they go on; of others the lease says until when that may be.
    ///
    /// This comes before journals and snapshots are listed: a run whose lease is gone has by then entered what it had to. And
    /// it comes after fences and lists: a run whose fence or list is there has taken its lease by then.
    pub(crate) fn read(vault: &Vault) -> Result<Self, RepoError> {
        whole(Self::gather(vault)?)
    }

    /// The same for who deletes nothing: leases that can't be read are passed over.
    pub(crate) fn readable(vault: &Vault) -> Result<Self, RepoError> {
        Ok(Self::gather(vault)?.0)
    }

    fn gather(vault: &Vault) -> Result<Found<Self>, RepoError> {
        let own: Option<KeyId> = vault.around.state.log_key()?.map(|key| key_id(&key.public()));
        let now = vault.around.clock.now();
        let mut leases = Self::default();
        let (found, mut trouble) = transients(&vault.view, "leases", &Flaw::WrongHash)?;
        for Signed { object, signer, body, .. } in found {
            let lease = match Lease::decode(&body) {
                Ok(lease) => lease,
                Err(flaw) => {
                    trouble = trouble.or(Some(RepoError::Damaged { name: object, flaw: Flaw::Malformed(flaw) }));
                    continue;
                }
            };
            let is_own = own == Some(signer);
            if vault.around.state.is_alive(lease.run)? || (!is_own && lease.expires > now) {
                let going = leases.live.entry(lease.run).or_default();
                going.bases.extend(lease.bases);
                going.epoch = lease.epoch;
                continue;
            }
            if is_own {
                leases.own.push(object.clone());
            }
            leases.spent.push(object);
        }
        Ok((leases, trouble))
    }

    /// True if the run may be going on.
    pub(crate) fn has(&self, run: RunId) -> bool {
        self.live.contains_key(&run)
    }

    /// How many runs other than this one seal to keys of an earlier epoch.
    pub(crate) fn earlier_than(&self, epoch: u64, but: RunId) -> u64 {
        self.live.iter().filter(|(run, going)| **run != but && going.epoch < epoch).count() as u64
    }

    /// The snapshots that runs build on.
    pub(crate) fn bases(&self) -> BTreeSet<SnapshotId> {
        self.live.values().flat_map(|going| &going.bases).copied().collect()
    }
}
