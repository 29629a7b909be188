//! The folders on the way of a walk: made, or found there, or what is in their way replaced.

use std::sync::Arc;

use sb_source::{EntryPath, Kind, Mark, Target, TargetError, TargetFolder, Verdict};

use super::levels::{Level, Spot};
use super::marks::Marks;
use super::overwrite::Overwrite;
use super::walker::Walker;
use super::{RestoreOptions, RestoreProblem};
use crate::clock::Deed;
use crate::error::RepoError;
use crate::wire::entry::{Entry, Item};

/// The target's folder, as the first level.
pub(super) fn first_level(
    target: &Target,
    verdict: Verdict,
    options: &RestoreOptions,
    marks: &mut Marks,
) -> Result<Level, TargetError> {
    let mut level = Level::new(b"", verdict);
    if options.dry_run && options.absent_target {
        (level.spot, level.is_new) = (Spot::Absent, true);
        return Ok(level);
    }
    let folder = Arc::new(target.folder(&EntryPath::root())?);
    level.careful = marks.any;
    meet(&mut level, &folder, folder.identity()?.1, options, marks);
    level.spot = Spot::Open(folder);
    Ok(level)
}

/// Clears up after restores that were cut short in a folder, and learns what they left.
fn meet(level: &mut Level, folder: &Arc<TargetFolder>, device: u64, options: &RestoreOptions, marks: &mut Marks) {
    let found = if options.dry_run { folder.marks() } else { folder.clear_unfinished() };
    level.marks = found.iter().map(|mark: &Mark| mark.name().to_vec()).collect();
    level.careful |= marks.meet(folder, device, found);
    // Another restore that is at work gives its folders their metadata itself.
    level.is_unfinished = !marks.is_rivalled && folder.is_unfinished();
}

