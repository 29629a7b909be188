//! Saying what is about to be deleted, deleting it, and who else is at that.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sb_store::{ObjectName, StoreError};

use super::scene::is_collected;
use crate::error::{Flaw, RepoError};
use crate::ids::{Id, KeyId, RunId};
use crate::name::{ObjectKind, ParsedName, Stem};
use crate::sessions::write_twice;
use crate::trust::Trust;
use crate::vault::{Change, Vault};
use crate::view::{View, add_certificates};
use crate::wire::frame::{Author, Header};
use crate::wire::lease::{Condemned, Fence};

/// What one run is about to delete.
#[derive(Clone, Debug)]
pub(crate) struct CondemnedList {
    pub(crate) object: String,
    pub(crate) run: RunId,
    pub(crate) names: Vec<String>,
}

/// A collection or rotation that has begun.
#[derive(Clone, Debug)]
pub(crate) struct FenceSeen {
    pub(crate) object: String,
    pub(crate) run: RunId,
    pub(crate) began: DateTime<Utc>,
}

/// A well-signed object of those that come and go.
pub(super) struct Signed {
    pub(super) object: String,
    pub(super) signer: KeyId,
    pub(super) run: RunId,
    pub(super) body: Vec<u8>,
}

/// All lists of what is about to be deleted. Fails if one of them can't be read.
pub(crate) fn condemned_lists(view: &View) -> Result<Vec<CondemnedList>, RepoError> {
    let mut lists = Vec::new();
    for Signed { object, run, body, .. } in whole(transients(view, "condemned", &Flaw::Undecidable)?)? {
        let undecidable = || RepoError::Damaged { name: object.clone(), flaw: Flaw::Undecidable };
        let names = Condemned::decode(&body).map_err(|_| undecidable())?.names;
        lists.push(CondemnedList { object, run, names });
    }
    Ok(lists)
}

/// All fences. Fails if one of them can't be read.
pub(crate) fn fences(view: &View) -> Result<Vec<FenceSeen>, RepoError> {
    let mut fences = Vec::new();
    for Signed { object, run, body, .. } in whole(transients(view, "fences", &Flaw::WrongHash)?)? {
        let fence =
            Fence::decode(&body).map_err(|flaw| RepoError::Damaged { name: object.clone(), flaw: flaw.into() })?;
        fences.push(FenceSeen { object, run, began: fence.time });
    }
    Ok(fences)
}

/// What was found, and why something could not be read, if so: nobody knows what that said.
pub(super) type Found<T> = (T, Option<RepoError>);

/// All that was found, if it could all be read.
pub(super) fn whole<T>((found, trouble): Found<T>) -> Result<T, RepoError> {
    match trouble {
        Some(error) => Err(error),
        None => Ok(found),
    }
}

/// The well-signed objects of a folder of those that come and go, and the run of each. What was put there by nobody who may
/// does not count; what does not fit its name has the flaw `damaged`.
pub(super) fn transients(view: &View, folder: &str, damaged: &Flaw) -> Result<Found<Vec<Signed>>, RepoError> {
    let (mut found, mut trouble) = (Vec::new(), None);
    let mut newest: Option<Trust> = None;
    for listed in view.storage.list(folder)? {
        let Some(parsed) = ParsedName::parse(&listed.name) else { continue };
        let bytes = match view.storage.read(&ObjectName::new(listed.name.as_str())?) {
            Ok(bytes) => bytes,
            // Gone since it was listed: what it was about is over.
            Err(StoreError::NotFound { .. }) => continue,
            Err(error) => {
                trouble = trouble.or(Some(error.into()));
                continue;
            }
        };
        let mut frame = view.trust.check(&parsed, &bytes);
        if matches!(frame, Err(Flaw::UnknownSigner)) {
            // Of a machine, perhaps, that has enrolled since the vault was looked at.
            let trust = match &newest {
                Some(trust) => trust,
                None => newest.insert(with_newest(view)?),
            };
            frame = trust.check(&parsed, &bytes);
        }
        match frame {
            Ok(frame) => {
                let (signer, run) = (frame.trailer.signer, frame.trailer.run);
                found.push(Signed { object: listed.name, signer, run, body: frame.body.to_vec() });
            }
            Err(Flaw::WrongHash) => {
                trouble = trouble.or(Some(RepoError::Damaged { name: listed.name, flaw: damaged.clone() }));
            }
            // Undamaged, so nobody's who may: anybody may have put it there.
            Err(_) => {}
        }
    }
    Ok((found, trouble))
}

