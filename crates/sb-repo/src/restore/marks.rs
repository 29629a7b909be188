//! What tells later restores that this one is not over, and makes it outlast a power cut when it is.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;

use sb_source::{EntryPath, FolderId, Mark, Target, TargetError, TargetFolder};

use super::start::Start;
use super::{Overwrite, RestoreOptions};
use crate::reader::shown;
use crate::snapshots::Snapshot;

/// What people who find a mark read.
const WHAT: &str = "\
A restore into this folder is at work, or was cut short. If the power failed meanwhile, files may be here that have the right
size and time and not the right content. To be sure, restore again what is below, or all of it, with `--overwrite if-changed`:
contents are compared as long as this file is here, and it goes when the same restore has come to its end and left nothing out.
";

/// The marks of this restore and of earlier ones, and the file systems that it writes to.
pub(super) struct Marks {
    text: String,
    options: RestoreOptions,
    ours: Vec<Mark>,
    /// Those of restores that are gone, and that did not restore more than this one.
    covered: Vec<Mark>,
    systems: HashMap<u64, Arc<TargetFolder>>,
    /// True if an earlier restore was cut short, or another is at work.
    pub(super) any: bool,
    /// True if another restore is at work here.
    pub(super) is_rivalled: bool,
}

impl Marks {
    /// Marks the folders that everything goes into, as far as that is possible; without a mark a restore is as good, until the
    /// power fails.
    pub(super) fn put(target: &Target, start: &Start, snapshot: &Snapshot, options: &RestoreOptions) -> Self {
        let mut marks = Self {
            text: text(target, start, snapshot, options),
            options: options.clone(),
            ours: Vec::new(),
            covered: Vec::new(),
            systems: HashMap::new(),
            any: target.is_below_mark(),
            is_rivalled: false,
        };
        if !options.dry_run {
            let spared: Vec<_> = options.spared.iter().filter_map(|folder| Target::id_of(folder)).collect();
            let mut marked = HashSet::new();
            for goal in &start.goals {
                if let Some((id, folder)) = deepest(target, goal, &spared)
                    && marked.insert(id)
                {
                    marks.ours.extend(folder.mark(&marks.text));
                }
            }
        }
        marks
    }

    /// Takes note of a folder that was there before, and of the marks in it; true if any is not of this restore.
    pub(super) fn meet(&mut self, folder: &Arc<TargetFolder>, device: u64, marks: Vec<Mark>) -> bool {
        self.systems.entry(device).or_insert_with(|| folder.clone());
        let mut others = marks;
        others.retain(|mark| self.ours.iter().all(|our| our.name() != mark.name()));
        let any = !others.is_empty();
        self.any |= any;
        for mark in others {
            if !mark.is_left_over() {
                self.is_rivalled = true;
                continue;
            }
            let Some(text) = mark.text() else { continue };
            if self.covers(&text) {
                self.covered.push(mark);
            }
        }
        any
    }

    /// True if every file that a restore with this text has written is compared or replaced by this one.
    fn covers(&self, text: &[u8]) -> bool {
        let filter = &self.options.filter;
        let is_all = filter.includes().next().is_none() && filter.excludes().next().is_none();
        let same = text == self.text.as_bytes() || (is_all && text.starts_with(self.text.as_bytes()));
        same && self.options.overwrite != Overwrite::Never
    }

    /// Makes everything durable and takes away the marks, those of earlier restores only if this one `is_whole`.
    pub(super) fn settle(self, is_whole: bool) -> Result<(), TargetError> {
        for folder in self.systems.values() {
            folder.sync()?;
        }
        for mark in self.ours.into_iter().chain(self.covered.into_iter().filter(|_| is_whole)) {
            // One that stays only lets later restores compare more.
            let _ = mark.remove();
        }
        Ok(())
    }
}

/// The folder at `goal` or, if it is not there, that in which it would be made; none of the `spared`.
fn deepest(target: &Target, goal: &[u8], spared: &[FolderId]) -> Option<(FolderId, TargetFolder)> {
    let mut folder = target.folder(&EntryPath::root()).ok()?;
    let mut id = folder.identity().ok()?.0;
    for name in EntryPath::new(goal).ok()?.components() {
        let Ok(next) = folder.descend(&EntryPath::root().join(name).ok()?) else { break };
        (id, folder) = (next.identity().ok()?.0, next);
    }
    (!spared.contains(&id)).then_some((id, folder))
}

/// What is restored. Two restores that write the same files have the same text; one without patterns has the beginning of all
/// those with patterns.
fn text(target: &Target, start: &Start, snapshot: &Snapshot, options: &RestoreOptions) -> String {
    let path = shown(&start.path);
    let mut text = format!("{WHAT}\nsnapshot {}\npath {path:?}\nto {:?}\n", snapshot.id, target.location());
    let filter = &options.filter;
    let patterns = filter.includes().map(|pattern| ("include", pattern));
    for (verb, pattern) in patterns.chain(filter.excludes().map(|pattern| ("exclude", pattern))) {
        writeln!(text, "{verb} {pattern:?}").expect("a string takes everything");
    }
    text
}
