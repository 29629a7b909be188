//! Reading whole logs: each kind of damage is named, and where.

use proptest::prelude::*;
use sb_audit::*;

use super::{at, event, key, log_key};

type Stored = Vec<Named>;
/// A batch with the number of its first entry.
type Named = (u64, Vec<u8>);

fn append(stored: &mut Stored, tip: &LogTip, events: &[Event]) -> LogTip {
    let (bytes, next) = tip.append(&log_key(), events).unwrap();
    stored.push((tip.size(), bytes));
    next
}

/// Events to so many objects from this number on.
fn some(from: u64, count: u64) -> Vec<Event> {
    (from..from + count).map(|object| event(0, object, Outcome::Success)).collect()
}

/// A log of these portions, and where it ended after each.
fn log(portions: &[u64]) -> (Stored, Vec<LogTip>) {
    let mut stored = Vec::new();
    let mut tips = vec![LogTip::new()];
    for portion in portions {
        let tip = tips.last().unwrap();
        let tip = append(&mut stored, tip, &some(tip.size(), *portion));
        tips.push(tip);
    }
    (stored, tips)
}

fn examine(stored: &Stored, remembered: &[TreeHead]) -> Examined {
    let mut stored = stored.clone();
    stored.sort();
    let mut history = History::new(log_key().verifier().clone(), remembered);
    for (first, bytes) in &stored {
        history.read(*first, bytes);
    }
    history.finish()
}

#[test]
fn nothing_is_wrong_with_an_undamaged_log() {
    assert_eq!(examine(&vec![], &[TreeHead::empty()]), examine(&vec![], &[]));
    assert_eq!(examine(&vec![], &[]).heads, []);
    let (stored, tips) = log(&[1, 2, 3, 4]);
    let heads: Vec<_> = tips.iter().map(LogTip::head).collect();
    let examined = examine(&stored, &heads);
    assert_eq!(examined.heads, [heads[4]]);
    assert_eq!(examined.findings, []);
}

#[test]
fn what_is_read_is_given_back() {
    let (stored, _) = log(&[2, 3]);
    let mut history = History::new(log_key().verifier().clone(), &[]);
    assert_eq!(history.read(0, &stored[0].1).unwrap().entries().len(), 2);
    assert!(history.read(2, b"nonsense").is_none());
}

#[test]
fn missing_batches_are_a_gap() {
    let (mut stored, tips) = log(&[1, 2, 3, 4]);
    stored.remove(1);
    let examined = examine(&stored, &[1, 2, 3].map(|batch: usize| tips[batch].head()));
    assert_eq!(examined.findings, [Finding::Gap { from: 1, to: 3 }]);
    assert_eq!(examined.findings[0].to_string(), "entries 1 to 2 are missing");
    stored.remove(0);
    assert_eq!(examine(&stored, &[]).findings, [Finding::Gap { from: 0, to: 3 }]);
}

#[test]
fn a_remembered_head_inside_a_gap_is_missing() {
    let (mut stored, tips) = log(&[1, 2, 3, 4]);
    stored.remove(1);
    stored.remove(1);
    let remembered = tips[2].head();
    let gap = Finding::Gap { from: 1, to: 6 };
    assert_eq!(examine(&stored, &[remembered]).findings, [gap, Finding::Rewritten { remembered }]);
}

#[test]
fn a_log_that_was_cut_off_is_a_rollback() {
    let (mut stored, tips) = log(&[1, 2, 3]);
    let remembered = tips[3].head();
    stored.pop();
    let rolled_back = Finding::RolledBack { remembered, size: 3 };
    assert_eq!(rolled_back.to_string(), "the log had 6 entries and has 3");
    assert_eq!(examine(&stored, &[tips[1].head(), remembered]).findings, [rolled_back]);
    let gone = Finding::RolledBack { remembered, size: 0 };
    assert_eq!(examine(&vec![], &[remembered]).findings, [gone]);
}

