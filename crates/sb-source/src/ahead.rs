//! Looking into folders ahead of the walk, on other threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::file_source::Selected;
use crate::look::{Looked, Step, Task};

/// So many steps may wait for the walk to come to them.
const AHEAD: usize = 16 << 10;

/// A folder on the way from being known to being visited.
#[derive(Debug)]
pub(crate) struct Slot(Mutex<State>);

#[derive(Debug)]
enum State {
    Waiting(Task),
    /// Somebody is looking.
    Busy,
    Done(Looked),
    /// The walk has it.
    Taken,
}

impl Slot {
    pub(crate) fn new(task: Task) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Waiting(task))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// The task, if nobody has begun with it; then the state is `next`.
    fn begin(&self, next: State) -> Option<Task> {
        let mut state = self.state();
        if !matches!(*state, State::Waiting(_)) {
            return None;
        }
        match std::mem::replace(&mut *state, next) {
            State::Waiting(task) => Some(task),
            _ => unreachable!("just seen to be waiting"),
        }
    }
}

/// Threads that look into the folders the walk comes to next; they end with this.
#[derive(Debug)]
pub(crate) struct Ahead {
    source: Arc<Selected>,
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Queue {
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    /// What the walk comes to next is last.
    slots: Vec<Arc<Slot>>,
    /// Steps that wait for the walk.
    waiting: usize,
    /// Threads with nothing to do, the walk's own among them.
    idle: usize,
    /// What ended one of the threads.
    panic: Option<Box<dyn Any + Send>>,
    stop: bool,
}

impl Ahead {
    /// With no threads, the walk does all the looking itself, and only when it comes to a folder.
    pub(crate) fn new(source: Arc<Selected>, threads: usize) -> Self {
        let queue = Arc::new(Queue::default());
        let start = |_| {
            let (source, queue) = (Arc::clone(&source), Arc::clone(&queue));
            // Where no thread can be had, the walk goes on without.
            thread::Builder::new().name("walk".to_owned()).spawn(move || queue.look(&source)).ok()
        };
        let threads = (0..threads).filter_map(start).collect();
        Self { source, queue, threads }
    }

    /// What is in a folder that the walk has come to.
    pub(crate) fn take(&self, slot: &Arc<Slot>) -> Looked {
        if let Some(task) = slot.begin(State::Taken) {
            let looked = self.source.look(task);
            self.announce(&looked);
            return looked;
        }
        let mut work = lock(&self.queue.work);
        loop {
            if let Some(panic) = work.panic.take() {
                drop(work);
                resume_unwind(panic);
            }
            let done = std::mem::replace(&mut *slot.state(), State::Busy);
            if let State::Done(looked) = done {
                *slot.state() = State::Taken;
                let was_full = work.waiting >= AHEAD;
                work.waiting -= looked.steps.len();
                if was_full {
                    self.queue.wake(&work);
                }
                return looked;
            }
            // Somebody else is at it; meanwhile there is other work.
            let next = if work.waiting < AHEAD { work.slots.pop() } else { None };
            work = match next {
                Some(next) => self.queue.fill(&self.source, &next, work),
                None => self.queue.wait(work),
            };
        }
    }

    /// Says which folders come next, those in `looked` before all others.
    pub(crate) fn announce(&self, looked: &Looked) {
        if !self.threads.is_empty() {
            let mut work = lock(&self.queue.work);
            work.announce(looked);
            self.queue.wake(&work);
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        lock(&self.queue.work).stop = true;
        self.queue.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A panic there has been handed on.
            let _ = thread.join();
        }
    }
}

impl Work {
    fn announce(&mut self, looked: &Looked) {
        while self.slots.last().is_some_and(|slot| matches!(*slot.state(), State::Taken)) {
            self.slots.pop();
        }
        let folders = looked.steps.iter().rev().filter_map(|step| match step {
            Step::Folder(slot) => Some(Arc::clone(slot)),
            Step::Event(_) => None,
        });
        self.slots.extend(folders);
    }
}

impl Queue {
    /// What each thread does.
    fn look(&self, source: &Selected) {
        let mut work = lock(&self.work);
        while !work.stop {
            let slot = if work.waiting < AHEAD { work.slots.pop() } else { None };
            work = match slot {
                Some(slot) => self.fill(source, &slot, work),
                None => self.wait(work),
            };
        }
    }

    fn wait<'q>(&'q self, mut work: MutexGuard<'q, Work>) -> MutexGuard<'q, Work> {
        work.idle += 1;
        let mut work = self.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
        work.idle -= 1;
        work
    }

    /// A system call, so only if there is somebody to wake.
    fn wake(&self, work: &Work) {
        if work.idle > 0 {
            self.changed.notify_all();
        }
    }

    /// Looks into a folder ahead of the walk, unless the walk has it already.
    fn fill<'q>(&'q self, source: &Selected, slot: &Slot, work: MutexGuard<'q, Work>) -> MutexGuard<'q, Work> {
        let Some(task) = slot.begin(State::Busy) else { return work };
        drop(work);
        let looked = catch_unwind(AssertUnwindSafe(|| source.look(task)));
        let mut work = lock(&self.work);
        let looked = match looked {
            Ok(looked) => looked,
            Err(panic) => {
                work.panic = Some(panic);
                self.wake(&work);
                return work;
            }
        };
        work.waiting += looked.steps.len();
        work.announce(&looked);
        *slot.state() = State::Done(looked);
        self.wake(&work);
        work
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded is put in place as a whole, so a panic elsewhere can't leave it half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
