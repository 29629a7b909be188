use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::random::Random;
use super::storage::SimStorage;
use crate::Storage;

/// Several participants on one storage, exactly one of which runs at a time.
///
/// Before each storage operation the participant gives up its turn, and a seeded random choice says who runs next. The same
/// seed and participants give the same interleaving. A participant is one thread: it must not use its storage from threads
/// of its own, nor wait for another participant other than by looking at the storage.
///
/// ```
/// use std::sync::Arc;
/// use sb_store::sim::Schedule;
/// use sb_store::{MemoryStorage, ObjectName, Storage, create};
///
/// let memory = MemoryStorage::new();
/// let schedule = Schedule::new(7, 2);
/// let storages = [0, 1].map(|i| schedule.wrap(i, Arc::new(memory.clone())));
/// schedule.run(vec![
///     Box::new(|| create(&storages[0], &ObjectName::new("a").unwrap(), b"1").unwrap()),
///     Box::new(|| create(&storages[1], &ObjectName::new("b").unwrap(), b"2").unwrap()),
/// ]);
/// assert_eq!(memory.objects().len(), 2);
/// ```
#[derive(Debug)]
pub struct Schedule {
    turns: Arc<Turns>,
    participants: usize,
}

impl Schedule {
    /// A schedule of `participants`, numbered from 0.
    pub fn new(seed: u64, participants: usize) -> Self {
        let state = State { random: Random::new(seed), waiting: Vec::new(), current: None, history: Vec::new() };
        Self { turns: Arc::new(Turns { state: Mutex::new(state), changed: Condvar::new() }), participants }
    }

    /// The storage as the given participant is to use it. While no schedule runs, its operations just go on.
    ///
    /// # Panics
    /// If there is no such participant.
    pub fn wrap(&self, participant: usize, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
        assert!(participant < self.participants, "there are {} participants", self.participants);
        Arc::new(SimStorage::scheduled(storage, Turn { turns: Arc::clone(&self.turns), participant }))
    }

    /// Runs the participants to their ends. One that ends or panics is out; the others go on.
    ///
    /// # Panics
    /// If the number of participants is not that of the schedule; and with the panic of a participant, after all have ended.
    pub fn run<'env>(&self, participants: Vec<Box<dyn FnOnce() + Send + 'env>>) {
        assert_eq!(participants.len(), self.participants, "number of participants");
        self.turns.start(self.participants);
        let panics: Vec<_> = thread::scope(|scope| {
            let start = |(participant, body): (usize, Box<dyn FnOnce() + Send + 'env>)| {
                let turn = Turn { turns: Arc::clone(&self.turns), participant };
                scope.spawn(move || {
                    let leave = Leave(turn);
                    leave.0.await_turn();
                    body();
                })
            };
            let threads: Vec<_> = participants.into_iter().enumerate().map(start).collect();
            threads.into_iter().filter_map(|thread| thread.join().err()).collect()
        });
        if let Some(panic) = panics.into_iter().next() {
            resume_unwind(panic);
        }
    }

    /// Who got the turn, one entry for each choice so far.
    pub fn history(&self) -> Vec<usize> {
        self.turns.lock().history.clone()
    }
}

#[derive(Debug)]
struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    random: Random,
    /// Who has not ended.
    waiting: Vec<usize>,
    current: Option<usize>,
    history: Vec<usize>,
}

impl State {
    fn choose(&mut self) {
        self.current = None;
        if !self.waiting.is_empty() {
            let chosen = self.waiting[self.random.below(self.waiting.len())];
            self.history.push(chosen);
            self.current = Some(chosen);
        }
    }
}

impl Turns {
    fn start(&self, participants: usize) {
        let mut state = self.lock();
        state.waiting = (0..participants).collect();
        state.choose();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn of one participant.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    participant: usize,
}

impl Turn {
    /// Gives up the turn and returns when it is this participant's again.
    pub(super) fn take(&self) {
        {
            let mut state = self.turns.lock();
            if !state.waiting.contains(&self.participant) {
                return;
            }
            state.choose();
        }
        self.turns.changed.notify_all();
        self.await_turn();
    }

