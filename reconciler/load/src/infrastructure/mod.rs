//! The infrastructure of one environment: each file by itself, merged here.

mod attributes;
mod merge;
mod resource;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use stratum_core::desired::Closure;
use stratum_core::finding::{Finding, any_error, codes};
use stratum_core::ids::{Address, EnvironmentName, TypeName};
use stratum_core::ports::{Complaint, LoadError, ProviderSchema, Tree, TreeError};
use stratum_core::resource::{Meta, Resource};
use stratum_core::source::Source;
use stratum_core::value::Record;

use crate::evaluate::budget::Spent;
use crate::evaluate::{Evaluator, Output};

pub(crate) use resource::Types;

/// What a provider says about the attributes and the settings of a resource before anything is done.
pub type Validate = Arc<dyn Fn(&TypeName, &Record, &Meta) -> Vec<Complaint> + Send + Sync>;

/// Above this many pieces of one record, a file is told that its form is slow.
const MANY_PIECES: usize = 300;

/// The infrastructure of one environment.
#[derive(Debug, Default)]
pub(crate) struct Infrastructure {
    /// The resources by address.
    pub(crate) resources: BTreeMap<Address, Resource>,
    /// What was read.
    pub(crate) closure: Closure,
    /// What was noticed.
    pub(crate) findings: Vec<Finding>,
    /// There was at least one file.
    pub(crate) present: bool,
}

/// The paths of the files of an environment, and the objects that say there are no others.
pub(crate) fn files(
    tree: &dyn Tree,
    environment: &EnvironmentName,
) -> Result<(Vec<String>, Closure), TreeError> {
    let folder = format!("infra/{environment}");
    let single = format!("{folder}.ncl");
    let mut objects = Closure::default();
    let mut paths = Vec::new();
    for path in [&folder, &single] {
        let id = tree.entry(path)?.map(|entry| entry.id);
        if id.is_some() && path == &single {
            paths.push(single.clone());
        }
        objects.0.insert(path.clone(), id);
    }
    for entry in tree.list(&folder)? {
        if entry.name.ends_with(".ncl") {
            paths.push(format!("{folder}/{}", entry.name));
        }
    }
    Ok((paths, objects))
}

/// Reads, merges and checks the infrastructure of one environment, whose relative paths lie in
/// `root` where the settings say so.
pub(crate) fn load(
    evaluator: &Evaluator<'_>,
    schemas: &[ProviderSchema],
    validate: &Validate,
    environment: &EnvironmentName,
    root: Option<&str>,
) -> Result<Infrastructure, LoadError> {
    let (paths, closure) = files(evaluator.tree(), environment)?;
    let mut found = Infrastructure {
        closure,
        present: !paths.is_empty(),
        ..Default::default()
    };
    if paths.len() > evaluator.budget().bounds().files {
        let folder = format!("infra/{environment}");
        let over = evaluator.budget().finding(Spent::Files, &folder);
        found.findings.extend(over);
        return Ok(found);
    }
    let types = resource::types(schemas);
    let mut whole = true;
    for (path, output) in paths.iter().zip(evaluate(evaluator, &paths)?) {
        let Output {
            value,
            files,
            closure,
            pieces,
            findings,
        } = output;
        found.closure.0.extend(closure.0);
        let sound = !any_error(&findings);
        whole &= sound;
        found.findings.extend(findings);
        found.findings.extend(slow_forms(path, &pieces));
        let Some(node) = value else {
            continue;
        };
        let places = crate::evaluate::node::Places(&files);
        let reader = resource::Reader {
            types: &types,
            places,
            validate,
            environment,
            path,
            sound,
        };
        let read = reader.read(&node);
        found.findings.extend(read.findings);
        merge::add(read.resources, &mut found.resources, &mut found.findings);
    }
    if whole {
        found
            .findings
            .extend(merge::cross_check(&found.resources, &types, root));
    }
    Ok(found)
}

/// Evaluates files in parallel, as many at a time as there are children.
fn evaluate(evaluator: &Evaluator<'_>, paths: &[String]) -> Result<Vec<Output>, LoadError> {
    if let [path] = paths {
        return Ok(vec![evaluator.output(path, true)?]);
    }
    let next = AtomicUsize::new(0);
    let outputs: Mutex<BTreeMap<usize, Result<Output, LoadError>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..evaluator.width().min(paths.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = paths.get(index) else {
                        return;
                    };
                    let output = evaluator.output(path, true);
                    outputs
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(index, output);
                }
            });
        }
    });
    outputs
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_values()
        .collect()
}

fn slow_forms(path: &str, pieces: &BTreeMap<String, (usize, (u32, u32))>) -> Vec<Finding> {
    pieces
        .iter()
        .filter(|(_, (count, _))| *count > MANY_PIECES)
        .map(|(name, (count, (line, column)))| {
            let message = format!(
                "`{name}.x = ...` stands {count} times; its cost grows with the square of that"
            );
            Finding::warning(&codes::QUADRATIC, message)
                .at(Source::new(path, *line, *column))
                .hint(format!(
                    "write them together: `{name} = {{ x = ..., y = ... }}`"
                ))
        })
        .collect()
}
