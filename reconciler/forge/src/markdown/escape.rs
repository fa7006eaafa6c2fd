//! Text of others within markdown: shown, and never obeyed.
//!
//! *Guarantees*: whatever the text, it opens no markup, ends no block, mentions nobody, links
//! nothing and hides nothing. *Source*: CommonMark 0.31, sections 2.4, 4.5, 6.1; GitHub Flavored
//! Markdown, section 6.9.

use stratum_core::text::{Harmless, longest_run};

/// Joins nothing: it stands where a forge would otherwise see a mention or a link.
const JOINER: char = '\u{2060}';

/// The text on one line, without what a terminal or a browser would obey.
pub(crate) fn one_line(text: &str) -> String {
    Harmless::line(text).into_string()
}

/// Control characters, and those that change the direction of text, made visible.
pub(crate) fn harmless(text: &str) -> String {
    Harmless::lines(text).into_string()
}

/// A sentence of others. What stands in backticks becomes a code span, the rest plain text.
pub(crate) fn prose(text: &str) -> String {
    let flat = one_line(text);
    let parts: Vec<&str> = flat.split('`').collect();
    let mut shown = String::with_capacity(flat.len());
    for (place, part) in parts.iter().enumerate() {
        let is_closed = place + 1 < parts.len();
        match (place % 2 == 1, is_closed) {
            (true, true) if part.is_empty() => shown.push_str("&#96;&#96;"),
            (true, true) => shown.push_str(&code(part)),
            (true, false) => {
                shown.push_str("&#96;");
                shown.push_str(&entities(part));
            }
            (false, _) => shown.push_str(&entities(part)),
        }
    }
    shown
}

/// Plain text: every character that could be markup is written as an entity.
pub(crate) fn plain(text: &str) -> String {
    entities(&one_line(text))
}

/// The same, of text that is on one line; the blanks at its ends stay.
fn entities(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 16);
    let mut before = String::new();
    for c in text.chars() {
        let after_link = c == '/' && before.ends_with(':');
        let after_www = c == '.' && before.to_ascii_lowercase().ends_with("www");
        let after_issue = c.is_ascii_digit() && before.to_ascii_lowercase().ends_with("gh-");
        if after_link || after_www || after_issue {
            shown.push(JOINER);
        }
        match c {
            '@' | '#' => {
                shown.push_str(&format!("&#{};", c as u32));
                shown.push(JOINER);
            }
            '&' | '<' | '>' | '*' | '_' | '~' | '[' | ']' | '(' | ')' | '!' | '|' | '\\' | '`'
            | '$' | '"' | '\'' | '+' | '=' | '{' | '}' => {
                shown.push_str(&format!("&#{};", c as u32));
            }
            c => shown.push(c),
        }
        before.push(c);
        if before.chars().count() > 3 {
            before.remove(0);
        }
    }
    shown
}

/// A code span on one line.
pub(crate) fn code(text: &str) -> String {
    Harmless::line(text).code()
}

/// A fenced block; `text` may be anything.
pub(crate) fn fence(language: &str, text: &str) -> String {
    let ticks = "`".repeat((longest_run(text) + 1).max(3));
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{ticks}{language}\n{text}{end}{ticks}\n")
}

/// Text within an HTML element.
pub(crate) fn html(text: &str) -> String {
    one_line(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('@', "&#64;\u{2060}")
}

/// A path as part of a URL (RFC 3986): everything but the plainest is percent-encoded.
pub(crate) fn path(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A long text by its beginning, cut between two characters.
pub(crate) fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => {
            let beginning = text.get(..end).unwrap_or(text);
            format!("{beginning}… ({} characters)", text.chars().count())
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_keeps_values_in_backticks_and_obeys_nothing() {
        assert_eq!(prose("`a|b` is *new*"), "`a|b` is &#42;new&#42;");
        assert_eq!(prose("one ` tick"), "one &#96; tick");
        assert_eq!(prose("a `` b"), "a &#96;&#96; b");
        assert_eq!(
            prose("line\nbreak\r\n# head"),
            "line break &#35;\u{2060} head"
        );
    }

    #[test]
    fn nobody_is_mentioned_and_nothing_linked() {
        assert_eq!(plain("@team"), "&#64;\u{2060}team");
        assert_eq!(plain("fixes #12"), "fixes &#35;\u{2060}12");
        assert_eq!(plain("https://x.y"), "https:\u{2060}//x.y");
        assert_eq!(plain("www.x.y"), "www\u{2060}.x.y");
        assert_eq!(plain("GH-7"), "GH-\u{2060}7");
        assert_eq!(plain("<!-- x -->"), "&#60;&#33;-- x --&#62;");
    }

    #[test]
    fn code_spans_and_fences_are_longer_than_what_is_in_them() {
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(fence("", "```\n# x"), "````\n```\n# x\n````\n");
        assert_eq!(code(" \n "), "(empty)");
    }

    #[test]
    fn text_that_turns_around_is_made_visible() {
        assert_eq!(one_line("a\u{202e}b\u{1b}[2J"), "a\u{fffd}b\u{fffd}[2J");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(cut("äöü", 2), "äö… (3 characters)");
        assert_eq!(cut("äöü", 3), "äöü");
    }
}
