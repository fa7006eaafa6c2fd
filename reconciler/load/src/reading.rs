//! Reads the files of a tree, and remembers which.

use stratum_core::bounds::{DEEPEST_FOLDER, MOST_ENTRIES};
use stratum_core::desired::Closure;
use stratum_core::digest::Digest;
use stratum_core::finding::{Finding, codes};
use stratum_core::ports::{Tree, TreeEntry, TreeError, TreeKind};
use stratum_core::source::Source;
use stratum_core::stand_in::stand_in;

/// The most bytes of a file that people write.
pub const LARGEST: usize = 1 << 20;

/// Reads the files of a tree.
///
/// *Guarantees*: every path that was asked for is in `closure`, found or not.
pub(crate) struct Reading<'a> {
    tree: &'a dyn Tree,
    /// What was looked at.
    pub(crate) closure: Closure,
    /// What was noticed.
    pub(crate) findings: Vec<Finding>,
}

impl<'a> Reading<'a> {
    /// Reads from `tree`.
    pub(crate) fn new(tree: &'a dyn Tree) -> Self {
        Self {
            tree,
            closure: Closure::default(),
            findings: Vec::new(),
        }
    }

    /// The tree.
    pub(crate) fn tree(&self) -> &'a dyn Tree {
        self.tree
    }

    /// What is at `path`.
    pub(crate) fn entry(&mut self, path: &str) -> Result<Option<TreeEntry>, TreeError> {
        let entry = self.tree.entry(path)?;
        self.closure.0.insert(
            path.to_owned(),
            entry.as_ref().map(|entry| entry.id.clone()),
        );
        Ok(entry)
    }

    /// Notes a finding where something is at `path` that is no folder: nothing would be read from
    /// it, and people may think that it holds.
    pub(crate) fn folder(&mut self, path: &str) -> Result<(), TreeError> {
        let entry = self.entry(path)?;
        if let Some(entry) = entry.filter(|entry| entry.kind != TreeKind::Folder) {
            let what = match entry.kind {
                TreeKind::Symlink => "a link",
                TreeKind::Submodule => "a submodule",
                TreeKind::File | TreeKind::Executable | TreeKind::Folder => "a file",
            };
            let message = format!("`{path}` is {what}, and nothing is read from it");
            let finding = Finding::error(&codes::NOT_A_FOLDER, message).at(Source::start_of(path));
            self.note(finding.hint("make it a folder of this repository, or take it away"));
        }
        Ok(())
    }

    /// Whether a regular file is at `path`.
    pub(crate) fn is_file(&mut self, path: &str) -> Result<bool, TreeError> {
        Ok(self.entry(path)?.is_some_and(|entry| is_file(entry.kind)))
    }

    /// The paths of all files below `folder` that `wanted` accepts, sorted. A symlink or submodule
    /// with an accepted name becomes a finding.
    pub(crate) fn below(
        &mut self,
        folder: &str,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<String>, TreeError> {
        let top = self.entry(folder)?;
        if let Some(TreeKind::Symlink | TreeKind::Submodule) = top.as_ref().map(|top| top.kind) {
            // What lies behind it would be left out in silence.
            self.odd(folder, top.map_or(TreeKind::Symlink, |top| top.kind));
            return Ok(Vec::new());
        }
        let (mut files, mut odd) = (Vec::new(), Vec::new());
        let ended = walk(self.tree, folder, &mut |path, kind| {
            if wanted(path) && is_file(kind) {
                files.push(path.to_owned());
            } else if wanted(path) {
                odd.push((path.to_owned(), kind));
            }
        })?;
        for (path, kind) in odd {
            self.odd(&path, kind);
        }
        self.findings.extend(ended);
        files.sort();
        Ok(files)
    }

    /// The paths of the files directly in `folder` whose names end with `end`, sorted.
    pub(crate) fn within(&mut self, folder: &str, end: &str) -> Result<Vec<String>, TreeError> {
        let depth = folder.matches('/').count() + 1;
        self.below(folder, &|path| {
            path.ends_with(end) && path.matches('/').count() == depth
        })
    }

    /// The digest of the file at `path`; `None` when no regular file is there.
    pub(crate) fn digest(&mut self, path: &str) -> Result<Option<Digest>, TreeError> {
        match self.entry(path)?.filter(|entry| is_file(entry.kind)) {
            Some(entry) => Ok(Some(Digest::of_bytes(&self.tree.blob(&entry.id, path)?))),
            None => Ok(None),
        }
    }

    /// The text of the file at `path`; `None` when there is none, or a finding says why not.
    pub(crate) fn text(&mut self, path: &str) -> Result<Option<String>, TreeError> {
        let Some(entry) = self.entry(path)? else {
            return Ok(None);
        };
        if !is_file(entry.kind) {
            if entry.kind != TreeKind::Folder {
                self.odd(path, entry.kind);
            }
            return Ok(None);
        }
        let (bytes, size) = match self.tree.blob(&entry.id, path) {
            Ok(bytes) => {
                let size = bytes.len() as u64;
                (bytes, size)
            }
            // The repository weighs before it reads.
            Err(TreeError::TooLarge { bytes, .. }) => (Vec::new(), bytes),
            Err(error) => return Err(error),
        };
        if size > LARGEST as u64 {
            let message = format!("`{path}` has {size} bytes; the most is {LARGEST}");
            let hint = "keep large data out of the repository";
            self.note(
                Finding::error(&codes::TOO_LARGE, message)
                    .at(Source::start_of(path))
                    .hint(hint),
            );
            return Ok(None);
        }
        if let Some(finding) = stand_in(path, &bytes) {
            self.note(finding);
            return Ok(None);
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let finding =
                    Finding::error(&codes::NOT_TEXT, format!("`{path}` is not UTF-8 text"));
                let at = crate::document::place(path, &text, valid);
                self.note(finding.at(at).hint("save the file as UTF-8"));
                Ok(None)
            }
        }
    }

    /// Notes a finding.
    pub(crate) fn note(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn odd(&mut self, path: &str, kind: TreeKind) {
        let what = if kind == TreeKind::Symlink {
            "symlink"
        } else {
            "submodule"
        };
        let finding = Finding::error(&codes::NOT_A_FILE, format!("`{path}` is a {what}"));
        self.note(
            finding
                .at(Source::start_of(path))
                .hint("put a regular file there"),
        );
    }
}

