//! Where choices come from.

use std::collections::BTreeSet;

use globset::GlobSet;
use stratum_core::finding::{Finding, codes};
use stratum_core::kinds::knowledge::NodeType;
use stratum_core::ports::TreeError;
use stratum_core::suggest;

use super::{Placed, file};
use crate::document::Item;
use crate::paths::paths;
use crate::reading::Reading;
use crate::shape::Shape;

/// Checks the sources of all choices; the files they name.
pub(super) fn choices(
    placed: &[Placed<'_>],
    reading: &mut Reading<'_>,
) -> Result<BTreeSet<String>, TreeError> {
    let mut files = BTreeSet::new();
    for placed in placed {
        let from = placed
            .item
            .get("choices")
            .and_then(|choices| choices.get("from"));
        if let Some(item) = from
            && let Some(text) = item.value.as_str()
        {
            files.extend(source(&item, text, reading)?);
        }
    }
    Ok(files)
}

fn source(
    item: &Item<'_>,
    text: &str,
    reading: &mut Reading<'_>,
) -> Result<Option<String>, TreeError> {
    match text.split_once(':') {
        None if text == "environments" => {}
        Some(("nickel", path)) => {
            if file(item, path, reading)? {
                return Ok(Some(path.to_owned()));
            }
        }
        Some(("glob", pattern)) => match paths(pattern) {
            Ok(set) => matches(item, pattern, &set, reading)?,
            Err(reason) => {
                let message = format!("`{pattern}` is not a pattern for paths: {reason}");
                let hint = "for example `glob:modules/*.ncl`".to_owned();
                note(reading, &codes::FORM_EXPRESSION, item, message, Some(hint));
            }
        },
        Some(("knowledge", name)) if NodeType::NAMES.contains(&name) => {}
        Some(("knowledge", name)) => {
            let hint = suggest::hint(name, NodeType::NAMES);
            let message = format!("there is no type of knowledge `{name}`");
            note(reading, &codes::FORM_FIELD, item, message, hint);
        }
        None | Some(_) => {
            let message = format!("choices cannot come from `{text}`");
            let known = [
                "environments",
                "nickel:FILE",
                "glob:PATTERN",
                "knowledge:TYPE",
            ];
            note(
                reading,
                &codes::FORM_FIELD,
                item,
                message,
                suggest::hint(text, known),
            );
        }
    }
    Ok(None)
}

fn note(
    reading: &mut Reading<'_>,
    code: &'static codes::Explained,
    item: &Item<'_>,
    message: String,
    hint: Option<String>,
) {
    Shape::new(code, &mut reading.findings).error(item.source(), message, hint);
}

/// Warns of a pattern that no file matches.
fn matches(
    item: &Item<'_>,
    pattern: &str,
    matcher: &GlobSet,
    reading: &mut Reading<'_>,
) -> Result<(), TreeError> {
    let plain = pattern
        .split('/')
        .take_while(|part| !part.contains(['*', '?', '[', '{', '\\']));
    let plain: Vec<&str> = plain.collect();
    let folder = if plain.len() == pattern.split('/').count() {
        pattern
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder)
            .to_owned()
    } else {
        plain.join("/")
    };
    if reading
        .below(&folder, &|path| matcher.is_match(path))?
        .is_empty()
    {
        let finding = Finding::warning(&codes::FORM_FILE, format!("`{pattern}` matches no file"));
        let hint = "patterns begin at the top of the repository";
        reading.note(finding.at(item.source()).hint(hint));
    }
    Ok(())
}
