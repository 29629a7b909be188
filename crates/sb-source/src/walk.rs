//! The walk over the file system.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::vec;

use crate::file_source::FileSource;
use crate::platform::{self, Child, Node, Partial, Xattrs, in_order};
use crate::selection::Plan;
use crate::{Cause, Entry, EntryPath, Event, Kind, Metadata, Problem};

/// So many folders are kept open on the way down; those above are opened again on the way up.
const MAX_OPEN: usize = 32;

const CACHE_TAG: &[u8] = b"CACHEDIR.TAG";
const CACHE_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// A depth-first walk that holds the listing of each folder on the way down and nothing else.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    source: &'a FileSource,
    skipped: Vec<(u64, u64)>,
    devices: Option<Vec<u64>>,
    started: bool,
    /// The folder last in `frames`.
    path: EntryPath,
    frames: Vec<Frame<'a>>,
    ready: VecDeque<Event>,
}

#[derive(Debug)]
struct Frame<'a> {
    /// `None` while the walk is far below.
    node: Option<Node>,
    identity: (u64, u64),
    children: vec::IntoIter<Child>,
    scope: Scope<'a>,
    /// The folder is marked as not worth a backup.
    marked: bool,
}

/// Why an entry is visited.
#[derive(Clone, Debug)]
struct Scope<'a> {
    /// The lengths of the paths of the sources it is or belongs to; none if it only leads to one.
    sources: Vec<usize>,
    /// The sources that are here or below.
    plan: Option<&'a Plan>,
}

impl Scope<'_> {
    fn is_source(&self) -> bool {
        self.plan.is_some_and(|plan| plan.source)
    }
}

