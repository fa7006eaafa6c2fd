//! Sealed files: their shape, their place, and plaintext where none may be.
//!
//! *Guarantees*: no finding holds a value of a file under `secrets/`; it may be a secret.

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stratum_core::digest::Digest;
use stratum_core::finding::codes::{PLAINTEXT, SEALED_PLACE, SEALED_SHAPE};
use stratum_core::finding::{Finding, any_error};
use stratum_core::ids::EnvironmentName;
use stratum_core::kinds::Kind;
use stratum_core::kinds::secret::{FORMAT, SUFFIX, SealedDocument, SealedFile};
use stratum_core::ports::{LoadError, Tree, TreeError};
use stratum_core::settings::Settings;
use stratum_core::source::Source;
use stratum_core::stand_in::stand_in;
use stratum_core::value::{Record, Value};

use crate::document::{Document, Item, yaml};
use crate::reading::Reading;
use crate::registry::{Entry, Registered};
use crate::shape::Shape;

/// The folder.
const FOLDER: &str = "secrets";

/// How every age file begins.
const AGE: &[u8] = b"age-encryption.org/v1\n";

/// The most bytes of one sealed value.
const LARGEST_VALUE: usize = 256 << 10;

/// The most bytes of its signatures: a key id, Ed25519 and ML-DSA-65 take about 3,400.
const LARGEST_SIGNATURE: usize = 8 << 10;

/// The sealed values of one environment: one resource `secret.<path>#<key>` of kind Secret each,
/// with the integer attribute `version` and the text attribute `digest`, from which the loader
/// fills in the `stratum.secret` references of the infrastructure. The digest is SHA-256 of the
/// age file. Plaintext in the environment's folder is a finding.
pub(crate) fn load_secrets(
    tree: &dyn Tree,
    environment: &EnvironmentName,
) -> Result<Registered, LoadError> {
    let mut reading = Reading::new(tree);
    let folder = format!("{FOLDER}/{environment}");
    let mut entries = Vec::new();
    for file in reading.below(&folder, &|_| true)? {
        let Some(path) = file.strip_prefix(&format!("{folder}/")) else {
            continue;
        };
        let Some(path) = path.strip_suffix(SUFFIX) else {
            reading.entry(&file)?;
            let found = plaintext(tree, &file)?;
            reading.findings.extend(found);
            continue;
        };
        if let Some(document) = document(&file, &mut reading)? {
            let place = Place {
                file: &file,
                environment,
                path,
            };
            entries.extend(place.check(&document, &mut reading.findings));
        }
    }
    Ok(Registered::of(environment, entries, reading))
}

/// Findings of files under `secrets/` that belong to no environment's load: files outside every
/// environment's folder, and files that were sealed for another repository.
pub(crate) fn stray_secrets(
    tree: &dyn Tree,
    settings: &Settings,
) -> Result<Vec<Finding>, LoadError> {
    let mut reading = Reading::new(tree);
    for file in reading.below(FOLDER, &|_| true)? {
        let folder = file.split('/').nth(1).unwrap_or_default();
        let name = EnvironmentName::new(folder)
            .ok()
            .filter(|_| file.matches('/').count() > 1);
        let environment =
            name.filter(|name| name.is_repository() || settings.environments.contains_key(name));
        match environment {
            None if file.ends_with(SUFFIX) => {
                let message = "the sealed file lies in the folder of no environment";
                let finding = Finding::error(&SEALED_PLACE, message).at(Source::start_of(&file));
                reading.note(
                    finding.hint("move it to `secrets/<environment>/`, and seal its values again"),
                );
            }
            None => {
                let found = plaintext(tree, &file)?;
                reading.findings.extend(found);
            }
            Some(_) if file.ends_with(SUFFIX) => repository(&file, settings, &mut reading)?,
            Some(_) => {}
        }
    }
    Ok(reading.findings)
}

/// Reads a sealed file; whether it lies at its place is not looked at.
///
/// *Errors*: findings, when it is not one.
pub fn read_sealed(file: &str, text: &str) -> Result<SealedDocument, Vec<Finding>> {
    let odd = |source| {
        let hint = "`stratum check` says more about its form";
        let finding = Finding::error(&SEALED_SHAPE, "the file is not a sealed file");
        vec![finding.at(source).hint(hint)]
    };
    let document = yaml(file, text, 0).map_err(|fault| odd(fault.source))?;
    let root = document.root();
    let sealed: SealedFile = root.typed().ok_or_else(|| odd(root.source()))?;
    if sealed.stratum != FORMAT {
        return Err(odd(root.source()));
    }
    let values = root.get("values");
    let sources = values.iter().flat_map(|values| values.entries());
    Ok(SealedDocument {
        sources: sources
            .map(|(key, item)| (key.to_owned(), item.source()))
            .collect(),
        file: sealed,
    })
}

