//! The files that one Nickel file depends on, read from git objects before anything is evaluated.

mod imports;
mod resolve;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stratum_core::desired::Closure;
use stratum_core::finding::{Finding, codes};
use stratum_core::ports::{Tree, TreeError, TreeKind};
use stratum_core::source::Source;
use stratum_core::stand_in::{stand_in, without_mark};

use imports::{Import, Scan, scan};

use crate::evaluate::protocol::{Blob, Format};
use crate::shipped::Shipped;

/// The largest file that is read, in bytes.
pub(crate) const LARGEST_FILE: usize = 16 << 20;

/// The most files of one closure.
const MOST_FILES: usize = 10_000;

/// Reads the words of a text; for the fuzzer.
pub(crate) fn words(text: &str) {
    drop(scan(text, &|_| true));
}

/// A file with everything it imports.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    /// The texts.
    pub(crate) blobs: Vec<Blob>,
    /// The objects in the tree that they came from.
    pub(crate) objects: Closure,
    /// The words in them that name a type of what ships with stratum.
    pub(crate) words: BTreeSet<String>,
    /// How often the first file defines a field of a record piece by piece, by the record's name.
    pub(crate) pieces: BTreeMap<String, (usize, (u32, u32))>,
    /// Refused imports and the like.
    pub(crate) findings: Vec<Finding>,
}

/// Walks the imports of the file at `path`.
///
/// *Guarantees*: only regular files of `tree` and files that ship with stratum are in the result;
/// every import that stands in their tokens is resolved to one of them, or a finding says why not.
pub(crate) fn close(
    tree: &dyn Tree,
    path: &str,
    shipped: &dyn Shipped,
) -> Result<Closed, TreeError> {
    let mut closed = Closed::default();
    let mut seen = BTreeSet::new();
    let first = Wanted {
        path: path.to_owned(),
        format: Format::Nickel,
        by: None,
    };
    let mut queue = VecDeque::from([first]);
    while let Some(wanted) = queue.pop_front() {
        if !seen.insert((wanted.path.clone(), wanted.format)) {
            continue;
        }
        if seen.len() > MOST_FILES {
            let message = format!("the file imports more than {MOST_FILES} files");
            closed
                .findings
                .push(Finding::error(&codes::LIMIT, message).at(Source::start_of(path)));
            break;
        }
        let Some(blob) = read(tree, &wanted, shipped, &mut closed)? else {
            continue;
        };
        if blob.format == Format::Nickel {
            let names = |word: &str| shipped.is_type(word);
            let scan = scan(&blob.text, &names);
            follow(&blob, scan, wanted.by.is_none(), &mut queue, &mut closed);
        }
        closed.blobs.push(blob);
    }
    Ok(closed)
}

/// A file that is to be read, and the import that asks for it.
struct Wanted {
    path: String,
    format: Format,
    by: Option<(Source, String)>,
}

fn follow(blob: &Blob, scan: Scan, first: bool, queue: &mut VecDeque<Wanted>, closed: &mut Closed) {
    if !blob.shipped {
        closed.words.extend(scan.words);
    }
    if first {
        closed.pieces = scan.pieces;
    }
    for Import {
        path,
        format,
        at: (line, column),
    } in scan.imports
    {
        let source = Source::new(blob.path.clone(), line, column);
        let refuse = |reason: &str| {
            Finding::error(&codes::IMPORT, format!("import refused: {reason}"))
                .at(source.clone())
                .hint("import a regular file of this repository by its relative path")
        };
        match path.and_then(|text| Ok((resolve::resolve(&blob.path, &text)?, text))) {
            Ok((path, text)) => queue.push_back(Wanted {
                path,
                format,
                by: Some((source, text)),
            }),
            Err(reason) => closed.findings.push(refuse(&reason)),
        }
    }
}

/// The text of a wanted file; a finding where it cannot be had.
fn read(
    tree: &dyn Tree,
    wanted: &Wanted,
    shipped: &dyn Shipped,
    closed: &mut Closed,
) -> Result<Option<Blob>, TreeError> {
    let Wanted { path, format, by } = wanted;
    let place = by
        .as_ref()
        .map_or_else(|| Source::start_of(path.clone()), |by| by.0.clone());
    let entry = tree.entry(path)?;
    closed
        .objects
        .0
        .insert(path.clone(), entry.as_ref().map(|entry| entry.id.clone()));
    let refused = |code, message: String| Finding::error(code, message).at(place.clone());
    let blob = |text: String, shipped: bool| Blob {
        path: path.clone(),
        format: *format,
        text,
        shipped,
    };
    let Some(entry) = entry else {
        let text = by.as_ref().and_then(|(_, import)| shipped.text(import));
        if text.is_none() {
            closed.findings.push(missing(tree, path, &place)?);
        }
        return Ok(text.map(|text| blob(text, true)));
    };
    if !matches!(entry.kind, TreeKind::File | TreeKind::Executable) {
        let code = if by.is_some() {
            &codes::IMPORT
        } else {
            &codes::NOT_A_FILE
        };
        closed
            .findings
            .push(refused(code, format!("`{path}` is not a regular file")));
        return Ok(None);
    }
    let bytes = match tree.blob(&entry.id, path) {
        // The repository weighs before it reads.
        Ok(bytes) if bytes.len() <= LARGEST_FILE => bytes,
        Ok(_) | Err(TreeError::TooLarge { .. }) => {
            let message = format!("`{path}` is larger than {} MiB", LARGEST_FILE >> 20);
            closed.findings.push(refused(&codes::TOO_LARGE, message));
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if let Some(finding) = stand_in(path, &bytes) {
        closed.findings.push(finding);
        return Ok(None);
    }
    match String::from_utf8(bytes).map(without_mark) {
        Ok(text) => Ok(Some(blob(text, false))),
        Err(_) => {
            closed.findings.push(refused(
                &codes::NOT_TEXT,
                format!("`{path}` is not UTF-8 text"),
            ));
            Ok(None)
        }
    }
}

/// The finding of an import that leads nowhere, with the nearest name in the folder it leads to.
fn missing(tree: &dyn Tree, path: &str, place: &Source) -> Result<Finding, TreeError> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let names: Vec<String> = tree
        .list(folder)?
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    let mut finding = Finding::error(
        &codes::IMPORT,
        format!("import refused: there is no file `{path}`"),
    )
    .at(place.clone());
    finding.hint = stratum_core::suggest::suggest(name, names.iter().map(String::as_str))
        .map(|name| format!("did you mean `{name}`?"))
        .or_else(|| {
            Some("import a regular file of this repository by its relative path".to_owned())
        });
    Ok(finding)
}

#[cfg(test)]
mod tests;