#[test]
fn a_log_that_was_written_anew_is_noticed() {
    let (_, tips) = log(&[1, 2, 3]);
    let mut other = Vec::new();
    append(&mut other, &LogTip::new(), &some(100, 9));
    // Whether it is longer now, or as long.
    for remembered in [tips[2].head(), TreeHead { size: 9, root: tips[3].head().root }] {
        assert_eq!(examine(&other, &[remembered]).findings, [Finding::Rewritten { remembered }]);
    }
}

#[test]
fn damaged_cut_forged_and_misfiled_batches_are_named() {
    let (good, _) = log(&[1, 2, 3]);
    let gap = Finding::Gap { from: 1, to: 3 };
    let damaged = |change: &dyn Fn(&mut Named)| {
        let mut stored = good.clone();
        change(&mut stored[1]);
        examine(&stored, &[]).findings
    };
    for findings in [
        damaged(&|(_, bytes)| bytes[100] ^= 1),
        damaged(&|(_, bytes)| bytes.truncate(bytes.len() - 1)),
        damaged(&|(_, bytes)| bytes.clear()),
        damaged(&|(_, bytes)| {
            let forger = NoteSigner::new("example.com/log", key("forger")).unwrap();
            *bytes = LogTip::new().append(&forger, &some(0, 3)).unwrap().0;
        }),
    ] {
        let [Finding::Broken { named: 1, error }, rest @ ..] = &findings[..] else { panic!("{findings:?}") };
        assert!(findings[0].to_string().contains(&error.to_string()));
        assert_eq!(rest, std::slice::from_ref(&gap));
    }
    let misfiled = Finding::Broken { named: 2, error: BatchError::Misfiled { first: 1, named: 2 } };
    assert_eq!(damaged(&|(named, _)| *named = 2), [misfiled, gap]);
}

#[test]
#[should_panic(expected = "batch 0 is read after batch 1")]
fn batches_in_another_order_are_a_mistake() {
    let (stored, _) = log(&[1, 2]);
    let mut history = History::new(log_key().verifier().clone(), &[]);
    history.read(1, &stored[1].1);
    history.read(0, &stored[0].1);
}

#[test]
fn a_fork_is_found_at_the_first_entry_that_differs() {
    // A clone of the machine goes on from 3 entries; both write, in other portions.
    let (original, tips) = log(&[1, 2, 3, 4]);
    let mut stored = original.clone();
    let mut clone = append(&mut stored, &tips[2], &[some(3, 2), some(100, 1)].concat());
    clone = append(&mut stored, &clone, &some(200, 5));
    let examined = examine(&stored, &[tips[3].head(), clone.head()]);
    assert_eq!(examined.findings, [Finding::Fork { at: 5 }]);
    assert_eq!(examined.heads.len(), 2);
    assert!(examined.heads.contains(&tips[4].head()) && examined.heads.contains(&clone.head()));
}

#[test]
fn forks_of_forks_are_found() {
    let (mut stored, tips) = log(&[2, 2, 2]);
    let a = append(&mut stored, &tips[1], &some(100, 4));
    let _ = append(&mut stored, &a, &some(110, 1));
    let _ = append(&mut stored, &a, &some(120, 1));
    let _ = append(&mut stored, &LogTip::new(), &some(200, 1));
    let examined = examine(&stored, &[]);
    let forks = [0, 2, 6].map(|at| Finding::Fork { at });
    assert_eq!(examined.findings, forks);
    assert_eq!(examined.heads.len(), 4);
}

#[test]
fn the_same_entries_in_other_portions_are_no_fork() {
    // A batch was stored but its writer never heard, and wrote its entries again with more.
    let (mut stored, tips) = log(&[2, 3]);
    append(&mut stored, &tips[1], &some(2, 1));
    let longer = append(&mut stored, &tips[1], &some(2, 7));
    let longest = append(&mut stored, &longer, &some(9, 1));
    let examined = examine(&stored, &[tips[2].head()]);
    assert_eq!((examined.heads, examined.findings), (vec![longest.head()], vec![]));
}

