//! The threads of a run: work that any of them can do, the most urgent first.
//!
//! Who fills segments faster than they are compressed compresses one himself, and who waits for a result helps meanwhile; so
//! memory is bounded, no core idles, and with one thread everything happens in order on the caller's own.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::file::FileJob;
use super::lanes::FullSegment;
use crate::error::RepoError;

/// A piece of work.
pub(super) enum Job<'a> {
    Segment(FullSegment),
    Files(Vec<FileJob<'a>>),
}

/// What there is to do, and who is at it.
pub(super) struct Crew<'a> {
    threads: usize,
    state: Mutex<State<'a>>,
    changed: Condvar,
}

#[derive(Default)]
struct State<'a> {
    segments: VecDeque<FullSegment>,
    files: VecDeque<Vec<FileJob<'a>>>,
    /// Jobs that somebody is doing.
    busy: usize,
    /// Threads with nothing to do.
    idle: usize,
    failure: Option<RepoError>,
    /// Nothing more is to be done, because all is done or something failed.
    over: bool,
}

impl<'a> Crew<'a> {
    /// A crew of this many, its leader among them.
    pub(super) fn new(threads: usize) -> Self {
        Self { threads: threads.max(1), state: Mutex::default(), changed: Condvar::new() }
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    fn state(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers a segment to the others; it comes back if they have enough of them.
    pub(super) fn offer(&self, segment: FullSegment) -> Option<FullSegment> {
        let mut state = self.state();
        if state.segments.len() + 1 >= self.threads {
            return Some(segment);
        }
        state.segments.push_back(segment);
        self.wake(&state);
        None
    }

    /// Adds files to read.
    pub(super) fn add(&self, files: Vec<FileJob<'a>>) {
        let mut state = self.state();
        state.files.push_back(files);
        self.wake(&state);
    }

    /// The next job; waits for one, until the work is over.
    pub(super) fn next(&self) -> Option<Job<'a>> {
        let mut state = self.state();
        loop {
            if state.over {
                return None;
            }
            if let Some(job) = state.take() {
                return Some(job);
            }
            state = self.wait(state);
        }
    }

    /// A job to help with while waiting for `ready`; waits until there is one, and has none once it is ready.
    ///
    /// # Errors
    /// What made the work fail, or another word for it if that has been told already.
    pub(super) fn help(&self, ready: impl Fn(bool) -> bool) -> Result<Option<Job<'a>>, RepoError> {
        let mut state = self.state();
        loop {
            if state.over {
                return Err(state.failure.take().unwrap_or(RepoError::Interrupted));
            }
            let idle = state.segments.is_empty() && state.files.is_empty() && state.busy == 0;
            if ready(idle) {
                return Ok(None);
            }
            if let Some(job) = state.take() {
                return Ok(Some(job));
            }
            state = self.wait(state);
        }
    }

    /// Says that a job has been done.
    pub(super) fn done(&self, outcome: Result<(), RepoError>) {
        let mut state = self.state();
        state.busy -= 1;
        match outcome {
            Ok(()) => self.wake(&state),
            Err(error) => {
                drop(state);
                self.end(Some(error));
            }
        }
    }

    /// Ends the work; of several failures the first is told.
    pub(super) fn end(&self, failure: Option<RepoError>) {
        let mut state = self.state();
        state.failure = state.failure.take().or(failure);
        state.over = true;
        self.wake(&state);
    }

    fn wait<'s>(&'s self, mut state: MutexGuard<'s, State<'a>>) -> MutexGuard<'s, State<'a>> {
        state.idle += 1;
        let mut state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.idle -= 1;
        state
    }

    /// A system call, so only if there is somebody to wake.
    fn wake(&self, state: &State<'a>) {
        if state.idle > 0 {
            self.changed.notify_all();
        }
    }

    /// What made the work fail.
    pub(super) fn failure(&self) -> Option<RepoError> {
        self.state().failure.take()
    }
}

impl<'a> State<'a> {
    fn take(&mut self) -> Option<Job<'a>> {
        let job = match self.segments.pop_front() {
            Some(segment) => Job::Segment(segment),
            None => Job::Files(self.files.pop_front()?),
        };
        self.busy += 1;
        Some(job)
    }
}
