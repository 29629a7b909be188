//! Looking into one folder: its metadata, what is in it, and which of that belongs into a backup.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::vec;

use crate::ahead::Slot;
use crate::file_source::Selected;
use crate::platform::{self, Child, Node, in_order};
use crate::restore;
use crate::selection::Plan;
use crate::{Cause, Entry, EntryPath, Event, Kind, Metadata, Problem};

/// So many entries of a folder are looked at together; the rest of a larger folder waits as names.
const TOGETHER: usize = 4096;

const CACHE_TAG: &[u8] = b"CACHEDIR.TAG";
pub(crate) const CACHE_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// Why an entry is visited.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// The lengths of the paths of the sources it is or belongs to; none if it only leads to one.
    sources: Arc<[usize]>,
    /// The sources that are here or below.
    plan: Option<Arc<Plan>>,
}

impl Scope {
    /// Of the root of the file system.
    pub(crate) fn root(plan: &Arc<Plan>) -> Self {
        Self { sources: if plan.source { [1].into() } else { [].into() }, plan: Some(Arc::clone(plan)) }
    }

    fn is_source(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.source)
    }

    fn leads_further(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| !plan.children.is_empty())
    }
}

/// A folder that is to be looked into.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) path: EntryPath,
    pub(crate) scope: Scope,
}

/// A step of the walk, or the way to more of them.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are events")]
pub(crate) enum Step {
    Event(Event),
    Folder(Arc<Slot>),
}

/// What was seen in a folder.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// In the order of the walk.
    pub(crate) steps: VecDeque<Step>,
    /// True if the first of them enters the folder.
    pub(crate) entered: bool,
    pub(crate) rest: Option<Rest>,
}

/// What of a large folder has not been looked at yet.
#[derive(Debug)]
pub(crate) struct Rest {
    folder: Open,
    children: vec::IntoIter<Child>,
}

/// A folder while its children are looked at.
#[derive(Debug)]
struct Open {
    node: Node,
    path: EntryPath,
    scope: Scope,
    /// The folder is marked as not worth a backup.
    marked: bool,
}

impl Selected {
    /// Looks into a folder. Trouble is among the steps.
    pub(crate) fn look(&self, task: Task) -> Looked {
        let mut looked = Looked::default();
        let Task { path, scope } = task;
        match self.open_folder(&path) {
            Ok((node, metadata)) => self.enter(node, metadata, path, scope, &mut looked),
            Err(error) => self.report(&path, &error, &mut looked.steps),
        }
        looked
    }

    /// Goes on with a large folder.
    pub(crate) fn look_further(&self, rest: Rest, looked: &mut Looked) {
        let Rest { folder, mut children } = rest;
        for child in children.by_ref().take(TOGETHER) {
            self.visit(&folder, &child, &mut looked.steps);
        }
        looked.rest = (children.len() > 0).then_some(Rest { folder, children });
    }

    fn open_folder(&self, path: &EntryPath) -> io::Result<(Node, Metadata)> {
        let node = match self.top.readable(path) {
            Ok(node) => node,
            Err(_) => platform::descend(&self.top, path).map_err(|end| end.error)?,
        };
        let (_, metadata) = node.inspect_self()?;
        Ok((node, metadata))
    }

    fn enter(&self, node: Node, metadata: Metadata, path: EntryPath, mut scope: Scope, looked: &mut Looked) {
        let ancestor = scope.sources.is_empty();
        if !ancestor && self.skipped.contains(&node.identity(&metadata)) {
            return;
        }
        if self.is_foreign(&metadata) {
            scope.sources = [].into();
        }
        looked.entered = true;
        let entry = Entry { path: path.clone(), kind: Kind::Directory, metadata, ancestor };
        looked.steps.push_back(Step::Event(Event::Enter(entry)));
        let (mut children, mut marked) = (Vec::new(), false);
        if !scope.sources.is_empty() {
            let (listed, error) = node.list_once();
            children = listed;
            if let Some(error) = error {
                looked.steps.push_back(problem(path.clone(), &error));
            }
            marked = self.keep_marks(&node, &mut children);
        }
        // Also what the listing lacks, since that is to be reported.
        children.extend(scope.plan.as_ref().map(|plan| planned_children(plan, &node)).into_iter().flatten());
        let folder = Open { node, path, scope, marked };
        self.look_further(Rest { folder, children: in_order(children).into_iter() }, looked);
    }

