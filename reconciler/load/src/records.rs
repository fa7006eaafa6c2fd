//! A tree without the records that stratum wrote into it.

use stratum_core::digest::Digest;
use stratum_core::ids::{BranchName, EnvironmentName, ObjectId};
use stratum_core::ports::{Tree, TreeEntry, TreeError};
use stratum_core::settings::Settings;

use crate::knowledge;

/// The folder of the records within that of knowledge.
const RECORDS: &str = "executions";

/// Whether the records of `settings` lie on the branch that `environment` is read from.
///
/// An environment without a branch of its own is read from HEAD, and HEAD is never the orphan
/// branch that records go to by default.
pub(crate) fn are_among(settings: &Settings, environment: &EnvironmentName) -> bool {
    let branch = &settings.records.branch;
    let own = settings.environments.get(environment);
    match own.and_then(|own| own.branch.as_ref()) {
        Some(own) => own == branch,
        None => *branch != BranchName::records(),
    }
}

/// A tree without `knowledge/executions/`.
///
/// *Guarantees*: a record that is added changes nothing in it, also not the id of `knowledge`,
/// which is that of its listing here and no id of git's.
pub(crate) struct WithoutRecords<'a>(pub(crate) &'a dyn Tree);

impl Tree for WithoutRecords<'_> {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, TreeError> {
        let entry = self.0.entry(path)?;
        match entry {
            Some(entry) if path == knowledge::FOLDER => {
                let id = listing(&self.list(path)?).unwrap_or(entry.id);
                Ok(Some(TreeEntry { id, ..entry }))
            }
            Some(_) if is_record(path) => Ok(None),
            entry => Ok(entry),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<TreeEntry>, TreeError> {
        let mut entries = match is_record(path) {
            true => Vec::new(),
            false => self.0.list(path)?,
        };
        if path == knowledge::FOLDER {
            entries.retain(|entry| entry.name != RECORDS);
        }
        Ok(entries)
    }

    fn blob(&self, id: &ObjectId, path: &str) -> Result<Vec<u8>, TreeError> {
        self.0.blob(id, path)
    }
}

fn is_record(path: &str) -> bool {
    let below = path.strip_prefix(knowledge::FOLDER);
    let below = below.and_then(|path| path.strip_prefix('/'));
    below.is_some_and(|path| path.split('/').next() == Some(RECORDS))
}

fn listing(entries: &[TreeEntry]) -> Option<ObjectId> {
    let lines: Vec<(&str, &ObjectId)> = entries
        .iter()
        .map(|entry| (entry.name.as_str(), &entry.id))
        .collect();
    ObjectId::new(Digest::of_json(&lines).to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryTree;

    #[test]
    fn a_record_changes_nothing_and_a_page_does() {
        let seen = |files: &[(&'static str, &'static str)]| {
            let tree = MemoryTree::new(files.iter().copied());
            let tree = WithoutRecords(&tree);
            let id = tree.entry("knowledge").unwrap().map(|entry| entry.id);
            let names = tree.list("knowledge").unwrap();
            let hidden = tree.entry("knowledge/executions/2026/x.md").unwrap();
            assert!(hidden.is_none());
            (id, names.len())
        };
        let page = ("knowledge/a.md", "a");
        let record = ("knowledge/executions/2026/x.md", "x");
        let alone = seen(&[page]);
        assert_eq!(alone, seen(&[page, record]));
        assert_eq!(alone.1, 1);
        assert_ne!(alone.0, seen(&[page, ("knowledge/b.md", "b")]).0);
        assert_ne!(alone.0, seen(&[("knowledge/a.md", "b"), record]).0);
    }

    #[test]
    fn records_are_among_the_files_of_the_branch_they_go_to() {
        let settings = |text: &str| -> Settings { serde_json::from_str(text).unwrap() };
        let repository = EnvironmentName::repository();
        let usual = settings(r#"{ "name": "t", "environments": {} }"#);
        assert!(!are_among(&usual, &repository));
        let watched = r#"{ "name": "t", "environments": {}, "records": { "branch": "main" } }"#;
        assert!(are_among(&settings(watched), &repository));
        let elsewhere = r#"{ "name": "t", "environments": { "repository": { "branch": "live" } },
                             "records": { "branch": "main" } }"#;
        assert!(!are_among(&settings(elsewhere), &repository));
    }
}