impl Walker<'_> {
    /// Goes into a folder, and makes it unless that can wait until something in it is restored.
    pub(super) fn enter(&mut self, path: &[u8], entry: &Entry, verdict: Verdict) -> Result<bool, RepoError> {
        let ancestor = matches!(entry.item, Item::Folder { ancestor: true, .. });
        let mut level = Level::new(path, verdict);
        level.modified = (!ancestor).then_some(entry.mtime);
        self.levels.push(level);
        if verdict == Verdict::In && !self.make_way(path)? {
            self.levels.way.pop();
            return Ok(false);
        }
        self.watch_for_others(path, ancestor)?;
        Ok(true)
    }

    /// Goes into one of the folders above what is restored, which only lead there.
    pub(super) fn pass(&mut self, path: &[u8], entry: &Entry) -> Result<(), RepoError> {
        self.enter(path, entry, Verdict::Undecided)?;
        self.levels.top().modified = None;
        Ok(())
    }

    /// Begins to note what the snapshot has in the folder at hand, if what it does not have is to go.
    pub(super) fn watch_for_others(&mut self, path: &[u8], ancestor: bool) -> Result<(), RepoError> {
        let Some(unread) = self.unread else { return Ok(()) };
        let depth = self.levels.way.len() - 1;
        let above = depth.checked_sub(1).and_then(|above| self.levels.way[above].device);
        let level = &mut self.levels.way[depth];
        // Of the folders above the sources only some entries were looked at.
        if ancestor || level.is_new || level.verdict != Verdict::In {
            return Ok(());
        }
        let Spot::Open(folder) = &level.spot else { return Ok(()) };
        let (_, device) = folder.identity()?;
        level.device = Some(above.unwrap_or(device));
        if level.device == Some(device) {
            level.names = unread.names_in(path);
            level.names.iter_mut().for_each(|names| names.extend(level.marks.iter().cloned()));
        }
        Ok(())
    }

    /// Makes the folders down to where the walk is; false if that can't be, which has been said.
    pub(super) fn make_way(&mut self, path: &[u8]) -> Result<bool, RepoError> {
        let last = self.levels.way.len() - 1;
        let first = self.levels.way.iter().rposition(Level::is_made).map_or(0, |made| made + 1);
        for depth in first..=last {
            if matches!(self.levels.way[depth].spot, Spot::Broken) {
                return Ok(false);
            }
            match self.make(depth) {
                Ok((spot, deed)) => {
                    self.levels.way[depth].spot = spot;
                    if let Some(deed) = deed {
                        self.report.folders += 1;
                        self.report.overwritten += u64::from(deed == Deed::Overwritten);
                        let end = self.levels.way[depth].end;
                        self.progress.monitor.restored(deed, &path[self.cut..end]);
                    }
                }
                Err(error) => {
                    self.levels.way[depth].spot = Spot::Broken;
                    self.not_written(error)?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Makes a folder, or opens it; what was done if it was not there.
    fn make(&mut self, depth: usize) -> Result<(Spot, Option<Deed>), TargetError> {
        let above = self.levels.folder(depth - 1)?;
        let is_there = !matches!(self.levels.way[depth - 1].spot, Spot::Absent);
        let name = self.levels.way[depth].name.clone();
        let mut deed = Deed::Made;
        let made = if self.options.dry_run {
            match above.look(&name)?.filter(|_| is_there) {
                None => None,
                Some(there) if there.kind == Kind::Directory => Some((above.descend(&one(&above, &name)?)?, false)),
                Some(there) => {
                    deed = self.replace(depth, &above, &name, TargetError::NotAFolder { path: there.path })?;
                    None
                }
            }
        } else {
            match above.make_folder(&name) {
                Err(error @ (TargetError::NotAFolder { .. } | TargetError::WouldEscape { .. })) => {
                    deed = self.replace(depth, &above, &name, error)?;
                    Some(above.make_folder(&name)?)
                }
                made => Some(made?),
            }
        };
        match made {
            Some((folder, false)) => {
                let folder = Arc::new(folder);
                self.found(depth, &folder)?;
                Ok((Spot::Open(folder), None))
            }
            made => {
                self.levels.way[depth].is_new = true;
                Ok((made.map_or(Spot::Absent, |(folder, _)| Spot::Open(Arc::new(folder))), Some(deed)))
            }
        }
    }

    /// Removes what is in the way of a folder, or fails with the `error` that says so.
    fn replace(
        &self,
        depth: usize,
        above: &TargetFolder,
        name: &[u8],
        error: TargetError,
    ) -> Result<Deed, TargetError> {
        let (level, is_new) = (&self.levels.way[depth], self.levels.way[depth - 1].is_new);
        let Some(there) = above.look(name)? else { return Ok(Deed::Made) };
        let goes = level.modified.is_some_and(|modified| match self.options.overwrite {
            Overwrite::Always | Overwrite::IfChanged => true,
            Overwrite::IfNewer => modified > there.metadata.mtime,
            Overwrite::Never => false,
        });
        // What is in a new folder this restore has put there, or somebody meanwhile.
        if !goes || is_new {
            return Err(error);
        }
        if !self.options.dry_run {
            above.remove(name)?;
        }
        Ok(Deed::Overwritten)
    }

    /// A folder is there already: it must be none that another name of the snapshot has led to, and none to be spared.
    fn found(&mut self, depth: usize, folder: &Arc<TargetFolder>) -> Result<(), TargetError> {
        let (id, device) = folder.identity()?;
        if self.spared.contains(&id) {
            return Err(TargetError::Spared { path: folder.path().clone() });
        }
        let above = &mut self.levels.way[depth - 1];
        if above.is_new || !above.claimed_folders.insert(id) {
            return Err(TargetError::NameTaken { path: folder.path().clone() });
        }
        let careful = above.careful;
        let level = &mut self.levels.way[depth];
        level.careful = careful;
        meet(level, folder, device, self.options, self.marks);
        Ok(())
    }

    /// A part of the folder at hand can't be read, so what it does not hold can't be told either.
    pub(super) fn unreadable(&mut self, path: &[u8], error: RepoError) -> Result<(), RepoError> {
        self.levels.top().names = None;
        self.problem(RestoreProblem::Lost { path: crate::reader::shown(path), error })
    }
}

/// The way from a folder to what is called `name` in it.
fn one(folder: &TargetFolder, name: &[u8]) -> Result<EntryPath, TargetError> {
    EntryPath::root().join(name).map_err(|_| TargetError::Missing { path: folder.path().clone() })
}
