use std::collections::BTreeSet;

use chrono::{FixedOffset, TimeDelta, TimeZone};
use proptest::prelude::*;

use super::*;

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 30, 12, 0, 0).unwrap()
}

fn utc(time: DateTime<Utc>) -> NaiveDateTime {
    time.naive_utc()
}

fn candidate(number: u8, time: DateTime<Utc>) -> Candidate {
    let (host, paths) = (b"office".to_vec(), vec![b"/firm".to_vec()]);
    Candidate { id: SnapshotId::new([number; 32]), time, host, paths, tags: Vec::new() }
}

/// Snapshots so many hours before now.
fn ago(hours: &[i64]) -> Vec<Candidate> {
    (0..).zip(hours).map(|(number, hours)| candidate(number, now() - TimeDelta::hours(*hours))).collect()
}

fn kept(candidates: &[Candidate], rules: &KeepRules) -> Vec<(u8, String)> {
    let choices = choose(candidates, rules, GroupBy::default(), now(), &utc).unwrap();
    let each = |kept: &Kept| {
        let reasons: Vec<String> = kept.reasons.iter().map(ToString::to_string).collect();
        (kept.id.as_bytes()[0], reasons.join(","))
    };
    choices.iter().flat_map(|choice| choice.keep.iter().map(each)).collect()
}

fn numbers(candidates: &[Candidate], rules: &KeepRules) -> Vec<u8> {
    kept(candidates, rules).into_iter().map(|(number, _)| number).collect()
}

#[test]
fn each_rule_keeps_the_newest_of_its_periods() {
    let all = ago(&[0, 1, 2, 25, 26, 49, 24 * 8, 24 * 40, 24 * 41, 24 * 200, 24 * 400]);
    let with = |set: fn(&mut KeepRules)| {
        let mut rules = KeepRules::default();
        set(&mut rules);
        numbers(&all, &rules)
    };
    assert_eq!(with(|rules| rules.last = Some(3)), [0, 1, 2]);
    assert_eq!(with(|rules| rules.hourly = Some(4)), [0, 1, 2, 3]);
    assert_eq!(with(|rules| rules.daily = Some(4)), [0, 3, 5, 6]);
    assert_eq!(with(|rules| rules.weekly = Some(3)), [0, 5, 7], "30 June 2026 is a Tuesday, the 28th a Sunday");
    assert_eq!(with(|rules| rules.monthly = Some(3)), [0, 7, 9]);
    assert_eq!(with(|rules| rules.yearly = Some(9)), [0, 9]);
    assert_eq!(with(|rules| rules.yearly = Some(u32::MAX)), [0, 9]);
    assert_eq!(with(|rules| rules.last = Some(u32::MAX)).len(), 11);
    assert_eq!(with(|rules| rules.within = Some("2d".parse().unwrap())), [0, 1, 2, 3, 4]);
    assert_eq!(with(|rules| rules.within = Some("0h".parse().unwrap())), [0]);
}

#[test]
fn reasons_add_up() {
    let all = ago(&[0, 30, 60]);
    let rules = KeepRules { last: Some(1), daily: Some(2), monthly: Some(1), ..KeepRules::default() };
    assert_eq!(kept(&all, &rules), [(0, "last,daily,monthly".to_owned()), (1, "daily".to_owned())]);
}

#[test]
fn days_end_where_the_people_are() {
    let all = ago(&[11, 13]);
    let rules = KeepRules { daily: Some(9), ..KeepRules::default() };
    assert_eq!(numbers(&all, &rules), [0, 1]);
    let local = |time: DateTime<Utc>| time.with_timezone(&FixedOffset::east_opt(2 * 3600).unwrap()).naive_local();
    let there = choose(&all, &rules, GroupBy::default(), now(), &local).unwrap();
    assert_eq!(there[0].remove.len(), 1, "both are of one day in Berlin");
}

