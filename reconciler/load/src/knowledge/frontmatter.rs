//! The frontmatter of a node: its form, its keys, its values.

use serde::Deserialize as _;
use serde_json::Value;
use stratum_core::finding::Finding;
use stratum_core::finding::codes::{
    FRONTMATTER, KNOWLEDGE_EXECUTION, KNOWLEDGE_ID, KNOWLEDGE_KEY, KNOWLEDGE_RELATION,
    KNOWLEDGE_STATUS,
};
use stratum_core::kinds::knowledge::{
    Node, NodeType, Relation, RelationType, Scope, Status, day, keys, mandatory,
};
use stratum_core::source::Source;
use stratum_core::suggest;

use crate::document::{Document, Item, yaml};
use crate::pipeline::glob;
use crate::shape::Shape;

/// The frontmatter, and the body with the number of lines before it.
pub(super) fn read<'a>(path: &str, text: &'a str) -> Result<(Document, (&'a str, u32)), Finding> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some((front, body, lines)) = split(text) else {
        let finding = Finding::error(&FRONTMATTER, "the file has no frontmatter");
        let hint = "begin the file with `---`, the keys `id`, `type` and `title`, and `---`";
        return Err(finding.at(Source::start_of(path)).hint(hint));
    };
    let document = yaml(path, front, 1).map_err(|fault| {
        let finding = Finding::error(&FRONTMATTER, format!("not YAML: {}", fault.message));
        finding
            .at(fault.source)
            .hint("mend the syntax here; a text with `: ` or `#` stands in quotes")
    })?;
    if !document.root().value.is_object() {
        let finding = Finding::error(&FRONTMATTER, "the frontmatter has no keys");
        return Err(finding
            .at(document.root().source())
            .hint("write `id`, `type` and `title`"));
    }
    Ok((document, (body, lines)))
}

/// The text between the two lines `---`, the rest, and the number of lines before the rest.
fn split(text: &str) -> Option<(&str, &str, u32)> {
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().filter(|line| line.trim_end() == "---")?;
    let mut end = first.len();
    for (number, line) in lines.enumerate() {
        let next = end + line.len();
        if line.trim_end() == "---" {
            let count = u32::try_from(number).ok()?.checked_add(2)?;
            return Some((text.get(first.len()..end)?, text.get(next..)?, count));
        }
        end = next;
    }
    None
}

/// Checks the keys and values; the node when its form is right.
pub(super) fn check(document: &Document, findings: &mut Vec<Finding>) -> Option<Node> {
    let root = document.root();
    let mut found = Vec::new();
    id(&root, &mut found);
    let kind = kind(&root, &mut found);
    all_keys(&root, kind, &mut found);
    values(&root, &mut found);
    status(&root, &mut found);
    relations(&root, &mut found);
    let node = node(&root);
    if let Some(problem) = node.as_ref().and_then(mandatory) {
        let source = document.source(&problem.path);
        found.push(problem.at(source));
    }
    findings.extend(found);
    node.filter(|node| node.r#type != NodeType::Execution)
}

/// The node without the values that are wrong, which have findings of their own: it still has a
/// place among the others.
fn node(root: &Item<'_>) -> Option<Node> {
    let mut record = root.value.as_object()?.clone();
    if let Some(Value::Array(relations)) = record.get_mut("relations") {
        relations.retain(|relation| Relation::deserialize(relation).is_ok());
    }
    let mut kept = serde_json::Map::new();
    for key in ["id", "type", "title"] {
        kept.insert(key.to_owned(), record.remove(key)?);
    }
    for (key, value) in record.into_iter().filter(|(_, value)| !value.is_null()) {
        kept.insert(key.clone(), value);
        if Node::deserialize(&Value::Object(kept.clone())).is_err() {
            kept.remove(&key);
        }
    }
    Node::deserialize(&Value::Object(kept)).ok()
}

/// The id that a file with broken frontmatter probably has.
pub(super) fn guess(text: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix("id:"));
    line.unwrap_or_default()
        .trim()
        .trim_matches(['"', '\''])
        .to_owned()
}

