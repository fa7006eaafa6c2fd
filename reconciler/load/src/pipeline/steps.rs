//! Steps: the files, tools, groups and other steps they name.

use std::collections::{BTreeMap, BTreeSet};

use stratum_core::finding::{Finding, codes};
use stratum_core::kinds::pipeline::Placed;
use stratum_core::ports::TreeError;
use stratum_core::source::Source;
use stratum_core::suggest;
use stratum_core::value::Path;

use super::reads::reads;
use super::schema::Schemas;
use super::shape::STEPS;
use crate::agents::{self, Agents};
use crate::document::{Item, place};
use crate::reading::Reading;
use crate::shape::Shape;

fn steps<'a>(root: &Item<'a>) -> impl Iterator<Item = Item<'a>> {
    root.get("steps")
        .into_iter()
        .flat_map(|steps| steps.items().take(STEPS).collect::<Vec<_>>())
}

/// The prompts and schemas that the steps name, which must be there; schemas are read.
pub(super) fn files(
    root: &Item<'_>,
    schemas: &mut Schemas,
    reading: &mut Reading<'_>,
) -> Result<BTreeSet<String>, TreeError> {
    let mut files = BTreeSet::new();
    for step in steps(root) {
        let prompt = step.get("prompt");
        let schema = step.get("output").and_then(|output| output.get("schema"));
        for item in prompt.into_iter().chain(schema.clone()) {
            if let Some(path) = item.value.as_str()
                && named(&item, path, reading)?
            {
                files.insert(path.to_owned());
            }
        }
        if let Some(path) = schema.and_then(|schema| schema.value.as_str())
            && files.contains(path)
            && !schemas.0.contains_key(path)
            && let Some(text) = reading.text(path)?
        {
            read_schema(path, &text, schemas, reading);
        }
    }
    Ok(files)
}

/// Whether the file that `item` names is in the tree; notes it if not.
fn named(item: &Item<'_>, path: &str, reading: &mut Reading<'_>) -> Result<bool, TreeError> {
    if reading.is_file(path)? {
        return Ok(true);
    }
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let around = reading.tree().list(folder)?;
    let hint = suggest::suggest(name, around.iter().map(|entry| entry.name.as_str())).map_or_else(
        || "paths begin at the top of the repository; add the file, or mend the path".to_owned(),
        |near| {
            format!(
                "did you mean `{}`?",
                if folder.is_empty() {
                    near.to_owned()
                } else {
                    format!("{folder}/{near}")
                }
            )
        },
    );
    let finding = Finding::error(&codes::PIPELINE_FILE, format!("there is no file `{path}`"));
    reading.note(finding.at(item.source()).hint(hint));
    Ok(false)
}

fn read_schema(path: &str, text: &str, schemas: &mut Schemas, reading: &mut Reading<'_>) {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(schema) if schema.is_object() => {
            schemas.0.insert(path.to_owned(), schema);
        }
        Ok(_) => {
            let finding = Finding::error(
                &codes::PIPELINE_FILE,
                format!("`{path}` is not a JSON Schema"),
            );
            reading.note(
                finding
                    .at(place(path, text, 0))
                    .hint("write an object with `type` and `properties`"),
            );
        }
        Err(error) => {
            let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).max(1);
            let source = Source::new(path, number(error.line()), number(error.column()));
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            let finding = Finding::error(
                &codes::PIPELINE_FILE,
                format!("`{path}` is not JSON: {reason}"),
            );
            reading.note(finding.at(source).hint("mend the JSON Schema here"));
        }
    }
}

/// The steps whose form is right, with what they read, and the ids of all.
pub(super) fn placed(
    root: &Item<'_>,
    schemas: &Schemas,
    reading: &mut Reading<'_>,
) -> (Vec<Placed>, Vec<(String, Path)>) {
    let items: Vec<Item<'_>> = steps(root).collect();
    let id = |item: &Item<'_>| Some((item.text("id")?.to_owned(), item.path.key("id")));
    let ids = items.iter().filter_map(id).collect();
    let mut schema_of: BTreeMap<&str, &str> = BTreeMap::new();
    for item in &items {
        let schema = item.get("output").and_then(|output| output.text("schema"));
        if let (Some(id), Some(schema)) = (item.text("id"), schema) {
            schema_of.insert(id, schema);
        }
    }
    let mut placed = Vec::new();
    for item in &items {
        let reads = reads(
            item,
            schemas,
            &|id| schema_of.get(id).copied(),
            &mut reading.findings,
        );
        if let Some(step) = item.typed() {
            placed.push(Placed {
                path: item.path.clone(),
                step,
                reads,
            });
        }
    }
    (placed, ids)
}

/// Tools, groups and roles that nothing defines.
pub(super) fn names(root: &Item<'_>, agents: &Agents, findings: &mut Vec<Finding>) {
    for step in steps(root).filter(|_| !agents.unread) {
        for item in step.get("tools").iter().flat_map(Item::items) {
            name(
                &item,
                "tool",
                &agents.tools,
                "add it to a tool server in `agents.ncl`",
                findings,
            );
        }
        if let Some(by) = step.get("approval").and_then(|approval| approval.get("by")) {
            name(
                &by,
                "group",
                &agents.groups,
                "add it to `trust/groups.toml`, or to `groups` in `agents.ncl`",
                findings,
            );
        }
        role(&step, agents, findings);
    }
}

fn name(
    item: &Item<'_>,
    what: &str,
    known: &BTreeSet<String>,
    otherwise: &str,
    findings: &mut Vec<Finding>,
) {
    let Some(text) = item.value.as_str().filter(|text| !known.contains(*text)) else {
        return;
    };
    let near = suggest::hint(text, known.iter().map(String::as_str));
    let hint = near.unwrap_or_else(|| otherwise.to_owned());
    let mut shape = Shape::new(&codes::PIPELINE_NAME, findings);
    shape.error(
        item.source(),
        format!("there is no {what} `{text}`"),
        Some(hint),
    );
}

/// Warns of a step whose role has no model, so that it could not run.
fn role(step: &Item<'_>, agents: &Agents, findings: &mut Vec<Finding>) {
    let (Some(item), Some(role)) = (step.get("role"), step.text("role")) else {
        return;
    };
    let has_model = agents
        .roles
        .as_ref()
        .is_some_and(|roles| roles.contains(role));
    if !has_model && stratum_core::kinds::pipeline::Role::NAMES.contains(&role) {
        let message = format!("role `{role}` has no model, so the step could not run");
        let hint = format!("name its models under `roles` in `{}`", agents::FILE);
        let finding = Finding::warning(&codes::PIPELINE_NAME, message);
        findings.push(finding.at(item.source()).hint(hint));
    }
}
