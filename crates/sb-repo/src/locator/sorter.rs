//! Sorting more entries than fit in memory: sorted runs in local files, then one merge.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::seal::{Local, Unfit};
use super::table::{SELDOM, Table, TableWriter};
use crate::wire::locator::LocatorEntry;

/// Sorted entries from somewhere.
pub(super) type Entries<'a> = Box<dyn Iterator<Item = Result<LocatorEntry, Unfit>> + 'a>;

/// Takes entries in any order.
pub(super) struct Sorter<'l> {
    local: &'l Local,
    /// How many entries are in memory before they go to a file.
    run: usize,
    pending: Vec<LocatorEntry>,
    runs: Vec<Table>,
    /// Files can't be written, so all goes into memory.
    in_memory: bool,
}

impl<'l> Sorter<'l> {
    pub(super) fn new(local: &'l Local, run: usize) -> Self {
        Self { local, run, pending: Vec::new(), runs: Vec::new(), in_memory: false }
    }

    pub(super) fn add(&mut self, entries: impl IntoIterator<Item = LocatorEntry>) {
        for entry in entries {
            if self.pending.len() >= self.run && !self.in_memory {
                self.spill();
            }
            self.pending.push(entry);
        }
    }

    fn spill(&mut self) {
        self.pending.sort_unstable();
        match write_table(self.local, false, self.pending.iter().copied().map(Ok)) {
            Ok(Ok(run)) => {
                self.runs.push(run);
                self.pending.clear();
            }
            _ => self.in_memory = true,
        }
    }

    /// True if nothing has gone to a file.
    pub(super) fn is_in_memory(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many entries are in memory.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The sorted runs: files, and what is in memory.
    pub(super) fn finish(mut self) -> (Vec<Table>, Vec<LocatorEntry>) {
        self.pending.sort_unstable();
        self.pending.shrink_to_fit();
        (self.runs, self.pending)
    }
}

/// A table of these sorted entries, in a file that goes when it does.
pub(super) fn write_table(
    local: &Local,
    filtered: bool,
    entries: impl Iterator<Item = Result<LocatorEntry, Unfit>>,
) -> std::io::Result<Result<Table, Unfit>> {
    let mut writer = TableWriter::begin(local, filtered)?;
    for entry in entries {
        match entry {
            Ok(entry) => writer.add(entry)?,
            Err(unfit) => return Ok(Err(unfit)),
        }
    }
    let (file, index) = writer.finish()?;
    Ok(Ok(Table::new(local, file.open(None)?, index, SELDOM)))
}

/// All entries of these in order.
pub(super) fn merge(mut inputs: Vec<Entries<'_>>) -> impl Iterator<Item = Result<LocatorEntry, Unfit>> {
    let mut first: BinaryHeap<Reverse<(LocatorEntry, usize)>> = BinaryHeap::new();
    let mut unfit = false;
    for (number, input) in inputs.iter_mut().enumerate() {
        match input.next() {
            Some(Ok(entry)) => first.push(Reverse((entry, number))),
            Some(Err(Unfit)) => unfit = true,
            None => {}
        }
    }
    std::iter::from_fn(move || {
        if std::mem::take(&mut unfit) {
            first.clear();
            return Some(Err(Unfit));
        }
        let mut top = first.peek_mut()?;
        let Reverse((entry, number)) = *top;
        match inputs[number].next() {
            Some(Ok(next)) => *top = Reverse((next, number)),
            Some(Err(Unfit)) => unfit = true,
            None => drop(std::collections::binary_heap::PeekMut::pop(top)),
        }
        Some(Ok(entry))
    })
}
