//! Sealing what a machine keeps of the locator in files of its own.

use std::sync::Arc;

use sb_crypto::{Random, Sealer, derive, random_array};

use crate::ids::VaultId;
use crate::keys::CompartmentKeys;
use crate::state::{CacheFile, State};
use crate::vault::Surroundings;

/// A local file can't be read, or is not what was written. What is in it is in the vault, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit;

/// What the parts of a file are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Block,
    Filter,
    Packs,
    Fences,
    Head,
}

/// A file's own id: parts of one file do not pass for those of another.
pub(super) type FileId = [u8; 16];

/// Where local files are and how they are sealed.
#[derive(Clone)]
pub(super) struct Local {
    state: State,
    random: Arc<dyn Random>,
    sealer: Sealer,
    about: [u8; 32],
    name: String,
}

impl Local {
    pub(super) fn new(around: &Surroundings, vault: VaultId, keys: &CompartmentKeys) -> Self {
        let mut about = [0; 32];
        about[..16].copy_from_slice(vault.as_bytes());
        about[16..].copy_from_slice(keys.id.as_bytes());
        let key = derive(&keys.index, "local locator", &[]);
        let (state, random) = (around.state.clone(), around.random.clone());
        let name = format!("{}.locator", keys.id);
        Self { state, random, sealer: Sealer::new(keys.hash, &key, "local locator"), about, name }
    }

    /// What the copy of the locator is called among this machine's caches.
    pub(super) fn copy(&self) -> &str {
        &self.name
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// A new file.
    pub(super) fn create(&self) -> std::io::Result<(CacheFile, FileId)> {
        Ok((self.state.create_cache()?, random_array(&*self.random)))
    }

    pub(super) fn seal(&self, id: FileId, part: Part, number: u32, plain: &mut Vec<u8>) {
        self.sealer.seal_in_place(&context(id, part, number), &self.about, plain);
    }

    pub(super) fn open(&self, id: FileId, part: Part, number: u32, sealed: &mut Vec<u8>) -> Result<(), Unfit> {
        self.sealer.open_in_place(&context(id, part, number), &self.about, sealed).map_err(|_| Unfit)
    }
}

fn context(id: FileId, part: Part, number: u32) -> [u8; 21] {
    let mut context = [0; 21];
    context[..16].copy_from_slice(&id);
    context[16] = part as u8;
    context[17..].copy_from_slice(&number.to_be_bytes());
    context
}
