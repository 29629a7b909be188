//! Restoring: each file is rebuilt, compared with its SHA-256, and only then given its name.
//!
//! One thread walks the tree, makes folders and gathers what is in them into windows. The segments of a
//! window are read once each, in the order in which they lie in the vault, and its files are written by all threads.

mod aside;
mod content;
mod copies;
mod crew;
mod executor;
mod finish;
mod levels;
mod marks;
mod options;
mod overwrite;
mod plan;
mod report;
mod segments;
mod start;
mod stream;
mod unread;
mod walker;
mod way;
mod window;

use std::collections::HashMap;
use std::sync::mpsc::sync_channel;
use std::thread;

use sb_crypto::{Digest, sha256};
use sb_source::Target;

use crate::clock::Progress;
use crate::error::RepoError;
use crate::reader::Reader;
use crate::snapshots::Snapshot;
use crate::wire::cbor::Fields;
use crate::wire::entry::Item;
use copies::Copies;
use executor::Executor;
use levels::Levels;
use marks::Marks;
use start::Start;
use unread::Unread;
use walker::{HandOver, Walker};
use way::first_level;
use window::Window;

pub use options::RestoreOptions;
pub use overwrite::Overwrite;
pub use report::{RestoreProblem, RestoreReport};

impl Reader<'_> {
    /// Restores what is at `path`: what is in a folder goes into the target, anything else under its own name. The root
    /// restores everything under its absolute path.
    ///
    /// A file is given its name only after its SHA-256 has been compared. What is in the way is replaced unless the options say
    /// otherwise, but a folder never is. Nothing is written outside the target. Where the file system takes two names for one, the
    /// second is not restored. What an earlier restore into the same place has left unfinished is removed. When this returns, what
    /// was restored outlasts a power cut; before, a [`Mark`](sb_source::Mark) says that it may not.
    ///
    /// # Errors
    /// [`RepoError::NoSuchPath`], [`RepoError::Target`] if the target is full or can't be used at all, and
    /// [`RepoError::Interrupted`]. What else goes wrong is in the report.
    pub fn restore(
        &self,
        snapshot: &Snapshot,
        path: &[u8],
        target: &Target,
        options: RestoreOptions,
        progress: Progress<'_>,
    ) -> Result<RestoreReport, RepoError> {
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let start = Start::find(self, snapshot, path, &options)?;
        let mut problems = Vec::new();
        let unread = if options.delete { Unread::of(self, snapshot, &mut problems)? } else { None };
        let mut marks = Marks::put(target, &start, snapshot, &options);
        let done = self.restore_from(&start, target, &options, progress, (unread.as_ref(), &mut marks));
        let resumed = marks.any;
        let settled = match &done {
            _ if options.dry_run => Ok(()),
            Ok(report) => {
                target.finish();
                marks.settle(report.is_whole())
            }
            // What has its name is whole, and is to stay so.
            Err(_) => marks.settle(false),
        };
        let mut report = done?;
        settled?;
        report.add(RestoreReport { problems, resumed, ..RestoreReport::default() });
        Ok(report)
    }

    /// Does all of it, on this thread and others.
    fn restore_from(
        &self,
        start: &Start,
        target: &Target,
        options: &RestoreOptions,
        progress: Progress<'_>,
        (unread, marks): (Option<&Unread>, &mut Marks),
    ) -> Result<RestoreReport, RepoError> {
        let threads = if options.threads == 0 { crew::available() } else { options.threads };
        let mut executor = Executor::new(self, target, options, progress, (start.cut, start.base), threads);
        let spared: Vec<_> = options.spared.iter().filter_map(|folder| Target::id_of(folder)).collect();
        let levels = Levels::new(target, first_level(target, start.verdict(options), options, marks)?);
        let walk = |hand_over: &mut HandOver<'_>| -> Result<_, RepoError> {
            let mut walker = Walker {
                reader: self,
                options,
                spared: &spared,
                progress,
                unread,
                marks,
                levels,
                window: Window::default(),
                copies: Copies::default(),
                number: 0,
                hand_over,
                cut: start.cut,
                base: start.base,
                links: HashMap::new(),
                report: RestoreReport::default(),
            };
            walker.watch_for_others(&start.path, start.is_ancestor())?;
            start.walk(self, &mut walker)?;
            let Walker { window, report, hand_over, .. } = walker;
            hand_over(window)?;
            Ok(report)
        };
        let walked = if threads == 1 || options.dry_run {
            walk(&mut |window| executor.run(window))?
        } else {
            thread::scope(|scope| {
                let (sender, receiver) = sync_channel::<Window>(0);
                let executor = &mut executor;
                let worker = scope.spawn(move || receiver.iter().try_for_each(|window| executor.run(window)));
                // It goes away only if it failed, which is then what went wrong.
                let walked = walk(&mut |window| sender.send(window).map_err(|_| RepoError::Interrupted));
                drop(sender);
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                walked
            })?
        };
        executor.report.add(walked);
        Ok(executor.report)
    }
}

/// Tells names of one thing from those of another that has got its inode meanwhile.
fn identity(item: &Item) -> Digest {
    match item {
        Item::File(file) => file.sha256,
        other => sha256(&other.encode(Fields::new()).encode()),
    }
}

/// True for what costs the entry it touches; anything else ends the restore.
fn is_loss(error: &RepoError) -> bool {
    matches!(
        error,
        RepoError::Damaged { .. }
            | RepoError::MissingChunk { .. }
            | RepoError::WrongContent { .. }
            | RepoError::UnsupportedFeature { .. }
    )
}
