//! `trust/`: people, groups and recipients, from TOML.
//!
//! ```text
//! trust/people/<name>.toml       email, ssh, openpgp, expires, [[sealer]] id, ed25519, ml-dsa-65
//! trust/recipients/<name>.toml   key, environments, retired
//! trust/groups.toml              group = ["name", …]
//! ```
//!
//! The form is checked here; whether a key is a key of its kind is checked by whoever uses it.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use stratum_core::finding::codes::{LOCKOUT, TRUST_KEY, TRUST_NAME, TRUST_SHAPE};
use stratum_core::finding::{Finding, any_error};
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{LoadError, Loaded, Tree, TreeError};
use stratum_core::settings::{Settings, Signatures};
use stratum_core::source::Source;
use stratum_core::suggest;
use stratum_core::trust::{Person, Trust};

use crate::document::{Document, Item, toml};
use crate::reading::Reading;
use crate::shape::Shape;

/// The folder.
const FOLDER: &str = "trust";
const PEOPLE: &str = "trust/people/";
const RECIPIENTS: &str = "trust/recipients/";
const GROUPS: &str = "trust/groups.toml";

/// How every private key that people have begins.
const PRIVATE: [&str; 3] = ["PRIVATE KEY", "AGE-SECRET-KEY", "STRATUM-SEALER-KEY"];

/// Reads `trust/`; empty where there is none.
pub(crate) fn load_trust(tree: &dyn Tree, settings: &Settings) -> Result<Loaded<Trust>, LoadError> {
    let mut reading = Reading::new(tree);
    reading.folder(FOLDER)?;
    let mut trust = Trust::default();
    let mut groups = None;
    for file in reading.below(FOLDER, &|_| true)? {
        let Some(document) = document(&file, &mut reading)? else {
            continue;
        };
        let (root, findings) = (document.root(), &mut reading.findings);
        if let Some(name) = file_name(&file, PEOPLE, findings) {
            if let Some(person) = entry(&root, person_shape, findings) {
                trust.people.insert(name, person);
            }
        } else if let Some(name) = file_name(&file, RECIPIENTS, findings) {
            if let Some(recipient) = entry(&root, recipient_shape, findings) {
                environments(&root, settings, findings);
                trust.recipients.insert(name, recipient);
            }
        } else if file == GROUPS {
            groups = Some(document);
        }
    }
    if let Some(document) = groups {
        trust.groups = groups_of(&document.root(), &trust, &mut reading.findings);
    }
    shared_keys(&trust, &mut reading.findings);
    reading.findings.extend(nobody_signs(&trust, settings));
    let findings = reading.findings;
    Ok(Loaded {
        value: (!any_error(&findings)).then_some(trust),
        findings,
    })
}

/// A finding where commits must be signed and nobody could: no later push would lead out of that.
fn nobody_signs(trust: &Trust, settings: &Settings) -> Option<Finding> {
    let signs = |person: &Person| !person.ssh.is_empty() || !person.openpgp.is_empty();
    let locked = settings.signatures == Some(Signatures::Required);
    (locked && !trust.people.values().any(signs)).then(|| {
        let message =
            "`signatures = 'required`, and nobody in `trust/people/` has a key to sign with";
        let hint = "write `trust/people/<name>.toml` with a key in `ssh` or `openpgp` first";
        let finding = Finding::error(&LOCKOUT, message).at(Source::start_of(crate::settings::FILE));
        finding.hint(hint)
    })
}

/// The file as TOML; `None` when it is none of ours, or could not be read.
fn document(file: &str, reading: &mut Reading<'_>) -> Result<Option<Document>, TreeError> {
    let ours = file == GROUPS || file.starts_with(PEOPLE) || file.starts_with(RECIPIENTS);
    let readme = file.ends_with("README.md") || file.ends_with(".gitkeep");
    if readme {
        return Ok(None);
    }
    let Some(text) = reading.text(file)? else {
        return Ok(None);
    };
    if PRIVATE.iter().any(|mark| text.contains(mark)) {
        let message = "a private key lies under `trust/`, where everybody reads it";
        let hint = "take it out of the repository and its history, and make a new one";
        let finding = Finding::error(&TRUST_KEY, message).at(Source::start_of(file));
        reading.note(finding.hint(hint));
        return Ok(None);
    }
    if !ours || !file.ends_with(".toml") {
        let message = "nothing reads this file under `trust/`";
        let hint = "people are `trust/people/<name>.toml`, recipients \
                    `trust/recipients/<name>.toml`, groups `trust/groups.toml`";
        let finding = Finding::error(&TRUST_SHAPE, message).at(Source::start_of(file));
        reading.note(finding.hint(hint));
        return Ok(None);
    }
    match toml(file, &text, &TRUST_SHAPE) {
        Ok(document) => Ok(Some(document)),
        Err(findings) => {
            reading.findings.extend(findings);
            Ok(None)
        }
    }
}

