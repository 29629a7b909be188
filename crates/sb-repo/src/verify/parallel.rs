//! Doing the same with many objects, on all cores, and telling the outcomes in the order of the objects.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::RepoError;

/// A thread for fewer objects than this is not worth its while.
const EACH: usize = 8;

/// What `work` makes of each item, in their order; the first failure ends it.
pub(crate) fn each<T: Sync, O: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<O, RepoError> + Sync,
) -> Result<Vec<O>, RepoError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = cores.min(items.len() / EACH);
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<Result<O, RepoError>>>> = items.iter().map(|_| Mutex::default()).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((item, done)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    items.get(at).zip(done.get(at))
                } {
                    let outcome = work(item);
                    if outcome.is_err() {
                        next.store(items.len(), Ordering::Relaxed);
                    }
                    *done.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                }
            });
        }
    });
    // What has not been done comes after a failure.
    done.into_iter().filter_map(|done| done.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_in_order_however_many_items_there_are() {
        for count in [0, 1, 7, 100, 1000] {
            let items: Vec<usize> = (0..count).collect();
            let doubled = each(&items, |item| Ok(item * 2)).unwrap();
            assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_failure_ends_it() {
        let items: Vec<usize> = (0..10_000).collect();
        let worked = AtomicUsize::new(0);
        let outcome = each(&items, |item| {
            worked.fetch_add(1, Ordering::Relaxed);
            if *item == 50 { Err(RepoError::Interrupted) } else { Ok(()) }
        });
        assert!(matches!(outcome, Err(RepoError::Interrupted)));
        assert!(worked.into_inner() < 10_000);
    }
}
