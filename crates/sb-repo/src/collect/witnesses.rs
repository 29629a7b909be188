//! Whether what vouches for the journals is all there: who can't be believed any more may have needed what seems to be nobody's.

use crate::error::{Flaw, RepoError};
use crate::live::names_in;
use crate::name::{ParsedName, Stem};
use crate::object::{check_object, trailer_of};
use crate::vault::Vault;
use crate::view::View;

impl Vault {
    /// Fails unless the journals say all that they ever said, as far as that can be told. A certificate that is damaged matters if
    /// somebody has written anything whom no other vouches for.
    pub(crate) fn check_witnesses(&self) -> Result<(), RepoError> {
        let view = &self.view;
        let doubt = match view.live.flaws.first() {
            Some(flaw) => Some(flaw.clone()),
            None => lost_certificate(view)?.or_else(|| foreign_snapshot(view)).or_else(|| lost_head(view)),
        };
        match doubt {
            Some((name, flaw)) => Err(RepoError::Undecided { name, flaw }),
            None => Ok(()),
        }
    }
}

/// An entry whose writer nothing vouches for, though it says itself whose it is: the certificate is gone, or, which looks the
/// same, it is nobody's entry.
fn lost_certificate(view: &View) -> Result<Option<(String, Flaw)>, RepoError> {
    for (name, flaw) in view.live.intruders.iter().filter(|(_, flaw)| *flaw == Flaw::UnknownSigner) {
        let size = view.listing.get(name).copied().unwrap_or(0);
        let Some(trailer) = trailer_of(&*view.storage, name, size)? else { continue };
        let is_own = name.starts_with(&format!("journal/{}/", trailer.signer));
        if is_own && !view.trust.writers.contains_key(&trailer.signer) {
            return Ok(Some((name.clone(), flaw.clone())));
        }
    }
    Ok(None)
}

/// A whole snapshot in no journal whose signer nothing vouches for: what vouched for it, and its entry, may be gone.
fn foreign_snapshot(view: &View) -> Option<(String, Flaw)> {
    let strays =
        names_in(&view.listing, "snapshots/").filter(|name| !view.live.contains(name) && !view.live.is_removed(name));
    strays.filter_map(|name| Some((name, ParsedName::parse(name)?))).find_map(|(name, parsed)| {
        let flaw = check_object(view, &parsed, name).err()?;
        (flaw == Flaw::UnknownSigner).then(|| (name.to_owned(), flaw))
    })
}

/// A journal that this machine has seen longer than it counts now.
fn lost_head(view: &View) -> Option<(String, Flaw)> {
    let mut heads = view.remembered.heads.iter();
    heads.find_map(|(writer, head)| {
        let counts = view.live.heads.get(writer).is_some_and(|now| now.sequence >= head.sequence);
        let name = || Stem::journal(*writer, head.sequence).name(&head.digest).to_string();
        (!counts).then(|| (name(), Flaw::RolledBack(head.sequence)))
    })
}
