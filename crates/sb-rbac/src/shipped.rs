//! What is compiled in: the schema, the guard rails, and what the built-in roles may do.

use std::collections::HashSet;
use std::sync::LazyLock;

use cedar_policy::{Entities, EntityTypeName, EntityUid, Policy, PolicySet, Schema, Template};

use crate::action::Action;
use crate::entities::{Kind, uid};

/// The template of grants, and the beginning of every id that is ours.
pub(crate) const GRANT: &str = "t-adhoc-restore";

pub(crate) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let (schema, _warnings) =
        Schema::from_cedarschema_str(include_str!("cedar/schema.cedarschema")).expect("the tests parse it");
    schema
});

pub(crate) static GUARDS: LazyLock<Vec<Policy>> = LazyLock::new(|| parse(include_str!("cedar/guards.cedar")).0);

/// What the built-in roles may do, and the template of grants.
pub(crate) static ROLES: LazyLock<(Vec<Policy>, Vec<Template>)> =
    LazyLock::new(|| parse(include_str!("cedar/roles.cedar")));

/// What the schema says of an action.
#[derive(Debug)]
pub(crate) struct Applies {
    pub(crate) uid: EntityUid,
    /// The action alone, with the groups it is in.
    pub(crate) entities: Entities,
    pub(crate) principals: Vec<Kind>,
    pub(crate) resources: Vec<Kind>,
}

static ACTIONS: LazyLock<Vec<Applies>> = LazyLock::new(|| {
    let all = SCHEMA.action_entities().expect("the tests parse it");
    let applies = |action: Action| {
        let uid = uid(Kind::Action, action.name());
        let principals = SCHEMA.principals_for_action(&uid).expect("the tests compare the two");
        let resources = SCHEMA.resources_for_action(&uid).expect("the tests compare the two");
        let entity = all.get(&uid).expect("the tests compare the two").clone();
        Applies {
            entities: Entities::from_entities([entity], None).expect("one entity is no circle"),
            principals: in_order(principals),
            resources: in_order(resources),
            uid,
        }
    };
    Action::all().map(applies).collect()
});

fn in_order<'a>(types: impl Iterator<Item = &'a EntityTypeName>) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = types.filter_map(Kind::of).collect();
    kinds.sort_unstable();
    kinds
}

pub(crate) fn applies(action: Action) -> &'static Applies {
    &ACTIONS[action as usize]
}

/// Ids that no firm may use.
pub(crate) static RESERVED: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let policies = GUARDS.iter().chain(&ROLES.0).map(|policy| policy.id().to_string());
    policies.chain([GRANT.to_owned()]).collect()
});

/// What a built-in permission is, in words.
pub(crate) fn words(id: &str) -> Option<&'static str> {
    Some(match id {
        "p-operate" => "operators make backups and check them",
        "p-verify" => "verifiers check everything",
        "p-staff-read-own-engagements" => "restorers read and restore documents of the clients they work for",
        "p-staff-see-vault" => "restorers see the vault",
        "p-comply" => "compliance officers hold, sign, report, oversee, and approve what others have proposed",
        "p-admin" => "administrators manage users, roles and keys",
        "p-admin-executes-approved" => "administrators carry out approved changes of keys, users and policies",
        "p-auditor-readonly-timeboxed" => "auditors see what was done, as long as their access lasts",
        "p-executor-curates" => "disposal executors free space",
        "p-daemon-executes-approved" => "disposal executors carry out what was approved",
        "p-owner" => "the owner does everything that needs no second person",
        "p-owner-approves" => "the owner approves what others have proposed",
        "p-owner-executes-approved" => "the owner carries out what was approved",
        "p-own" => "everybody changes their own keys and withdraws their own requests",
        _ => return None,
    })
}

