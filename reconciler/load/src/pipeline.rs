//! Pipelines: what a person wrote, checked as the design page kinds.md says.

mod network;
mod reads;
mod schema;
mod shape;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use stratum_core::kinds::pipeline::{Pipeline, Placed, order, taint};
use stratum_core::ports::TreeError;
use stratum_core::value::Path;

use crate::agents::Agents;
use crate::document::{Document, Item};
use crate::reading::Reading;
use schema::Schemas;
pub(crate) use shape::glob;

/// What pipelines may name.
pub(crate) struct World<'a> {
    /// What `agents.ncl` defines.
    pub(crate) agents: &'a Agents,
    /// The names of the environments.
    pub(crate) environments: BTreeSet<&'a str>,
}

/// A pipeline that was read.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Its name.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) intent: String,
    /// The files it names.
    pub(crate) files: BTreeSet<String>,
    /// Whether its form is right.
    pub(crate) sound: bool,
}

/// Checks one pipeline. `None` when it has no name to be known by.
pub(crate) fn pipeline(
    document: &Document,
    world: &World<'_>,
    reading: &mut Reading<'_>,
) -> Result<Option<Read>, TreeError> {
    let root = document.root();
    shape::pipeline(&root, world, &mut reading.findings);
    let mut schemas = Schemas::default();
    let files = steps::files(&root, &mut schemas, reading)?;
    let (placed, ids) = steps::placed(&root, &schemas, reading);
    steps::names(&root, world.agents, &mut reading.findings);
    let network: Vec<String> = root
        .get("network")
        .and_then(|hosts| hosts.typed())
        .unwrap_or_default();
    check(document, &placed, &ids, &network, &schemas, reading);
    Ok(read(&root, files))
}

/// The checks that `core` does on typed steps.
fn check(
    document: &Document,
    placed: &[Placed],
    ids: &[(String, Path)],
    network: &[String],
    schemas: &Schemas,
    reading: &mut Reading<'_>,
) {
    let closed = |file: &str, field: &[String]| schemas.closed(file, field);
    let problems = order(placed, ids)
        .into_iter()
        .chain(taint(placed, network, &closed));
    for problem in problems {
        let source = document.source(&problem.path);
        reading.note(problem.at(source));
    }
}

fn read(root: &Item<'_>, files: BTreeSet<String>) -> Option<Read> {
    let name = root.text("name")?.to_owned();
    let intent = root.text("intent").unwrap_or(&name).to_owned();
    Some(Read {
        name,
        intent,
        files,
        sound: root.typed::<Pipeline>().is_some(),
    })
}
