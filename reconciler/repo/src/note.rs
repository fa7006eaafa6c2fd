//! The notes on reconciled commits: one line for each run, under `refs/notes/stratum`.

use std::collections::BTreeMap;

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::note::plumbing::State;
use gix::objs::{Kind, Write};
use stratum_core::ids::RunId;

use crate::weighed::Weighed;
use crate::write::Writer;

/// The ref of the notes.
pub(crate) const NOTES: &str = "refs/notes/stratum";
/// A commit that is kept for long gets a line for each correction of drift; the oldest lines are
/// dropped beyond this, and stay in the records.
const LINES: usize = 200;

/// The notes with lines added to the notes on commits: the new commit of the notes.
///
/// *Guarantees*: a line that is there already is not added again; where none is new the answer is
/// `None`. Notes of others and the fan-out of the tree stay as git keeps them.
pub(crate) fn add(
    writer: &Writer<'_>,
    notes: Option<ObjectId>,
    lines: &BTreeMap<ObjectId, Vec<&str>>,
    runs: &[&RunId],
) -> Result<Option<ObjectId>, gix::Error> {
    let repository = writer.repository;
    let root = match notes {
        Some(notes) => Weighed(repository).commit(notes)?.tree_id()?.detach(),
        None => ObjectId::empty_tree(repository.object_hash()),
    };
    let mut state = State::new(root, writer)?;
    let mut tree = None;
    for (commit, new) in lines {
        let before = match state.get(commit, writer)? {
            Some(note) => repository.find_blob(note)?.take_data(),
            None => Vec::new(),
        };
        if let Some(text) = with_lines(&before, new) {
            let blob = writer.write_buf(Kind::Blob, text.as_bytes())?;
            tree = Some(state.replace(*commit, blob, writer)?.tree);
        }
    }
    let Some(tree) = tree else { return Ok(None) };
    writer
        .commit(tree, notes, "Notes added by stratum", runs)
        .map(Some)
}

/// The note with the lines at its end; `None` when it has them all.
fn with_lines(before: &[u8], new: &[&str]) -> Option<String> {
    let before = before.to_str_lossy();
    let mut lines: Vec<&str> = before.trim_end().lines().collect();
    let there = lines.len();
    let new: Vec<String> = new
        .iter()
        .map(|line| line.replace(['\n', '\r'], " "))
        .collect();
    for line in &new {
        if !lines.contains(&line.as_str()) {
            lines.push(line);
        }
    }
    if lines.len() == there {
        return None;
    }
    let kept = lines.len().saturating_sub(LINES);
    let mut text = lines.split_off(kept).join("\n");
    text.push('\n');
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_once_and_kept_to_a_limit() {
        assert_eq!(with_lines(b"", &["one"]).as_deref(), Some("one\n"));
        assert_eq!(
            with_lines(b"one\n", &["two\nlines", "one", "three", "three"]).as_deref(),
            Some("one\ntwo lines\nthree\n")
        );
        assert_eq!(with_lines(b"one\ntwo\n", &["one", "two"]), None);
        let long: String = (0..500).map(|n| format!("{n}\n")).collect();
        let text = with_lines(long.as_bytes(), &["last"]).unwrap();
        assert_eq!(text.lines().count(), LINES);
        assert!(text.ends_with("499\nlast\n"));
    }
}
