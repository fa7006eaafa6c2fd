//! Text of strangers, at the border of the terminal, the record, the note, the log and the comment.
//!
//! *Guarantees*: what is shown is never obeyed. No character of it moves a cursor, rings, changes
//! the direction of what follows or hides what was said; in markdown it opens no markup, mentions
//! nobody and links nothing. *Source*: Unicode UAX #9; CommonMark 0.31, section 6.1; GitHub
//! Flavored Markdown, section 4.10.

use std::fmt::{self, Display, Formatter};

/// The most characters of a text of people that is taken in: a subject, a name, a reason.
pub const LONGEST: usize = 300;

/// Text that was made harmless; the only form in which the text of a stranger is shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Harmless(String);

impl Harmless {
    /// The text, its lines and tabs kept.
    pub fn lines(text: &str) -> Self {
        let shown = |c: char| match c {
            '\n' | '\t' => c,
            c if is_obeyed(c) => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        Self(text.chars().map(shown).collect())
    }

    /// The text on one line; runs of blanks are one.
    pub fn line(text: &str) -> Self {
        let words: Vec<&str> = text.split_whitespace().collect();
        Self::lines(&words.join(" "))
    }

    /// Its beginning, with a word about the rest where there is more.
    #[must_use]
    pub fn cut(self, longest: usize) -> Self {
        match self.0.char_indices().nth(longest) {
            Some((end, _)) => {
                let beginning = self.0.get(..end).unwrap_or_default();
                let all = self.0.chars().count();
                Self(format!("{beginning}… ({all} characters)"))
            }
            None => self,
        }
    }

    /// A code span of markdown that holds all of it, with as many backticks as that takes.
    pub fn code(&self) -> String {
        let text = &self.0.replace('\n', " ");
        if text.is_empty() {
            return "(empty)".to_owned();
        }
        let ticks = "`".repeat(longest_run(text) + 1);
        let edge = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
        let pad = if edge { " " } else { "" };
        format!("{ticks}{pad}{text}{pad}{ticks}")
    }

    /// The same within a table of markdown, where a bar ends a cell also in code.
    pub fn cell(&self) -> String {
        self.code().replace('|', "\\|")
    }

    /// The text as a forge links nothing in it: for where code spans mean nothing, such as the
    /// subject of a commit.
    pub fn unlinked(&self) -> String {
        let mut shown = String::with_capacity(self.0.len());
        for (at, c) in self.0.char_indices() {
            let before = self.0.get(..at).unwrap_or_default();
            let ends = |word: &str| {
                let from = before.len().checked_sub(word.len());
                let end = from.and_then(|from| before.get(from..));
                end.is_some_and(|end| end.eq_ignore_ascii_case(word))
            };
            let link = (c == '/' && ends(":")) || (c == '.' && ends("www"));
            let issue = c.is_ascii_digit() && (ends("gh-") || ends("#"));
            if link || issue || ends("@") {
                shown.push('\u{2060}');
            }
            shown.push(c);
        }
        shown
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Display for Harmless {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What people wrote about themselves or a change, as it is taken in: not longer than [`LONGEST`].
///
/// It stays as it was written otherwise; only where it is shown it is made harmless.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The longest run of backticks.
pub fn longest_run(text: &str) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Whether a terminal or a browser would do something at it instead of showing it.
pub fn is_obeyed(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    let hides = matches!(
        c,
        '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
    );
    c.is_control() || turns || breaks || hides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_obeyed() {
        let text = "a\u{1b}]0;x\u{7}b\u{202e}c\u{9b}2Jd\u{2028}e\u{200b}f\u{e0041}g\r\nh";
        let shown = Harmless::lines(text);
        assert!(!shown.as_str().chars().any(|c| is_obeyed(c) && c != '\n'));
        assert_eq!(Harmless::line("a\n  b\r\n\tc").as_str(), "a b c");
        assert_eq!(Harmless::lines("a\n\tb").as_str(), "a\n\tb");
    }

    #[test]
    fn code_holds_whatever_it_is_given() {
        for (text, code) in [
            ("a`b", "``a`b``"),
            ("`", "`` ` ``"),
            ("[x](y) @team fixes #2", "`[x](y) @team fixes #2`"),
            (" \n ", "(empty)"),
            ("a\nb", "`a b`"),
        ] {
            assert_eq!(Harmless::line(text).code(), code);
        }
        assert_eq!(Harmless::line("a|b").cell(), "`a\\|b`");
    }

    #[test]
    fn a_subject_links_nothing() {
        let shown = Harmless::line("fixes #2, GH-7 @team https://x www.x").unlinked();
        for linked in ["#2", "GH-7", "@team", "://", "www."] {
            assert!(!shown.contains(linked), "{linked} in {shown}");
        }
    }

    #[test]
    fn what_is_long_is_cut_between_characters() {
        assert_eq!(Harmless::line("äöü").cut(2).as_str(), "äö… (3 characters)");
        assert_eq!(Harmless::line("äöü").cut(3).as_str(), "äöü");
        assert_eq!(short(&"ä".repeat(301)).chars().count(), 301);
        assert_eq!(short(&"ä".repeat(300)).chars().count(), 300);
    }
}
