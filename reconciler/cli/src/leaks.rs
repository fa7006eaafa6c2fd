//! Looks for private keys and credentials in what is about to be committed or pushed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stratum_core::finding::Finding;
use stratum_core::finding::codes::UNSEARCHED;
use stratum_core::source::Source;
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
        let size = fs::metadata(&path).map_or(0, |data| data.len());
        let read =
            fs::File::open(&path).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
        if let Err(error) = read {
            let message = format!("`{name}` cannot be read");
            return Err(CommandError::machine(message).because(&error));
        }
        findings.extend(search(&credentials, name, &bytes, size));
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
        // The top tree has an empty path; commits and tags have none, and a message.
        match line.split_once(' ') {
            Some((_, "")) => {}
            Some((id, path)) => drop(objects.insert(id.to_owned(), path.to_owned())),
            None => drop(objects.insert(line.to_owned(), format!("the message of {line:.10}"))),
        }
    }
    if new.len() >= 40 {
        // A tag that is pushed is not in the list itself.
        objects
            .entry(new.to_owned())
            .or_insert_with(|| format!("the message of {new:.10}"));
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
        if object.is_blob || object.has_message {
            findings.extend(search(&credentials, path, &object.bytes, object.size));
        }
    }
    findings.sort();
    Ok(findings)
}

/// What is found in a file of `size` bytes that begins so: as it stands there, as UTF-16, and in
/// what it holds as base64; and a warning where not all of it could be looked at.
fn search(credentials: &Credentials, path: &str, bytes: &[u8], size: u64) -> Vec<Finding> {
    let text = wide(bytes);
    let shown = text.as_deref().map_or(bytes, str::as_bytes);
    let mut findings = credentials.find(path, shown);
    for (at, inner) in encoded(shown) {
        for finding in credentials.find(path, &inner) {
            let before = shown.get(..at).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let source = Source::new(path, u32::try_from(line).unwrap_or(u32::MAX), 1);
            findings.push(finding.at(source));
        }
    }
    let why = match size > bytes.len() as u64 {
        true => Some(format!(
            "only its first {} MiB were searched",
            LARGEST >> 20
        )),
        false => packed(bytes).map(|how| format!("it is packed by {how}, and was not unpacked")),
    };
    findings.extend(why.map(|why| {
        let message = format!("`{path}` was not searched for keys: {why}");
        let finding = Finding::warning(&UNSEARCHED, message).at(Source::start_of(path));
        finding.hint("look at it yourself, or keep it out of the repository")
    }));
    findings
}

/// Text of two bytes a character, as Windows writes it.
fn wide(bytes: &[u8]) -> Option<String> {
    let pairs = |read: fn([u8; 2]) -> u16| -> Vec<u16> {
        let pairs = bytes.chunks_exact(2);
        pairs
            .filter_map(|pair| Some(read(pair.try_into().ok()?)))
            .collect()
    };
    let zeros = |from: usize| {
        let half = bytes.iter().skip(from).step_by(2).take(64);
        bytes.len() >= 16 && half.filter(|byte| **byte == 0).count() >= 6
    };
    let units = match bytes.get(..2)? {
        [0xff, 0xfe] => pairs(u16::from_le_bytes),
        [0xfe, 0xff] => pairs(u16::from_be_bytes),
        _ if zeros(1) && !zeros(0) => pairs(u16::from_le_bytes),
        _ if zeros(0) && !zeros(1) => pairs(u16::from_be_bytes),
        _ => return None,
    };
    Some(String::from_utf16_lossy(&units))
}

/// The shortest base64 that is looked into, in bytes.
const SHORTEST: usize = 40;

/// So many pieces of base64 of one file are looked into.
const PIECES: usize = 1000;

/// What stands there as base64, over several lines too, with the byte where it begins.
fn encoded(bytes: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let is_break = |byte: u8| matches!(byte, b'\n' | b'\r');
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        if found.len() >= PIECES {
            break;
        }
        let inside = |byte: &u8| is_digit(*byte) || is_break(*byte);
        let length = rest
            .iter()
            .position(|byte| !inside(byte))
            .unwrap_or(rest.len());
        if length >= SHORTEST {
            let piece = rest.get(..length).unwrap_or_default();
            let digits: Vec<u8> = piece
                .iter()
                .copied()
                .filter(|byte| is_digit(*byte))
                .collect();
            let whole = digits.len() - digits.len() % 4;
            if let Ok(inner) = STANDARD.decode(digits.get(..whole).unwrap_or_default()) {
                found.push((at, inner));
            }
        }
        at += length.max(1);
    }
    found
}

/// The name of what packed it, by how it begins.
fn packed(bytes: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 6] = [
        (b"\x1f\x8b", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh", "bzip2"),
        (b"7z\xbc\xaf", "7z"),
    ];
    let kind = KINDS.iter().find(|(mark, _)| bytes.starts_with(mark));
    kind.map(|(_, name)| *name)
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
    fn keys_are_seen_in_other_forms_and_in_messages_and_what_is_not_read_is_named() {
        let folder = repository();
        let top = folder.path();
        let utf16: Vec<u8> = key().encode_utf16().flat_map(u16::to_le_bytes).collect();
        let lines = STANDARD.encode(key());
        let lines: Vec<&str> = lines
            .as_bytes()
            .chunks(40)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let mut large = vec![b'x'; 30_000_000];
        large.extend(key().into_bytes());
        for (name, bytes) in [
            ("a", utf16),
            ("b", format!("data:\n{}\n", lines.join("\n")).into_bytes()),
            ("c", large),
            ("d", b"\x1f\x8b\x08\0\0".to_vec()),
            (
                "e",
                b"plain text with nothing in it, and quite a lot of words".to_vec(),
            ),
        ] {
            fs::write(top.join(name), bytes).unwrap();
        }
        git::run(top, &["add", "."]).unwrap();
        let found = staged(top).unwrap();
        let codes: Vec<String> = found
            .iter()
            .map(|one| format!("{} {}", one.source.as_ref().unwrap().file, one.code))
            .collect();
        assert_eq!(codes, ["a STR0709", "b STR0709", "c STR0710", "d STR0710"]);
        git::run(top, &["commit", "-q", "-m", &format!("words\n\n{}", key())]).unwrap();
        git::run(top, &["tag", "-a", "v1", "-m", &key()]).unwrap();
        let id = git::text(top, &["rev-parse", "v1"]).unwrap();
        let found = brought(top, &id, &[]).unwrap();
        let messages = found.iter().filter(|one| {
            let place = one.source.as_ref().unwrap();
            (place.file.starts_with("the message of") || place.file == "v1") && one.is_error()
        });
        assert_eq!(messages.count(), 2, "{found:?}");
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
