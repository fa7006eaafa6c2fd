//! The rules that hold for a Revision: the policies and the trust of its base.
//!
//! What a Revision changes under `policies/` and `trust/` is judged by what stood there before, so
//! that a commit can neither vouch for its own author nor allow itself anything.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::finding::{Finding, codes};
use crate::ids::{CommitId, ObjectId};
use crate::ports::{Tree, TreeEntry, TreeError, TreeKind};
use crate::settings::{EnvironmentSettings, Settings, Signatures};
use crate::source::Source;
use crate::stand_in::{stand_in, without_mark};
use crate::trust::Trust;

/// The folder of a repository's own policies.
pub const POLICIES: &str = "policies";

/// The folder of their tests.
pub const POLICY_TESTS: &str = "policies/tests";

/// What decides how a Revision is judged: when one of these changes, that is judged too.
const RULES: [&str; 3] = ["policies", "trust", SETTINGS];

/// The file of the settings.
const SETTINGS: &str = "stratum.ncl";

/// The most bytes of one policy file.
const LARGEST: usize = 1 << 20;

/// One file of policies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PolicyFile {
    /// Its path in the tree.
    pub path: String,
    /// Its blob: policies are parsed once for each.
    pub id: ObjectId,
    /// Its text.
    pub text: Arc<str>,
}

/// The policies and the trust that hold, and the settings they were read with.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The commit they were read from.
    pub commit: CommitId,
    /// The repository's own policies, by path.
    pub policies: Vec<PolicyFile>,
    /// Who may sign.
    pub trust: Arc<Trust>,
    /// The settings.
    pub settings: Arc<Settings>,
}

impl Rules {
    /// Whether commits must be signed: an explicit setting wins, and else they must as soon as
    /// anyone could sign one.
    pub fn signatures(&self) -> Signatures {
        match self.settings.signatures {
            Some(chosen) => chosen,
            None if self.trust.has_signers() => Signatures::Required,
            None => Signatures::Off,
        }
    }
}

/// The pin of the first use: the commit whose trust and policies were taken as they were, because
/// nothing older could vouch for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The commit.
    pub commit: CommitId,
    /// When it was first seen (UTC).
    pub at: jiff::Timestamp,
}

/// What was read under `policies/`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyFiles {
    /// The files, by path.
    pub files: Vec<PolicyFile>,
    /// What could not be used.
    pub findings: Vec<Finding>,
    /// What nothing reads: somebody may think that it holds. A base that has some already stays
    /// one; a Revision is refused for it.
    pub strays: Vec<Finding>,
}

/// Reads `policies/*.cedar`.
pub fn policies(tree: &dyn Tree) -> Result<PolicyFiles, TreeError> {
    read(tree, POLICIES, ".cedar")
}

/// Reads `policies/tests/*.toml`.
pub fn policy_tests(tree: &dyn Tree) -> Result<PolicyFiles, TreeError> {
    read(tree, POLICY_TESTS, ".toml")
}

/// The most files of one folder of rules.
const MOST: usize = 200;

/// The files of a folder with this ending; what is no readable file is a finding.
fn read(tree: &dyn Tree, folder: &str, ending: &str) -> Result<PolicyFiles, TreeError> {
    let mut found = PolicyFiles::default();
    let there = tree.entry(folder)?;
    if let Some(entry) = there.filter(|entry| entry.kind != TreeKind::Folder) {
        let message = format!(
            "`{folder}` is {}, and nothing is read from it",
            named(entry.kind)
        );
        let finding = Finding::error(&codes::NOT_A_FOLDER, message).at(Source::start_of(folder));
        found
            .strays
            .push(finding.hint("make it a folder of this repository, or take it away"));
        return Ok(found);
    }
    for entry in tree.list(folder)? {
        let path = format!("{folder}/{}", entry.name);
        if !entry.name.ends_with(ending) || entry.kind == TreeKind::Folder {
            found.strays.extend(stray(&entry, &path, folder, ending));
            continue;
        }
        if found.files.len() >= MOST {
            let message = format!("`{folder}` has more than {MOST} files");
            let finding = Finding::error(&codes::TOO_LARGE, message);
            found.findings.push(finding.at(Source::start_of(path)));
            break;
        }
        match file(tree, &entry, &path)? {
            Ok(file) => found.files.push(file),
            Err(finding) => {
                let place = finding.source.clone();
                let place = place.unwrap_or_else(|| Source::start_of(&path));
                found.findings.push(finding.at(place));
            }
        }
    }
    Ok(found)
}