#[test]
fn a_branch_whose_beginning_is_missing_is_named() {
    let (mut stored, tips) = log(&[2, 3, 4]);
    let mut lost = Vec::new();
    let other = append(&mut lost, &tips[1], &some(100, 3));
    append(&mut stored, &other, &some(200, 2));
    let unconnected = [Finding::Unconnected { first: 5 }];
    let examined = examine(&stored, &[]);
    assert_eq!(examined.findings, unconnected);
    assert_eq!(examined.heads.len(), 2);
    // Also where the other branch ends just there.
    stored.remove(2);
    assert_eq!(examine(&stored, &[]).findings, unconnected);
}

#[test]
fn a_fork_leaves_the_branch_that_it_has_most_in_common_with() {
    let of = |objects: [u64; 4]| {
        let events = objects.map(|object| event(0, object, Outcome::Success));
        (0, LogTip::new().append(&log_key(), &events).unwrap().0)
    };
    let [a, b, c] = [[0, 1, 2, 3], [0, 10, 11, 12], [0, 1, 20, 21]].map(of);
    for (order, forks) in
        [([&a, &b, &c], [1, 2]), ([&b, &a, &c], [1, 2]), ([&a, &c, &b], [2, 1]), ([&b, &c, &a], [1, 2])]
    {
        let mut history = History::new(log_key().verifier().clone(), &[]);
        for (first, bytes) in order {
            history.read(*first, bytes);
        }
        assert_eq!(history.finish().findings, forks.map(|at| Finding::Fork { at }));
    }
}

#[test]
fn intents_without_outcome_are_open() {
    let mut stored = Vec::new();
    let intent = |object| event(0, object, Outcome::Intent);
    let events = [intent(1), intent(2), intent(3), event(0, 1, Outcome::Success).answering(0)];
    let tip = append(&mut stored, &LogTip::new(), &events);
    let tip = append(&mut stored, &tip, &[event(0, 3, Outcome::Failed).answering(2), intent(4)]);
    let open = |seq, object: &str| Finding::OpenIntent {
        seq,
        action: "Snapshot.Delete".parse().unwrap(),
        object: object.parse().unwrap(),
    };
    let findings = examine(&stored, &[]).findings;
    assert_eq!(findings, [open(1, "snapshot:s_2"), open(5, "snapshot:s_4")]);
    let message = "how `Snapshot.Delete` of `snapshot:s_2` ended, announced by entry 1, is not known";
    assert_eq!(findings[0].to_string(), message);
    // A fork takes what was open with it; it is told once.
    append(&mut stored, &tip, &some(5, 1));
    append(&mut stored, &tip, &[event(0, 2, Outcome::Success).answering(1)]);
    let findings = examine(&stored, &[]).findings;
    assert_eq!(findings, [Finding::Fork { at: 6 }, open(1, "snapshot:s_2"), open(5, "snapshot:s_4")]);
}

#[test]
fn a_fork_opens_again_what_only_the_other_branch_ended() {
    let intent = |object| event(0, object, Outcome::Intent);
    let done = |second, object, intent| event(second, object, Outcome::Success).answering(intent);
    let mut stored = Vec::new();
    let tip = append(&mut stored, &LogTip::new(), &[intent(1), intent(2), intent(3)]);
    let ended =
        [done(5, 1, 0), done(50, 2, 1), event(50, 4, Outcome::Intent), done(50, 4, 5), done(50, 3, 2), done(50, 1, 0)];
    append(&mut stored, &tip, &ended);
    let again = Finding::UnknownIntent { seq: 8, intent: 0 };
    assert_eq!(examine(&stored, &[]).findings, std::slice::from_ref(&again));
    // The other branch has the first of those outcomes, and another one, earlier.
    append(&mut stored, &tip, &[done(5, 1, 0), done(10, 3, 2)]);
    let open = Finding::OpenIntent {
        seq: 1,
        action: "Snapshot.Delete".parse().unwrap(),
        object: "snapshot:s_2".parse().unwrap(),
    };
    for order in [[0, 1, 2], [0, 2, 1]] {
        let mut history = History::new(log_key().verifier().clone(), &[]);
        for index in order {
            history.read(stored[index].0, &stored[index].1);
        }
        let mut findings = history.finish().findings;
        findings.retain(|finding| *finding != again);
        assert_eq!(findings, [Finding::Fork { at: 4 }, open.clone()]);
    }
}

