//! Findings, with the line they are about.

use std::fmt::Write as _;

use stratum_core::finding::{Finding, Severity, codes};
use stratum_core::source::Source;

use crate::style::{Role, Theme, harmless, one_line};

/// Looks up the text of a file of the repository; `None` when it cannot be shown.
pub(crate) type Texts<'a> = &'a dyn Fn(&str) -> Option<String>;

/// All findings, errors last so that they stand nearest to the prompt, then the count.
pub(crate) fn findings(theme: &Theme, findings: &[Finding], texts: Texts<'_>) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| (finding.severity, finding.source.clone(), &finding.code));
    let mut text = String::new();
    for found in sorted {
        text.push_str(&finding(theme, found, texts));
        text.push('\n');
    }
    text
}

/// `2 errors and 1 warning`, or `nothing to complain about`.
pub(crate) fn count(findings: &[Finding]) -> String {
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    let warnings = findings.len() - errors;
    let of = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    match (errors, warnings) {
        (0, 0) => "nothing to complain about".to_owned(),
        (0, _) => of(warnings, "warning"),
        (_, 0) => of(errors, "error"),
        (_, _) => format!("{} and {}", of(errors, "error"), of(warnings, "warning")),
    }
}

/// One finding: head, place, the line with a mark under it, hint.
pub(crate) fn finding(theme: &Theme, finding: &Finding, texts: Texts<'_>) -> String {
    let (word, role) = match finding.severity {
        Severity::Error => ("error", Role::Bad),
        Severity::Warning => ("warning", Role::Warning),
    };
    let head = theme.paint(role, format!("{word}[{}]", finding.code));
    let message = theme.paint(Role::Strong, one_line(&finding.message));
    let mut text = format!("{head}: {message}\n");
    if let Some(source) = &finding.source {
        let hidden = |_: &str| None;
        let texts = if is_secret(finding, source) {
            &hidden
        } else {
            texts
        };
        place(&mut text, theme, role, source, texts);
    }
    if let Some(hint) = &finding.hint {
        let word = theme.paint(Role::Name, "hint");
        let _infallible = writeln!(text, "  = {word}: {}", one_line(hint));
    }
    text
}

/// Whether the line itself may be a secret, and must reach no terminal and no log.
fn is_secret(finding: &Finding, source: &Source) -> bool {
    finding.code.0 == codes::CREDENTIAL.code
        || finding.code.0 == codes::PLAINTEXT.code
        || source.file.starts_with("secrets/")
}

fn place(text: &mut String, theme: &Theme, role: Role, source: &Source, texts: Texts<'_>) {
    let _infallible = writeln!(text, "  --> {}", one_line(&source.to_string()));
    let Some(file) = texts(&source.file) else {
        return;
    };
    let index = usize::try_from(source.line.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(line) = file.lines().nth(index) else {
        return;
    };
    let number = source.line.to_string();
    let margin = " ".repeat(number.len());
    let room = theme.width.saturating_sub(margin.len() + 4).max(20);
    let column = usize::try_from(source.column.saturating_sub(1)).unwrap_or(usize::MAX);
    let shown = Excerpt::new(line, column, room);
    let mark = theme.paint(role, "^".repeat(shown.length));
    let blank = " ".repeat(shown.offset);
    let _infallible = write!(
        text,
        " {margin} |\n {number} | {}\n {margin} | {blank}{mark}\n",
        shown.text
    );
}

/// A line, cut to the columns there are, with the place of the mark.
struct Excerpt {
    text: String,
    offset: usize,
    length: usize,
}

impl Excerpt {
    fn new(line: &str, column: usize, room: usize) -> Self {
        let chars: Vec<char> = harmless(line).replace('\t', " ").chars().collect();
        let column = column.min(chars.len());
        let length = word_length(chars.get(column..).unwrap_or_default());
        let start = if column + length > room {
            column.saturating_sub(room / 2)
        } else {
            0
        };
        let text: String = chars.iter().skip(start).take(room).collect();
        let offset = column - start;
        Self {
            text: text.trim_end().to_owned(),
            offset,
            length: length.min(room.saturating_sub(offset)).max(1),
        }
    }
}

/// The length of the word, or of the text in quotes, that begins here; at least 1.
fn word_length(rest: &[char]) -> usize {
    let in_word = |c: &char| c.is_alphanumeric() || *c == '_' || *c == '-';
    match rest.first() {
        Some('"') => rest
            .iter()
            .skip(1)
            .position(|c| *c == '"')
            .map_or(rest.len(), |end| end + 2),
        Some(_) => rest.iter().take_while(|c| in_word(c)).count().max(1),
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_core::finding::codes;

    fn texts(file: &str) -> Option<String> {
        (file == "infra/staging.ncl")
            .then(|| "{\n  local_file.a = {\n    contnet = \"x\",\n  },\n}\n".to_owned())
    }

    #[test]
    fn a_finding_shows_its_line_and_a_hint() {
        let found = Finding::error(&codes::UNKNOWN_ATTRIBUTE, "`local_file` has no `contnet`")
            .at(Source::new("infra/staging.ncl", 3, 5))
            .hint("did you mean `content`?");
        let expected = "\
error[STR0302]: `local_file` has no `contnet`
  --> infra/staging.ncl:3:5
   |
 3 |     contnet = \"x\",
   |     ^^^^^^^
  = hint: did you mean `content`?
";
        assert_eq!(finding(&Theme::PLAIN, &found, &texts), expected);
    }

    #[test]
    fn a_finding_in_a_file_that_cannot_be_shown_names_the_place() {
        let found = Finding::warning(&codes::STRAY_FILE, "nobody reads it").at(Source::new(
            "infra/gone.ncl",
            900,
            1,
        ));
        let expected = "warning[STR0104]: nobody reads it\n  --> infra/gone.ncl:900:1\n";
        assert_eq!(finding(&Theme::PLAIN, &found, &texts), expected);
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let line = format!("{}here{}", "a ".repeat(100), " b".repeat(100));
        let shown = Excerpt::new(&line, 200, 40);
        assert_eq!((shown.offset, shown.length), (20, 4));
        let marked: String = shown.text.chars().skip(20).take(4).collect();
        assert_eq!(marked, "here");
        assert!(shown.text.chars().count() <= 40);
    }

    #[test]
    fn counts_are_english() {
        let error = Finding::error(&codes::TYPE, "x");
        let warning = Finding::warning(&codes::TYPE, "x");
        assert_eq!(count(&[]), "nothing to complain about");
        assert_eq!(count(std::slice::from_ref(&error)), "1 error");
        let three = [warning.clone(), error, warning];
        assert_eq!(count(&three), "1 error and 2 warnings");
    }
}