/// Shows `each` everything below `folder` that is no folder; the finding that it is too much, where
/// it is.
///
/// *Guarantees*: goes [`DEEPEST_FOLDER`] levels down and through [`MOST_ENTRIES`] entries; no
/// recursion.
pub(crate) fn walk(
    tree: &dyn Tree,
    folder: &str,
    each: &mut dyn FnMut(&str, TreeKind),
) -> Result<Option<Finding>, TreeError> {
    let mut open = vec![(folder.to_owned(), 1)];
    let mut entries = 0;
    let too_much = |message: String| {
        let finding = Finding::error(&codes::TOO_LARGE, message).at(Source::start_of(folder));
        Some(finding.hint("keep what stratum reads flat, and other things elsewhere"))
    };
    let mut ended = None;
    while let Some((folder, depth)) = open.pop() {
        for entry in tree.list(&folder)? {
            entries += 1;
            if entries > MOST_ENTRIES {
                let message = format!("there are more than {MOST_ENTRIES} entries here");
                return Ok(too_much(message));
            }
            let path = match folder.is_empty() {
                true => entry.name,
                false => format!("{folder}/{}", entry.name),
            };
            match entry.kind {
                TreeKind::Folder if depth < DEEPEST_FOLDER => open.push((path, depth + 1)),
                TreeKind::Folder => {
                    let message =
                        format!("folders lie more than {DEEPEST_FOLDER} levels deep here");
                    ended = ended.or_else(|| too_much(message));
                }
                TreeKind::File | TreeKind::Executable | TreeKind::Symlink | TreeKind::Submodule => {
                    each(&path, entry.kind)
                }
            }
        }
    }
    Ok(ended)
}

fn is_file(kind: TreeKind) -> bool {
    matches!(kind, TreeKind::File | TreeKind::Executable)
}

/// The path that `relative` means, seen from the folder of the file `from`; `None` when it leads
/// out of the repository.
pub(crate) fn resolve(from: &str, relative: &str) -> Option<String> {
    let (folder, rest) = match relative.strip_prefix('/') {
        Some(rest) => ("", rest),
        None => (
            from.rsplit_once('/').map_or("", |(folder, _)| folder),
            relative,
        ),
    };
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in rest.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryTree;

    #[test]
    fn paths_stay_inside() {
        let from = "knowledge/a/b.md";
        assert_eq!(resolve(from, "../c.md").as_deref(), Some("knowledge/c.md"));
        assert_eq!(resolve(from, "/x/./y").as_deref(), Some("x/y"));
        assert_eq!(resolve(from, "../../../etc"), None);
    }

    #[test]
    fn what_is_no_regular_text_is_a_finding() {
        let tree = MemoryTree::new([("k/a.md", "x")])
            .with("k/b.md", TreeKind::Symlink, b"/etc/passwd")
            .with("k/c.md", TreeKind::File, b"one\ntw\xff")
            .with("k/d.md", TreeKind::File, &vec![b'x'; LARGEST + 1]);
        let mut reading = Reading::new(&tree);
        let files = reading.below("k", &|path| path.ends_with(".md")).unwrap();
        assert_eq!(files, ["k/a.md", "k/c.md", "k/d.md"]);
        for file in files {
            reading.text(&file).unwrap();
        }
        let found: Vec<String> = reading
            .findings
            .iter()
            .map(|f| format!("{} {}", f.code, f.source.as_ref().unwrap()))
            .collect();
        assert_eq!(
            found,
            [
                "STR0105 k/b.md:1:1",
                "STR0107 k/c.md:2:3",
                "STR0106 k/d.md:1:1"
            ]
        );
        assert!(reading.closure.0.contains_key("k"));
    }

    #[test]
    fn a_folder_that_is_none_is_a_finding() {
        let tree = MemoryTree::new([("k/a.md", "version https://git-lfs.github.com/spec/v1\n")])
            .with("link", TreeKind::Symlink, b"k")
            .with("sub", TreeKind::Submodule, b"");
        let mut reading = Reading::new(&tree);
        for folder in ["link", "sub"] {
            assert!(reading.below(folder, &|_| true).unwrap().is_empty());
        }
        assert_eq!(reading.text("k/a.md").unwrap(), None);
        let found: Vec<_> = reading.findings.iter().map(|f| f.message.clone()).collect();
        assert_eq!(found[..2], ["`link` is a symlink", "`sub` is a submodule"]);
        assert!(found[2].contains("git LFS"), "{found:?}");
    }
}
