//! Taint: what untrusted text may not reach.

use std::collections::BTreeMap;

use crate::finding::codes;
use crate::kinds::Problem;
use crate::kinds::pipeline::Placed;

/// Steps that untrusted text reaches and that hold what it must not reach.
///
/// *Guarantees*: taint flows through outputs. `closed(schema, field)` says whether a value can only
/// be a closed enum, a boolean or a number; nothing else drops taint. A step without inputs is
/// given the whole outputs of the steps it needs. `network` is the pipeline's.
pub fn taint(
    steps: &[Placed],
    network: &[String],
    closed: &impl Fn(&str, &[String]) -> bool,
) -> Vec<Problem> {
    let tainted = tainted(steps, closed);
    let mut problems = Vec::new();
    for placed in steps {
        if let Some(why) = tainted.get(placed.step.id.as_str()) {
            problems.extend(holdings(placed, network, why));
        }
    }
    problems
}

/// The ids of tainted steps, with the reason as words.
fn tainted<'a>(
    steps: &'a [Placed],
    closed: &impl Fn(&str, &[String]) -> bool,
) -> BTreeMap<&'a str, String> {
    let mut tainted: BTreeMap<&str, String> = BTreeMap::new();
    for placed in steps {
        let untrusted = placed.step.inputs.iter().find(|(_, input)| input.untrusted);
        if let Some((name, _)) = untrusted {
            tainted.insert(&placed.step.id, format!("its input `{name}` is untrusted"));
        }
    }
    loop {
        let before = tainted.len();
        for placed in steps {
            if tainted.contains_key(placed.step.id.as_str()) {
                continue;
            }
            if let Some(from) = carrier(placed, steps, &tainted, closed) {
                let why = format!("untrusted text reaches it through the output of `{from}`");
                tainted.insert(&placed.step.id, why);
            }
        }
        if tainted.len() == before {
            return tainted;
        }
    }
}

/// The tainted step whose open output `placed` is given.
fn carrier(
    placed: &Placed,
    steps: &[Placed],
    tainted: &BTreeMap<&str, String>,
    closed: &impl Fn(&str, &[String]) -> bool,
) -> Option<String> {
    let open = |id: &str, field: &[String]| {
        let step = steps.iter().find(|other| other.step.id == id);
        let schema = step.and_then(|other| other.step.output.as_ref());
        tainted.contains_key(id) && !schema.is_some_and(|output| closed(&output.schema, field))
    };
    let read = placed
        .reads
        .iter()
        .find(|read| open(&read.step, &read.field));
    let whole = placed.step.inputs.is_empty();
    let need = placed
        .step
        .needs
        .iter()
        .find(|need| whole && open(need, &[]));
    read.map(|read| read.step.clone()).or_else(|| need.cloned())
}

fn holdings(placed: &Placed, network: &[String], why: &str) -> Vec<Problem> {
    let step = &placed.step;
    let refuse = |key: &str, what: &str, hint: &str| {
        let message = format!("step `{}` may hold no {what}: {why}", step.id);
        Problem::new(&codes::PIPELINE_TAINT, placed.path.key(key), message).hint(hint)
    };
    let mut problems = Vec::new();
    if !step.secrets.is_empty() {
        let hint =
            "give the secret to a step that reads closed values only: enums, booleans, numbers";
        problems.push(refuse("secrets", "secret", hint));
    }
    if !step.network.as_deref().unwrap_or(network).is_empty() {
        problems.push(refuse(
            "network",
            "network",
            "write `network = []` in this step",
        ));
    }
    if !step.propose.is_empty() && step.approval.is_none() {
        let hint = "add `approval = { by = \"GROUP\" }` to the step";
        problems.push(refuse("propose", "proposal without approval", hint));
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::pipeline::{Read, placed};
    use crate::value::Path;

    #[test]
    fn taint_flows_through_open_outputs_only() {
        let mut steps = placed(json!([
            { "id": "a", "role": "Monitor", "inputs": { "d": { "from": "trigger.diff", "untrusted": true } },
              "output": { "schema": "s.json" } },
            { "id": "b", "role": "DevOps", "inputs": { "x": { "from": "steps.a.output.level" } },
              "propose": [{ "action": "open_change" }] },
        ]));
        let field = vec!["level".to_owned()];
        steps[1].reads = vec![Read {
            path: Path::of("x"),
            step: "a".to_owned(),
            field,
        }];
        let level_is_closed = |_: &str, field: &[String]| field == ["level"];
        assert!(taint(&steps, &[], &level_is_closed).is_empty());
        let found = taint(&steps, &[], &|_, _| false);
        assert_eq!(found[0].path.0, "steps[1].propose");
    }

    #[test]
    fn a_step_without_inputs_is_given_whole_outputs() {
        let steps = placed(json!([
            { "id": "a", "role": "Monitor", "inputs": { "d": { "from": "trigger.diff", "untrusted": true } } },
            { "id": "b", "role": "DevOps", "needs": ["a"], "secrets": ["x#y"] },
        ]));
        let found = taint(&steps, &["example.org".to_owned()], &|_, _| false);
        let paths: Vec<&str> = found.iter().map(|p| p.path.0.as_str()).collect();
        assert_eq!(
            paths,
            ["steps[0].network", "steps[1].secrets", "steps[1].network"]
        );
    }
}
