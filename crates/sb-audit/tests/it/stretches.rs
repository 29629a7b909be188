//! Proofs over several batches, against the trees of the standard.

use chrono::DateTime;
use proptest::prelude::*;
use sb_audit::{Batch, Event, LogStretch, LogTip, NoteSigner, Outcome};
use sb_crypto::{SigningKey, consistency_proof, inclusion_proof};

fn batches(sizes: &[usize]) -> Vec<Batch> {
    let log = NoteSigner::new("firm.example/log-1", SigningKey::from_seed(&[7; 32])).unwrap();
    let id = |text: &str| text.parse().unwrap();
    let action = "Snapshot.Create".parse().unwrap();
    let event = Event::new(DateTime::UNIX_EPOCH, id("host:a"), id("u_7"), action, id("s_1"), Outcome::Success);
    let (mut tip, mut batches) = (LogTip::new(), Vec::new());
    for size in sizes {
        let (bytes, after) = tip.append(&log, &vec![event.clone(); *size]).unwrap();
        batches.push(Batch::parse(&bytes, log.verifier()).unwrap());
        tip = after;
    }
    batches
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn proofs_are_those_of_the_whole_tree(sizes in proptest::collection::vec(1usize..9, 1..8), from in 0usize..8) {
        let batches = batches(&sizes);
        let from = from % batches.len();
        let leaves: Vec<_> = batches.iter().flat_map(|batch| batch.leaves().iter().copied()).collect();
        let mut stretch = LogStretch::of(&batches[from]);
        for batch in &batches[from + 1..] {
            prop_assert!(stretch.extend(batch));
        }
        prop_assert_eq!(stretch.head(), batches.last().unwrap().tip().head());
        let first = stretch.first() as usize;
        for seq in 0..leaves.len() {
            let expected = (seq >= first).then(|| inclusion_proof(&leaves, seq));
            prop_assert_eq!(stretch.prove_inclusion(seq as u64), expected);
        }
        for old in first.max(1)..=leaves.len() {
            prop_assert_eq!(stretch.prove_consistency(old as u64), Some(consistency_proof(&leaves, old)));
        }
        prop_assert_eq!(stretch.prove_inclusion(leaves.len() as u64), None);
        prop_assert_eq!(stretch.prove_consistency(leaves.len() as u64 + 1), None);
        if first > 1 {
            prop_assert_eq!(stretch.prove_consistency(1), None);
        }
        prop_assert_eq!(stretch.prove_consistency(0), Some(Vec::new()));
    }
}

#[test]
fn a_batch_that_does_not_follow_is_not_taken_in() {
    let batches = batches(&[2, 3, 4]);
    let mut stretch = LogStretch::of(&batches[0]);
    assert!(!stretch.extend(&batches[2]) && !stretch.extend(&batches[0]));
    assert_eq!(stretch.head(), batches[0].tip().head());
}