/// The finding of what nothing reads in a folder of rules.
fn stray(entry: &TreeEntry, path: &str, folder: &str, ending: &str) -> Option<Finding> {
    let folder_of_tests = path == POLICY_TESTS;
    let for_people = entry.name.ends_with(".md") || entry.name.starts_with('.');
    if folder_of_tests || (for_people && entry.kind != TreeKind::Folder) {
        return None;
    }
    let message = format!("nothing reads `{path}`");
    let finding = Finding::error(&codes::STRAY_RULE, message).at(Source::start_of(path));
    Some(finding.hint(format!(
        "what counts is `{folder}/<name>{ending}`, nothing below"
    )))
}

fn named(kind: TreeKind) -> &'static str {
    match kind {
        TreeKind::File | TreeKind::Executable => "a file",
        TreeKind::Symlink => "a link",
        TreeKind::Submodule => "a submodule",
        TreeKind::Folder => "a folder",
    }
}

fn file(
    tree: &dyn Tree,
    entry: &TreeEntry,
    path: &str,
) -> Result<Result<PolicyFile, Finding>, TreeError> {
    if !matches!(entry.kind, TreeKind::File | TreeKind::Executable) {
        let message = format!("`{path}` is not a regular file, and is not read");
        return Ok(Err(Finding::error(&codes::NOT_A_FILE, message)));
    }
    let bytes = tree.blob(&entry.id, path)?;
    if bytes.len() > LARGEST {
        let message = format!("`{path}` is larger than 1 MiB");
        return Ok(Err(Finding::error(&codes::TOO_LARGE, message)));
    }
    if let Some(finding) = stand_in(path, &bytes) {
        return Ok(Err(finding));
    }
    let Ok(text) = String::from_utf8(bytes).map(without_mark) else {
        let message = format!("`{path}` is not UTF-8 text");
        return Ok(Err(Finding::error(&codes::NOT_TEXT, message)));
    };
    Ok(Ok(PolicyFile {
        path: path.to_owned(),
        id: entry.id.clone(),
        text: text.into(),
    }))
}

/// The objects of the rules in a tree, by path; to see what a Revision changes in them, and to
/// bind an approval to it.
fn objects(tree: &dyn Tree) -> Result<Vec<(&'static str, Option<ObjectId>)>, TreeError> {
    let ids = RULES.map(|path| {
        let entry = tree.entry(path)?;
        Ok((path, entry.map(|entry| entry.id)))
    });
    ids.into_iter().collect()
}

/// What of the rules differs between two trees: `policies`, `trust`, `stratum.ncl`.
///
/// *Guarantees*: `stratum.ncl` differs also where only a file that it imports does: what it comes
/// to is compared. Settings that cannot be read differ from everything.
pub fn changed(
    (old, before): (&dyn Tree, &Settings),
    (new, after): (&dyn Tree, Option<&Settings>),
) -> Result<Vec<&'static str>, TreeError> {
    let (old, new) = (objects(old)?, objects(new)?);
    let pairs = old.into_iter().zip(new);
    let mut changed: Vec<&'static str> = pairs
        .filter(|(old, new)| old.1 != new.1)
        .map(|(old, _)| old.0)
        .collect();
    if after != Some(before) && !changed.contains(&SETTINGS) {
        changed.push(SETTINGS);
    }
    Ok(changed)
}

/// What the rules of a tree come to, for an approval to be bound to: their objects, and what the
/// settings say, whatever they import.
pub fn content(
    tree: &dyn Tree,
    settings: Option<&Settings>,
) -> Result<Vec<(&'static str, Option<ObjectId>)>, TreeError> {
    let mut content = objects(tree)?;
    let said = settings.map(|settings| Digest::of_json(settings).to_string());
    content.push(("settings", said.and_then(|said| ObjectId::new(said).ok())));
    Ok(content)
}

impl Settings {
    /// Whether any environment of the repository is protected.
    pub fn protects_any(&self) -> bool {
        let mut all = self.environments.values();
        all.any(EnvironmentSettings::is_protected)
    }
}

impl EnvironmentSettings {
    /// Whether its label `protected` says so; any value but `false` and `no` does.
    pub fn is_protected(&self) -> bool {
        let label = self.labels.get("protected");
        label.is_some_and(|value| value != "false" && value != "no")
    }
}
