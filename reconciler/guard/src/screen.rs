//! The policies that forbid, put together: a "yes" then costs a few evaluations, not one for each.
//!
//! Cedar evaluates every policy by itself, which takes most of the time where there are many. Those
//! that forbid within the same scope become one here, with their conditions joined by `||`.
//!
//! *Guarantees*: only an answer of "allowed", without an error, counts. Then `||` went through every
//! condition to its end, so that none of the policies forbids or fails by itself, and those that
//! permit are the same, under their own ids. Everything else is asked of the policies themselves.

use std::collections::BTreeMap;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet};
use serde_json::{Value, json};

/// The same policies, with fewer that forbid; `None` where that cannot be made.
pub(crate) fn screen<'p>(policies: impl Iterator<Item = &'p Policy>) -> Option<PolicySet> {
    let mut kept = Vec::new();
    let mut scopes: BTreeMap<String, (Value, Vec<Value>)> = BTreeMap::new();
    for policy in policies {
        if policy.effect() == Effect::Permit {
            kept.push(policy.clone());
            continue;
        }
        let written = policy.to_json().ok()?;
        let scope = ["principal", "action", "resource"].map(|part| written.get(part).cloned());
        let [Some(principal), Some(action), Some(resource)] = scope else {
            return None;
        };
        let merged = json!({
            "effect": "forbid", "principal": principal, "action": action, "resource": resource,
        });
        let condition = condition(written.get("conditions")?)?;
        let same = scopes.entry(merged.to_string());
        same.or_insert((merged, Vec::new())).1.push(condition);
    }
    for (number, (mut merged, conditions)) in scopes.into_values().enumerate() {
        let body = joined("||", conditions)?;
        let conditions = json!([{ "kind": "when", "body": body }]);
        merged
            .as_object_mut()?
            .insert("conditions".to_owned(), conditions);
        let id = PolicyId::new(format!("forbidden {number}"));
        kept.push(Policy::from_json(Some(id), merged).ok()?);
    }
    PolicySet::from_policies(kept).ok()
}

/// The conditions of one policy as one: all that stand after `when`, and none after `unless`.
fn condition(conditions: &Value) -> Option<Value> {
    let one = |condition: &Value| {
        let body = condition.get("body")?.clone();
        match condition.get("kind")?.as_str()? {
            "when" => Some(body),
            "unless" => Some(json!({ "!": { "arg": body } })),
            _ => None,
        }
    };
    let all: Option<Vec<Value>> = conditions.as_array()?.iter().map(one).collect();
    match all?.as_slice() {
        [] => Some(json!({ "Value": true })),
        all => in_turn(all),
    }
}

/// Joined by `&&` from the left, as Cedar does it, so that each is evaluated when Cedar would.
fn in_turn(all: &[Value]) -> Option<Value> {
    let mut all = all.iter().cloned();
    let first = all.next()?;
    Some(all.fold(
        first,
        |left, right| json!({ "&&": { "left": left, "right": right } }),
    ))
}

/// Joined pairwise, so that many are not deep.
fn joined(operator: &str, mut all: Vec<Value>) -> Option<Value> {
    while all.len() > 1 {
        let pairs = all.chunks(2).map(|pair| match pair {
            [left, right] => json!({ operator: { "left": left, "right": right } }),
            rest => rest.first().cloned().unwrap_or_default(),
        });
        all = pairs.collect();
    }
    all.pop()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr as _;

    use cedar_policy::{Authorizer, Context, Decision, Entities, Request};

    /// Policies that forbid by turns, fail, or do neither, beside one that permits.
    const TEXT: &str = r#"
        @id("all") permit (principal, action, resource);
        @id("a") forbid (principal, action, resource) when { context.n == 1 };
        @id("b") forbid (principal, action, resource)
            when { context.n > 1 } unless { context.n != 2 };
        @id("c") forbid (principal, action, resource)
            when { context.n == 3 && context.n + 9223372036854775807 > 0 };
        @id("d") forbid (principal, action, resource)
            when { context.n == 4 } when { context.n + 9223372036854775807 > 0 };
        @id("e") forbid (principal, action, resource) when { context has s && context.s like "x*y" };
        @id("f") forbid (principal == P::"p", action, resource) when { context.n == 6 };
        @id("g") forbid (principal == P::"q", action in [Action::"x", Action::"y"], resource is R);
        @id("h") forbid (principal, action, resource) unless { [0, 1, 2, 3, 4, 5, 6].contains(context.n) };
    "#;

    #[test]
    fn what_it_allows_the_policies_allow_by_the_same_ids_and_nothing_else_counts() {
        let set = PolicySet::from_str(TEXT).unwrap();
        let screen = screen(set.policies()).unwrap();
        assert!(screen.policies().count() < set.policies().count());
        let mut allowed = 0;
        for n in 0..9 {
            for (who, s) in [("p", "none"), ("q", "none"), ("r", "xy"), ("r", "none")] {
                let context = json!({ "n": n, "s": s });
                let request = Request::new(
                    format!("P::\"{who}\"").parse().unwrap(),
                    "Action::\"x\"".parse().unwrap(),
                    "R::\"r\"".parse().unwrap(),
                    Context::from_json_value(context, None).unwrap(),
                    None,
                )
                .unwrap();
                let ask = |set| Authorizer::new().is_authorized(&request, set, &Entities::empty());
                let (full, quick) = (ask(&set), ask(&screen));
                let fails = |one: &cedar_policy::Response| one.diagnostics().errors().count() > 0;
                let yes = quick.decision() == Decision::Allow && !fails(&quick);
                let really = full.decision() == Decision::Allow && !fails(&full);
                assert_eq!(yes, really, "{n} {who} {s}");
                if yes {
                    allowed += 1;
                    let ids = |one: &cedar_policy::Response| -> Vec<String> {
                        one.diagnostics()
                            .reason()
                            .map(ToString::to_string)
                            .collect()
                    };
                    assert_eq!(ids(&quick), ids(&full));
                }
            }
        }
        assert!((5..30).contains(&allowed), "{allowed}");
    }
}
