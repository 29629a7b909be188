use std::io::{self, ErrorKind};

use crate::StoreError;

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Input/output error; strikes any operation.
    Io,
    /// No space left; strikes what writes, not what reads or removes.
    Full,
    /// Read-only file system; strikes what writes or removes.
    ReadOnly,
}

/// Whether the operation that fails, or at which the process dies, takes effect all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cut {
    /// It has no effect.
    #[default]
    Before,
    /// It takes effect, but its caller does not get to know.
    After,
}

/// What an operation does to the storage, which decides what failures strike it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
    Remove,
}

/// What is to become of an operation.
#[derive(Debug)]
pub(super) enum Ruling {
    Go,
    Stop(io::Error, Cut),
}

/// The operations counted so far and the fault planned.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    pub(super) operations: u64,
    pub(super) cut: Cut,
    pub(super) crash_at: Option<u64>,
    pub(super) failure: Option<PlannedFailure>,
}

#[derive(Debug, Clone)]
pub(super) struct PlannedFailure {
    pub(super) at: u64,
    pub(super) failure: Failure,
    /// All operations from `at` on fail, not that one only.
    pub(super) lasting: bool,
}

impl Faults {
    /// Counts an operation and rules on it.
    pub(super) fn rule(&mut self, access: Access) -> Ruling {
        let operation = self.operations;
        self.operations += 1;
        if let Some(at) = self.crash_at
            && operation >= at
        {
            let cut = if operation == at { self.cut } else { Cut::Before };
            return Ruling::Stop(io::Error::other(StoreError::Crashed), cut);
        }
        match &self.failure {
            Some(planned) if planned.strikes(operation, access) => Ruling::Stop(planned.failure.error(), self.cut),
            _ => Ruling::Go,
        }
    }

    /// Forgets what was planned; the count goes on.
    pub(super) fn clear(&mut self) {
        *self = Self { operations: self.operations, ..Self::default() };
    }
}

impl PlannedFailure {
    fn strikes(&self, operation: u64, access: Access) -> bool {
        let now = operation == self.at || (self.lasting && operation > self.at);
        now && match self.failure {
            Failure::Io => true,
            Failure::Full => access == Access::Write,
            Failure::ReadOnly => access != Access::Read,
        }
    }
}

impl Failure {
    fn error(self) -> io::Error {
        match self {
            Self::Io => io::Error::other("simulated input/output error"),
            Self::Full => ErrorKind::StorageFull.into(),
            Self::ReadOnly => ErrorKind::ReadOnlyFilesystem.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For each operation: `.` goes on, `b` and `a` are stopped before or after taking effect.
    fn rulings(mut faults: Faults, accesses: &[Access]) -> String {
        let ruling = |access: &Access| match faults.rule(*access) {
            Ruling::Go => '.',
            Ruling::Stop(_, Cut::Before) => 'b',
            Ruling::Stop(_, Cut::After) => 'a',
        };
        accesses.iter().map(ruling).collect()
    }

    fn failing(failure: Failure, lasting: bool) -> Faults {
        Faults { failure: Some(PlannedFailure { at: 1, failure, lasting }), ..Faults::default() }
    }

    #[test]
    fn a_failure_strikes_once_or_from_then_on() {
        let reads = [Access::Read; 4];
        assert_eq!(rulings(failing(Failure::Io, false), &reads), ".b..");
        assert_eq!(rulings(failing(Failure::Io, true), &reads), ".bbb");
    }

    #[test]
    fn a_full_disk_still_reads_and_removes() {
        let mixed = [Access::Write, Access::Read, Access::Remove, Access::Write];
        assert_eq!(rulings(failing(Failure::Full, true), &mixed), "...b");
        assert_eq!(rulings(failing(Failure::ReadOnly, true), &mixed), "..bb");
    }

    #[test]
    fn only_the_operation_at_the_crash_may_take_effect() {
        let crash = Faults { crash_at: Some(1), cut: Cut::After, ..Faults::default() };
        assert_eq!(rulings(crash, &[Access::Write; 4]), ".abb");
    }

    #[test]
    fn clearing_keeps_the_count() {
        let mut faults = failing(Failure::Io, true);
        let _ = faults.rule(Access::Read);
        faults.clear();
        assert!(matches!(faults.rule(Access::Read), Ruling::Go));
        assert_eq!(faults.operations, 2);
    }
}
