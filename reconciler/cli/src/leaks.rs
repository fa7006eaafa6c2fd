//! Looks for private keys and credentials in what is about to be committed or pushed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use stratum_core::finding::Finding;
use stratum_load::Credentials;

use crate::failure::CommandError;
use crate::git;
use crate::objects::{Kind, Objects};

mod views;

/// Bytes of a file that are looked at. What has more is said.
const LARGEST: u64 = 64 << 20;

/// In the files that the next commit changes.
pub(crate) fn staged(top: &Path) -> Result<Vec<Finding>, CommandError> {
    let arguments = [
        "diff",
        "--cached",
        "--raw",
        "-z",
        "--no-abbrev",
        "--no-renames",
        "--diff-filter=ACMT",
    ];
    let listed = git::run(top, &arguments)?;
    in_objects(top, raw(&listed))
}

/// In files of the work tree that differ from HEAD, and in new ones that git does not ignore.
pub(crate) fn changed(top: &Path) -> Result<Vec<Finding>, CommandError> {
    let modified = [
        "ls-files",
        "-z",
        "--modified",
        "--others",
        "--exclude-standard",
    ];
    let mut names = git::run(top, &modified)?;
    let staged = [
        "diff",
        "--cached",
        "--name-only",
        "-z",
        "--no-renames",
        "--diff-filter=ACMT",
    ];
    names.extend(git::run(top, &staged)?);
    let credentials = credentials()?;
    let mut findings = Vec::new();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let Ok(name) = std::str::from_utf8(name) else {
            continue;
        };
        let path = top.join(name);
        // What was deleted, and what cannot be read, holds nothing that would be committed.
        let Ok(true) = fs::symlink_metadata(&path).map(|data| data.is_file()) else {
            continue;
        };
        let mut bytes = Vec::new();
        let read = fs::File::open(&path).and_then(|file| {
            let size = file.metadata()?.len();
            file.take(LARGEST).read_to_end(&mut bytes).map(|_| size)
        });
        let size = read.map_err(|error| {
            CommandError::machine(format!("`{name}` cannot be read")).because(&error)
        })?;
        findings.extend(views::find(&credentials, name, &bytes, size));
    }
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// In every file that the commits of `new` bring and that `known` (arguments of `git rev-list`) has
/// not: also in those that a later commit took away again, because history keeps them. And in the
/// messages of those commits, and of tags.
pub(crate) fn brought(
    folder: &Path,
    new: &str,
    known: &[&str],
) -> Result<Vec<Finding>, CommandError> {
    let mut arguments = vec!["rev-list", "--objects", new];
    arguments.extend(known);
    arguments.push("--");
    let listed = git::run(folder, &arguments)?;
    let mut objects = BTreeMap::new();
    for line in String::from_utf8_lossy(&listed).lines() {
        match line.split_once(' ') {
            // The top tree has an empty path.
            Some((_, "")) => {}
            Some((id, path)) => drop(objects.insert(id.to_owned(), path.to_owned())),
            // A commit, which has none.
            None => drop(objects.insert(line.to_owned(), String::new())),
        }
    }
    in_objects(folder, objects)
}

/// In the messages of the commits of `new` that `known` has not.
pub(crate) fn messages(
    folder: &Path,
    new: &str,
    known: &[&str],
) -> Result<Vec<Finding>, CommandError> {
    let mut arguments = vec!["rev-list", new];
    arguments.extend(known);
    arguments.push("--");
    let listed = git::run(folder, &arguments)?;
    let listed = String::from_utf8_lossy(&listed);
    let ids = listed.lines().map(|id| (id.to_owned(), String::new()));
    in_objects(folder, ids.collect())
}

/// Path by id, from `git diff --raw -z`: `:mode mode id id status<NUL>path<NUL>`.
fn raw(listed: &[u8]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut parts = listed.split(|byte| *byte == 0);
    while let (Some(head), Some(path)) = (parts.next(), parts.next()) {
        let (head, path) = (String::from_utf8_lossy(head), String::from_utf8_lossy(path));
        let mut words = head.split(' ');
        let (mode, id) = (words.nth(1), words.nth(1));
        if let (Some("100644" | "100755"), Some(id)) = (mode, id) {
            found.insert(id.to_owned(), path.into_owned());
        }
    }
    found
}

