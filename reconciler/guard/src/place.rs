//! Places in files of policies.

use cedar_policy::{ParseErrors, ValidationError};
use miette::Diagnostic;
use stratum_core::finding::Finding;
use stratum_core::finding::codes::{POLICY_SYNTAX, POLICY_TYPE};
use stratum_core::source::Source;

/// Line and column of a byte in a text.
pub(crate) fn place(file: &str, text: &str, offset: usize) -> Source {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Source::new(file, small(line), small(column))
}

/// What the parser of Cedar says.
pub(crate) fn syntax(file: &str, text: &str, errors: &ParseErrors) -> Vec<Finding> {
    let finding = |error: &cedar_policy::ParseError| {
        let source = place(file, text, offset(error));
        let finding = Finding::error(&POLICY_SYNTAX, one_line(&error.to_string())).at(source);
        match help(error) {
            Some(help) => finding.hint(help),
            None => finding,
        }
    };
    errors.iter().map(finding).collect()
}

/// What the validator of Cedar says.
pub(crate) fn invalid(file: &str, text: &str, error: &ValidationError) -> Finding {
    let source = place(file, text, offset(error));
    let finding = Finding::error(&POLICY_TYPE, one_line(&error.to_string())).at(source);
    match help(error) {
        Some(help) => finding.hint(help),
        None => finding.hint("policies/schema.cedarschema lists what there is"),
    }
}

fn offset(error: &dyn Diagnostic) -> usize {
    let labels = error.labels();
    let first = labels.and_then(|mut labels| labels.next());
    first.map_or(0, |label| label.offset())
}

fn help(error: &dyn Diagnostic) -> Option<String> {
    error.help().map(|help| one_line(&help.to_string()))
}

pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
