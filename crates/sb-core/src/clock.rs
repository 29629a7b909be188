//! The time of day, read here and nowhere else.

use chrono::{DateTime, Utc};
use sb_repo::Clock;

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock; everybody else is told the time"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_stand_at_the_epoch() {
        assert!(SystemClock.now() > DateTime::UNIX_EPOCH);
    }
}