fn parse(text: &str) -> (Vec<Policy>, Vec<Template>) {
    let set: PolicySet = text.parse().expect("the tests parse it");
    let policies = set.policies().map(|policy| {
        let id = policy.annotation("id").expect("each of ours has one");
        policy.new_id(cedar_policy::PolicyId::new(id))
    });
    let templates = set.templates().map(|template| template.new_id(cedar_policy::PolicyId::new(GRANT)));
    (policies.collect(), templates.collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cedar_policy::{ValidationMode, Validator};

    use super::*;
    use crate::action::Group;

    #[test]
    fn what_is_shipped_passes_strict_validation_one_step_deep() {
        let mut set = PolicySet::from_policies(GUARDS.iter().chain(&ROLES.0).cloned()).unwrap();
        set.add_template(ROLES.1[0].clone()).unwrap();
        let result = Validator::new(SCHEMA.clone()).validate_with_level(&set, ValidationMode::Strict, 1);
        assert!(result.validation_passed_without_warnings(), "{result}");
        assert_eq!(set.num_of_templates(), 1);
    }

    #[test]
    fn schema_and_table_of_actions_say_the_same() {
        let all = SCHEMA.action_entities().unwrap();
        let mut groups = BTreeSet::new();
        for action in Action::all() {
            let applies = applies(action);
            assert!(!applies.principals.is_empty() && !applies.resources.is_empty(), "{action}");
            let expected: BTreeSet<String> = action.groups().iter().map(|group| group.name().to_owned()).collect();
            let found: BTreeSet<String> =
                all.ancestors(&applies.uid).unwrap().map(|group| group.id().unescaped().to_owned()).collect();
            assert_eq!(found, expected, "{action}");
            groups.extend(found);
        }
        let everything: BTreeSet<String> = SCHEMA.actions().map(|uid| uid.id().unescaped().to_owned()).collect();
        let ours: BTreeSet<String> = Action::all().map(|action| action.name().to_owned()).chain(groups).collect();
        assert_eq!(everything, ours);
        assert_eq!(Group::Execute.name(), "execute");
    }

    #[test]
    fn every_permission_has_words() {
        for policy in &ROLES.0 {
            assert!(words(policy.id().as_ref()).is_some(), "{}", policy.id());
        }
    }

    /// The design's own entities and requests, against our schema and our policies, without what is ours of Rust.
    #[test]
    fn the_vectors_of_the_design_fit_the_schema() {
        let given: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../tests/vectors/cedar/entities.json")).unwrap();
        let built_upon = [("accountant", "restorer"), ("admin", "administrator"), ("daemon", "disposalExecutor")];
        let with_roles = given.into_iter().map(|mut entity| {
            let found =
                built_upon.iter().find(|(name, _)| entity["uid"]["type"] == "SB::Role" && entity["uid"]["id"] == *name);
            if let Some((_, role)) = found {
                entity["parents"] = serde_json::json!([{ "type": "SB::Role", "id": role }]);
            }
            entity
        });
        let entities = serde_json::Value::Array(with_roles.collect());
        let entities = Entities::from_json_value(entities, Some(&SCHEMA)).unwrap();
        let set = PolicySet::from_policies(GUARDS.iter().chain(&ROLES.0).cloned()).unwrap();
        let tests: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../tests/vectors/cedar/requests.json")).unwrap();
        for test in tests {
            let asked = &test["request"];
            let uid = |name: &str| asked[name].as_str().unwrap().parse::<EntityUid>().unwrap();
            let context =
                cedar_policy::Context::from_json_value(asked["context"].clone(), Some((&SCHEMA, &uid("action"))));
            let (principal, action, resource) = (uid("principal"), uid("action"), uid("resource"));
            let request =
                cedar_policy::Request::new(principal, action, resource, context.unwrap(), Some(&SCHEMA)).unwrap();
            let response = cedar_policy::Authorizer::new().is_authorized(&request, &set, &entities);
            let is_allowed = response.decision() == cedar_policy::Decision::Allow;
            assert_eq!(is_allowed, test["decision"] == "allow", "{}: {response:?}", test["name"]);
            assert_eq!(response.diagnostics().errors().count(), 0, "{}", test["name"]);
        }
    }
}