/// Reads YAML (or JSON, which is YAML too) as `T`.
///
/// *Errors*: the line, where it is known; never what stands there, which may be a secret.
pub fn yaml_as<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Option<usize>> {
    crate::document::yaml_as(text)
}

/// The finding of a file that is not sealed, unless it is one that may be there.
fn plaintext(tree: &dyn Tree, file: &str) -> Result<Option<Finding>, TreeError> {
    let name = file.rsplit('/').next().unwrap_or(file);
    if matches!(name, "README.md" | ".gitkeep") {
        return Ok(None);
    }
    let bytes = match tree.entry(file)? {
        Some(entry) => match tree.blob(&entry.id, file) {
            // What is too large to be read is not sealed.
            Err(TreeError::TooLarge { .. }) => Vec::new(),
            read => read?,
        },
        None => Vec::new(),
    };
    let source = Source::start_of(file);
    if let Some(finding) = stand_in(file, &bytes) {
        return Ok(Some(finding));
    }
    let Some(tool) = other_tool(&bytes) else {
        return Ok(Some(unsealed(source)));
    };
    let message =
        format!("a file of {tool} lies under `secrets/`, where stratum opens sealed files only");
    let hint = format!(
        "`stratum secrets import {file} ENV/PATH` seals what it holds; then `git rm {file}`"
    );
    Ok(Some(
        Finding::error(&PLAINTEXT, message).at(source).hint(hint),
    ))
}

/// The tool that encrypted a file, as far as it can be told.
fn other_tool(bytes: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let sops = text.contains("ENC[AES256_GCM,")
        && ["\nsops:", "\"sops\":", "sops_version="]
            .iter()
            .any(|mark| text.contains(mark));
    let age = bytes.starts_with(AGE) || text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----");
    match (sops, age) {
        (true, _) => Some("SOPS"),
        (false, true) => Some("age"),
        (false, false) => None,
    }
}

fn unsealed(source: Source) -> Finding {
    let hint = "take it out of the repository and its history, change the secret, and seal the new \
                one with `stratum secrets seal`";
    Finding::error(&PLAINTEXT, "a file under `secrets/` is not sealed")
        .at(source)
        .hint(hint)
}

/// The file as YAML; `None` when it could not be read, which findings say.
fn document(file: &str, reading: &mut Reading<'_>) -> Result<Option<Document>, TreeError> {
    let Some(text) = reading.text(file)? else {
        return Ok(None);
    };
    let claims = text.lines().any(|line| line.starts_with("stratum:"));
    match yaml(file, &text, 0) {
        Ok(document) if document.root().text("stratum").is_some() => Ok(Some(document)),
        Err(fault) if claims => {
            let message = "the sealed file is not YAML that stratum reads: a key is given twice, or the syntax is wrong";
            let finding = Finding::error(&SEALED_SHAPE, message).at(fault.source);
            reading
                .note(finding.hint("after a merge, keep one of the two values and seal it again"));
            Ok(None)
        }
        Ok(_) | Err(_) => {
            reading.note(unsealed(Source::start_of(file)));
            Ok(None)
        }
    }
}

/// Whether the file was sealed for this repository.
fn repository(file: &str, settings: &Settings, reading: &mut Reading<'_>) -> Result<(), TreeError> {
    let text = reading.text(file)?.unwrap_or_default();
    let Ok(document) = yaml(file, &text, 0) else {
        return Ok(());
    };
    let repo = document
        .root()
        .get("context")
        .and_then(|context| context.get("repo"));
    if let Some(repo) = repo.filter(|repo| {
        repo.value
            .as_str()
            .is_some_and(|name| name != settings.name)
    }) {
        reading.note(elsewhere(&repo, "repository", &settings.name));
    }
    Ok(())
}

fn elsewhere(item: &Item<'_>, what: &str, here: &str) -> Finding {
    let message = format!("sealed for another {what}: the file lies in `{here}`");
    Finding::error(&SEALED_PLACE, message)
        .at(item.source())
        .hint("move the file back, or seal its values again for this place")
}