fn with_newest(view: &View) -> Result<Trust, RepoError> {
    let mut listing = crate::live::Listing::new();
    for folder in ["users", "twin/users", "writers", "twin/writers"] {
        listing.extend(view.storage.list(folder)?.into_iter().map(|listed| (listed.name, listed.size)));
    }
    let mut trust = view.trust.clone();
    add_certificates(&mut trust, &*view.storage, &listing);
    Ok(trust)
}

impl Vault {
    /// Says durably that these objects are about to be deleted: no run relies on them from now on. The list's name.
    pub(crate) fn condemn(&self, author: &Author<'_>, names: &[String]) -> Result<ObjectName, RepoError> {
        let id = Id::random(&*self.around.random);
        let vault_generation = self.view.live.generation;
        let condemned = Condemned { id, vault_generation, time: self.around.clock.now(), names: names.to_vec() };
        let header = Header::clear(ObjectKind::Condemned, self.id());
        let stem = Stem::mutable(ObjectKind::Condemned, id, 0);
        let written = write_twice(&*self.around.storage, author, header, &condemned.encode(), &stem)?;
        Ok(ObjectName::new(written[0].name.as_str())?)
    }

    /// Puts up a fence, unless another collection or rotation that may still go on has one. Of two that begin at one moment both give way.
    pub(crate) fn raise_fence(&self, author: &Author<'_>) -> Result<ObjectName, RepoError> {
        let refuse = || -> Result<(), RepoError> {
            let mut rivals = fences(&self.view)?;
            rivals.retain(|fence| fence.run != author.run);
            if rivals.is_empty() {
                return Ok(());
            }
            // After the fences: whoever has put one up took a lease before that.
            let leases = super::Leases::read(self)?;
            for fence in rivals {
                if leases.has(fence.run) || self.around.state.is_alive(fence.run)? {
                    return Err(RepoError::Busy { since: fence.began });
                }
            }
            Ok(())
        };
        refuse()?;
        let id = Id::new(*author.run.as_bytes());
        let fence = Fence { id, vault_generation: self.view.live.generation, time: self.around.clock.now() };
        let header = Header::clear(ObjectKind::Fence, self.id());
        let stem = Stem::mutable(ObjectKind::Fence, id, 0);
        let written = write_twice(&*self.around.storage, author, header, &fence.encode(), &stem)?;
        let name = ObjectName::new(written[0].name.as_str())?;
        if let Err(error) = refuse() {
            let _ = self.around.storage.remove(&name);
            return Err(error);
        }
        Ok(name)
    }

    /// Enters a removal into the journal, deletes `doomed`, and lifts the list that condemns it. What is removed and not deleted,
    /// because it can't be or is spared, stays condemned, for the next collection to delete.
    pub(crate) fn carry_out(
        &mut self,
        author: &Author<'_>,
        list: &ObjectName,
        change: Change,
        doomed: &[String],
    ) -> Result<(), RepoError> {
        let going: BTreeSet<&String> = doomed.iter().collect();
        let is_spared = change.removed.iter().any(|(name, _)| !going.contains(name));
        let generation = self.view.live.generation + u64::from(change.operation == super::OPERATION);
        if !(change.added.is_empty() && change.removed.is_empty()) {
            self.append_in(author.key, author.run, change, generation)?;
        }
        let mut trouble = None;
        for name in doomed {
            match self.around.storage.remove(&ObjectName::new(name.as_str())?) {
                Ok(()) | Err(StoreError::NotFound { .. }) => drop(self.view.listing.remove(name)),
                Err(error) => trouble = trouble.or(Some(error)),
            }
        }
        match trouble {
            Some(error) => Err(error.into()),
            None if is_spared => Ok(()),
            None => {
                self.lift(list);
                Ok(())
            }
        }
    }

    /// Takes a list or a fence away. One that can't be is the next collection's to take away.
    pub(crate) fn lift(&self, object: &ObjectName) {
        let _ = self.around.storage.remove(object);
    }
}

/// The names on well-signed lists, as far as they can be read, of what a removal may delete: that it is there yet is no damage.
pub(crate) fn about_to_go(view: &View) -> BTreeSet<String> {
    let names = condemned_lists(view).into_iter().flatten().flat_map(|list| list.names);
    names.filter(|name| ParsedName::parse(name).is_some_and(|parsed| is_collected(parsed.kind))).collect()
}
