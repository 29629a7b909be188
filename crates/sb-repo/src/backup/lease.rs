//! The lease of a run: says that it is going on, for as long as it is.

use chrono::{DateTime, TimeDelta, Utc};
use sb_store::ObjectName;

use crate::error::RepoError;
use crate::ids::SnapshotId;
use crate::name::{ObjectKind, Stem};
use crate::sessions::write_twice;
use crate::vault::{Surroundings, Vault};
use crate::wire::frame::{Author, Header};
use crate::wire::lease::Lease;

/// How long a lease is good for, and after which part of that it is renewed.
const TERM: TimeDelta = TimeDelta::hours(48);
const RENEWAL: TimeDelta = TimeDelta::hours(12);

/// A lease that is held.
pub(crate) struct Held {
    lease: Lease,
    header: Header,
    name: ObjectName,
    renewal: DateTime<Utc>,
}

impl Held {
    /// Takes a lease, which is durable before anything else of the run.
    pub(crate) fn take(vault: &Vault, author: &Author<'_>, base: Option<SnapshotId>) -> Result<Self, RepoError> {
        let started = vault.around.clock.now();
        let lease = Lease {
            run: author.run,
            generation: 0,
            started,
            expires: started + TERM,
            bases: base.into_iter().collect(),
            vault_generation: vault.view.live.generation,
            epoch: vault.epoch().number,
        };
        let header = Header::clear(ObjectKind::Lease, vault.id());
        let name = write(&vault.around, author, header, &lease)?;
        Ok(Self { lease, header, name, renewal: started + RENEWAL })
    }

    /// When the run began.
    pub(crate) fn started(&self) -> DateTime<Utc> {
        self.lease.started
    }

    /// Extends the lease if it is time to.
    pub(crate) fn keep(&mut self, around: &Surroundings, author: &Author<'_>) -> Result<(), RepoError> {
        let now = around.clock.now();
        if now < self.renewal {
            return Ok(());
        }
        self.lease.generation += 1;
        self.lease.expires = now + TERM;
        self.renewal = now + RENEWAL;
        let old = std::mem::replace(&mut self.name, write(around, author, self.header, &self.lease)?);
        // One that can't be removed will expire.
        let _ = around.storage.remove(&old);
        Ok(())
    }

    /// Gives the lease back. One that can't be removed will expire.
    pub(crate) fn end(self, around: &Surroundings) {
        let _ = around.storage.remove(&self.name);
    }
}

fn write(around: &Surroundings, author: &Author<'_>, header: Header, lease: &Lease) -> Result<ObjectName, RepoError> {
    let stem = Stem::mutable(ObjectKind::Lease, lease.run, lease.generation);
    let written = write_twice(&*around.storage, author, header, &lease.encode(), &stem)?;
    Ok(ObjectName::new(written[0].name.as_str())?)
}