/// The name of whom a file below `folder` is about.
fn file_name(file: &str, folder: &str, findings: &mut Vec<Finding>) -> Option<String> {
    let name = file.strip_prefix(folder)?.strip_suffix(".toml")?;
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.is_empty() && name.len() <= 64 && name.chars().all(letters) {
        return Some(name.to_owned());
    }
    let hint = "letters, digits, `-`, `_` and `.`, 64 at most";
    let finding = Finding::error(&TRUST_SHAPE, format!("`{name}` cannot be a name in trust"));
    findings.push(finding.at(Source::start_of(file)).hint(hint));
    None
}

/// The value of a file whose form is right.
fn entry<T: DeserializeOwned>(
    root: &Item<'_>,
    check: fn(&mut Shape<'_>, &Item<'_>),
    findings: &mut Vec<Finding>,
) -> Option<T> {
    let mut found = Vec::new();
    check(&mut Shape::new(&TRUST_SHAPE, &mut found), root);
    let value = root.typed();
    if value.is_none() && found.is_empty() {
        let finding = Finding::error(&TRUST_SHAPE, "a value in this file has the wrong form");
        let hint = "lists hold texts; times are written like 2027-01-31T00:00:00Z";
        found.push(finding.at(root.source()).hint(hint));
    }
    let sound = !any_error(&found);
    findings.extend(found);
    value.filter(|_| sound)
}

fn person_shape(shape: &mut Shape<'_>, root: &Item<'_>) {
    let optional = ["email", "ssh", "openpgp", "sealer", "expires"];
    if !shape.keys(root, "person", &[], &optional) {
        return;
    }
    for key in ["email", "ssh", "openpgp"] {
        shape.texts(root, key);
    }
    for sealer in shape.list(root, "sealer") {
        if shape.keys(&sealer, "sealer", &["id", "ed25519", "ml-dsa-65"], &[]) {
            for key in ["id", "ed25519", "ml-dsa-65"] {
                shape.text(&sealer, key);
            }
        }
    }
}

fn recipient_shape(shape: &mut Shape<'_>, root: &Item<'_>) {
    if !shape.keys(root, "recipient", &["key", "environments"], &["retired"]) {
        return;
    }
    shape.texts(root, "environments");
    if let Some((key, text)) = shape.text(root, "key")
        && !text.starts_with("age1")
    {
        shape.wrong(&key, "key", "an age recipient, `age1pq1…`");
    }
}

/// A finding for each environment of a recipient that the settings do not have.
fn environments(root: &Item<'_>, settings: &Settings, findings: &mut Vec<Finding>) {
    let Some(list) = root.get("environments") else {
        return;
    };
    let names = || settings.environments.keys().map(EnvironmentName::as_str);
    for item in list.items() {
        let name = item.value.as_str().unwrap_or_default();
        if !names().any(|known| known == name) {
            let message = format!("there is no environment `{name}` in `stratum.ncl`");
            let finding = Finding::error(&TRUST_NAME, message).at(item.source());
            let hint = suggest::hint(name, names());
            findings.push(Finding { hint, ..finding });
        }
    }
}

