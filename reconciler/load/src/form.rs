//! Forms: what a person wrote, checked as the design page kinds.md says.

mod choices;
mod expressions;
mod shape;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::BTreeSet;

use stratum_core::finding::codes;
use stratum_core::kinds::form::{Form, PlacedField, fields};
use stratum_core::ports::TreeError;
use stratum_core::suggest;
use stratum_core::value::Path;

use crate::document::{Document, Item, toml};
use crate::reading::Reading;
use crate::shape::Shape;

pub(crate) use texts::{Texts, texts};

/// The folder.
pub(crate) const FOLDER: &str = "forms";

/// A form that was read.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Its id.
    pub(crate) id: String,
    /// Its title, in English.
    pub(crate) title: String,
    /// The files it names.
    pub(crate) files: BTreeSet<String>,
    /// Where its id stands.
    pub(crate) source: stratum_core::source::Source,
}

/// Checks the form at `path`. `None` when it has no id to be known by.
pub(crate) fn form(
    path: &str,
    text: &str,
    texts: &Texts,
    reading: &mut Reading<'_>,
) -> Result<Option<Read>, TreeError> {
    let document = match toml(path, text, &codes::FORM_SHAPE) {
        Ok(document) => document,
        Err(findings) => {
            reading.findings.extend(findings);
            return Ok(None);
        }
    };
    let root = document.root();
    shape::form(&root, &mut reading.findings);
    let placed = placed(&root);
    check_fields(&document, &placed, reading);
    expressions::expressions(&root, &placed, &mut reading.findings);
    texts.check(&root, &mut reading.findings);
    let mut files = module(&root, reading)?;
    files.extend(choices::choices(&placed, reading)?);
    if texts.used_by(&root) {
        files.extend(texts.files.iter().cloned());
    }
    Ok(read(&root, texts, files))
}

fn read(root: &Item<'_>, texts: &Texts, files: BTreeSet<String>) -> Option<Read> {
    let id = root.get("id")?;
    root.typed::<Form>()?;
    let title = root.get("title")?;
    let fluent = || {
        title
            .text("fluent")
            .map(|id| texts.english(id).unwrap_or(id))
    };
    let title = title.value.as_str().or_else(fluent)?.to_owned();
    Some(Read {
        id: id.value.as_str()?.to_owned(),
        title,
        files,
        source: id.source(),
    })
}

/// Every field, those of groups included.
struct Placed<'a> {
    item: Item<'a>,
    grouped: bool,
}

fn placed<'a>(root: &Item<'a>) -> Vec<Placed<'a>> {
    let mut placed = Vec::new();
    let mut open: Vec<(Item<'a>, bool, u8)> = root
        .get("field")
        .iter()
        .flat_map(Item::items)
        .map(|item| (item, false, 0))
        .collect();
    open.reverse();
    while let Some((item, grouped, depth)) = open.pop() {
        let inner: Vec<_> = item.get("fields").iter().flat_map(Item::items).collect();
        if depth < 8 {
            open.extend(
                inner
                    .into_iter()
                    .rev()
                    .map(|inner| (inner, true, depth + 1)),
            );
        }
        placed.push(Placed { item, grouped });
    }
    placed
}

/// Ids, pages and what the kinds of fields need.
fn check_fields(document: &Document, placed: &[Placed<'_>], reading: &mut Reading<'_>) {
    let root = document.root();
    let pages: Vec<(String, Path)> = ids(root.get("page").iter().flat_map(Item::items));
    let mut seen = BTreeSet::new();
    for (id, path) in &pages {
        if !seen.insert(id) {
            let mut shape = Shape::new(&codes::FORM_FIELD, &mut reading.findings);
            let hint = "choose another id".to_owned();
            shape.error(
                document.source(path),
                format!("page id `{id}` is used twice"),
                Some(hint),
            );
        }
    }
    let typed: Vec<PlacedField> = placed
        .iter()
        .filter_map(|placed| {
            let field = placed.item.typed()?;
            Some(PlacedField {
                path: placed.item.path.clone(),
                field,
                grouped: placed.grouped,
            })
        })
        .collect();
    let names: Vec<String> = pages.into_iter().map(|(id, _)| id).collect();
    for problem in fields(
        &typed,
        &ids(placed.iter().map(|placed| placed.item.clone())),
        &names,
    ) {
        let source = document.source(&problem.path);
        reading.note(problem.at(source));
    }
}

fn ids<'a>(items: impl Iterator<Item = Item<'a>>) -> Vec<(String, Path)> {
    items
        .filter_map(|item| Some((item.text("id")?.to_owned(), item.path.key("id"))))
        .collect()
}

/// The module that the answers are given to, which must be there.
fn module(root: &Item<'_>, reading: &mut Reading<'_>) -> Result<BTreeSet<String>, TreeError> {
    let module = root.get("output").and_then(|output| output.get("module"));
    let mut files = BTreeSet::new();
    if let Some(item) = module
        && let Some(path) = item.value.as_str()
        && file(&item, path, reading)?
    {
        files.insert(path.to_owned());
    }
    Ok(files)
}

/// Whether the file that `item` names is in the tree; notes it if not.
fn file(item: &Item<'_>, path: &str, reading: &mut Reading<'_>) -> Result<bool, TreeError> {
    if reading.is_file(path)? {
        return Ok(true);
    }
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let around = reading.tree().list(folder)?;
    let near = suggest::suggest(name, around.iter().map(|entry| entry.name.as_str()));
    let hint = near.map_or_else(
        || "paths begin at the top of the repository; add the file, or mend the path".to_owned(),
        |near| {
            format!(
                "did you mean `{}`?",
                format!("{folder}/{near}").trim_start_matches('/')
            )
        },
    );
    let mut shape = Shape::new(&codes::FORM_FILE, &mut reading.findings);
    shape.error(
        item.source(),
        format!("there is no file `{path}`"),
        Some(hint),
    );
    Ok(false)
}
