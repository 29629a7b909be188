//! Who is writing.

use std::collections::{BTreeMap, BTreeSet};

use super::condemn::{Signed, transients};
use crate::error::{Flaw, RepoError};
use crate::ids::{KeyId, RunId, SnapshotId};
use crate::trust::key_id;
use crate::vault::Vault;
use crate::wire::lease::Lease;

/// The leases there were when somebody looked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leases {
    /// Runs that may be going on, and the snapshots they build on.
    live: BTreeMap<RunId, Vec<SnapshotId>>,
    /// Leases of runs that are over, by name.
    pub(super) spent: Vec<String>,
}

impl Leases {
    /// Reads all leases. Of this machine's runs it is known whether they go on; of others the lease says until when that may be.
    ///
    /// This comes before journals and snapshots are listed: a run whose lease is gone has by then entered what it had to.
    pub(crate) fn read(vault: &Vault) -> Result<Self, RepoError> {
        let own: Option<KeyId> = vault.around.state.log_key()?.map(|key| key_id(&key.public()));
        let now = vault.around.clock.now();
        let mut leases = Self::default();
        for Signed { object, signer, body, .. } in transients(&vault.view, "leases", Flaw::WrongHash)? {
            let damaged = |flaw| RepoError::Damaged { name: object.clone(), flaw: Flaw::Malformed(flaw) };
            let lease = Lease::decode(&body).map_err(damaged)?;
            let is_own = own == Some(signer);
            if vault.around.state.is_alive(lease.run)? || (!is_own && lease.expires > now) {
                leases.live.entry(lease.run).or_default().extend(lease.bases);
            } else {
                leases.spent.push(object);
            }
        }
        Ok(leases)
    }

    /// True if the run may be going on.
    pub(crate) fn has(&self, run: RunId) -> bool {
        self.live.contains_key(&run)
    }

    /// The snapshots that runs build on.
    pub(crate) fn bases(&self) -> BTreeSet<SnapshotId> {
        self.live.values().flatten().copied().collect()
    }
}