/// In whatever portions a log is written and written again, its intents are what they are.
#[test]
fn portions_that_overlap_change_nothing() {
    let intent = |object| event(0, object, Outcome::Intent);
    let done = |object, intent| event(0, object, Outcome::Success).answering(intent);
    let events = [intent(1), done(1, 0), intent(2), intent(3), done(2, 2), done(3, 3), intent(4), done(4, 6)];
    let mut stored = Vec::new();
    let mut tips = vec![LogTip::new()];
    for event in &events {
        tips.push(append(&mut stored, tips.last().unwrap(), std::slice::from_ref(event)));
    }
    let heads: Vec<_> = tips.iter().map(LogTip::head).collect();
    for (from, to) in (0..events.len()).flat_map(|from| (from + 1..=events.len()).map(move |to| (from, to))) {
        append(&mut stored, &tips[from], &events[from..to]);
        let examined = examine(&stored, &heads);
        assert_eq!((examined.heads.as_slice(), examined.findings), (&heads[8..], vec![]), "{from} to {to}");
    }
}

#[test]
fn outcomes_of_nothing_are_found() {
    let mut stored = Vec::new();
    let outcome = |object, intent| event(0, object, Outcome::Success).answering(intent);
    let intent = event(0, 1, Outcome::Intent);
    let done = [intent, outcome(2, 0), outcome(1, 0), outcome(1, 0)];
    append(&mut stored, &LogTip::new(), &done);
    let unknown = |seq| Finding::UnknownIntent { seq, intent: 0 };
    assert_eq!(examine(&stored, &[]).findings, [unknown(1), unknown(3)]);
}

#[test]
fn an_outcome_after_a_gap_may_have_its_intent_in_it() {
    let (mut stored, tips) = log(&[2]);
    let mut lost = Vec::new();
    let tip = append(&mut lost, &tips[1], &[event(0, 1, Outcome::Intent)]);
    append(&mut stored, &tip, &[event(0, 1, Outcome::Success).answering(2)]);
    assert_eq!(examine(&stored, &[]).findings, [Finding::Gap { from: 2, to: 3 }]);
}

#[test]
fn a_clock_that_was_set_back_is_found() {
    let mut stored = Vec::new();
    let events = [0, 60, 10, 70].map(|second| event(second, 1, Outcome::Success));
    append(&mut stored, &LogTip::new(), &events);
    let back = Finding::TimeWentBack { seq: 2, newest: at(60), time: at(10) };
    assert_eq!(back.to_string(), "entry 2 says 2026-01-15T09:06:50.000Z, after one that says 2026-01-15T09:07:40.000Z");
    assert_eq!(examine(&stored, &[]).findings, [back]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is taken away from a log, something is found, and never anything in one that is whole.
    #[test]
    fn nothing_is_lost_unnoticed(portions in prop::collection::vec(1..5_u64, 1..8), lost in prop::collection::vec(any::<bool>(), 8)) {
        let (stored, tips) = log(&portions);
        let remembered: Vec<_> = tips.iter().map(LogTip::head).collect();
        prop_assert_eq!(examine(&stored, &remembered).findings, []);
        let kept: Stored = stored.iter().zip(&lost).filter(|(_, lost)| !**lost).map(|(batch, _)| batch.clone()).collect();
        let examined = examine(&kept, &remembered);
        prop_assert_eq!(examined.findings.is_empty(), kept.len() == stored.len());
    }

    /// Two machines go on from anywhere: the fork is where their logs first differ.
    #[test]
    fn forks_are_where_they_are(
        shared in 0..6_u64, ours in prop::collection::vec(1..4_u64, 1..4), theirs in prop::collection::vec(1..4_u64, 1..4),
    ) {
        let mut stored = Vec::new();
        let mut start = LogTip::new();
        if shared > 0 {
            start = append(&mut stored, &start, &some(0, shared));
        }
        for (portions, objects) in [(ours, 100), (theirs, 200)] {
            let mut tip = start.clone();
            for portion in portions {
                tip = append(&mut stored, &tip, &some(objects + tip.size(), portion));
            }
        }
        prop_assert_eq!(examine(&stored, &[]).findings, [Finding::Fork { at: shared }]);
    }
}
