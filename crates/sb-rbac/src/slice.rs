//! The policies that can have a say in a request: those whose scope names its action, its principal or a role of it, and its
//! resource or what that lies in. A policy whose scope does not match neither permits, forbids nor fails, so leaving it out changes
//! no decision.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use cedar_policy::{
    ActionConstraint, EntityUid, Policy, PolicyId, PolicySet, PrincipalConstraint, ResourceConstraint, SlotId, Template,
};

use crate::action::Action;
use crate::entities::Asked;
use crate::shipped::{GRANT, applies};

/// More slices than this are not kept.
const SLICES_MAX: usize = 4096;

/// A policy with the entities its scope names.
#[derive(Clone, Debug)]
pub(crate) struct Scoped {
    pub(crate) policy: Rule,
    /// `None`: everybody.
    pub(crate) principal: Option<EntityUid>,
    /// `None`: everything.
    pub(crate) resource: Option<EntityUid>,
}

#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Static(Box<Policy>),
    /// A link of the template of grants.
    Linked(PolicyId),
}

impl Scoped {
    pub(crate) fn of(policy: &Policy) -> Self {
        Self {
            policy: Rule::Static(Box::new(policy.clone())),
            principal: match policy.principal_constraint() {
                PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
                PrincipalConstraint::In(uid) | PrincipalConstraint::Eq(uid) | PrincipalConstraint::IsIn(_, uid) => {
                    Some(uid)
                }
            },
            resource: match policy.resource_constraint() {
                ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
                ResourceConstraint::In(uid) | ResourceConstraint::Eq(uid) | ResourceConstraint::IsIn(_, uid) => {
                    Some(uid)
                }
            },
        }
    }

    /// Whether its scope names a principal, or everybody.
    pub(crate) fn is_about(&self, asked: &Asked) -> bool {
        self.principal.as_ref().is_none_or(|uid| asked.principals.contains(uid))
    }

    /// The policy, unless it is a grant.
    pub(crate) fn policy(&self) -> Option<&Policy> {
        match &self.policy {
            Rule::Static(policy) => Some(policy),
            Rule::Linked(_) => None,
        }
    }
}

/// Which named principals and resources a request matches.
type Key = (Action, Vec<EntityUid>, Vec<EntityUid>);

/// Policies by what their scopes name.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// By action, in the order of its variants.
    by_action: Vec<Vec<Scoped>>,
    named: BTreeSet<EntityUid>,
    template: Option<Template>,
    slices: RwLock<HashMap<Key, Arc<PolicySet>>>,
    whole: OnceLock<PolicySet>,
}

impl Index {
    pub(crate) fn new<'a>(policies: impl IntoIterator<Item = &'a Policy>, template: Option<Template>) -> Self {
        let mut index = Self { by_action: Action::all().map(|_| Vec::new()).collect(), template, ..Self::default() };
        for policy in policies {
            index.add(policy);
        }
        index
    }

    fn add(&mut self, policy: &Policy) {
        self.insert(Scoped::of(policy), |action| reaches(policy, action));
    }

    /// Links the template of grants.
    pub(crate) fn link(&mut self, id: &str, actions: &[Action], user: EntityUid, resource: EntityUid) {
        let scoped =
            Scoped { policy: Rule::Linked(PolicyId::new(id)), principal: Some(user), resource: Some(resource) };
        self.insert(scoped, |action| actions.contains(&action));
    }

    /// Undoes that. Returns false if there was no such link.
    pub(crate) fn unlink(&mut self, id: &str) -> bool {
        let mut found = false;
        for rules in &mut self.by_action {
            rules.retain(|rule| {
                let is_it = matches!(&rule.policy, Rule::Linked(linked) if linked.as_ref() as &str == id);
                found |= is_it;
                !is_it
            });
        }
        self.forget();
        found
    }

    fn insert(&mut self, scoped: Scoped, reaches: impl Fn(Action) -> bool) {
        self.named.extend(scoped.principal.iter().chain(&scoped.resource).cloned());
        for (action, rules) in Action::all().zip(&mut self.by_action) {
            if reaches(action) {
                rules.push(scoped.clone());
            }
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.slices.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        self.whole = OnceLock::new();
    }

    /// All that reach an action.
    pub(crate) fn of_action(&self, action: Action) -> &[Scoped] {
        &self.by_action[action as usize]
    }

    /// The policies that can have a say.
    pub(crate) fn slice(&self, action: Action, asked: &Asked) -> Arc<PolicySet> {
        let matched = |uids: &[EntityUid]| {
            let mut named: Vec<EntityUid> = uids.iter().filter(|uid| self.named.contains(*uid)).cloned().collect();
            named.sort_unstable();
            named
        };
        let key = (action, matched(&asked.principals), matched(&asked.resources));
        let slices = self.slices.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(slice) = slices.get(&key) {
            return slice.clone();
        }
        drop(slices);
        let is_in = |uid: &Option<EntityUid>, among: &[EntityUid]| uid.as_ref().is_none_or(|uid| among.contains(uid));
        let rules = self.of_action(action).iter();
        let slice =
            Arc::new(self.set(rules.filter(|rule| is_in(&rule.principal, &key.1) && is_in(&rule.resource, &key.2))));
        let mut slices = self.slices.write().unwrap_or_else(PoisonError::into_inner);
        if slices.len() >= SLICES_MAX {
            slices.clear();
        }
        slices.insert(key, slice.clone());
        slice
    }

    /// Every policy, whatever its scope: what a slice has to agree with.
    pub(crate) fn whole(&self) -> &PolicySet {
        self.whole.get_or_init(|| {
            let mut seen = BTreeSet::new();
            let is_new = |rule: &&Scoped| match &rule.policy {
                Rule::Static(policy) => seen.insert(policy.id().clone()),
                Rule::Linked(id) => seen.insert(id.clone()),
            };
            self.set(self.by_action.iter().flatten().filter(is_new))
        })
    }

    fn set<'a>(&self, rules: impl Iterator<Item = &'a Scoped>) -> PolicySet {
        let mut set = PolicySet::new();
        for rule in rules {
            match (&rule.policy, &self.template) {
                (Rule::Static(policy), _) => set.add(policy.as_ref().clone()).expect("ids are unique"),
                (Rule::Linked(id), Some(template)) => {
                    if set.template(template.id()).is_none() {
                        set.add_template(template.clone()).expect("ids are unique");
                    }
                    let slots = [(SlotId::principal(), &rule.principal), (SlotId::resource(), &rule.resource)];
                    let slots = slots.into_iter().filter_map(|(slot, uid)| Some((slot, uid.clone()?))).collect();
                    set.link(PolicyId::new(GRANT), id.clone(), slots)
                        .expect("ids are unique, and both slots are filled");
                }
                (Rule::Linked(_), None) => {}
            }
        }
        set
    }
}

/// Whether the scope of a policy names an action, or a group it is in.
pub(crate) fn reaches(policy: &Policy, action: Action) -> bool {
    let applies = applies(action);
    let is_in = |uid: &EntityUid| *uid == applies.uid || applies.entities.is_ancestor_of(uid, &applies.uid);
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == applies.uid,
        ActionConstraint::In(uids) => uids.iter().any(is_in),
    }
}
