//! Looks for private keys and credentials in what is about to be committed or pushed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use stratum_core::finding::Finding;
use stratum_load::Credentials;

use crate::failure::CommandError;
use crate::git;
use crate::objects::Objects;

/// Bytes of a file that are looked at.
const LARGEST: u64 = 8 << 20;

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
        let read =
            fs::File::open(&path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
        if let Err(error) = read {
            let message = format!("`{name}` cannot be read");
            return Err(CommandError::machine(message).because(&error));
        }
        findings.extend(credentials.find(name, &bytes));
    }
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// In every file that the commits of `new` bring and that `known` (arguments of `git rev-list`) has
/// not: also in those that a later commit took away again, because history keeps them.
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
        // Commits have no path, and the top tree an empty one.
        if let Some((id, path)) = line.split_once(' ').filter(|(_, path)| !path.is_empty()) {
            objects.insert(id.to_owned(), path.to_owned());
        }
    }
    in_objects(folder, objects)
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
        if object.is_blob {
            findings.extend(credentials.find(path, &object.bytes));
        }
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
