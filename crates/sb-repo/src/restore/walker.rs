//! Walking the tree: everything but folders is gathered into windows.

use std::collections::HashMap;

use sb_source::{EntryPath, FolderId, IfTaken, TargetError, TargetFolder, Verdict};

use super::copies::Copies;
use super::levels::{Level, Levels, Spot};
use super::marks::Marks;
use super::overwrite::{Decision, Overwrite, decide, has_content};
use super::plan::{Needs, Piece, append};
use super::segments::ROOM;
use super::segments::place;
use super::unread::Unread;
use super::window::{Leave, Place, Step, Task, Window};
use super::{RestoreOptions, RestoreProblem, RestoreReport};
use crate::clock::{Counter, Deed, Progress};
use crate::error::RepoError;
use crate::ids::DocumentId;
use crate::reader::{Reader, shown};
use crate::tree::Found;
use crate::wire::entry::{Entry, FileItem, Item};
use crate::wire::node::Reference;

/// A window ends with so many steps,
const STEPS: usize = 6144;
/// or when its files have so many bytes.
const WINDOW: u64 = 1 << 30;
/// So many folders it holds open, for systems allow 1,024 open files and more; others it opens again.
const HANDLES: usize = 192;
/// Larger files are restored one by one.
const LARGE: u64 = 8 << 20;

/// Takes a window and restores it.
pub(super) type HandOver<'a> = dyn FnMut(Window) -> Result<(), RepoError> + 'a;

pub(super) struct Walker<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) options: &'a RestoreOptions,
    pub(super) spared: &'a [FolderId],
    pub(super) progress: Progress<'a>,
    /// What may not be removed, if anything may.
    pub(super) unread: Option<&'a Unread>,
    pub(super) marks: &'a mut Marks,
    pub(super) levels: Levels<'a>,
    pub(super) window: Window,
    pub(super) copies: Copies,
    /// How many windows were handed over.
    pub(super) number: u64,
    pub(super) hand_over: &'a mut HandOver<'a>,
    /// How much of a path in the snapshot falls away in the target, and before the filter sees it.
    pub(super) cut: usize,
    pub(super) base: usize,
    /// Link groups met, and which file the first name was if it was there already.
    pub(super) links: HashMap<DocumentId, Option<(u64, u64)>>,
    /// What the walk itself does: folders, and what stays as it is.
    pub(super) report: RestoreReport,
}

