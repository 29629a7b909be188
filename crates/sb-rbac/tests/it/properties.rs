//! Laws, tried at random.

use proptest::prelude::*;
use sb_rbac::*;

use super::firm::{directory, empty, policies, request};

/// Only accepted sets are of use, and one in three or so is.
fn accepted() -> impl Strategy<Value = Policies> {
    policies().prop_filter_map("refused", |text| Policies::check(&text, &empty()).ok())
}

/// The inviolable guard rails that deny a request; who has several roles is not kept from writing by one of them alone.
fn inviolable(decision: &Decision) -> Vec<&'static str> {
    let rails = decision.determined_by.iter().filter_map(|by| GuardRail::named(&by.id));
    rails.filter(|rail| rail.is_inviolable).map(|rail| rail.id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, max_global_rejects: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_accepted_permits_nothing_by_itself_that_an_inviolable_guard_rail_forbids(
        policies in accepted(), directory in directory(1), requests in prop::collection::vec(request(), 200),
    ) {
        let merged = Authorizer::new(policies);
        for request in requests {
            let decision = merged.authorize(&directory, &request);
            if decision.refusal.is_none() && !inviolable(&decision).is_empty() {
                let alone = merged.permitted_by_firm_alone(&directory, &request);
                prop_assert!(alone.is_empty(), "{alone:?} permits {request:?}, {decision:?}\n{}", merged.policies().text());
            }
        }
    }

    #[test]
    fn guard_rails_deny_whatever_the_firm_writes(
        policies in accepted(), directory in directory(3), requests in prop::collection::vec(request(), 200),
    ) {
        let (merged, plain) = (Authorizer::new(policies), Authorizer::new(Policies::none()));
        for request in requests {
            let rails = |decision: Decision| -> Vec<String> {
                decision.determined_by.into_iter().filter(|by| by.kind == PolicyKind::GuardRail).map(|by| by.id).collect()
            };
            let (with, without) = (merged.authorize(&directory, &request), plain.authorize(&directory, &request));
            let without = rails(without);
            prop_assert!(without.is_empty() || !with.is_allowed);
            // A firm that lets more people approve has more people to ask.
            let with = rails(with);
            prop_assert!(without.iter().all(|rail| with.contains(rail)), "{with:?} {without:?}");
        }
    }

    #[test]
    fn slices_decide_as_the_whole_does(
        policies in accepted(), directory in directory(3), requests in prop::collection::vec(request(), 40),
    ) {
        let mut authorizer = Authorizer::new(policies);
        authorizer.grant(&Grant::new("g-1", "u_1", GrantScope::Client("c_1".into()))).unwrap();
        authorizer.grant(&Grant::new("g-2", "u_2", GrantScope::Snapshot("s_1".into()))).unwrap();
        for request in requests {
            prop_assert_eq!(authorizer.authorize(&directory, &request), authorizer.authorize_unsliced(&directory, &request));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(@id\\(\"[ab]\"\\) |permit|forbid|when|\\(|\\)|\\{|\\}|principal|action|resource|context|==|in|SB::Role::\"operator\"|,|;| |\"|\\\\|//|\\PC){0,40}") {
        let _ = Policies::check(&text, &empty());
    }

    #[test]
    fn suggestions_are_of_what_is_denied_only(directory in directory(2), request in request()) {
        let explanation = Authorizer::new(Policies::none()).explain(&directory, &request);
        prop_assert!(!explanation.because.is_empty());
        prop_assert!(!explanation.decision.is_allowed || explanation.suggestions.is_empty());
    }
}
