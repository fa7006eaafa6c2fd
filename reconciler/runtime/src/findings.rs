//! Findings as the reason of a condition.

use stratum_core::finding::Finding;

/// The first error among findings, with its place, its code, and how many more there are.
pub(crate) fn first_reason(findings: &[Finding]) -> String {
    let mut errors = findings.iter().filter(|finding| finding.is_error());
    let Some(first) = errors.next() else {
        return "its files could not be read".to_owned();
    };
    let place = first
        .source
        .as_ref()
        .map(|source| format!("{source}: "))
        .unwrap_or_default();
    let more = match errors.count() {
        0 => String::new(),
        count => format!(" (and {count} more)"),
    };
    format!("{place}{} [{}]{more}", first.message, first.code)
}
