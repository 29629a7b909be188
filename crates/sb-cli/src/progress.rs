//! How an operation goes: a line on a terminal, JSON Lines for programs.

use std::io::{IsTerminal, stderr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sb_core::{Counter, Deed, FileChange, Monitor, Problem, Progress, Size};
use serde_json::json;

use crate::output::{Output, with_path};
use crate::text::{count, duration, shown};

/// A quick operation draws nothing at all.
const SILENT_FIRST: Duration = Duration::from_millis(250);
const REDRAW: Duration = Duration::from_millis(100);
const REPORT: Duration = Duration::from_secs(1);

/// Runs an operation while somebody watches.
pub(crate) fn watch<T>(
    output: &Output,
    verb: &'static str,
    stop: &AtomicBool,
    run: impl FnOnce(Progress<'_>) -> T,
) -> T {
    let watcher = Watcher::new(output, verb);
    thread::scope(|scope| {
        let _done = Done(&watcher);
        if watcher.bar.is_some() || output.json {
            scope.spawn(|| watcher.tick());
        }
        run(Progress { monitor: &watcher, stop })
    })
}

/// Hears warnings only: for operations whose output itself shows how they go.
#[derive(Debug)]
pub(crate) struct Warnings<'a>(pub(crate) &'a Output);

impl Monitor for Warnings<'_> {
    fn warning(&self, text: &str) {
        self.0.warn(&format!("warning: {text}"));
    }
}

/// Hears counts from the threads that work, and tells of them from its own.
#[derive(Debug)]
struct Watcher<'a> {
    output: &'a Output,
    verb: &'static str,
    bar: Option<ProgressBar>,
    began: Instant,
    entries: AtomicU64,
    files: AtomicU64,
    objects: AtomicU64,
    bytes: AtomicU64,
    bytes_expected: AtomicU64,
    stored: AtomicU64,
    at: Mutex<Vec<u8>>,
    done: Mutex<bool>,
    wake: Condvar,
}

