//! The lines that a trial prints: what was done, what that proves, how long it took.

use std::time::Instant;

use serde_json::json;

use crate::failure::Failure;
use crate::output::Output;
use crate::text::duration;

/// Counts and prints steps.
#[derive(Debug)]
pub(super) struct Steps<'a> {
    output: &'a Output,
    count: usize,
    began: Instant,
}

impl<'a> Steps<'a> {
    pub(super) fn new(output: &'a Output) -> Self {
        Self { output, count: 0, began: Instant::now() }
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Tells of a step that has just been done, and begins the next.
    pub(super) fn done(&mut self, what: &str, proves: &str) -> Result<(), Failure> {
        self.count += 1;
        let time = self.began.elapsed();
        self.output.say(&format!("{:>3}. {what} ({})\n     → {proves}", self.count, duration(time)))?;
        let fields = json!({ "step": self.count, "done": what, "proves": proves, "seconds": time.as_secs_f64() });
        self.output.event("step", fields)?;
        self.began = Instant::now();
        Ok(())
    }
}
