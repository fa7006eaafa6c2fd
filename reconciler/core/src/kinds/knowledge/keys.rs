//! Which keys the types of knowledge nodes have.

use crate::finding::codes;
use crate::kinds::Problem;
use crate::kinds::knowledge::{Node, NodeType, Scope};
use crate::value::Path;

/// The keys that every node may have.
const COMMON: [&str; 6] = ["id", "type", "title", "date", "tags", "relations"];

/// The keys that a type must have, and those that it may have.
pub fn keys(r#type: NodeType) -> (Vec<&'static str>, Vec<&'static str>) {
    let (required, own): (&[&str], &[&str]) = match r#type {
        NodeType::Decision => (&["status", "date"], &[]),
        NodeType::Guideline => (&["scope"], &["priority", "mandatory", "applies_to"]),
        NodeType::Pattern => (&[], &["applies_to"]),
        NodeType::Journal => (&["date"], &[]),
        NodeType::Note | NodeType::Execution => (&[], &[]),
    };
    let required: Vec<_> = ["id", "type", "title"]
        .iter()
        .chain(required)
        .copied()
        .collect();
    let optional = COMMON.iter().chain(own).copied();
    let optional = optional.filter(|key| !required.contains(key)).collect();
    (required, optional)
}

/// `mandatory: true` on a guideline that is not an organisation's.
pub fn mandatory(node: &Node) -> Option<Problem> {
    (node.mandatory && node.scope != Some(Scope::Org)).then(|| {
        let message = format!(
            "guideline `{}` is mandatory, but not an organisation's",
            node.id
        );
        Problem::new(&codes::KNOWLEDGE_KEY, Path::of("mandatory"), message)
            .hint("write `scope: org`, or take `mandatory` out")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_required_or_optional_never_both() {
        let (required, optional) = keys(NodeType::Decision);
        assert_eq!(required, ["id", "type", "title", "status", "date"]);
        assert_eq!(optional, ["tags", "relations"]);
    }
}
