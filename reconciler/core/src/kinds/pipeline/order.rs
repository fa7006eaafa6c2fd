//! The order of steps: ids, `needs`, and what conditions and inputs read.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::codes;
use crate::kinds::pipeline::Placed;
use crate::kinds::problem::repeated;
use crate::kinds::{Problem, circles};
use crate::suggest;
use crate::value::Path;

/// Steps whose ids repeat, and `needs` and reads that name no step or form a circle.
///
/// *Shape*: `ids` has the id and place of every step, also of those that could not be read.
pub fn order(steps: &[Placed], ids: &[(String, Path)]) -> Vec<Problem> {
    let mut problems = repeated("step", &codes::PIPELINE_STEP, ids);
    let known: BTreeSet<&str> = ids.iter().map(|(id, _)| id.as_str()).collect();
    for placed in steps {
        problems.extend(needs(placed, &known));
        problems.extend(reads(placed, steps, &known));
    }
    let edges = dependencies(steps);
    for circle in circles(&edges) {
        let first = circle.first().copied().unwrap_or_default();
        let place = steps.iter().find(|placed| placed.step.id == first);
        let path = place.map_or_else(Path::default, |placed| placed.path.key("id"));
        let message = format!("steps need each other: `{}`", circle.join("` -> `"));
        let problem = Problem::new(&codes::PIPELINE_STEP, path, message);
        problems
            .push(problem.hint("take one of these out of `needs`, or out of what the step reads"));
    }
    problems
}

fn needs<'a>(placed: &'a Placed, known: &'a BTreeSet<&str>) -> impl Iterator<Item = Problem> + 'a {
    let missing = placed.step.needs.iter().enumerate();
    missing
        .filter(|(_, need)| !known.contains(need.as_str()))
        .map(|(index, need)| {
            let path = placed.path.key("needs").index(index);
            let message = format!("step `{}` needs `{need}`, which is no step", placed.step.id);
            let mut problem = Problem::new(&codes::PIPELINE_STEP, path, message);
            problem.hint = suggest::hint(need, known.iter().copied());
            problem
        })
}

/// Reads of steps that are not earlier: neither listed before nor needed.
fn reads(placed: &Placed, steps: &[Placed], known: &BTreeSet<&str>) -> Vec<Problem> {
    let before: BTreeSet<&str> = steps
        .iter()
        .take_while(|other| other.path != placed.path)
        .map(|other| other.step.id.as_str())
        .collect();
    let needed = ancestors(&placed.step.id, steps);
    let mut problems = Vec::new();
    for read in &placed.reads {
        let id = read.step.as_str();
        if before.contains(id) || needed.contains(id) {
            continue;
        }
        let (message, hint) = if known.contains(id) {
            (
                format!(
                    "step `{}` reads `{id}`, which is not an earlier step",
                    placed.step.id
                ),
                Some(format!("put `{id}` before it, or in its `needs`")),
            )
        } else {
            (
                format!("step `{}` reads `{id}`, which is no step", placed.step.id),
                suggest::hint(id, known.iter().copied()),
            )
        };
        let mut problem = Problem::new(&codes::PIPELINE_WHEN, read.path.clone(), message);
        problem.hint = hint;
        problems.push(problem);
    }
    problems
}

/// Every step that `id` needs, directly or not; not itself.
fn ancestors<'a>(id: &str, steps: &'a [Placed]) -> BTreeSet<&'a str> {
    let of = |id: &str| steps.iter().find(|placed| placed.step.id == id);
    let mut found = BTreeSet::new();
    let mut open: Vec<&Placed> = of(id).into_iter().collect();
    while let Some(placed) = open.pop() {
        for need in &placed.step.needs {
            if need != id && found.insert(need.as_str()) {
                open.extend(of(need));
            }
        }
    }
    found
}

fn dependencies(steps: &[Placed]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for placed in steps {
        let needs = placed.step.needs.iter().map(String::as_str);
        edges.entry(&placed.step.id).or_default().extend(needs);
    }
    edges
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::pipeline::placed;

    fn ids(steps: &[Placed]) -> Vec<(String, Path)> {
        let id = |placed: &Placed| (placed.step.id.clone(), placed.path.key("id"));
        steps.iter().map(id).collect()
    }

    #[test]
    fn needs_are_known_and_without_a_circle() {
        let steps = placed(json!([
            { "id": "a", "role": "Monitor", "needs": ["b", "x"] },
            { "id": "b", "role": "Monitor", "needs": ["a"] },
            { "id": "b", "role": "Monitor" },
        ]));
        let found: Vec<String> = order(&steps, &ids(&steps))
            .into_iter()
            .map(|p| p.path.0)
            .collect();
        assert_eq!(found, ["steps[2].id", "steps[0].needs[1]", "steps[0].id"]);
    }
}