fn in_objects(
    folder: &Path,
    objects: BTreeMap<String, String>,
) -> Result<Vec<Finding>, CommandError> {
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    let (credentials, reader) = (credentials()?, Objects::new(folder));
    let mut findings = Vec::new();
    for (id, path) in &objects {
        let object = reader.read(id, LARGEST).map_err(|error| {
            CommandError::machine(format!("`{path}` cannot be read from git")).because(&error)
        })?;
        let name = match object.kind {
            Kind::Blob => path.clone(),
            Kind::Commit => format!("commit {}", id.get(..8).unwrap_or(id)),
            Kind::Tag => format!("tag {}", id.get(..8).unwrap_or(id)),
            Kind::Other => continue,
        };
        findings.extend(views::find(&credentials, &name, &object.bytes, object.size));
    }
    findings.sort();
    Ok(findings)
}

fn credentials() -> Result<Credentials, CommandError> {
    Credentials::new()
        .map_err(|error| CommandError::machine("a pattern of credentials is wrong").because(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> String {
        format!(
            "-----BEGIN PRIVATE {}-----\n{}\n",
            "KEY", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
        )
    }

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        git::run(folder.path(), &["init", "-q", "-b", "main"]).unwrap();
        for (name, value) in [("user.name", "Ada"), ("user.email", "ada@example.org")] {
            git::run(folder.path(), &["config", name, value]).unwrap();
        }
        folder
    }

    fn places(findings: Vec<Finding>) -> Vec<String> {
        findings
            .into_iter()
            .map(|f| f.source.unwrap().to_string())
            .collect()
    }

    #[test]
    fn what_is_staged_is_looked_at_and_not_what_is_in_the_work_tree() {
        let folder = repository();
        let top = folder.path();
        fs::write(top.join("a b"), format!("\n{}", key())).unwrap();
        assert_eq!(places(staged(top).unwrap()), [""; 0]);
        assert_eq!(places(changed(top).unwrap()), ["a b:2:1"]);
        git::run(top, &["add", "a b"]).unwrap();
        fs::write(top.join("a b"), "clean").unwrap();
        assert_eq!(places(staged(top).unwrap()), ["a b:2:1"]);
        git::run(top, &["commit", "-q", "-m", "one"]).unwrap();
        assert_eq!(places(staged(top).unwrap()), [""; 0]);
    }

    #[test]
    fn messages_of_commits_and_tags_are_looked_at() {
        let folder = repository();
        let top = folder.path();
        git::run(top, &["commit", "-q", "--allow-empty", "-m", "one"]).unwrap();
        let message = format!("two\n\n{}", key());
        git::run(top, &["commit", "-q", "--allow-empty", "-m", &message]).unwrap();
        let found = places(brought(top, "HEAD", &[]).unwrap());
        assert!(
            found.len() == 1 && found[0].starts_with("commit "),
            "{found:?}"
        );
        assert_eq!(places(messages(top, "HEAD", &["^HEAD~1"]).unwrap()), found);
        assert_eq!(places(messages(top, "HEAD~1", &[]).unwrap()), [""; 0]);
        git::run(top, &["tag", "-a", "-m", &message, "t", "HEAD~1"]).unwrap();
        let found = places(brought(top, "t", &[]).unwrap());
        assert!(
            found.len() == 1 && found[0].starts_with("tag "),
            "{found:?}"
        );
    }

    #[test]
    fn what_a_later_commit_took_away_is_still_brought() {
        let folder = repository();
        let top = folder.path();
        for text in [key(), "clean".to_owned()] {
            fs::write(top.join("k"), text).unwrap();
            git::run(top, &["add", "k"]).unwrap();
            git::run(top, &["commit", "-q", "-m", "k"]).unwrap();
        }
        assert_eq!(places(brought(top, "HEAD", &[]).unwrap()), ["k:1:1"]);
        assert_eq!(places(brought(top, "HEAD", &["^HEAD~1"]).unwrap()), [""; 0]);
    }
}
