//! Sentences of ours for people, and annotations for the forge.

use stratum_core::finding::{Finding, Severity};
use stratum_core::ids::EnvironmentName;

use crate::commands::pull_request::report::Told;
use crate::style::one_line;

/// Annotations of one kind; GitHub shows no more for one step.
const ANNOTATIONS: usize = 10;

/// Names in one sentence.
const NAMES: usize = 20;

/// Environments that a merge does not touch.
pub(super) fn follow_other_branches(names: &[&EnvironmentName]) -> String {
    format!(
        "Not touched, because other branches hold them: {}.",
        list(names)
    )
}

/// Environments that the merge takes out of the settings.
pub(super) fn no_longer_named(names: &[EnvironmentName]) -> String {
    let names: Vec<&EnvironmentName> = names.iter().collect();
    format!(
        "**No longer named in the settings**: {}. What they made stays where it is, and nobody \
         keeps it any more.",
        list(&names)
    )
}

fn list(names: &[&EnvironmentName]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(NAMES)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = match names.len().saturating_sub(NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", shown.join(", "))
}

/// Commands that make GitHub show findings on their lines, and notices on the page of the run.
///
/// *Guarantees*: text of others cannot become a command: it is on one line and escaped.
///
/// *Source*: GitHub documentation, "Workflow commands", "Setting an error message".
pub(super) fn annotations(findings: &[Finding], told: &Told) -> Vec<String> {
    let of = |severity: Severity| {
        let chosen = findings
            .iter()
            .filter(move |finding| finding.severity == severity);
        chosen.take(ANNOTATIONS).map(annotation)
    };
    let notices = told
        .notices
        .iter()
        .map(|notice| format!("::warning title=stratum::{}", data(notice)));
    of(Severity::Error)
        .chain(of(Severity::Warning))
        .chain(notices)
        .collect()
}

fn annotation(finding: &Finding) -> String {
    let command = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut properties = format!("title={}", property(&finding.code.0));
    if let Some(source) = &finding.source {
        properties.push_str(&format!(
            ",file={},line={},col={}",
            property(&source.file),
            source.line,
            source.column
        ));
    }
    let hint = finding.hint.as_ref().map(|hint| format!(" ({hint})"));
    let text = format!("{}{}", finding.message, hint.unwrap_or_default());
    format!("::{command} {properties}::{}", data(&text))
}

fn data(text: &str) -> String {
    one_line(text).replace('%', "%25")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_core::finding::codes;
    use stratum_core::source::Source;

    #[test]
    fn text_of_others_cannot_become_a_command() {
        let finding = Finding::error(&codes::SYNTAX, "x\n::set-output name=y::z %0A")
            .at(Source::new("a:b,line=1.ncl", 3, 4));
        let lines = annotations(&[finding], &Told::default());
        assert_eq!(
            lines,
            [
                "::error title=STR0201,file=a%3Ab%2Cline=1.ncl,line=3,col=4::\
              x ::set-output name=y::z %250A"
            ]
        );
    }

    #[test]
    fn no_more_than_github_shows() {
        let finding = Finding::warning(&codes::SYNTAX, "x");
        let many = vec![finding; 50];
        assert_eq!(annotations(&many, &Told::default()).len(), ANNOTATIONS);
    }
}
