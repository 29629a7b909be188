//! Whether a firm's policies, by themselves, would permit what an inviolable guard rail forbids.
//!
//! What a policy decides depends on what it mentions alone. So for each action that such a guard rail is about, and each kind of
//! principal that a permit's scope reaches, requests are made in which everything the policies mention takes all values that can
//! make a difference: each there or not there, on both sides of every literal, and what the guard rails look at. If the policies
//! permit one of them, all that they do not mention is turned to what the guard rails forbid.

mod case;
mod condition;
mod knobs;

use std::cell::Cell;
use std::fmt;

use cedar_policy::{Effect, EntityUid, Policy, PolicySet};

use crate::action::{Action, Group};
use crate::authorizer::is_authorized;
use crate::directory::Directory;
use crate::entities::{Asked, Kind, ask, uid};
use crate::guard::GuardRail;
use crate::ids::RoleName;
use crate::mentions::Mentions;
use crate::policies::PoliciesError;
use crate::request::Request;
use crate::shipped::{GUARDS, applies};
use crate::slice::{Index, Scoped};
use case::{Case, Who, fresh};
use condition::{Condition, conditions};
use knobs::{Knob, knobs};

/// So many requests are made at most.
const CASES_MAX: usize = 100_000;

/// So many principals are told apart at most for one action, and of so many roles pairs.
const WHO_MAX: usize = 10_000;
const PAIRS_MAX: usize = 32;

const NEVER_WRITE: &str = "f-auditors-and-verifiers-never-write";

/// A request that policies would permit by themselves, and must not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct Counterexample {
    /// The policies that permit it.
    pub permitted_by: Vec<String>,
    /// What forbids it.
    pub guard_rail: GuardRail,
    /// The request; of users, roles and things as they could be.
    pub request: Request,
    /// Who would be permitted what, and under which circumstances.
    pub words: String,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.permitted_by.iter().map(|id| format!("`{id}`")).collect();
        let (named, verb) = (named.join(" and "), if named.len() == 1 { "permits" } else { "permit" });
        let GuardRail { id, words, .. } = self.guard_rail;
        let action = self.request.action;
        write!(
            f,
            "{named} {verb} {}, which must not be: {words} (guard rail `{id}`); leave `{action}` out of it, or add that condition",
            self.words
        )
    }
}

/// Policies mention so much that it can't be said what they permit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "whether {} can permit `{action}` where it must not takes more than {CASES_MAX} requests to try; join conditions by `&&`, or compare with fewer values", .policies.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" and "))]
#[non_exhaustive]
pub struct TooComplex {
    /// The policies that permit it to somebody.
    pub policies: Vec<String>,
    /// The action.
    pub action: Action,
}

pub(crate) fn check(policies: &[Policy], directory: &Directory) -> Result<(), PoliciesError> {
    let firm = Index::new(policies, None);
    let inviolable =
        GUARDS.iter().filter(|policy| GuardRail::named(policy.id().as_ref()).is_some_and(|rail| rail.is_inviolable));
    let guards = Index::new(inviolable, None);
    let left = Cell::new(CASES_MAX);
    for action in Action::all().filter(|action| action.is_in(Group::Write)) {
        let rules: Vec<&Scoped> = firm.of_action(action).iter().collect();
        if !has_permit(&rules) {
            continue;
        }
        let guards = set(guards.of_action(action));
        let mentions = Mentions::of(rules.iter().filter_map(|rule| rule.policy()));
        let everybody = who(action, &mentions, directory).ok_or_else(|| too_complex(action, &rules))?;
        for who in everybody {
            let uids = who.uids(directory);
            let is_reached = |rule: &&Scoped| rule.principal.as_ref().is_none_or(|uid| uids.contains(uid));
            let reached: Vec<&Scoped> = rules.iter().copied().filter(is_reached).collect();
            if has_permit(&reached) {
                let mentions = Mentions::of(reached.iter().filter_map(|rule| rule.policy()));
                let search = Search { action, alone: set(reached), guards: &guards, mentions, who: &who, left: &left };
                search.everything(directory)?;
            }
        }
    }
    Ok(())
}

