//! Knowledge nodes: frontmatter, relations, links; checked as the design page kinds.md says.

mod frontmatter;
mod links;
mod markdown;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use stratum_core::digest::Digest;
use stratum_core::finding::{Finding, codes};
use stratum_core::kinds::Kind;
use stratum_core::kinds::knowledge::{Node, PlacedNode, graph};
use stratum_core::ports::TreeError;
use stratum_core::source::Source;
use stratum_core::value::{Record, Value};

use crate::document::Document;
use crate::reading::Reading;
use crate::registry::Entry;

/// The folder.
pub(crate) const FOLDER: &str = "knowledge";

/// Whether `path` is that of a knowledge node. A `README.md` is a page about its folder.
pub(crate) fn is_node(path: &str) -> bool {
    path.ends_with(".md") && path.rsplit('/').next() != Some("README.md")
}

/// A file with frontmatter.
struct File {
    path: String,
    document: Document,
    body: markdown::Body,
    digest: Digest,
    node: Option<Node>,
}

/// The ids of the nodes, with the file and the place of each.
type Ids = BTreeMap<String, Source>;

/// Reads and checks every node.
pub(crate) fn knowledge(reading: &mut Reading<'_>) -> Result<Vec<Entry>, TreeError> {
    let mut files = Vec::new();
    let mut unread = Vec::new();
    for path in reading.below(FOLDER, &is_node)? {
        let Some(text) = reading.text(&path)? else {
            continue;
        };
        match file(&path, &text, reading) {
            Some(file) => files.push(file),
            None => unread.push(frontmatter::guess(&text)),
        }
    }
    let ids = ids(&files, &mut reading.findings);
    relations(&files, &ids, &unread, &mut reading.findings);
    let nodes: BTreeMap<String, String> = ids
        .iter()
        .map(|(id, source)| (id.clone(), source.file.clone()))
        .collect();
    let bodies = files.iter().map(|file| (file.path.as_str(), &file.body));
    let mut bodies = links::Bodies::of(bodies.collect());
    for file in &files {
        links::links(&file.path, &file.body, &mut bodies, &nodes, reading)?;
    }
    Ok(files.iter().filter_map(entry).collect())
}

fn file(path: &str, text: &str, reading: &mut Reading<'_>) -> Option<File> {
    let (document, body) = match frontmatter::read(path, text) {
        Ok(read) => read,
        Err(finding) => {
            reading.note(finding);
            return None;
        }
    };
    let node = frontmatter::check(&document, &mut reading.findings);
    let digest = Digest::of_bytes(text.as_bytes());
    let body = markdown::read(body.0, body.1);
    Some(File {
        path: path.to_owned(),
        document,
        body,
        digest,
        node,
    })
}

/// The ids of all files; a repeated one is a finding at the later file.
fn ids(files: &[File], findings: &mut Vec<Finding>) -> Ids {
    let mut ids = Ids::new();
    for file in files {
        let root = file.document.root();
        let (Some(id), Some(item)) = (root.text("id"), root.get("id")) else {
            continue;
        };
        if let Some(first) = ids.get(id) {
            let message = format!("knowledge id `{id}` is used twice");
            let finding = Finding::error(&codes::KNOWLEDGE_ID, message).at(item.source());
            findings.push(finding.hint(format!("{first} has it already: choose another id")));
        } else {
            ids.insert(id.to_owned(), item.source());
        }
    }
    ids
}

/// What `core` finds in the relations of all nodes.
///
/// *Shape*: `unread` has the ids of files whose frontmatter could not be read, as far as they can
/// be guessed, so that one broken file does not make findings in others.
fn relations(files: &[File], ids: &Ids, unread: &[String], findings: &mut Vec<Finding>) {
    // A node without an id may be the one that others name.
    let has_id = |file: &File| file.document.root().text("id").is_some();
    let nameless = unread.iter().any(String::is_empty) || !files.iter().all(has_id);
    let files: Vec<&File> = files.iter().filter(|file| file.node.is_some()).collect();
    let placed = |file: &&File| {
        let node = file.node.clone()?;
        Some(PlacedNode {
            file: file.path.clone(),
            node,
        })
    };
    let nodes: Vec<PlacedNode> = files.iter().filter_map(placed).collect();
    let mut known: BTreeSet<String> = ids.keys().chain(unread).cloned().collect();
    if nameless {
        let named = nodes.iter().flat_map(|placed| &placed.node.relations);
        known.extend(named.map(|relation| relation.to.clone()));
    }
    for (index, problem) in graph(&nodes, &known) {
        // What a file that cannot be read supersedes is not known.
        let unsure = (nameless || !unread.is_empty()) && problem.code == codes::KNOWLEDGE_STATUS;
        if let Some(file) = files.get(index).filter(|_| !unsure) {
            let source = file.document.source(&problem.path);
            findings.push(problem.at(source));
        }
    }
}

fn entry(file: &File) -> Option<Entry> {
    let node = file.node.as_ref()?;
    let mut attributes = Record::from([
        ("digest".to_owned(), Value::text(file.digest.to_string())),
        ("title".to_owned(), Value::text(&node.title)),
        ("path".to_owned(), Value::text(&file.path)),
    ]);
    for key in ["status", "date"] {
        if let Some(text) = file.document.root().text(key) {
            attributes.insert(key.to_owned(), Value::text(text));
        }
    }
    let source = file
        .document
        .root()
        .get("id")
        .map_or_else(|| file.document.root().source(), |id| id.source());
    Some(Entry {
        kind: Kind::Knowledge,
        r#type: node.r#type.name(),
        name: node.id.clone(),
        attributes,
        source,
    })
}
