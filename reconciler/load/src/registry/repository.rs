//! The environment `repository`: pipelines, forms, knowledge, and the secrets of agents.

use std::collections::{BTreeMap, BTreeSet};

use stratum_core::digest::Digest;
use stratum_core::finding::{Finding, codes};
use stratum_core::ids::EnvironmentName;
use stratum_core::kinds::Kind;
use stratum_core::ports::{LoadError, Tree, TreeError, TreeKind};
use stratum_core::settings::Settings;
use stratum_core::suggest;
use stratum_core::value::{Record, Value, stored};

use super::{Entry, Registered};
use crate::agents::{self, Agents, agents};
use crate::document::Document;
use crate::evaluate::{Evaluated, Evaluator};
use crate::form::{self, texts};
use crate::knowledge::{self, knowledge};
use crate::pipeline::{World, pipeline};
use crate::reading::{Reading, walk};
use crate::sealed::load_secrets;
use crate::settings;

/// The folder of pipelines.
const PIPELINES: &str = "pipelines";

/// Whether the tree has a pipeline, a form or a knowledge node.
pub(crate) fn has_repository(tree: &dyn Tree) -> Result<bool, TreeError> {
    for (folder, end) in [(PIPELINES, ".ncl"), (form::FOLDER, ".toml")] {
        if tree
            .list(folder)?
            .iter()
            .any(|entry| is_file(entry.kind) && entry.name.ends_with(end))
        {
            return Ok(true);
        }
    }
    let mut found = false;
    let ended = walk(tree, knowledge::FOLDER, &mut |path, _| {
        found |= knowledge::is_node(path);
    })?;
    // What is too much to be looked through is named where it is read.
    Ok(found || ended.is_some())
}

fn is_file(kind: TreeKind) -> bool {
    matches!(kind, TreeKind::File | TreeKind::Executable)
}

/// Reads and checks the content of the environment `repository`.
///
/// *Guarantees*: all findings of all files; what is registered changes its digest when its file or
/// a file that it names changes.
pub(crate) fn load_repository(
    tree: &dyn Tree,
    evaluator: &Evaluator<'_>,
    settings: &Settings,
) -> Result<Registered, LoadError> {
    let environment = EnvironmentName::repository();
    let secrets = load_secrets(tree, &environment)?;
    let mut reading = Reading::new(tree);
    reading.entry(settings::FILE)?;
    let agents = read_agents(evaluator, &secrets, &mut reading)?;
    let mut entries = pipelines(evaluator, settings, &agents, &mut reading)?;
    entries.extend(forms(&mut reading)?);
    entries.extend(knowledge(&mut reading)?);
    let mut registered = Registered::of(&environment, entries, reading);
    registered.resources.extend(secrets.resources);
    registered.closure.0.extend(secrets.closure.0);
    registered.findings.extend(secrets.findings);
    Ok(registered)
}

/// Evaluates the file at `path`, and keeps what it was made from and what was noticed.
fn evaluate(
    evaluator: &Evaluator<'_>,
    path: &str,
    reading: &mut Reading<'_>,
) -> Result<Option<Document>, LoadError> {
    let evaluated: Evaluated = evaluator.file(path)?;
    let document = Document::evaluated(path, &evaluated);
    reading.closure.0.extend(evaluated.closure.0);
    reading.findings.extend(evaluated.findings);
    Ok(document)
}

fn read_agents(
    evaluator: &Evaluator<'_>,
    secrets: &Registered,
    reading: &mut Reading<'_>,
) -> Result<Agents, LoadError> {
    let there = reading.is_file(agents::FILE)?;
    let document = if there {
        evaluate(evaluator, agents::FILE, reading)?
    } else {
        None
    };
    let mut agents = agents(document.as_ref(), reading)?;
    agents.unread = there && document.is_none();
    let names: BTreeSet<&str> = secrets
        .resources
        .keys()
        .map(|address| address.name().as_str())
        .collect();
    for (source, name) in agents
        .secrets
        .iter()
        .filter(|(_, name)| !names.contains(name.as_str()))
    {
        let message = format!("there is no sealed value `{name}` in `secrets/repository/`");
        let finding = Finding::error(&codes::DANGLING, message).at(source.clone());
        let hint = suggest::hint(name, names.iter().copied());
        reading.note(finding.hint(hint.unwrap_or_else(|| {
            format!(
                "seal it: `stratum secrets seal repository/{}`",
                name.replace('#', " ")
            )
        })));
    }
    Ok(agents)
}

fn pipelines(
    evaluator: &Evaluator<'_>,
    settings: &Settings,
    agents: &Agents,
    reading: &mut Reading<'_>,
) -> Result<Vec<Entry>, LoadError> {
    let environments = settings.environments.keys().map(EnvironmentName::as_str);
    let world = World {
        agents,
        environments: environments.collect(),
    };
    let mut entries = Vec::new();
    for path in reading.within(PIPELINES, ".ncl")? {
        let Some(document) = evaluate(evaluator, &path, reading)? else {
            continue;
        };
        let root = document.root();
        let Some(read) = pipeline(&document, &world, reading)?.filter(|read| read.sound) else {
            continue;
        };
        let content = stored::value(root.value.clone()).unwrap_or_default();
        let attributes = attributes(
            Digest::of_json(&content),
            &read.intent,
            &path,
            &read.files,
            reading,
        )?;
        let source = root
            .get("name")
            .map_or_else(|| root.source(), |name| name.source());
        entries.push(Entry {
            kind: Kind::Pipeline,
            r#type: "pipeline",
            name: read.name,
            attributes,
            source,
        });
    }
    Ok(entries)
}

fn forms(reading: &mut Reading<'_>) -> Result<Vec<Entry>, LoadError> {
    let texts = texts(reading)?;
    let mut entries = Vec::new();
    for path in reading.within(form::FOLDER, ".toml")? {
        let Some(text) = reading.text(&path)? else {
            continue;
        };
        let Some(read) = form::form(&path, &text, &texts, reading)? else {
            continue;
        };
        let digest = Digest::of_bytes(text.as_bytes());
        let attributes = attributes(digest, &read.title, &path, &read.files, reading)?;
        let (name, source) = (read.id, read.source);
        entries.push(Entry {
            kind: Kind::Form,
            r#type: "form",
            name,
            attributes,
            source,
        });
    }
    Ok(entries)
}

/// What is registered of a file with the digest `content` that names `files`.
fn attributes(
    content: Digest,
    title: &str,
    path: &str,
    files: &BTreeSet<String>,
    reading: &mut Reading<'_>,
) -> Result<Record, TreeError> {
    let mut digests = BTreeMap::new();
    for file in files {
        if let Some(digest) = reading.digest(file)? {
            digests.insert(file, digest);
        }
    }
    let digest = Digest::of_json(&(content, digests));
    Ok(Record::from([
        ("digest".to_owned(), Value::text(digest.to_string())),
        ("title".to_owned(), Value::text(title)),
        ("path".to_owned(), Value::text(path)),
    ]))
}