    fn await_turn(&self) {
        let others_turn = |state: &mut State| state.current != Some(self.participant);
        drop(self.turns.changed.wait_while(self.turns.lock(), others_turn).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Leaves the schedule when dropped, which a panic does too.
struct Leave(Turn);

impl Drop for Leave {
    fn drop(&mut self) {
        let Turn { turns, participant } = &self.0;
        let mut state = turns.lock();
        state.waiting.retain(|waiting| waiting != participant);
        state.choose();
        drop(state);
        turns.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::{MemoryStorage, ObjectName, StoreError, create};

    type Body<'env> = Box<dyn FnOnce() + Send + 'env>;

    /// Three participants write two objects each; returns the names in the order in which they were finished.
    fn interleaving(seed: u64) -> (Vec<String>, Vec<usize>) {
        let storage = SimStorage::new(Arc::new(MemoryStorage::new()));
        let schedule = Schedule::new(seed, 3);
        let body = |i: usize| -> Body<'_> {
            let own = schedule.wrap(i, Arc::new(storage.clone()));
            Box::new(move || {
                for n in 0..2 {
                    create(&own, &ObjectName::new(format!("{i}/{n}")).unwrap(), b"x").unwrap();
                }
            })
        };
        schedule.run((0..3).map(body).collect());
        (storage.log().into_iter().map(|done| format!("{:?}{}", done.verb, done.name)).collect(), schedule.history())
    }

    #[test]
    fn the_same_seed_gives_the_same_interleaving() {
        for seed in 0..10 {
            assert_eq!(interleaving(seed), interleaving(seed));
        }
        let different: BTreeSet<_> = (0..10).map(|seed| interleaving(seed).0).collect();
        assert!(different.len() > 5, "only {} interleavings", different.len());
    }

    #[test]
    fn a_lost_race_is_found_by_some_seed() {
        // Look, then create: the classic mistake. Some interleaving makes both see nothing.
        let outcomes: BTreeSet<usize> = (0..20)
            .map(|seed| {
                let memory = MemoryStorage::new();
                let schedule = Schedule::new(seed, 2);
                let body = |i: usize| -> Body<'_> {
                    let own = schedule.wrap(i, Arc::new(memory.clone()));
                    Box::new(move || {
                        if own.list("").unwrap().is_empty() {
                            create(&own, &ObjectName::new(format!("lock-{i}")).unwrap(), b"").unwrap();
                        }
                    })
                };
                schedule.run((0..2).map(body).collect());
                memory.objects().len()
            })
            .collect();
        assert_eq!(outcomes, BTreeSet::from([1, 2]));
    }

    #[test]
    fn a_participant_that_panics_or_crashes_does_not_stop_the_others() {
        let memory = MemoryStorage::new();
        let schedule = Schedule::new(3, 3);
        let crashing = SimStorage::new(Arc::new(memory.clone()));
        crashing.crash_at(1);
        let storages = [Arc::new(memory.clone()) as Arc<dyn Storage>, Arc::new(crashing), Arc::new(memory.clone())];
        let [panics, crashes, survives] = [0, 1, 2].map(|i| schedule.wrap(i, Arc::clone(&storages[i])));
        let name = |name: &str| ObjectName::new(name).unwrap();
        let run = || {
            schedule.run(vec![
                Box::new(|| {
                    panics.list("").unwrap();
                    panic!("on purpose");
                }),
                Box::new(|| assert!(matches!(create(&crashes, &name("a"), b""), Err(StoreError::Crashed)))),
                Box::new(|| (0..10).for_each(|n| create(&survives, &name(&format!("b/{n}")), b"").unwrap())),
            ]);
        };
        let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
        assert_eq!(memory.objects().len(), 10);
        // Afterwards the wrapped storage just works.
        create(&panics, &name("c"), b"").unwrap();
    }
}