/// The groups, with a finding for each name that is nobody's.
fn groups_of(
    root: &Item<'_>,
    trust: &Trust,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut groups = BTreeMap::new();
    for (group, list) in root.entries() {
        if !list.value.is_array() {
            let mut shape = Shape::new(&TRUST_SHAPE, findings);
            shape.wrong(&list, group, "a list of names");
        }
        for item in list.items() {
            let name = item.value.as_str().unwrap_or_default();
            if !trust.people.contains_key(name) {
                let message = format!("`{name}` of the group `{group}` is not in `trust/people/`");
                let finding = Finding::error(&TRUST_NAME, message).at(item.source());
                let names = trust.people.keys().map(String::as_str);
                let hint = suggest::hint(name, names);
                findings.push(Finding { hint, ..finding });
            }
        }
        groups.insert(group.to_owned(), list.typed().unwrap_or_default());
    }
    groups
}

/// A finding for each key that two people have: nobody could say who signed.
fn shared_keys(trust: &Trust, findings: &mut Vec<Finding>) {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, person) in &trust.people {
        let sealers = person.sealer.iter().flat_map(|key| {
            [
                key.id.as_str(),
                key.ed25519.as_str(),
                key.ml_dsa_65.as_str(),
            ]
        });
        let ssh = person.ssh.iter().map(|line| key_of(line));
        for key in ssh.chain(sealers) {
            let first = *owners.entry(key).or_insert(name);
            if first != name {
                let message = format!("`{name}` has a key that `{first}` has too");
                let file = format!("{PEOPLE}{name}.toml");
                let finding = Finding::error(&TRUST_KEY, message).at(Source::start_of(file));
                findings.push(finding.hint("give each person keys of their own"));
            }
        }
    }
}

/// The key of a line, without its comment.
fn key_of(line: &str) -> &str {
    line.split_whitespace().nth(1).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryTree;

    const SETTINGS: &str = r#"{"name":"shop","environments":{"staging":{}}}"#;

    fn load(files: &[(&str, &str)]) -> Loaded<Trust> {
        let tree = MemoryTree::new(files.iter().copied());
        load_trust(&tree, &serde_json::from_str(SETTINGS).unwrap()).unwrap()
    }

    fn codes(files: &[(&str, &str)]) -> Vec<String> {
        let found = load(files).findings;
        let text = |f: &Finding| format!("{} {}", f.code, f.source.as_ref().unwrap());
        found.iter().map(text).collect()
    }

    const ADA: &str = "email = [\"ada@example.com\"]\nssh = [\"ssh-ed25519 AAAA ada\"]\n\
                       expires = 2027-01-31T00:00:00Z\n\
                       [[sealer]]\nid = \"k1\"\ned25519 = \"AA==\"\nml-dsa-65 = \"AA==\"\n";

    #[test]
    fn people_groups_and_recipients_are_read() {
        let trust = load(&[
            ("trust/people/ada.toml", ADA),
            ("trust/groups.toml", "operators = [\"ada\"]\n"),
            (
                "trust/recipients/staging.toml",
                "key = \"age1pq1x\"\nenvironments = [\"staging\"]\n",
            ),
        ]);
        assert!(trust.findings.is_empty(), "{:?}", trust.findings);
        let trust = trust.value.unwrap();
        assert!(trust.has_signers());
        assert_eq!(trust.sealer("k1").map(|(name, _)| name), Some("ada"));
        assert_eq!(trust.recipients.len(), 1);
        assert!(load(&[]).value.unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let recipient = "key = \"age1pq1x\"\nenvironments = [\"stagin\"]\n";
        assert_eq!(
            codes(&[("trust/recipients/a.toml", recipient)]),
            ["STR0751 trust/recipients/a.toml:2:17"]
        );
        assert_eq!(
            codes(&[("trust/groups.toml", "operators = [\"bob\"]\n")]),
            ["STR0751 trust/groups.toml:1:14"]
        );
        assert_eq!(
            codes(&[("trust/people/ada.toml", "sssh = []\n")]),
            ["STR0750 trust/people/ada.toml:1:1"]
        );
        let private = "ssh = [\"-----BEGIN OPENSSH PRIVATE KEY-----\"]\n";
        assert_eq!(
            codes(&[("trust/people/ada.toml", private)]),
            ["STR0752 trust/people/ada.toml:1:1"]
        );
        assert_eq!(
            codes(&[
                ("trust/people/ada.toml", ADA),
                ("trust/people/ben.toml", ADA)
            ])
            .len(),
            4
        );
    }
}