    fn visit(&self, folder: &Open, child: &Child, steps: &mut VecDeque<Step>) {
        let Ok(path) = folder.path.join(&child.name) else { return };
        let Some(scope) = self.scope(folder, &path, child) else { return };
        if child.folder {
            steps.push_back(Step::Folder(Slot::new(Task { path, scope })));
            return;
        }
        match folder.node.inspect(&child.name) {
            Ok((Kind::Directory, _)) => self.report(&path, &io::ErrorKind::IsADirectory.into(), steps),
            Ok((kind, metadata)) => {
                let lost = scope.leads_further().then(|| path.clone());
                if self.is_wanted(&kind, &metadata, &scope) {
                    steps.push_back(Step::Event(Event::Entry(Entry { path, kind, metadata, ancestor: false })));
                }
                if let Some(path) = lost {
                    self.report_below(&path, &io::ErrorKind::NotADirectory.into(), steps);
                }
            }
            Err(error) => self.report(&path, &error, steps),
        }
    }

    /// Why to visit a child of this folder; `None` if there is no reason.
    fn scope(&self, folder: &Open, path: &EntryPath, child: &Child) -> Option<Scope> {
        let above = &folder.scope;
        let plan = above.plan.as_ref().and_then(|plan| plan.children.get(&*child.name)).cloned();
        let bytes = path.as_bytes();
        let kept = |source: &usize| {
            // The root's path already ends in the slash that others have in front of what is inside.
            let below = &bytes[source + usize::from(*source > 1)..];
            !self.excludes.leave_out(below, child.folder)
        };
        let is_leftover = !child.folder && restore::is_leftover(&child.name);
        let is_kept = !folder.marked || *child.name == *CACHE_TAG || self.is_name_of_mark(&child.name);
        let is_visible = is_kept && !is_leftover;
        let mut scope = Scope { sources: Arc::clone(&above.sources), plan };
        let all_kept = is_visible && above.sources.iter().all(kept);
        if !all_kept || scope.is_source() {
            let mut sources: Vec<usize> =
                above.sources.iter().copied().filter(|source| is_visible && kept(source)).collect();
            if scope.is_source() {
                sources.push(bytes.len());
            }
            scope.sources = sources.into();
        }
        (scope.plan.is_some() || !scope.sources.is_empty()).then_some(scope)
    }

    /// Whether something that is no folder belongs into the backup.
    fn is_wanted(&self, kind: &Kind, metadata: &Metadata, scope: &Scope) -> bool {
        let too_large = |limit| *kind == Kind::File && metadata.size > limit;
        let unwanted = self.options.exclude_larger_than.is_some_and(too_large) || self.is_foreign(metadata);
        scope.is_source() || !(unwanted || scope.sources.is_empty())
    }

    /// Reduces the children of a folder that is marked as not worth a backup to the marks. Whether it is.
    fn keep_marks(&self, node: &Node, children: &mut Vec<Child>) -> bool {
        let named = |child: &Child| self.is_name_of_mark(&child.name);
        let mut marked = children.iter().any(named);
        if marked {
            children.retain(named);
        }
        let tag = |child: &Child| !child.folder && &*child.name == CACHE_TAG;
        if self.options.exclude_caches && children.iter().any(tag) && has_cache_signature(node) {
            children.retain(tag);
            marked = true;
        }
        marked
    }

    fn is_name_of_mark(&self, name: &[u8]) -> bool {
        self.options.exclude_if_present.iter().any(|mark| mark.as_encoded_bytes() == name)
    }

    fn is_foreign(&self, metadata: &Metadata) -> bool {
        self.devices.as_ref().is_some_and(|devices| !devices.contains(&metadata.device))
    }

    /// Reports trouble with a path: with itself, if it is in a source, and with each source it leads to.
    fn report(&self, path: &EntryPath, error: &io::Error, steps: &mut VecDeque<Step>) {
        if self.roots.iter().any(|root| path.strip_prefix(root).is_some()) {
            steps.push_back(problem(path.clone(), error));
        }
        self.report_below(path, error, steps);
    }

    /// Reports trouble with each source that a path leads to.
    fn report_below(&self, path: &EntryPath, error: &io::Error, steps: &mut VecDeque<Step>) {
        let below = |source: &&EntryPath| source.strip_prefix(path).is_some_and(|inner| !inner.is_root());
        steps.extend(self.named.iter().filter(below).map(|source| problem(source.clone(), error)));
    }
}

fn problem(path: EntryPath, error: &io::Error) -> Step {
    Step::Event(Event::Problem(Problem { path, cause: Cause::of(error), detail: error.to_string() }))
}

fn planned_children(plan: &Plan, node: &Node) -> Vec<Child> {
    let child = |(name, below): (&Vec<u8>, &Arc<Plan>)| {
        let folder = !below.source || matches!(node.inspect(name), Ok((Kind::Directory, _)));
        Child { name: name.as_slice().into(), folder }
    };
    plan.children.iter().map(child).collect()
}

fn has_cache_signature(node: &Node) -> bool {
    let mut start = [0; CACHE_SIGNATURE.len()];
    node.open(CACHE_TAG).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == CACHE_SIGNATURE
}
