//! What need not be read again.

use sb_source::{Entry as Found, Kind, Timestamp};

use super::cache::{EntryRecord, FolderRecord, Stat};
use super::previous::decode;
use super::store::Store;
use crate::error::RepoError;
use crate::wire::entry::{Inline, Item};

/// Some file systems count times in steps of two seconds (FAT; Microsoft, "FAT: General Overview of On-Disk Format", 1.03).
const COARSEST: i64 = 2;

/// How a run compares with the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// Nothing is taken for unchanged.
    pub(super) read_all: bool,
    pub(super) ignore_ctime: bool,
    pub(super) ignore_inode: bool,
    /// What is reused is looked up in the vault first, chunk by chunk.
    pub(super) exact: bool,
    /// When this run began, in seconds since 1970.
    pub(super) started: i64,
}

/// What of an entry is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Same {
    /// All of it.
    All,
    /// The content, as far as can be told; the rest has to be looked at.
    Content,
    Nothing,
}

impl Rule {
    /// Compares an entry with what was recorded of it.
    pub(super) fn compare(&self, was: &Stat, was_racy: bool, found: &Found) -> Same {
        let now = Stat::new(&found.kind, &found.metadata);
        let is_same = !self.read_all
            && !was_racy
            && now.kind == was.kind
            && now.size == was.size
            && now.mtime == was.mtime
            && (self.ignore_inode || now.inode == was.inode)
            && (self.ignore_ctime || now.ctime == was.ctime);
        if !is_same {
            return Same::Nothing;
        }
        let as_was = now.ctime == was.ctime && (now.mode, now.uid, now.gid) == (was.mode, was.uid, was.gid);
        if as_was { Same::All } else { Same::Content }
    }

    /// True if something may change once more without getting another time than it has now: then the next run can't tell.
    /// Everything that changes after this run began has a later time than what is not racy.
    pub(super) fn is_racy(&self, found: &Found) -> bool {
        let counts =
            if self.ignore_ctime && found.kind == Kind::File { found.metadata.mtime } else { found.metadata.ctime };
        self.is_fresh(counts)
    }

    fn is_fresh(&self, time: Timestamp) -> bool {
        time.seconds >= self.started - COARSEST
    }

    /// What later runs compare with of something that was looked at now, content and all.
    pub(super) fn seen(&self, found: &Found) -> Stat {
        let mut stat = Stat::new(&found.kind, &found.metadata);
        // This run does not mind, but a later one may.
        if self.ignore_ctime && found.kind == Kind::File && self.is_fresh(stat.ctime) {
            stat.ctime = Stat::NO_CTIME;
        }
        stat
    }

    /// The same of a file whose content is taken over from when it was compared with `was`. Its metadata are those of now: a ctime
    /// that is another than then vouches for neither both nor, should it come back, for these.
    pub(super) fn taken_over(&self, was: &Stat, found: &Found) -> Stat {
        let now = Stat::new(&found.kind, &found.metadata);
        let ctime = if now.ctime == was.ctime { was.ctime } else { Stat::NO_CTIME };
        Stat { ctime, inode: was.inode, ..now }
    }
}

/// What of an entry can be used again.
pub(super) fn reusable(store: &Store<'_>, rule: &Rule, was: &EntryRecord, found: &Found) -> Result<Same, RepoError> {
    let same = rule.compare(&was.stat, was.racy, found);
    let is_usable = match (same, rule.exact) {
        (Same::Nothing, _) => return Ok(same),
        (_, true) => has_all_chunks(store, &was.encoded)?,
        (Same::All, false) if found.metadata.links <= 1 => true,
        // What is to be written with a change must be understood.
        _ => decode(&was.encoded).is_some(),
    };
    Ok(if is_usable { same } else { Same::Nothing })
}

/// What of a folder itself can be used again.
pub(super) fn reusable_folder(rule: &Rule, was: &FolderRecord, found: &Found) -> bool {
    // Its attributes may stand in a chunk of their own, which only a lookup could tell to be there.
    !rule.exact && rule.compare(&was.stat, was.racy, found) == Same::All
}

/// True if the vault has everything that an entry of the cache refers to. What stands in lists of its own is not looked
/// into: that costs a reading, and is seldom.
fn has_all_chunks(store: &Store<'_>, encoded: &[u8]) -> Result<bool, RepoError> {
    let Some(entry) = decode(encoded) else { return Ok(false) };
    if matches!(entry.xattrs, Inline::At(_)) {
        return Ok(false);
    }
    let Item::File(file) = &entry.item else { return Ok(true) };
    if file.depth > 0 || matches!(file.holes, Inline::At(_)) {
        return Ok(false);
    }
    for part in &file.parts {
        if !store.has(&part.reference.id, true)? {
            return Ok(false);
        }
    }
    Ok(true)
}
