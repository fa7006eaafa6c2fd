//! Relations between knowledge nodes: targets, circles, and the statuses of decisions.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::codes;
use crate::kinds::knowledge::{Node, NodeType, RelationType, Status};
use crate::kinds::{Problem, circles};
use crate::suggest;
use crate::value::Path;

/// A node, with the file it stands in.
#[derive(Debug, Clone)]
pub struct PlacedNode {
    /// The file.
    pub file: String,
    /// What its frontmatter says.
    pub node: Node,
}

/// The start of the ids of execution nodes. They lie on the records branch, so whether one is
/// there cannot be seen in the tree of a revision.
const EXECUTION: &str = "exec-";

/// Relations to nothing, `supersedes` in a circle or between unlike nodes, and statuses that do not
/// fit; each with the index of its node.
///
/// *Shape*: `known` has the ids of all nodes, also of those that could not be read. The first of
/// two nodes with one id counts.
pub fn graph(nodes: &[PlacedNode], known: &BTreeSet<String>) -> Vec<(usize, Problem)> {
    let mut by_id: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, placed) in nodes.iter().enumerate() {
        by_id.entry(&placed.node.id).or_insert(index);
    }
    let graph = Graph {
        nodes,
        by_id,
        known,
    };
    let mut problems = Vec::new();
    for (index, placed) in nodes.iter().enumerate() {
        problems.extend(
            graph
                .targets(&placed.node)
                .into_iter()
                .map(|problem| (index, problem)),
        );
    }
    problems.extend(graph.circles());
    problems.extend(graph.statuses());
    problems
}

struct Graph<'a> {
    nodes: &'a [PlacedNode],
    by_id: BTreeMap<&'a str, usize>,
    known: &'a BTreeSet<String>,
}

impl<'a> Graph<'a> {
    fn node(&self, id: &str) -> Option<(usize, &'a Node)> {
        let index = *self.by_id.get(id)?;
        Some((index, &self.nodes.get(index)?.node))
    }

