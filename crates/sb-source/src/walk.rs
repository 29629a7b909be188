//! The walk over the file system.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::vec;

use crate::file_source::FileSource;
use crate::platform::{self, Child, Node, Partial, Xattrs};
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
}

/// What of a folder is backed up.
#[derive(Clone, Copy, Debug)]
enum Scope<'a> {
    /// What leads to a source.
    Ancestor(&'a Plan),
    /// Everything, as the source whose path has this length is or contains the folder.
    Inside { source_length: usize },
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
        let scope = self.scope(&self.source.plan);
        match Node::root().and_then(|node| Ok((node.inspect_self()?.1, node))) {
            Ok((metadata, node)) => self.enter(node, metadata, scope),
            Err(error) => self.report(&error),
        }
    }

    /// The scope of the folder at the present path, which is part of the plan.
    fn scope(&self, plan: &'a Plan) -> Scope<'a> {
        if plan.source { Scope::Inside { source_length: self.path.as_bytes().len() } } else { Scope::Ancestor(plan) }
    }

    /// Looks at a child of the folder entered last.
    fn visit(&mut self, child: &Child) {
        let Some(Frame { node: Some(parent), scope, .. }) = self.frames.last() else { return };
        let scope = *scope;
        self.path.push(&child.name);
        let planned = match scope {
            Scope::Ancestor(plan) => plan.children.get(&*child.name),
            Scope::Inside { source_length } => {
                // The root's path already ends in the slash that others have in front of what is inside.
                let start = source_length + usize::from(source_length > 1);
                if self.source.excludes.leave_out(&self.path.as_bytes()[start..], child.folder) {
                    self.path.pop();
                    return;
                }
                None
            }
        };
        let depth = self.frames.len();
        if child.folder {
            let scope = planned.map_or(scope, |plan| self.scope(plan));
            match open_folder(parent, &child.name) {
                Ok((node, metadata)) => self.enter(node, metadata, scope),
                Err(error) => self.report(&error),
            }
        } else {
            let looked = parent.inspect(&child.name);
            let xattrs = if looked.is_ok() { parent.xattrs(&child.name) } else { (Vec::new(), None) };
            match looked {
                Ok((Kind::Directory, _)) => self.report(&io::ErrorKind::NotADirectory.into()),
                Ok((kind, metadata)) => self.meet(kind, metadata, xattrs, planned.is_some()),
                Err(error) => self.report(&error),
            }
        }
        if self.frames.len() == depth {
            self.path.pop();
        }
    }

    /// Gives out what is not a folder.
    fn meet(&mut self, kind: Kind, metadata: Metadata, xattrs: Partial<Xattrs>, source: bool) {
        let too_large = |limit| kind == Kind::File && metadata.size > limit;
        let unwanted = self.source.options.exclude_larger_than.is_some_and(too_large) || self.foreign(&metadata);
        if source || !unwanted {
            self.give(kind, metadata, xattrs, false);
        }
    }

    /// Gives out a folder and makes it the one whose children are visited next.
    fn enter(&mut self, node: Node, metadata: Metadata, scope: Scope<'a>) {
        let identity = node.identity(&metadata);
        let ancestor = matches!(scope, Scope::Ancestor(_));
        if !ancestor && self.skipped.contains(&identity) {
            return;
        }
        let foreign = !ancestor && self.foreign(&metadata);
        self.give(Kind::Directory, metadata, node.xattrs_self(), ancestor);
        if foreign {
            self.ready.push_back(Event::Leave);
            return;
        }
        let mut children = match scope {
            Scope::Ancestor(plan) => planned_children(plan, &node),
            Scope::Inside { .. } => {
                let (mut children, error) = node.list();
                if let Some(error) = error {
                    self.report(&error);
                }
                self.keep_markers(&node, &mut children);
                children
            }
        };
        children.sort_unstable_by(Child::order);
        self.frames.push(Frame { node: Some(node), identity, children: children.into_iter(), scope });
        if let Some(far) = self.frames.len().checked_sub(MAX_OPEN + 1) {
            self.frames[far].node = None;
        }
    }

    /// Reduces the children of a folder that is marked as not worth a backup to the marks.
    fn keep_markers(&self, node: &Node, children: &mut Vec<Child>) {
        let options = &self.source.options;
        let named =
            |child: &Child| options.exclude_if_present.iter().any(|name| name.as_encoded_bytes() == &*child.name);
        if children.iter().any(named) {
            children.retain(named);
        }
        let tag = |child: &Child| !child.folder && &*child.name == CACHE_TAG;
        if options.exclude_caches && children.iter().any(tag) && has_cache_signature(node) {
            children.retain(tag);
        }
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

    /// Reports trouble with the present path: of each source it leads to, or of itself.
    fn report(&mut self, error: &io::Error) {
        let (cause, detail) = (Cause::of(error), error.to_string());
        let lost = self.source.roots.iter().filter(|root| root.strip_prefix(&self.path).is_some());
        let mut paths: Vec<_> = lost.cloned().collect();
        if paths.is_empty() {
            paths.push(self.path.clone());
        }
        let problem = |path| Event::Problem(Problem { path, cause, detail: detail.clone() });
        self.ready.extend(paths.into_iter().map(problem));
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
