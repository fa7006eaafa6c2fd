//! The note on a reconciled commit: one line for each run, under `refs/notes/stratum`.

use gix::ObjectId;
use gix::bstr::ByteSlice;
use gix::note::plumbing::State;
use gix::objs::{Kind, Write};

use crate::write::Writer;

/// The ref of the notes.
pub(crate) const NOTES: &str = "refs/notes/stratum";
/// A commit that is kept for long gets a line for each correction of drift; the oldest lines are
/// dropped beyond this, and stay in the records.
const LINES: usize = 200;

/// The notes with `line` added to the note on `commit`: the new commit of the notes.
///
/// *Guarantees*: a line that is there already is not added again, and then the answer is `None`.
/// Notes of others and the fan-out of the tree stay as git keeps them.
pub(crate) fn add(
    writer: &Writer<'_>,
    notes: Option<ObjectId>,
    commit: ObjectId,
    line: &str,
) -> Result<Option<ObjectId>, gix::Error> {
    let repository = writer.repository;
    let root = match notes {
        Some(notes) => repository.find_commit(notes)?.tree_id()?.detach(),
        None => ObjectId::empty_tree(repository.object_hash()),
    };
    let mut state = State::new(root, writer)?;
    let before = match state.get(&commit, writer)? {
        Some(note) => repository.find_blob(note)?.take_data(),
        None => Vec::new(),
    };
    let Some(text) = with_line(&before, line) else {
        return Ok(None);
    };
    let blob = writer.write_buf(Kind::Blob, text.as_bytes())?;
    let tree = state.replace(commit, blob, writer)?.tree;
    writer
        .commit(tree, notes, "Notes added by stratum")
        .map(Some)
}

/// The note with the line at its end; `None` when it has the line.
fn with_line(before: &[u8], line: &str) -> Option<String> {
    let before = before.to_str_lossy();
    let line = line.replace(['\n', '\r'], " ");
    let mut lines: Vec<&str> = before.trim_end().lines().collect();
    if lines.contains(&line.as_str()) {
        return None;
    }
    lines.push(&line);
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
        assert_eq!(with_line(b"", "one").as_deref(), Some("one\n"));
        assert_eq!(
            with_line(b"one\n", "two\nlines").as_deref(),
            Some("one\ntwo lines\n")
        );
        assert_eq!(with_line(b"one\ntwo\n", "one"), None);
        let long: String = (0..500).map(|n| format!("{n}\n")).collect();
        let text = with_line(long.as_bytes(), "last").unwrap();
        assert_eq!(text.lines().count(), LINES);
        assert!(text.ends_with("499\nlast\n"));
    }
}