/// Where a sealed file lies.
struct Place<'a> {
    file: &'a str,
    environment: &'a EnvironmentName,
    path: &'a str,
}

impl Place<'_> {
    /// Checks the file; its values when all is well.
    fn check(&self, document: &Document, findings: &mut Vec<Finding>) -> Vec<Entry> {
        let root = document.root();
        let mut found = Vec::new();
        let mut shape = Shape::new(&SEALED_SHAPE, &mut found).quiet();
        shape.keys(&root, "sealed file", &["stratum", "context", "values"], &[]);
        if let Some((format, text)) = shape.text(&root, "stratum")
            && text != FORMAT
        {
            let hint = format!("write `stratum: {FORMAT}`, or use the stratum that wrote the file");
            let message = "the format of the sealed file is not known".to_owned();
            shape.error(format.source(), message, Some(hint));
        }
        let entries = self.values(&mut shape, &root);
        if let Some(context) = shape.record(&root, "context", &["repo", "environment", "path"], &[])
        {
            shape.text(&context, "repo");
            let environment = shape.text(&context, "environment");
            let path = shape.text(&context, "path");
            found.extend(misplaced(
                environment,
                "environment",
                self.environment.as_str(),
            ));
            found.extend(misplaced(path, "path", self.path));
        }
        let sound = !any_error(&found);
        findings.extend(found);
        if sound { entries } else { Vec::new() }
    }

    fn values(&self, shape: &mut Shape<'_>, root: &Item<'_>) -> Vec<Entry> {
        let Some(values) = root.get("values") else {
            return Vec::new();
        };
        if !values.value.is_object() {
            shape.wrong(&values, "values", "a record");
        }
        values
            .entries()
            .filter_map(|(key, value)| self.value(shape, key, &value))
            .collect()
    }

    fn value(&self, shape: &mut Shape<'_>, key: &str, value: &Item<'_>) -> Option<Entry> {
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if key.is_empty() || key.len() > 128 || !key.chars().all(letters) {
            let hint = "letters, digits, `_`, `-` and `.`, 128 at most".to_owned();
            shape.error(
                value.source(),
                "a key of a sealed value has other characters".to_owned(),
                Some(hint),
            );
        }
        if !shape.keys(value, "sealed value", &["v", "age", "sig"], &[]) {
            return None;
        }
        let version = shape.whole(value, "v", 1);
        bytes(shape, value, "sig", LARGEST_SIGNATURE);
        let age = bytes(shape, value, "age", LARGEST_VALUE)?;
        if !age.starts_with(AGE) {
            let hint = "seal the value with `stratum secrets seal`".to_owned();
            let source = value
                .get("age")
                .map_or_else(|| value.source(), |age| age.source());
            shape.error(source, "`age` is not an age file".to_owned(), Some(hint));
        }
        let attributes = Record::from([
            (
                "digest".to_owned(),
                Value::text(Digest::of_bytes(&age).to_string()),
            ),
            ("version".to_owned(), Value::Number(version?.into())),
            ("path".to_owned(), Value::text(self.file)),
            ("key".to_owned(), Value::text(key)),
        ]);
        let name = format!("{}#{key}", self.path);
        let source = value.source();
        Some(Entry {
            kind: Kind::Secret,
            r#type: "secret",
            name,
            attributes,
            source,
        })
    }
}

/// The finding of a file that lies elsewhere than its context says.
fn misplaced(said: Option<(Item<'_>, &str)>, what: &str, here: &str) -> Option<Finding> {
    let (item, text) = said?;
    (text != here).then(|| elsewhere(&item, what, here))
}

/// The bytes of the base64 text `key`, at most `largest`.
fn bytes(shape: &mut Shape<'_>, value: &Item<'_>, key: &str, largest: usize) -> Option<Vec<u8>> {
    let (item, text) = shape.text(value, key)?;
    match STANDARD.decode(text) {
        Ok(bytes) if bytes.len() > largest => {
            let message = format!("`{key}` has {} bytes; the most is {largest}", bytes.len());
            shape.error(
                item.source(),
                message,
                Some("seal something smaller".to_owned()),
            );
            None
        }
        Ok(bytes) => Some(bytes),
        Err(_) => {
            let hint = "seal the value again; the text is base64 in one line".to_owned();
            shape.error(item.source(), format!("`{key}` is not base64"), Some(hint));
            None
        }
    }
}
