//! The walk over the file system.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::EntryPath;
use crate::Event;
use crate::ahead::{Ahead, Slot};
use crate::file_source::Selected;
use crate::look::{Looked, Rest, Scope, Step, Task};

/// A depth-first walk that holds what is in each folder on the way down, and a bounded number of folders ahead.
#[derive(Debug)]
pub(crate) struct Walk {
    source: Arc<Selected>,
    ahead: Ahead,
    frames: Vec<Frame>,
}

#[derive(Debug)]
struct Frame {
    steps: VecDeque<Step>,
    entered: bool,
    rest: Option<Rest>,
}

impl Walk {
    pub(crate) fn new(source: Arc<Selected>) -> Self {
        let root = Task { path: EntryPath::root(), scope: Scope::root(&source.plan) };
        let first = Step::Folder(Slot::new(root));
        let frames = vec![Frame { steps: [first].into(), entered: false, rest: None }];
        let ahead = Ahead::new(Arc::clone(&source), source.options.threads.saturating_sub(1));
        Self { source, ahead, frames }
    }

    fn go_into(&mut self, slot: &Arc<Slot>) {
        let Looked { steps, entered, rest } = self.ahead.take(slot);
        self.frames.push(Frame { steps, entered, rest });
    }
}

impl Iterator for Walk {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let frame = self.frames.last_mut()?;
            match frame.steps.pop_front() {
                Some(Step::Event(event)) => return Some(event),
                Some(Step::Folder(slot)) => self.go_into(&slot),
                None => match frame.rest.take() {
                    Some(rest) => {
                        let mut looked = Looked::default();
                        self.source.look_further(rest, &mut looked);
                        self.ahead.announce(&looked);
                        (frame.steps, frame.rest) = (looked.steps, looked.rest);
                    }
                    None => {
                        let left = frame.entered;
                        self.frames.pop();
                        if left {
                            return Some(Event::Leave);
                        }
                    }
                },
            }
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