fn too_complex(action: Action, rules: &[&Scoped]) -> PoliciesError {
    let policies = rules.iter().filter_map(|rule| rule.policy()).filter(|policy| policy.effect() == Effect::Permit);
    PoliciesError::TooComplex(TooComplex { policies: policies.map(|policy| policy.id().to_string()).collect(), action })
}

fn has_permit(rules: &[&Scoped]) -> bool {
    rules.iter().filter_map(|rule| rule.policy()).any(|policy| policy.effect() == Effect::Permit)
}

fn set<'a>(rules: impl IntoIterator<Item = &'a Scoped>) -> PolicySet {
    PolicySet::from_policies(rules.into_iter().filter_map(|rule| rule.policy().cloned())).expect("ids are unique")
}

/// Who could ask: for acts that a guard rail is about whoever asks, everybody whom policies tell apart; in any case all whose only
/// role is that of an auditor or verifier, or built upon one.
fn who(action: Action, mentions: &Mentions, directory: &Directory) -> Option<Vec<Who>> {
    let kinds = &applies(action).principals;
    let checks = |role: &RoleName| {
        let closure = directory.closure([role]);
        ["auditor", "verifier"].into_iter().any(|name| closure.contains(&RoleName::from(name)))
    };
    let mut roles: Vec<Vec<RoleName>> = directory.roles().filter(checks).map(|role| vec![role]).collect();
    if action.is_in(Group::Execute) || action.is_in(Group::Approve) {
        roles.extend(combinations(mentions.ids("SB::Role").map(RoleName::from).collect()));
    }
    let mut all = Vec::new();
    for kind in kinds {
        let nobody = fresh(mentions, *kind, "u_1");
        let ids: Vec<&str> = mentions.ids(kind.name()).chain([nobody.as_str()]).collect();
        for id in ids {
            all.extend(roles.iter().map(|roles| Who { kind: *kind, id: id.to_owned(), roles: roles.clone() }));
            if all.len() > WHO_MAX {
                return None;
            }
        }
    }
    Some(all)
}

/// No role, each, each pair unless there are too many, and all.
fn combinations(roles: Vec<RoleName>) -> Vec<Vec<RoleName>> {
    let mut all = vec![Vec::new()];
    for (place, one) in roles.iter().enumerate() {
        all.push(vec![one.clone()]);
        let others = if roles.len() > PAIRS_MAX { &[] } else { &roles[place + 1..] };
        all.extend(others.iter().map(|other| vec![one.clone(), other.clone()]));
    }
    if roles.len() > 2 {
        all.push(roles);
    }
    all
}

impl Who {
    fn uids(&self, directory: &Directory) -> Vec<EntityUid> {
        let roles = directory.closure(&self.roles);
        let roles = roles.iter().map(|role| uid(Kind::Role, role.as_str()));
        roles.chain([uid(self.kind, &self.id)]).collect()
    }
}

/// A search among the requests of one principal for one action.
struct Search<'a> {
    action: Action,
    /// The firm's policies that can have a say.
    alone: PolicySet,
    /// The inviolable guard rails that can.
    guards: &'a PolicySet,
    mentions: Mentions,
    who: &'a Who,
    /// How many requests may be made yet.
    left: &'a Cell<usize>,
}

/// What is varied, in order, and what can be said as soon as so much is set.
struct Plan<'a> {
    varied: Vec<&'a Knob>,
    fixed: Vec<&'a Knob>,
    /// For each number of knobs set, the conditions that depend on no others.
    due: Vec<Vec<&'a Condition>>,
}

/// The search ran out of requests.
struct Exhausted;

