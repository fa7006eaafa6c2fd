//! Links of a body: whether they lead to something that is in the tree.

use std::collections::{BTreeMap, BTreeSet};

use stratum_core::finding::Finding;
use stratum_core::finding::codes::{KNOWLEDGE_LINK, KNOWLEDGE_WIKI};
use stratum_core::ports::{TreeError, TreeKind};
use stratum_core::source::Source;
use stratum_core::suggest;

use super::markdown::{self, Body};
use crate::reading::{Reading, resolve};

/// The most broken links of one file that are told.
const MOST: usize = 50;

/// The bodies of all nodes by path, and those of other files that links lead to.
pub(super) struct Bodies<'a> {
    nodes: BTreeMap<&'a str, &'a Body>,
    others: BTreeMap<String, Body>,
}

impl<'a> Bodies<'a> {
    /// Those of the nodes.
    pub(super) fn of(nodes: BTreeMap<&'a str, &'a Body>) -> Self {
        Self {
            nodes,
            others: BTreeMap::new(),
        }
    }

    /// The anchors of the markdown file at `path`, which is read once.
    fn anchors(
        &mut self,
        path: &str,
        reading: &mut Reading<'_>,
    ) -> Result<&BTreeSet<String>, TreeError> {
        if let Some(body) = self.nodes.get(path) {
            return Ok(&body.anchors);
        }
        if !self.others.contains_key(path) {
            let text = reading.text(path)?.unwrap_or_default();
            self.others
                .insert(path.to_owned(), markdown::read(&text, 0));
        }
        static NONE: BTreeSet<String> = BTreeSet::new();
        Ok(self.others.get(path).map_or(&NONE, |body| &body.anchors))
    }
}

/// Checks every link of the file at `path`. `nodes` has the path of every node by id.
pub(super) fn links(
    path: &str,
    body: &Body,
    bodies: &mut Bodies<'_>,
    nodes: &BTreeMap<String, String>,
    reading: &mut Reading<'_>,
) -> Result<(), TreeError> {
    let before = reading.findings.len();
    for (spot, to) in body.links.iter().filter(|(_, to)| !is_outside(to)) {
        let source = spot.in_file(path);
        if reading.findings.len() >= before + MOST {
            let message = "more links follow, which were not looked at";
            let finding = Finding::error(&KNOWLEDGE_LINK, message).at(source);
            reading.note(finding.hint("mend the links above first"));
            break;
        }
        let link = Link { path, source, to };
        link.check(bodies, reading)?;
    }
    // A broken one is always told; the advice about the others is not repeated forever.
    for (index, (spot, id)) in body.wiki.iter().enumerate() {
        let finding = wiki(path, spot.in_file(path), id, nodes);
        if finding.is_error() || index < MOST {
            reading.note(finding);
        }
    }
    Ok(())
}

/// Whether a link leads out of the repository, where nobody looks.
fn is_outside(to: &str) -> bool {
    let scheme = to.split_once(':').is_some_and(|(scheme, _)| {
        scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
            && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
    });
    scheme || to.starts_with("//")
}

fn wiki(path: &str, source: Source, id: &str, nodes: &BTreeMap<String, String>) -> Finding {
    match nodes.get(id) {
        Some(target) => Finding::warning(
            &KNOWLEDGE_WIKI,
            format!("`[[{id}]]` is followed by few other tools"),
        )
        .at(source)
        .hint(format!("write `[{id}]({})`", relative(path, target))),
        None => {
            let message = format!("`[[{id}]]` names no knowledge node");
            let finding = Finding::error(&KNOWLEDGE_LINK, message).at(source);
            let hint = suggest::suggest(id, nodes.keys().map(String::as_str));
            finding.hint(hint.map_or_else(
                || "write the id of a node, or a relative link".to_owned(),
                |near| format!("did you mean `[[{near}]]`?"),
            ))
        }
    }
}