impl<'a> Walk<'a> {
    pub(crate) fn new(source: &'a FileSource) -> Self {
        Self {
            source,
            skipped: source.skipped(),
            devices: source.devices(),
            started: false,
            path: EntryPath::root(),
            frames: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    fn start(&mut self) {
        self.started = true;
        let plan = &self.source.plan;
        let scope = Scope { sources: if plan.source { vec![1] } else { Vec::new() }, plan: Some(plan) };
        match Node::root().and_then(|node| Ok((node.inspect_self()?.1, node))) {
            Ok((metadata, node)) => self.enter(node, metadata, scope),
            Err(error) => self.report(&error),
        }
    }

    /// Why to visit the present path, which is a child of the folder entered last; `None` if there is no reason.
    fn scope(&self, child: &Child) -> Option<Scope<'a>> {
        let Frame { scope: above, marked, .. } = self.frames.last()?;
        let plan = above.plan.and_then(|plan| plan.children.get(&*child.name));
        let path = self.path.as_bytes();
        let kept = |source: &usize| {
            // The root's path already ends in the slash that others have in front of what is inside.
            let below = &path[source + usize::from(*source > 1)..];
            !self.source.excludes.leave_out(below, child.folder)
        };
        let mut scope = Scope { sources: Vec::new(), plan };
        if !marked || *child.name == *CACHE_TAG || self.is_name_of_mark(&child.name) {
            scope.sources.extend(above.sources.iter().copied().filter(kept));
        }
        if scope.is_source() {
            scope.sources.push(path.len());
        }
        (plan.is_some() || !scope.sources.is_empty()).then_some(scope)
    }

    /// Looks at a child of the folder entered last.
    fn visit(&mut self, child: &Child) {
        self.path.push(&child.name);
        let depth = self.frames.len();
        if let Some(scope) = self.scope(child) {
            self.look(child, scope);
        }
        if self.frames.len() == depth {
            self.path.pop();
        }
    }

    fn look(&mut self, child: &Child, scope: Scope<'a>) {
        let Some(Frame { node: Some(parent), .. }) = self.frames.last() else { return };
        if child.folder {
            match open_folder(parent, &child.name) {
                Ok((node, metadata)) => self.enter(node, metadata, scope),
                Err(error) => self.report(&error),
            }
            return;
        }
        let looked = parent.inspect(&child.name);
        let xattrs = if looked.is_ok() { parent.xattrs(&child.name) } else { (Vec::new(), None) };
        match looked {
            Ok((Kind::Directory, _)) => self.report(&io::ErrorKind::IsADirectory.into()),
            Ok((kind, metadata)) => {
                self.meet(kind, metadata, xattrs, &scope);
                if scope.plan.is_some_and(|plan| !plan.children.is_empty()) {
                    self.report_below(&io::ErrorKind::NotADirectory.into());
                }
            }
            Err(error) => self.report(&error),
        }
    }

    /// Gives out what is not a folder.
    fn meet(&mut self, kind: Kind, metadata: Metadata, xattrs: Partial<Xattrs>, scope: &Scope<'a>) {
        let too_large = |limit| kind == Kind::File && metadata.size > limit;
        let unwanted = self.source.options.exclude_larger_than.is_some_and(too_large) || self.foreign(&metadata);
        if scope.is_source() || !(unwanted || scope.sources.is_empty()) {
            self.give(kind, metadata, xattrs, false);
        }
    }

    /// Gives out a folder and makes it the one whose children are visited next.
    fn enter(&mut self, node: Node, metadata: Metadata, mut scope: Scope<'a>) {
        let identity = node.identity(&metadata);
        let ancestor = scope.sources.is_empty();
        if !ancestor && self.skipped.contains(&identity) {
            return;
        }
        if self.foreign(&metadata) {
            scope.sources.clear();
        }
        self.give(Kind::Directory, metadata, node.xattrs_self(), ancestor);
        let (mut children, mut marked) = (Vec::new(), false);
        if !scope.sources.is_empty() {
            let (listed, error) = node.list();
            children = listed;
            if let Some(error) = error {
                self.report_at(self.path.clone(), &error);
            }
            marked = self.keep_marks(&node, &mut children);
        }
        // Also what the listing lacks, since that is to be reported.
        children.extend(scope.plan.map(|plan| planned_children(plan, &node)).into_iter().flatten());
        let children = in_order(children).into_iter();
        self.frames.push(Frame { node: Some(node), identity, children, scope, marked });
        if let Some(far) = self.frames.len().checked_sub(MAX_OPEN + 1) {
            self.frames[far].node = None;
        }
    }

    /// Reduces the children of a folder that is marked as not worth a backup to the marks. Whether it is.
    fn keep_marks(&self, node: &Node, children: &mut Vec<Child>) -> bool {
        let named = |child: &Child| self.is_name_of_mark(&child.name);
        let mut marked = children.iter().any(named);
        if marked {
            children.retain(named);
        }
        let tag = |child: &Child| !child.folder && &*child.name == CACHE_TAG;
        if self.source.options.exclude_caches && children.iter().any(tag) && has_cache_signature(node) {
            children.retain(tag);
            marked = true;
        }
        marked
    }

    fn is_name_of_mark(&self, name: &[u8]) -> bool {
        self.source.options.exclude_if_present.iter().any(|mark| mark.as_encoded_bytes() == name)
    }

    fn foreign(&self, metadata: &Metadata) -> bool {
        self.devices.as_ref().is_some_and(|devices| !devices.contains(&metadata.device))
    }

    fn give(&mut self, kind: Kind, mut metadata: Metadata, (xattrs, error): Partial<Xattrs>, ancestor: bool) {
        self.source.complete(&mut metadata, xattrs);
        let folder = kind == Kind::Directory;
        let entry = Entry { path: self.path.clone(), kind, metadata, ancestor };
        self.ready.push_back(if folder { Event::Enter(entry) } else { Event::Entry(entry) });
        if let Some(error) = error {
            let detail = format!("extended attributes: {error}");
            self.ready.push_back(Event::Problem(Problem { path: self.path.clone(), cause: Cause::of(&error), detail }));
        }
    }

    /// Reports trouble with the present path: with itself, if it is in a source, and with each source it leads to.
    fn report(&mut self, error: &io::Error) {
        if self.source.roots.iter().any(|root| self.path.strip_prefix(root).is_some()) {
            self.report_at(self.path.clone(), error);
        }
        self.report_below(error);
    }

    /// Reports trouble with each source the present path leads to.
    fn report_below(&mut self, error: &io::Error) {
        let below = |source: &&EntryPath| source.strip_prefix(&self.path).is_some_and(|inner| !inner.is_root());
        let lost: Vec<_> = self.source.named.iter().filter(below).cloned().collect();
        lost.into_iter().for_each(|path| self.report_at(path, error));
    }

    fn report_at(&mut self, path: EntryPath, error: &io::Error) {
        self.ready.push_back(Event::Problem(Problem { path, cause: Cause::of(error), detail: error.to_string() }));
    }

    fn leave(&mut self) {
        let left = self.frames.pop().and_then(|frame| frame.node);
        self.path.pop();
        self.ready.push_back(Event::Leave);
        let Some(Frame { node: None, identity, .. }) = self.frames.last() else { return };
        let node = reopen(left.as_ref(), &self.path, *identity);
        let lost = node.is_none();
        if let Some(frame) = self.frames.last_mut() {
            frame.node = node;
            if lost {
                frame.children = Vec::new().into_iter();
                self.report(&io::ErrorKind::StaleNetworkFileHandle.into());
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() {
            if !self.started {
                self.start();
                continue;
            }
            match self.frames.last_mut()?.children.next() {
                Some(child) => self.visit(&child),
                None => self.leave(),
            }
        }
        self.ready.pop_front()
    }
}

fn open_folder(parent: &Node, name: &[u8]) -> io::Result<(Node, Metadata)> {
    let node = parent.folder(name)?;
    let (_, metadata) = node.inspect_self()?;
    Ok((node, metadata))
}

/// The folder that was closed on the way down, if it still is where it was.
fn reopen(child: Option<&Node>, path: &EntryPath, identity: (u64, u64)) -> Option<Node> {
    let same = |node: &Node| node.inspect_self().is_ok_and(|(_, metadata)| node.identity(&metadata) == identity);
    let above = child.and_then(|child| child.parent().ok()).filter(same);
    above.or_else(|| platform::descend(&Node::root().ok()?, path).ok().filter(same))
}

fn planned_children(plan: &Plan, node: &Node) -> Vec<Child> {
    let child = |(name, below): (&Vec<u8>, &Plan)| {
        let folder = !below.source || matches!(node.inspect(name), Ok((Kind::Directory, _)));
        Child { name: name.as_slice().into(), folder }
    };
    plan.children.iter().map(child).collect()
}

fn has_cache_signature(node: &Node) -> bool {
    let mut start = [0; CACHE_SIGNATURE.len()];
    node.open(CACHE_TAG).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == CACHE_SIGNATURE
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
