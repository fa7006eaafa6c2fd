//! Who could read sealed values, by all of history: what was sealed to them stays readable to them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::str::FromStr as _;

use stratum_assembly::sealed_file::parsed;
use stratum_core::kinds::sealed_place::SealedPlace;
use stratum_seal::Crypto;
use stratum_seal::age::{Recipient, RecipientId};
use stratum_seal::signature::Signatures;

use crate::failure::CommandError;
use crate::git;
use crate::work_tree::WorkTree;

/// Where recipients stand.
const RECIPIENTS: &str = "trust/recipients";

/// What history says about sealed values.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The highest version of each value that each recipient could read, by file and key.
    readers: BTreeMap<(SealedPlace, String), BTreeMap<RecipientId, u64>>,
    /// The name that each recipient last had.
    pub(super) names: BTreeMap<RecipientId, String>,
    /// Whether history is cut here, so that there may be more.
    pub(super) shallow: bool,
}

impl History {
    /// Of every branch and tag of a work tree's repository, and of the work tree itself.
    pub(super) fn of(work_tree: &WorkTree, crypto: &Crypto) -> Result<Self, CommandError> {
        let top = &work_tree.top;
        let mut history = Self {
            shallow: git::text(top, &["rev-parse", "--is-shallow-repository"])
                .is_ok_and(|answer| answer == "true"),
            ..Self::default()
        };
        let blobs = listed(top, &["secrets", RECIPIENTS])?;
        let ids: BTreeSet<&str> = blobs.iter().map(|(_, id)| id.as_str()).collect();
        let texts = contents(top, &ids)?;
        for (path, id) in &blobs {
            if let Some(text) = texts.get(id) {
                history.take(crypto, path, text);
            }
        }
        for place in work_tree.places()? {
            let file = place.file();
            if let Some(text) = work_tree.read(&file)? {
                history.take(crypto, &file, &text);
            }
        }
        Ok(history)
    }

    /// The highest version that any branch or tag has of each value of one file.
    pub(super) fn highest(
        work_tree: &WorkTree,
        place: &SealedPlace,
    ) -> Result<BTreeMap<String, u64>, CommandError> {
        let file = place.file();
        let blobs = listed(&work_tree.top, &[&file])?;
        let ids: BTreeSet<&str> = blobs.iter().map(|(_, id)| id.as_str()).collect();
        let mut highest: BTreeMap<String, u64> = BTreeMap::new();
        for text in contents(&work_tree.top, &ids)?.values() {
            let Ok(document) = parsed(&file, text) else {
                continue;
            };
            for (key, value) in document.file.values {
                let known = highest.entry(key).or_default();
                *known = (*known).max(value.v);
            }
        }
        Ok(highest)
    }

    fn take(&mut self, crypto: &Crypto, path: &str, text: &str) {
        if path.starts_with(RECIPIENTS) {
            self.name(crypto, path, text);
        } else if let Some(place) = SealedPlace::of_file(path) {
            self.value(path, place, text);
        }
    }

    /// The name of a recipient that a file once named.
    fn name(&mut self, crypto: &Crypto, path: &str, text: &str) {
        let stem = path.rsplit('/').next().unwrap_or(path);
        let name = stem.strip_suffix(".toml").unwrap_or(stem);
        let keys = text
            .split(['"', '\''])
            .filter(|part| part.starts_with("age1"));
        for id in keys.filter_map(|key| Recipient::from_str(key).ok()?.id(crypto).ok()) {
            self.names.insert(id, name.to_owned());
        }
    }

    fn value(&mut self, path: &str, place: SealedPlace, text: &str) {
        // What no longer parses cannot be read by anybody's tool either; `check` looks at the tip.
        let Ok(document) = parsed(path, text) else {
            return;
        };
        for (key, value) in document.file.values {
            let Ok(signatures) = Signatures::decode(&value.sig) else {
                continue;
            };
            let readers = self.readers.entry((place.clone(), key)).or_default();
            for id in signatures.statement.recipients {
                let highest = readers.entry(id).or_default();
                *highest = (*highest).max(value.v);
            }
        }
    }

    /// Who could read this version of a value, or a later one, and is not among `readers`.
    pub(super) fn strangers(
        &self,
        place: &SealedPlace,
        key: &str,
        version: u64,
        readers: &BTreeSet<RecipientId>,
    ) -> Vec<RecipientId> {
        let found = self.readers.get(&(place.clone(), key.to_owned()));
        found
            .into_iter()
            .flatten()
            .filter(|(id, seen)| **seen >= version && !readers.contains(id))
            .map(|(id, _)| *id)
            .collect()
    }
}

/// Every path and blob that history has below these paths.
fn listed(top: &Path, below: &[&str]) -> Result<BTreeSet<(String, String)>, CommandError> {
    let words = [
        "--literal-pathspecs",
        "-c",
        "core.quotePath=off",
        "log",
        "--all",
        "--full-history",
        "-m",
        "--no-renames",
        "--raw",
        "--no-abbrev",
        "--format=",
        "--",
    ];
    // `:100644 100644 <before> <after> M<tab>path`
    let blob = |line: &str| {
        let (head, path) = line.split_once('\t')?;
        let after = head.split(' ').nth(3)?;
        let there = after.chars().any(|digit| digit != '0');
        there.then(|| (path.to_owned(), after.to_owned()))
    };
    let words = [&words[..], below].concat();
    Ok(git::text(top, &words)?.lines().filter_map(blob).collect())
}

/// The contents of blobs that are text, by id, from one process of git.
fn contents(top: &Path, ids: &BTreeSet<&str>) -> Result<BTreeMap<String, String>, CommandError> {
    let failed = |error: std::io::Error| {
        CommandError::machine("`git cat-file --batch` failed").because(&error)
    };
    let mut child = git::command(top)
        .args(["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (Some(mut asking), Some(answering)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(CommandError::machine("`git cat-file --batch` has no pipes"));
    };
    let asked: String = ids.iter().map(|id| format!("{id}\n")).collect();
    let writer = std::thread::spawn(move || asking.write_all(asked.as_bytes()));
    let mut answering = BufReader::new(answering);
    let mut found = BTreeMap::new();
    for _ in ids {
        // `<id> blob <size>`, or `<id> missing`
        let mut head = String::new();
        answering.read_line(&mut head).map_err(failed)?;
        let mut words = head.split_whitespace();
        let (id, size) = (
            words.next(),
            words.nth(1).and_then(|size| size.parse().ok()),
        );
        let (Some(id), Some(size)) = (id, size) else {
            continue;
        };
        let mut bytes = Vec::new();
        let mut body = answering.by_ref().take(size);
        body.read_to_end(&mut bytes).map_err(failed)?;
        answering
            .read_until(b'\n', &mut Vec::new())
            .map_err(failed)?;
        if let Ok(text) = String::from_utf8(bytes) {
            found.insert(id.to_owned(), text);
        }
    }
    let _it_ends_when_git_does = writer.join();
    child.wait().map_err(failed)?;
    Ok(found)
}