/// Ends the thread that tells, also when the operation panics.
struct Done<'a>(&'a Watcher<'a>);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        *locked(&self.0.done) = true;
        self.0.wake.notify_all();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Watcher<'a> {
    fn new(output: &'a Output, verb: &'static str) -> Self {
        let draws = !output.json && !output.quiet && stderr().is_terminal();
        let zero = AtomicU64::default;
        Self {
            output,
            verb,
            bar: draws.then(|| ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())),
            began: Instant::now(),
            entries: zero(),
            files: zero(),
            objects: zero(),
            bytes: zero(),
            bytes_expected: zero(),
            stored: zero(),
            at: Mutex::default(),
            done: Mutex::default(),
            wake: Condvar::new(),
        }
    }

    fn tick(&self) {
        let (first, then) = if self.output.json { (REPORT, REPORT) } else { (SILENT_FIRST, REDRAW) };
        let (mut pause, mut done) = (first, locked(&self.done));
        loop {
            done = self.wake.wait_timeout_while(done, pause, |done| !*done).unwrap_or_else(PoisonError::into_inner).0;
            if *done {
                break;
            }
            match &self.bar {
                Some(bar) => self.draw(bar),
                // If nobody reads any more, the command will find out by itself.
                None => drop(self.output.event("status", self.status())),
            }
            pause = then;
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn draw(&self, bar: &ProgressBar) {
        if bar.is_hidden() {
            let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("a template as documented");
            bar.set_style(style);
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_message(self.line());
        bar.tick();
    }

    fn line(&self) -> String {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let (bytes, expected) = (get(&self.bytes), get(&self.bytes_expected));
        let mut parts = vec![format!("{} {}", self.verb, duration(self.began.elapsed()))];
        if (1..=expected).contains(&bytes) {
            parts.push(format!("{} % of {}", bytes * 100 / expected, Size(expected)));
        } else if bytes > 0 {
            parts.push(Size(bytes).to_string());
        }
        for (number, word) in [(get(&self.files), "file"), (get(&self.objects), "object")] {
            if number > 0 {
                parts.push(count(number, word));
            }
        }
        if get(&self.stored) > 0 {
            parts.push(format!("{} stored", Size(get(&self.stored))));
        }
        let at = locked(&self.at);
        if !at.is_empty() {
            parts.push(shown(&at));
        }
        parts.join(", ")
    }

    fn status(&self) -> serde_json::Value {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        json!({
            "seconds": self.began.elapsed().as_secs_f64(),
            "entries": get(&self.entries),
            "files": get(&self.files),
            "objects": get(&self.objects),
            "bytes": get(&self.bytes),
            "bytes_expected": get(&self.bytes_expected),
            "stored_bytes": get(&self.stored),
        })
    }

    /// Tells of an entry whoever wants to hear so much.
    fn tell(&self, verbose: u8, message_type: &'static str, (field, word): (&str, &str), path: &[u8]) {
        if self.output.verbose < verbose {
            return;
        }
        // If nobody reads any more, the command will find out by itself.
        if self.output.json {
            drop(self.output.event(message_type, with_path(json!({ field: word }), "path", path)));
        } else {
            self.aside(|| drop(self.output.say(&format!("{word:<11} {}", shown(path)))));
        }
    }

    fn aside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Monitor for Watcher<'_> {
    fn count(&self, counter: Counter, n: u64) {
        let number = match counter {
            Counter::Entries => &self.entries,
            Counter::Files => &self.files,
            Counter::Bytes => &self.bytes,
            Counter::Objects => &self.objects,
            Counter::Stored => &self.stored,
            _ => return,
        };
        number.fetch_add(n, Ordering::Relaxed);
    }

    fn expect(&self, counter: Counter, total: u64) {
        if counter == Counter::Bytes {
            self.bytes_expected.store(total, Ordering::Relaxed);
        }
    }

    fn problem(&self, problem: &Problem) {
        let fields = json!({ "kind": kind(problem), "detail": problem.detail });
        let event = || drop(self.output.event("problem", with_path(fields, "path", problem.path.as_bytes())));
        if self.output.json {
            event();
        }
    }

    fn warning(&self, text: &str) {
        self.aside(|| Warnings(self.output).warning(text));
    }

    fn restored(&self, deed: Deed, path: &[u8]) {
        let word = match deed {
            Deed::Made => "restored",
            Deed::Overwritten => "overwritten",
            Deed::Unchanged => "unchanged",
            Deed::Adjusted => "adjusted",
            Deed::Kept => "kept",
            Deed::Deleted => "deleted",
            _ => return,
        };
        self.tell(1, "restored", ("deed", word), path);
    }

    fn compared(&self, change: FileChange, path: &[u8]) {
        let (word, verbose) = match change {
            FileChange::New => ("new", 1),
            FileChange::Changed => ("changed", 1),
            FileChange::Unchanged => ("unchanged", 2),
            _ => return,
        };
        self.tell(verbose, "compared", ("change", word), path);
    }

    fn at(&self, path: &[u8]) {
        if self.output.verbose > 1 && !self.output.json {
            self.aside(|| self.output.warn(&shown(path)));
        } else if self.bar.is_some() {
            path.clone_into(&mut locked(&self.at));
        }
    }
}

/// The kind of trouble, as programs are told.
fn kind(problem: &Problem) -> &'static str {
    use sb_core::source::Cause;
    match problem.cause {
        Cause::Vanished => "vanished",
        Cause::Denied => "denied",
        Cause::Changed => "changed",
        Cause::TooLarge => "too_large",
        _ => "unreadable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_known() {
        let output = Output::new(false, true, 0);
        let watcher = Watcher::new(&output, "verifying");
        assert!(watcher.line().starts_with("verifying 0.0"));
        watcher.expect(Counter::Bytes, 2048);
        watcher.expect(Counter::Files, 7);
        watcher.count(Counter::Bytes, 1024);
        watcher.count(Counter::Files, 1);
        watcher.count(Counter::Objects, 1200);
        watcher.count(Counter::Adopted, 1);
        assert!(watcher.line().ends_with(" s, 50 % of 2.0 KiB, 1 file, 1,200 objects"), "{}", watcher.line());
        watcher.count(Counter::Bytes, 4096);
        watcher.count(Counter::Stored, 10);
        watcher.count(Counter::Entries, 3);
        *watcher.at.lock().unwrap() = b"/a\xff".to_vec();
        assert!(
            watcher.line().ends_with(" s, 5.0 KiB, 1 file, 1,200 objects, 10 B stored, /a\\xff"),
            "{}",
            watcher.line()
        );
        let status = watcher.status();
        assert_eq!(
            (&status["entries"], &status["stored_bytes"], &status["bytes"]),
            (&3.into(), &10.into(), &5120.into())
        );
    }

    #[test]
    fn the_thread_that_tells_ends_with_the_operation() {
        let output = Output::new(false, false, 0);
        let watcher = Watcher { bar: Some(ProgressBar::hidden()), ..Watcher::new(&output, "trying") };
        thread::scope(|scope| {
            let _done = Done(&watcher);
            scope.spawn(|| watcher.tick());
            thread::sleep(Duration::from_millis(400));
            watcher.at(b"/somewhere");
        });
        assert!(watcher.bar.is_some_and(|bar| bar.is_finished()));
    }
}