#[test]
fn the_hour_that_the_clock_shows_twice_is_two() {
    // In Berlin on 25 October 2026: 2.15 and 2.45 of summer time, then the same again.
    let begun = Utc.with_ymd_and_hms(2026, 10, 25, 0, 15, 0).unwrap();
    let times = [0, 30, 60, 90].map(|minutes| begun + TimeDelta::minutes(minutes));
    let all: Vec<_> = (0..).zip(times).map(|(number, time)| candidate(number, time)).collect();
    let berlin = |time: DateTime<Utc>| {
        let hours = if time < begun + TimeDelta::minutes(45) { 2 } else { 1 };
        time.with_timezone(&FixedOffset::east_opt(hours * 3600).unwrap()).naive_local()
    };
    let later = Utc.with_ymd_and_hms(2026, 10, 26, 0, 0, 0).unwrap();
    let rules = KeepRules { hourly: Some(9), ..KeepRules::default() };
    let choices = choose(&all, &rules, GroupBy::default(), later, &berlin).unwrap();
    let kept: Vec<u8> = choices[0].keep.iter().map(|kept| kept.id.as_bytes()[0]).collect();
    assert_eq!(kept, [3, 1], "the newest of each");
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn several_tags_in_one_rule_are_meant_together() {
    let mut all = ago(&[0, 1, 2, 3]);
    for (candidate, tags) in all.iter_mut().zip([&["a", "b", "c"][..], &["a"], &["b"], &["c"]]) {
        candidate.tags = words(tags);
    }
    let with = |tags: &[&[&str]]| {
        numbers(&all, &KeepRules { tags: tags.iter().map(|tags| words(tags)).collect(), ..KeepRules::default() })
    };
    assert_eq!(with(&[&["a", "b"]]), [0]);
    assert_eq!(with(&[&["a", "b"], &["c"]]), [0, 3]);
    assert_eq!(with(&[&["a"], &["b"]]), [0, 1, 2]);
    let rules = KeepRules { tags: vec![words(&["c", "a"])], ..KeepRules::default() };
    assert_eq!(kept(&all, &rules), [(0, "tag c,a".to_owned())]);
}

#[test]
fn a_list_of_tags_that_nothing_has_is_named() {
    let there = [words(&["a", "b"]), words(&["c"])];
    let unused = |lists: &[&[&str]]| {
        let rules = KeepRules { tags: lists.iter().map(|list| words(list)).collect(), ..KeepRules::default() };
        rules.unused_tags(there.iter().map(Vec::as_slice)).map(|tags| tags.join(","))
    };
    assert_eq!(unused(&[]), None);
    assert_eq!(unused(&[&["a"], &["b", "a"], &["c"]]), None);
    assert_eq!(unused(&[&["a"], &["a", "c"]]), Some("a,c".to_owned()));
    assert_eq!(unused(&[&["a,b"]]), Some("a,b".to_owned()));
}

#[test]
fn the_newest_of_each_period_is_kept_as_far_back_as_the_span_goes() {
    let all = ago(&[0, 1, 2, 25, 26, 49, 24 * 8, 24 * 40, 24 * 41, 24 * 200, 24 * 400]);
    let with = |set: fn(&mut KeepRules, Span), span: &str| {
        let mut rules = KeepRules::default();
        set(&mut rules, span.parse().unwrap());
        assert!(!rules.is_empty());
        numbers(&all, &rules)
    };
    assert_eq!(with(|rules, span| rules.within_hourly = Some(span), "25h"), [0, 1, 2, 3]);
    assert_eq!(with(|rules, span| rules.within_daily = Some(span), "7d"), [0, 3, 5]);
    assert_eq!(with(|rules, span| rules.within_weekly = Some(span), "2m"), [0, 5, 7]);
    assert_eq!(with(|rules, span| rules.within_monthly = Some(span), "1y"), [0, 7, 9]);
    assert_eq!(with(|rules, span| rules.within_yearly = Some(span), "9y"), [0, 9]);
    let both = KeepRules {
        daily: Some(1),
        within_daily: Some("2d".parse().unwrap()),
        within_hourly: Some("1h".parse().unwrap()),
        ..KeepRules::default()
    };
    let expected = [(0, "hourly,daily"), (1, "hourly"), (3, "daily")].map(|(number, why)| (number, why.to_owned()));
    assert_eq!(kept(&all, &both), expected);
}

#[test]
fn tags_keep_and_groups_count_apart() {
    let mut all = ago(&[0, 1, 2, 3]);
    all[3].tags = vec!["audit".to_owned(), "x".to_owned()];
    all[2].host = b"notebook".to_vec();
    let rules = KeepRules { last: Some(1), tags: vec![words(&["audit"])], ..KeepRules::default() };
    let by = |host, paths, tags| {
        let choices = choose(&all, &rules, GroupBy { host, paths, tags }, now(), &utc).unwrap();
        choices.iter().map(|choice| choice.keep.len()).collect::<Vec<_>>()
    };
    assert_eq!(by(true, true, false), [1, 2], "hosts in order: notebook, then office");
    assert_eq!(by(false, false, false), [2]);
    assert_eq!(by(false, true, true), [1, 1]);
    assert_eq!(kept(&all, &rules)[2], (3, "tag audit".to_owned()));
}

#[test]
fn no_group_is_emptied_and_no_policy_is_no_policy() {
    let all = ago(&[5, 6]);
    let rules = KeepRules { tags: vec![words(&["nobody has this"])], ..KeepRules::default() };
    assert_eq!(kept(&all, &rules), [(0, "newest of its group".to_owned())]);
    let planted = [ago(&[5, 6]), vec![candidate(9, now() + TimeDelta::hours(1))]].concat();
    let expected = [(9, "in the future".to_owned()), (0, "newest of its group".to_owned())];
    assert_eq!(kept(&planted, &rules), expected, "what is of the future is not what stays");
    assert_eq!(kept(&planted[2..], &rules), expected[..1]);
    for empty in [KeepRules::default(), KeepRules { last: Some(0), daily: Some(0), ..KeepRules::default() }] {
        let refused = choose(&all, &empty, GroupBy::default(), now(), &utc);
        assert!(matches!(refused, Err(RepoError::EmptyPolicy)), "{refused:?}");
    }
    assert_eq!(choose(&[], &rules, GroupBy::default(), now(), &utc).unwrap(), []);
}

#[test]
fn what_claims_to_be_of_tomorrow_drives_nothing_out() {
    let all = ago(&[-1000, -50, 0, 1, 2]);
    let rules = KeepRules { last: Some(2), within: Some("1h".parse().unwrap()), ..KeepRules::default() };
    let future = "in the future".to_owned();
    let expected = [(0, future.clone()), (1, future), (2, "last,within".to_owned()), (3, "last,within".to_owned())];
    assert_eq!(kept(&all, &rules), expected);
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (-100..20_000i64, 0..2u8, proptest::sample::subsequence(vec!["a", "b"], 0..=2));
    proptest::collection::vec(one, 0..30).prop_map(|all| {
        let numbered = (0..).zip(all);
        let each = numbered.map(|(number, (hours, host, tags))| Candidate {
            host: vec![host],
            tags: tags.into_iter().map(str::to_owned).collect(),
            ..candidate(number, now() - TimeDelta::hours(hours))
        });
        each.collect()
    })
}

fn rules() -> impl Strategy<Value = KeepRules> {
    let count = || proptest::option::of(0..6u32);
    let counts = (count(), count(), count(), count(), count(), count());
    let span = || proptest::option::of((0..3u32, 0..200u32).prop_map(|(months, hours)| Span { months, hours }));
    let spans = (span(), span(), span(), span(), span(), span());
    let list = proptest::sample::subsequence(words(&["a", "b"]), 1..=2);
    (counts, spans, proptest::collection::vec(list, 0..=2)).prop_map(|(counts, spans, tags)| {
        let (last, hourly, daily, weekly, monthly, yearly) = counts;
        let (within, within_hourly, within_daily, within_weekly, within_monthly, within_yearly) = spans;
        KeepRules {
            last,
            hourly,
            daily,
            weekly,
            monthly,
            yearly,
            within,
            within_hourly,
            within_daily,
            within_weekly,
            within_monthly,
            within_yearly,
            tags,
        }
    })
}

fn ids(candidates: &[Candidate], rules: &KeepRules) -> BTreeSet<SnapshotId> {
    let choices = choose(candidates, rules, GroupBy::default(), now(), &utc).unwrap();
    choices.iter().flat_map(|choice| choice.keep.iter().map(|kept| kept.id)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn laws(all in candidates(), rules in rules(), more in rules(), shuffle in any::<u64>()) {
        prop_assume!(!rules.is_empty());
        let choices = choose(&all, &rules, GroupBy::default(), now(), &utc).unwrap();
        // Each is decided about once, what stays has a reason, and something stays.
        let mut decided: Vec<SnapshotId> = Vec::new();
        for choice in &choices {
            prop_assert!(!choice.keep.is_empty() && choice.keep.iter().all(|kept| !kept.reasons.is_empty()));
            decided.extend(choice.keep.iter().map(|kept| kept.id).chain(choice.remove.iter().copied()));
        }
        prop_assert_eq!(decided.len(), all.len());
        prop_assert_eq!(decided.into_iter().collect::<BTreeSet<_>>().len(), all.len());
        // Whatever order they come in.
        let mut other = all.clone();
        other.sort_by_key(|candidate| candidate.id.as_bytes()[0].wrapping_mul(shuffle as u8 | 1));
        prop_assert_eq!(&choose(&other, &rules, GroupBy::default(), now(), &utc).unwrap(), &choices);
        // The newest that is not of the future stays if any is to be kept by number.
        let kept = ids(&all, &rules);
        if rules.last.unwrap_or(0) > 0 {
            for choice in &choices {
                let of_group = |candidate: &&Candidate| Some(&candidate.host) == choice.host.as_ref();
                let newest = all.iter().filter(of_group).filter(|c| c.time <= now()).max_by_key(|c| (c.time, c.id));
                prop_assert!(newest.is_none_or(|newest| kept.contains(&newest.id)));
            }
        }
        // Who keeps more loses nothing, but for the one that stays only because nothing else does.
        let sum = |a: Option<u32>, b: Option<u32>| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
        };
        let together = KeepRules {
            last: sum(rules.last, more.last),
            hourly: sum(rules.hourly, more.hourly),
            daily: sum(rules.daily, more.daily),
            weekly: sum(rules.weekly, more.weekly),
            monthly: sum(rules.monthly, more.monthly),
            yearly: sum(rules.yearly, more.yearly),
            within: rules.within.or(more.within),
            within_hourly: rules.within_hourly.or(more.within_hourly),
            within_daily: rules.within_daily.or(more.within_daily),
            within_weekly: rules.within_weekly.or(more.within_weekly),
            within_monthly: rules.within_monthly.or(more.within_monthly),
            within_yearly: rules.within_yearly.or(more.within_yearly),
            tags: rules.tags.iter().chain(&more.tags).cloned().collect(),
        };
        let by_rule = |kept: &&Kept| kept.reasons != [Reason::Newest];
        let ruled: BTreeSet<_> = choices.iter().flat_map(|c| c.keep.iter().filter(by_rule).map(|kept| kept.id)).collect();
        prop_assert!(ruled.is_subset(&ids(&all, &together)));
        // Of each group one stays that is not of the future, if it has one.
        for choice in &choices {
            let is_past = |id: &SnapshotId| all.iter().any(|candidate| candidate.id == *id && candidate.time <= now());
            prop_assert!(choice.keep.iter().any(|kept| is_past(&kept.id)) || !choice.remove.iter().any(is_past));
        }
        // A snapshot of the future more changes nothing for the others.
        let mut planted = all.clone();
        planted.push(Candidate { host: vec![0], ..candidate(200, now() + TimeDelta::hours(1)) });
        let mut with_it = ids(&planted, &rules);
        prop_assert!(with_it.remove(&SnapshotId::new([200; 32])));
        prop_assert_eq!(with_it, kept);
    }
}