impl Search<'_> {
    fn everything(&self, directory: &Directory) -> Result<(), PoliciesError> {
        let permits: Vec<&Policy> = self.alone.policies().filter(|policy| policy.effect() == Effect::Permit).collect();
        let conditions = conditions(&permits);
        for kind in &applies(self.action).resources {
            let case = Case::new(self.action, *kind, self.who, directory, &self.mentions);
            let knobs = knobs(&case, &self.mentions);
            let plan = Plan::new(&knobs, &conditions, &self.mentions);
            let found = self.walk(&case, 0, &vec![true; permits.len()], &plan).map_err(|Exhausted| {
                let policies = permits.iter().map(|policy| policy.id().to_string()).collect();
                PoliciesError::TooComplex(TooComplex { policies, action: self.action })
            })?;
            if let Some(found) = found {
                return Err(PoliciesError::Permits(Box::new(found)));
            }
        }
        Ok(())
    }

    /// Tries all settings of what is not set yet, as long as one of the permits may still hold.
    fn walk(
        &self,
        case: &Case,
        set: usize,
        may_hold: &[bool],
        plan: &Plan<'_>,
    ) -> Result<Option<Counterexample>, Exhausted> {
        // A firm of many users takes longer to ask about.
        let cost = 1 + case.directory.user_count() / 16;
        self.left.set(self.left.get().checked_sub(cost).ok_or(Exhausted)?);
        let Some(asked) = self.ask(case) else {
            return Ok(None);
        };
        let mut may_hold = may_hold.to_vec();
        for condition in &plan.due[set] {
            // A condition that can't be evaluated keeps its policy from permitting as well.
            may_hold[condition.permit] &= is_authorized(&asked, &condition.alone).is_allowed;
        }
        if !may_hold.contains(&true) {
            return Ok(None);
        }
        let Some(knob) = plan.varied.get(set) else {
            return Ok(self.turned(case, &asked, &plan.fixed));
        };
        for setting in &knob.settings {
            let found = self.walk(&case.turned(setting), set + 1, &may_hold, plan)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Whether a request is permitted that must not be; if so as it is, else with one thing after the other turned that the policies
    /// do not mention.
    fn turned(&self, case: &Case, asked: &Asked, fixed: &[&Knob]) -> Option<Counterexample> {
        if !is_authorized(asked, &self.alone).is_allowed {
            return None;
        }
        let others = || fixed.iter().flat_map(|knob| &knob.settings[1..]);
        self.violation(case).or_else(|| others().find_map(|setting| self.violation(&case.turned(setting))))
    }

    fn ask(&self, case: &Case) -> Option<Asked> {
        ask(&case.directory, &case.request(), || case.counts).ok()
    }

    fn violation(&self, case: &Case) -> Option<Counterexample> {
        let asked = self.ask(case)?;
        let mut forbidden = is_authorized(&asked, self.guards).reasons;
        // Who has other roles too is not kept from what those permit until the policies are merged.
        forbidden.retain(|id| id != NEVER_WRITE || case.roles == 1);
        // In the order of the table, so that the same policies always get the same answer.
        let rail = GuardRail::ALL.into_iter().find(|rail| forbidden.iter().any(|id| id == rail.id))?;
        let permitted = is_authorized(&asked, &self.alone);
        if !permitted.is_allowed {
            return None;
        }
        let mut permitted_by = permitted.reasons;
        permitted_by.sort();
        Some(Counterexample { permitted_by, guard_rail: rail, request: case.request(), words: case.words() })
    }
}

impl<'a> Plan<'a> {
    /// Sets first what the conditions with the fewest cases depend on, so that most requests need not be made.
    fn new(knobs: &'a [Knob], conditions: &'a [Condition], mentions: &Mentions) -> Self {
        let (mut rest, fixed): (Vec<&Knob>, Vec<&Knob>) = knobs.iter().partition(|knob| knob.concerns(mentions));
        let cases = |condition: &Condition| -> usize {
            let concerned = knobs.iter().filter(|knob| knob.concerns(&condition.mentions));
            concerned.map(|knob| knob.settings.len()).fold(1, usize::saturating_mul)
        };
        let mut by_size: Vec<&Condition> = conditions.iter().collect();
        by_size.sort_by_key(|condition| cases(condition));
        let (mut varied, mut due): (Vec<&Knob>, _) = (Vec::new(), vec![Vec::new()]);
        for condition in by_size {
            let (next, later): (Vec<&Knob>, Vec<&Knob>) =
                rest.into_iter().partition(|knob| knob.concerns(&condition.mentions));
            rest = later;
            varied.extend(next);
            due.resize(varied.len() + 1, Vec::new());
            due[varied.len()].push(condition);
        }
        // What only policies that forbid mention.
        varied.extend(rest);
        due.resize(varied.len() + 1, Vec::new());
        Self { varied, fixed, due }
    }
}