impl Walker<'_> {
    /// Meets an entry; true if it is a folder to go into.
    pub(super) fn entry(&mut self, path: &[u8], entry: &Entry) -> Result<bool, RepoError> {
        self.progress.check()?;
        self.progress.monitor.count(Counter::Entries, 1);
        let top = self.levels.top();
        if let Item::Redacted { leaves } = &entry.item {
            if top.verdict == Verdict::In {
                let path = shown(path.strip_suffix(b"/").unwrap_or(path));
                self.problem(RestoreProblem::Disposed { path, documents: leaves.len() })?;
            }
            return Ok(false);
        }
        if let Some(names) = &mut top.names {
            names.insert(entry.name.clone());
        }
        let is_folder = matches!(entry.item, Item::Folder { .. });
        let verdict = self.options.filter.verdict(&path[self.base + 1..], is_folder, top.verdict);
        match verdict {
            Verdict::Out => Ok(false),
            _ if is_folder => self.enter(path, entry, verdict),
            _ => self.place(path, entry).map(|()| false),
        }
    }

    /// Finds the place of what is no folder, and decides what is done with it.
    pub(super) fn place(&mut self, path: &[u8], entry: &Entry) -> Result<(), RepoError> {
        if !self.make_way(path)? {
            return Ok(());
        }
        let depth = self.levels.way.len() - 1;
        let outcome = self.levels.folder(depth).and_then(|folder| Ok((self.look(depth, &folder, entry)?, folder)));
        let ((decision, inode), folder) = match outcome {
            Ok(found) => found,
            Err(error) => return self.not_written(error),
        };
        let is_other_name = self.is_other_name(entry, decision, inode);
        let at = &path[self.cut..];
        let if_taken = match decision {
            Decision::Keep => {
                self.report.kept += 1;
                self.progress.monitor.restored(Deed::Kept, at);
                return Ok(());
            }
            Decision::Same { .. } => IfTaken::Replace,
            Decision::Write(if_taken) => if_taken,
        };
        drop(folder);
        let folder = match self.handle(depth) {
            Ok(folder) => folder,
            Err(error) => return self.not_written(error),
        };
        let task = Task {
            path: path.to_vec(),
            folder,
            entry: entry.clone(),
            if_taken,
            pieces: Vec::new(),
            copies: Vec::new(),
        };
        match (decision, is_other_name, &entry.item) {
            (Decision::Same { metadata }, None | Some(true), _) => {
                let deed = if metadata { Deed::Adjusted } else { Deed::Unchanged };
                *if metadata { &mut self.report.adjusted } else { &mut self.report.unchanged } += 1;
                self.progress.monitor.restored(deed, at);
                self.add(Step::Same(task, metadata))
            }
            (_, Some(_), _) => self.add(Step::Link(task)),
            (_, None, Item::File(file)) => self.plan(task, file),
            _ => self.add(Step::Other(task)),
        }
    }

    /// The folder of a level, for the window.
    fn handle(&mut self, depth: usize) -> Result<Place, TargetError> {
        let (place, is_one_more) = self.levels.place(depth, self.number, self.window.handles >= HANDLES)?;
        self.window.handles += usize::from(is_one_more);
        Ok(place)
    }

    /// What has the entry's name already, which file that is, and what to do.
    fn look(
        &mut self,
        depth: usize,
        folder: &TargetFolder,
        entry: &Entry,
    ) -> Result<(Decision, Option<(u64, u64)>), TargetError> {
        let level = &mut self.levels.way[depth];
        let there = if level.is_new { None } else { folder.look(&entry.name)? };
        let Some(there) = there else { return Ok((Decision::Write(IfTaken::Fail), None)) };
        let inode = (there.metadata.device, there.metadata.inode);
        if there.metadata.links == 1 && inode.1 != 0 && !level.claimed.insert(inode) {
            return Err(TargetError::NameTaken { path: there.path });
        }
        let has_content = || has_content(folder, &entry.name, entry);
        let decision = match decide(self.options.overwrite, entry, &there, level.careful, has_content) {
            Decision::Same { metadata: false } => Decision::Same { metadata: !self.has_attributes(folder, entry) },
            decision => decision,
        };
        Ok((decision, Some(inode)))
    }

    /// True if what is there has the entry's extended attributes.
    fn has_attributes(&self, folder: &TargetFolder, entry: &Entry) -> bool {
        // What can't be read is for those to say who are to set it.
        self.reader.attributes(entry).is_ok_and(|wanted| folder.has_xattrs(&entry.name, &wanted))
    }

    /// `None` if the entry is the first or only name of what it is; else whether it is one file with the first already.
    fn is_other_name(&mut self, entry: &Entry, decision: Decision, inode: Option<(u64, u64)>) -> Option<bool> {
        let group = entry.link_group?;
        if let Some(first) = self.links.get(&group) {
            return Some(first.is_some() && *first == inode);
        }
        if decision != Decision::Keep {
            let same = matches!(decision, Decision::Same { .. });
            self.links.insert(group, inode.filter(|_| same));
        }
        None
    }

    /// Finds out which segments a file needs.
    fn plan(&mut self, mut task: Task, file: &FileItem) -> Result<(), RepoError> {
        if file.size > LARGE || file.depth > 0 || file.transform != 0 {
            return self.add(Step::Large(task));
        }
        let mut needs = Needs::default();
        for part in &file.parts {
            match self.piece(part.reference, &needs) {
                Some((piece, raw)) => {
                    needs.add(piece.at, raw);
                    append(&mut task.pieces, piece);
                }
                None => return self.add(Step::Large(task)),
            }
        }
        if needs.bytes() > ROOM {
            return self.add(Step::Large(task));
        }
        if !self.options.dry_run {
            self.look_for_copies(&mut task);
        }
        let tree = self.reader.tree();
        for piece in task.pieces.iter().filter(|piece| task.copy(**piece).is_none()) {
            self.window.needs.add(piece.at, place(tree, piece.at).map_or(0, |place| place.raw));
        }
        self.window.bytes += file.size;
        self.add(Step::File(task))
    }

    /// What an earlier window restored need not be read again, unless its segment is read anyway.
    fn look_for_copies(&mut self, task: &mut Task) {
        let (mut offset, mut read) = (0_u32, Vec::new());
        for piece in &task.pieces {
            let known = if self.window.needs.contains(piece.at) { None } else { self.copies.find(*piece) };
            match known {
                Some(copy) => task.copies.push((*piece, copy)),
                None => read.push((*piece, offset)),
            }
            offset += piece.length;
        }
        if let Ok(path) = EntryPath::new(&task.path[self.cut..]) {
            self.copies.remember(&path, read.into_iter());
        }
    }

    /// Where a chunk is read from: of several places one that is read from anyway.
    fn piece(&self, reference: Reference, needs: &Needs) -> Option<(Piece, u32)> {
        find_piece(self.reader, reference, |at| needs.contains(at) || self.window.needs.contains(at))
    }

    /// The end of a folder.
    pub(super) fn leave(&mut self, path: &[u8], entry: &Entry) -> Result<(), RepoError> {
        let depth = self.levels.way.len() - 1;
        let folder = match self.levels.way[depth].spot {
            Spot::Open(_) | Spot::Closed => self.handle(depth).map(Some),
            _ => Ok(None),
        };
        let level = self.levels.way.pop().expect("the folder that was gone into");
        match folder {
            Ok(Some(folder)) => self.end(path, entry, level, folder),
            Ok(None) => Ok(()),
            Err(error) => self.not_written(error),
        }
    }

    /// Restores one entry that is no folder, whatever the filter says of what is below it.
    pub(super) fn only(&mut self, path: &[u8], entry: &Entry) -> Result<(), RepoError> {
        self.progress.check()?;
        self.progress.monitor.count(Counter::Entries, 1);
        self.place(path, entry)
    }

    /// The end of the target's folder itself, which gets metadata only if that was asked for.
    pub(super) fn end_first(
        &mut self,
        path: &[u8],
        mut level: Level,
        found: &Found,
        metadata: bool,
    ) -> Result<(), RepoError> {
        let Spot::Open(folder) = &level.spot else { return Ok(()) };
        let folder = Place::Open(folder.clone());
        match found {
            Found::Entry(entry) if metadata || level.is_unfinished => {
                level.is_new = true;
                self.end(path, entry, level, folder)
            }
            _ => match level.names {
                Some(names) => self.add(Step::Prune(folder, names)),
                None => Ok(()),
            },
        }
    }

    /// What is left to do with a folder when all that is in it has been met.
    pub(super) fn end(&mut self, path: &[u8], entry: &Entry, level: Level, folder: Place) -> Result<(), RepoError> {
        if let Some(names) = level.names {
            self.add(Step::Prune(folder.clone(), names))?;
        }
        let stays = level.verdict != Verdict::In || self.options.overwrite == Overwrite::Never;
        if self.options.dry_run || (stays && !level.is_new && !level.is_unfinished) {
            return Ok(());
        }
        self.add(Step::Leave(Leave { path: path.to_vec(), folder, entry: entry.clone() }))
    }

    pub(super) fn not_written(&mut self, error: TargetError) -> Result<(), RepoError> {
        if is_fatal(&error) {
            return Err(error.into());
        }
        self.problem(RestoreProblem::NotWritten(error))
    }

    pub(super) fn problem(&mut self, problem: RestoreProblem) -> Result<(), RepoError> {
        self.add(Step::Problem(problem))
    }

    fn add(&mut self, step: Step) -> Result<(), RepoError> {
        self.window.steps.push(step);
        if self.window.steps.len() < STEPS && self.window.bytes < WINDOW {
            return Ok(());
        }
        self.number += 1;
        (self.hand_over)(std::mem::take(&mut self.window))
    }
}

/// Where a chunk of content is read from, preferably a segment that is `wanted` anyway, and how long that segment is.
pub(super) fn find_piece(
    reader: &Reader<'_>,
    reference: Reference,
    wanted: impl Fn((u32, u32)) -> bool,
) -> Option<(Piece, u32)> {
    let tree = reader.tree();
    // What can't be looked up is left to whoever says so.
    let places = tree.locator.places(&reference.id).ok()?.into_iter();
    let mut places = places.filter(|place| tree.locator.is_content(place.pack)).peekable();
    let first = *places.peek()?;
    let best = places.find(|place| wanted((place.pack, place.segment))).unwrap_or(first);
    let piece = Piece { at: (best.pack, best.segment), offset: best.offset, length: reference.length };
    Some((piece, place(tree, piece.at)?.raw))
}

/// True for what ends the restore: nothing else can be written either.
pub(super) fn is_fatal(error: &TargetError) -> bool {
    matches!(error, TargetError::Full { .. } | TargetError::Unusable { .. })
}
