//! The conditions that a policy is made of: all have to hold for it to permit.

use cedar_policy::{Policy, PolicyId, PolicySet};
use serde_json::{Value, json};

use crate::mentions::Mentions;

/// One condition of a policy that permits.
pub(crate) struct Condition {
    /// Which of the policies.
    pub(crate) permit: usize,
    /// A policy that permits if the condition holds.
    pub(crate) alone: PolicySet,
    pub(crate) mentions: Mentions,
}

/// What each of some policies demands, apart: its scope, what is joined by `&&`, and by `||` after `unless`.
pub(crate) fn conditions(permits: &[&Policy]) -> Vec<Condition> {
    let mut all = Vec::new();
    for (permit, policy) in permits.iter().enumerate() {
        // Whatever passed validation can be written as JSON; what could not would not be taken apart.
        let whole = policy.to_json().unwrap_or_default();
        let mut parts = vec![whole.clone()];
        parts[0]["conditions"] = json!([]);
        for condition in whole["conditions"].as_array().into_iter().flatten() {
            let operator = if condition["kind"] == "when" { "&&" } else { "||" };
            let bodies = apart(&condition["body"], operator);
            parts.extend(bodies.into_iter().map(|body| {
                let all = json!({ "op": "All" });
                let condition = json!({ "kind": condition["kind"], "body": body });
                json!({ "effect": "permit", "principal": all, "action": all, "resource": all, "conditions": [condition] })
            }));
        }
        for part in parts {
            let alone = Policy::from_json(Some(PolicyId::new("condition")), part);
            all.extend(alone.ok().map(|alone| Condition {
                permit,
                mentions: Mentions::of([&alone]),
                alone: PolicySet::from_policies([alone]).expect("one id is unique"),
            }));
        }
    }
    all
}

fn apart<'a>(body: &'a Value, operator: &str) -> Vec<&'a Value> {
    match body.get(operator) {
        Some(both) => [apart(&both["left"], operator), apart(&both["right"], operator)].concat(),
        None => vec![body],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_taken_apart_at_its_top() {
        let text = r#"permit (principal in SB::Role::"owner", action, resource)
            when { context.mfa && (principal.active || context.mfa) && context.now > context.now } unless { context.mfa || (context.mfa && true) };"#;
        let policy: Policy = text.parse().unwrap();
        let found = conditions(&[&policy]);
        let attributes: Vec<Vec<&str>> =
            found.iter().map(|one| one.mentions.attributes.iter().map(String::as_str).collect()).collect();
        let expected: [&[&str]; 6] = [&[], &["mfa"], &["active", "mfa"], &["now"], &["mfa"], &["mfa"]];
        assert_eq!(attributes, expected);
        assert!(found[0].mentions.ids("SB::Role").eq(["owner"]));
    }
}