    fn targets(&self, node: &Node) -> Vec<Problem> {
        let relations = node.relations.iter().enumerate();
        relations
            .filter_map(|(index, relation)| {
                let path = Path::of("relations").index(index).key("to");
                let problem =
                    |message: String| Problem::new(&codes::KNOWLEDGE_RELATION, path, message);
                let to = relation.to.as_str();
                if to == node.id {
                    let hint = "name another node, or take the relation out";
                    return Some(problem(format!("`{to}` names itself")).hint(hint));
                }
                if !self.known.contains(to) && !to.starts_with(EXECUTION) {
                    let mut problem = problem(format!("`{to}` is no knowledge node"));
                    problem.hint = suggest::hint(to, self.known.iter().map(String::as_str));
                    return Some(problem);
                }
                let (_, other) = self.node(to)?;
                let unlike =
                    relation.r#type == RelationType::Supersedes && other.r#type != node.r#type;
                unlike.then(|| {
                    let (mine, theirs) = (node.r#type.name(), other.r#type.name());
                    let message = format!("a {mine} cannot supersede `{to}`, which is a {theirs}");
                    problem(message).hint("write `relates_to`, or `resolves`")
                })
            })
            .collect()
    }

    fn superseded(node: &Node) -> impl Iterator<Item = (usize, &str)> {
        let relations = node.relations.iter().enumerate();
        relations
            .filter(|(_, relation)| relation.r#type == RelationType::Supersedes)
            .map(|(index, relation)| (index, relation.to.as_str()))
    }

    fn circles(&self) -> Vec<(usize, Problem)> {
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for placed in self.nodes {
            let node = &placed.node;
            let targets = Self::superseded(node)
                .map(|(_, to)| to)
                .filter(|to| *to != node.id);
            edges.entry(&node.id).or_default().extend(targets);
        }
        circles(&edges)
            .into_iter()
            .filter_map(|circle| {
                let (index, node) = self.node(circle.first()?)?;
                let next = circle.get(1)?;
                let relation = Self::superseded(node).find(|(_, to)| to == next)?.0;
                let path = Path::of("relations").index(relation).key("to");
                let message = format!("nodes supersede each other: `{}`", circle.join("` -> `"));
                let problem = Problem::new(&codes::KNOWLEDGE_RELATION, path, message);
                Some((
                    index,
                    problem.hint("only the newer one supersedes: take out the other relation"),
                ))
            })
            .collect()
    }

    /// A superseded decision has the status that says so, and only a superseded one has.
    fn statuses(&self) -> Vec<(usize, Problem)> {
        let mut successors: BTreeMap<&str, &str> = BTreeMap::new();
        for placed in self
            .nodes
            .iter()
            .filter(|p| p.node.status.is_some_and(Status::has_held))
        {
            let id = placed.node.id.as_str();
            let others = Self::superseded(&placed.node).filter(|(_, to)| *to != id);
            successors.extend(others.map(|(_, to)| (to, id)));
        }
        let decisions = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, p)| p.node.r#type == NodeType::Decision);
        decisions
            .filter_map(|(index, placed)| {
                let (id, status) = (placed.node.id.as_str(), placed.node.status?);
                let successor = successors.get(id);
                let problem = |message: String, hint: &str| {
                    let path = Path::of("status");
                    (
                        index,
                        Problem::new(&codes::KNOWLEDGE_STATUS, path, message).hint(hint),
                    )
                };
                match (successor, status == Status::Superseded) {
                    (Some(successor), false) => Some(problem(
                        format!(
                            "`{successor}` supersedes `{id}`, whose status is not `superseded`"
                        ),
                        "write `status: superseded`",
                    )),
                    (None, true) => Some(problem(
                        format!("`{id}` is superseded, but no decision that holds supersedes it"),
                        "add the relation `{ type: supersedes, to: … }` to the newer decision",
                    )),
                    (Some(_), true) | (None, false) => None,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(nodes: &[serde_json::Value]) -> Vec<String> {
        let place = |node: &serde_json::Value| PlacedNode {
            file: String::new(),
            node: serde_json::from_value(node.clone()).unwrap(),
        };
        let nodes: Vec<PlacedNode> = nodes.iter().map(place).collect();
        let known = nodes.iter().map(|placed| placed.node.id.clone()).collect();
        let problems = graph(&nodes, &known);
        problems
            .into_iter()
            .map(|(index, p)| format!("{index} {} {}", p.path, p.message))
            .collect()
    }

    fn decision(id: &str, status: &str, supersedes: &[&str]) -> serde_json::Value {
        let relations: Vec<_> = supersedes
            .iter()
            .map(|to| json!({ "type": "supersedes", "to": to }))
            .collect();
        json!({ "id": id, "type": "decision", "title": id, "status": status, "relations": relations })
    }

    #[test]
    fn a_superseded_decision_says_so() {
        assert!(
            found(&[
                decision("a", "accepted", &["b"]),
                decision("b", "superseded", &[])
            ])
            .is_empty()
        );
        assert_eq!(
            found(&[
                decision("a", "accepted", &["b"]),
                decision("b", "accepted", &[])
            ]),
            ["1 status `a` supersedes `b`, whose status is not `superseded`"]
        );
        assert_eq!(
            found(&[
                decision("a", "proposed", &["b"]),
                decision("b", "superseded", &[])
            ]),
            ["1 status `b` is superseded, but no decision that holds supersedes it"]
        );
    }

    #[test]
    fn circles_and_unknown_targets_are_found() {
        assert_eq!(
            found(&[
                decision("a", "superseded", &["b"]),
                decision("b", "superseded", &["a"])
            ]),
            ["0 relations[0].to nodes supersede each other: `a` -> `b` -> `a`"]
        );
        assert_eq!(
            found(&[decision("a", "accepted", &["c", "a", "exec-1"])]),
            [
                "0 relations[0].to `c` is no knowledge node",
                "0 relations[1].to `a` names itself"
            ]
        );
    }
}
