//! What differs between two commits: one walk over both trees, without a file being read.

use std::collections::BTreeSet;

use stratum_core::ids::{CommitId, ObjectId};
use stratum_core::ports::{Changed, RepositoryError, TreeEntry, TreeError, TreeKind};

use crate::folder::Folders;
use crate::open::GitRepository;

/// A change of more paths than this is one of everything.
const MOST: usize = 100_000;
/// As deep as trees are read.
const DEPTH: usize = 32;
/// Where records are, wherever they are committed: they are no input.
const KNOWLEDGE: &str = "knowledge";
const RECORDS: &str = "knowledge/executions";

impl GitRepository {
    pub(crate) fn read_changed(
        &self,
        old: &CommitId,
        new: &CommitId,
    ) -> Result<Changed, RepositoryError> {
        let (old, new) = (self.root_of(old)?, self.root_of(new)?);
        Ok(match between(&self.folders, old, new) {
            Ok(Some(paths)) => Changed::Paths(without_records(paths)),
            Ok(None) => Changed::Everything,
            Err(error) => {
                tracing::info!(%error, "what changed cannot be told, so everything is looked at");
                Changed::Everything
            }
        })
    }
}

/// Two folders that differ, at one path; `None` where one side has no folder.
struct Pair {
    path: String,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
}

/// The paths whose entries differ, folders also; `None` when they are too many.
fn between(
    folders: &Folders,
    old: ObjectId,
    new: ObjectId,
) -> Result<Option<BTreeSet<String>>, TreeError> {
    let mut changed = BTreeSet::new();
    let mut open = Vec::new();
    if old != new {
        let (path, old, new) = (String::new(), Some(old), Some(new));
        open.push(Pair { path, old, new });
    }
    while let Some(pair) = open.pop() {
        if pair.path.split('/').count() > DEPTH {
            return Ok(None);
        }
        let entries = |id: &Option<ObjectId>| match id {
            Some(id) => folders.get(id, &pair.path).map(Some),
            None => Ok(None),
        };
        let (old, new) = (entries(&pair.old)?, entries(&pair.new)?);
        let (old, new) = (
            old.as_ref().map_or(&[][..], |folder| &folder.entries),
            new.as_ref().map_or(&[][..], |folder| &folder.entries),
        );
        each(old, new, |name, old, new| {
            let path = match pair.path.is_empty() {
                true => name.to_owned(),
                false => format!("{}/{name}", pair.path),
            };
            let (old, new) = (folder_of(old), folder_of(new));
            if old.is_some() || new.is_some() {
                let path = path.clone();
                open.push(Pair { path, old, new });
            }
            changed.insert(path);
        });
        if changed.len() > MOST {
            return Ok(None);
        }
    }
    Ok(Some(changed))
}

fn folder_of(entry: Option<&TreeEntry>) -> Option<ObjectId> {
    let folder = entry.filter(|entry| entry.kind == TreeKind::Folder);
    folder.map(|entry| entry.id.clone())
}

/// Calls `tell` for each name whose entries differ. Both sides are sorted by name.
fn each(
    mut old: &[TreeEntry],
    mut new: &[TreeEntry],
    mut tell: impl FnMut(&str, Option<&TreeEntry>, Option<&TreeEntry>),
) {
    loop {
        match (old.split_first(), new.split_first()) {
            (Some((a, after_a)), Some((b, after_b))) if a.name == b.name => {
                if (a.kind, &a.id) != (b.kind, &b.id) {
                    tell(&a.name, Some(a), Some(b));
                }
                (old, new) = (after_a, after_b);
            }
            (Some((a, after)), Some((b, _))) if a.name < b.name => {
                tell(&a.name, Some(a), None);
                old = after;
            }
            (Some((a, after)), None) => {
                tell(&a.name, Some(a), None);
                old = after;
            }
            (_, Some((b, after))) => {
                tell(&b.name, None, Some(b));
                new = after;
            }
            (None, None) => return,
        }
    }
}

/// The folder around the records changes with them; where nothing else in it did, it is as it was.
fn without_records(mut paths: BTreeSet<String>) -> BTreeSet<String> {
    let is_record = |path: &str| {
        let rest = path.strip_prefix(RECORDS);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let before = paths.len();
    paths.retain(|path| !is_record(path));
    let inside = |path: &String| path.starts_with(KNOWLEDGE) && path.contains('/');
    if paths.len() < before && !paths.iter().any(inside) {
        paths.remove(KNOWLEDGE);
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn records_are_no_change() {
        let record = "knowledge/executions/2026/03/02/x.md";
        let only = paths(&["knowledge", "knowledge/executions", record, "infra"]);
        assert_eq!(without_records(only), paths(&["infra"]));
        let beside = paths(&["knowledge", "knowledge/a.md", record]);
        let left = paths(&["knowledge", "knowledge/a.md"]);
        assert_eq!(without_records(beside), left);
        let other = paths(&["knowledge", "knowledge/executions.md"]);
        assert_eq!(without_records(other.clone()), other);
    }
}