fn id(root: &Item<'_>, found: &mut Vec<Finding>) {
    let mut shape = Shape::new(&KNOWLEDGE_ID, found);
    if root.get("id").is_none() {
        let hint = "add a line like `id: adr-0007`; it stays when the file moves".to_owned();
        shape.error(
            root.source(),
            "the frontmatter has no `id`".to_owned(),
            Some(hint),
        );
        return;
    }
    if let Some((id, text)) = shape.text(root, "id") {
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !text.chars().all(letters) || text.len() > 128 {
            let hint = "letters, digits, `-`, `_` and `.`, 128 at most: `adr-0007`".to_owned();
            shape.error(
                id.source(),
                format!("`{text}` cannot be a knowledge id"),
                Some(hint),
            );
        }
    }
}

fn kind(root: &Item<'_>, found: &mut Vec<Finding>) -> Option<NodeType> {
    let mut shape = Shape::new(&KNOWLEDGE_KEY, found);
    shape.one_of(root, "type", &NodeType::NAMES)?;
    let item = root.get("type")?;
    let kind = item.typed()?;
    if kind == NodeType::Execution {
        let message = "a node of type `execution` is written by stratum alone".to_owned();
        let hint = "write a `journal` or a `note`; stratum's own records lie on the records branch";
        Shape::new(&KNOWLEDGE_EXECUTION, found).error(
            item.source(),
            message,
            Some(hint.to_owned()),
        );
    }
    Some(kind)
}

/// Keys that are missing, and those that the type does not have.
fn all_keys(root: &Item<'_>, kind: Option<NodeType>, found: &mut Vec<Finding>) {
    let mut shape = Shape::new(&KNOWLEDGE_KEY, found);
    let (required, optional) = match kind {
        Some(NodeType::Execution) => return,
        Some(kind) => keys(kind),
        None => (vec!["id", "type", "title"], every()),
    };
    // A missing id has a finding of its own.
    let required_here: Vec<&str> = required
        .iter()
        .copied()
        .filter(|key| *key != "id")
        .collect();
    let optional: Vec<&str> = optional.into_iter().chain(["id"]).collect();
    let what = kind.map_or_else(
        || "knowledge node".to_owned(),
        |kind| kind.name().to_owned(),
    );
    shape.keys(root, &what, &required_here, &optional);
}

/// The keys that some type has.
fn every() -> Vec<&'static str> {
    let types = [
        NodeType::Decision,
        NodeType::Guideline,
        NodeType::Pattern,
        NodeType::Journal,
    ];
    let mut all: Vec<&str> = types
        .iter()
        .flat_map(|kind| keys(*kind).0.into_iter().chain(keys(*kind).1))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The form of the values.
fn values(root: &Item<'_>, found: &mut Vec<Finding>) {
    let mut shape = Shape::new(&FRONTMATTER, found);
    shape.text(root, "title");
    shape.texts(root, "tags");
    shape.one_of(root, "scope", &Scope::NAMES);
    shape.whole(root, "priority", 0);
    shape.truth(root, "mandatory");
    if let Some((date, text)) = shape.text(root, "date")
        && day(text).is_none()
    {
        shape.wrong(&date, "date", "a day like `2026-11-24`");
    }
    for (item, text) in shape.texts(root, "applies_to") {
        glob(&mut shape, &item, text);
    }
}

fn status(root: &Item<'_>, found: &mut Vec<Finding>) {
    if root.text("type").is_none_or(|kind| kind == "decision") {
        Shape::new(&KNOWLEDGE_STATUS, found).one_of(root, "status", &Status::NAMES);
    }
}

fn relations(root: &Item<'_>, found: &mut Vec<Finding>) {
    let relations = Shape::new(&FRONTMATTER, found).list(root, "relations");
    for relation in relations {
        let mut shape = Shape::new(&KNOWLEDGE_RELATION, found);
        if !shape.keys(&relation, "relation", &["type", "to"], &[]) {
            continue;
        }
        shape.text(&relation, "to");
        if let Some((item, text)) = shape.text(&relation, "type")
            && !RelationType::NAMES.contains(&text)
        {
            let hint = suggest::hint(text, RelationType::NAMES);
            shape.error(
                item.source(),
                format!("`{text}` is not a known relation"),
                hint,
            );
        }
    }
}