/// The relative link from the file `from` to the file `to`.
fn relative(from: &str, to: &str) -> String {
    let folders: Vec<&str> = from.split('/').collect();
    let folders = folders.split_last().map_or(&[][..], |(_, folders)| folders);
    let parts: Vec<&str> = to.split('/').collect();
    let same = folders
        .iter()
        .zip(&parts)
        .take_while(|(a, b)| a == b)
        .count();
    let up = std::iter::repeat_n("..", folders.len() - same);
    up.chain(parts.into_iter().skip(same))
        .collect::<Vec<_>>()
        .join("/")
}

struct Link<'a> {
    path: &'a str,
    source: Source,
    to: &'a str,
}

impl Link<'_> {
    fn check(&self, bodies: &mut Bodies<'_>, reading: &mut Reading<'_>) -> Result<(), TreeError> {
        let (file, anchor) = self
            .to
            .split_once('#')
            .map_or((self.to, None), |(file, anchor)| (file, Some(anchor)));
        let file = decode(file.split('?').next().unwrap_or(file));
        let Some(target) = (if file.is_empty() {
            Some(self.path.to_owned())
        } else {
            resolve(self.path, &file)
        }) else {
            reading.note(self.broken(
                "the link leads out of the repository",
                "link to a file in the repository, or to a whole URL",
            ));
            return Ok(());
        };
        let kind = if target.is_empty() {
            Some(TreeKind::Folder)
        } else {
            reading.entry(&target)?.map(|entry| entry.kind)
        };
        match (kind, anchor) {
            (None, _) => self.missing(&target, reading)?,
            (Some(TreeKind::File | TreeKind::Executable), Some(anchor))
                if target.ends_with(".md") =>
            {
                let anchors = bodies.anchors(&target, reading)?;
                let finding = self.anchor(&target, &decode(anchor), anchors);
                reading.findings.extend(finding);
            }
            (Some(_), _) => {}
        }
        Ok(())
    }

    fn missing(&self, target: &str, reading: &mut Reading<'_>) -> Result<(), TreeError> {
        let (folder, name) = target.rsplit_once('/').unwrap_or(("", target));
        let around = reading.tree().list(folder)?;
        let near = suggest::suggest(name, around.iter().map(|entry| entry.name.as_str()));
        let hint = near.map_or_else(
            || "links are relative to the file they stand in".to_owned(),
            |near| {
                let near = if folder.is_empty() {
                    near.to_owned()
                } else {
                    format!("{folder}/{near}")
                };
                format!("did you mean `{}`?", relative(self.path, &near))
            },
        );
        reading.note(self.broken(&format!("there is no file `{target}`"), &hint));
        Ok(())
    }

    fn anchor(&self, target: &str, anchor: &str, anchors: &BTreeSet<String>) -> Option<Finding> {
        // GitHub compares without case, and marks lines of the source as `L10`.
        let lower = anchor.to_lowercase();
        let line = lower
            .strip_prefix('l')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if anchor.is_empty() || line || anchors.contains(&lower) {
            return None;
        }
        let hint = suggest::hint(&lower, anchors.iter().map(String::as_str));
        let hint = hint.unwrap_or_else(|| format!("no heading of `{target}` gives it"));
        Some(self.broken(&format!("`{target}` has no anchor `#{anchor}`"), &hint))
    }

    fn broken(&self, message: &str, hint: &str) -> Finding {
        Finding::error(&KNOWLEDGE_LINK, message)
            .at(self.source.clone())
            .hint(hint)
    }
}

/// Percent-encoded text in the clear; what is not encoded rightly stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .filter(|_| *byte == b'%')
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_made_relative_and_decoded() {
        assert_eq!(
            relative("knowledge/a/b.md", "knowledge/c/d.md"),
            "../c/d.md"
        );
        assert_eq!(relative("knowledge/a/b.md", "knowledge/a/c.md"), "c.md");
        assert_eq!(decode("a%20b%C3%A9%zz"), "a bé%zz");
        assert!(
            is_outside("mailto:a@b")
                && is_outside("//x")
                && !is_outside("a/b:c")
                && !is_outside("a.md")
        );
    }
}
