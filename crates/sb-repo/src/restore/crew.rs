//! Work shared among threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Calls `work` with every number below `count`, on at most so many threads, of which this one, that does `first` before, is
/// one. With one thread everything is done here, in order.
pub(super) fn share<T>(threads: usize, count: usize, work: &(dyn Fn(usize) + Sync), first: impl FnOnce() -> T) -> T {
    let next = AtomicUsize::new(0);
    let take = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                break;
            }
            work(number);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(count + 1) {
            scope.spawn(take);
        }
        let done = first();
        take();
        done
    })
}

/// So many of the things to be done one thread takes at a time: neighbours share their folder.
pub(super) const BATCH: usize = 8;

/// Does `work` with each, a batch of neighbours at a time, on all threads; what came of it, in their order. After an error the
/// rest may be left undone.
pub(super) fn in_batches<T: Sync, R: Send>(threads: usize, all: &[T], work: &(dyn Fn(&T) -> R + Sync)) -> Vec<R> {
    let done = Mutex::new(Vec::with_capacity(all.len().div_ceil(BATCH)));
    let batches: Vec<&[T]> = all.chunks(BATCH).collect();
    share(
        threads,
        batches.len(),
        &|number| {
            let results: Vec<R> = batches[number].iter().map(work).collect();
            done.lock().unwrap_or_else(PoisonError::into_inner).push((number, results));
        },
        || (),
    );
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().flat_map(|(_, results)| results).collect()
}

/// How many threads the machine has for us, if nobody says otherwise.
pub(super) fn available() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_done_once_and_in_order_if_alone() {
        for threads in [1, 4] {
            let done = Mutex::new(Vec::new());
            let first = share(threads, 100, &|number| done.lock().unwrap().push(number), || "first");
            let mut done = done.into_inner().unwrap();
            assert!(threads > 1 || done.is_sorted());
            done.sort_unstable();
            assert_eq!((first, done), ("first", (0..100).collect()));
        }
    }
}
