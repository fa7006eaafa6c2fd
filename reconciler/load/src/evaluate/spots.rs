//! From byte positions in Nickel's files to lines and columns in people's files.

use std::collections::HashMap;

use nickel_lang_core::files::{FileId, Files};
use nickel_lang_core::position::{RawSpan, TermPos};
use stratum_core::source::Source;

use super::node::Place;
use super::protocol::Blob;

/// The files of one request that lie in the tree.
#[derive(Debug, Default)]
pub(crate) struct Spots {
    index: HashMap<FileId, u32>,
    files: Vec<String>,
}

impl Spots {
    /// Knows `id` as the text of `blob`; what ships with stratum is no place for a person.
    pub(crate) fn add(&mut self, id: FileId, blob: &Blob) {
        if !blob.shipped
            && let Ok(index) = u32::try_from(self.files.len())
        {
            self.index.insert(id, index);
            self.files.push(blob.path.clone());
        }
    }

    /// The paths that places refer to.
    pub(crate) fn into_files(self) -> Vec<String> {
        self.files
    }

    /// Whether `id` lies in the tree.
    pub(crate) fn knows(&self, id: FileId) -> bool {
        self.index.contains_key(&id)
    }

    /// The place where `pos` begins, if that is in the tree.
    pub(crate) fn place(&self, files: &Files, pos: TermPos) -> Place {
        let RawSpan { src_id, start, .. } = pos.into_opt()?;
        self.at(files, src_id, start.to_usize())
    }

    /// The place of byte `offset` of `id`, if that is in the tree.
    pub(crate) fn at(&self, files: &Files, id: FileId, offset: usize) -> Place {
        let index = *self.index.get(&id)?;
        let text = files.source(id);
        if offset >= text.len() {
            return Some(end_of(text, index));
        }
        let offset = u32::try_from(offset).ok()?;
        match files.location(id, offset) {
            Ok(location) => {
                let line = u32::try_from(location.line.to_usize()).ok()?;
                let column = u32::try_from(location.column.to_usize()).ok()?;
                Some((index, line.saturating_add(1), column.saturating_add(1)))
            }
            Err(_) => Some((index, 1, 1)),
        }
    }

    /// The same as a source.
    pub(crate) fn source(&self, files: &Files, id: FileId, offset: usize) -> Option<Source> {
        self.named(self.at(files, id, offset))
    }

    /// The source of a place.
    pub(crate) fn named(&self, place: Place) -> Option<Source> {
        let (index, line, column) = place?;
        let file = self.files.get(usize::try_from(index).ok()?)?;
        Some(Source::new(file.clone(), line, column))
    }
}

/// The place after the last character of `text`, trailing empty lines not counted.
fn end_of(text: &str, index: u32) -> (u32, u32, u32) {
    let text = text.trim_end_matches(['\n', '\r']);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
    let last = text.rsplit('\n').next().unwrap_or_default();
    (
        index,
        count(text.matches('\n').count()),
        count(last.chars().count()),
    )
}
