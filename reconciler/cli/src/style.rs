//! How text looks on this terminal: colours, symbols, width.
//!
//! *Guarantees*: meaning never depends on colour alone; without colour and Unicode every text says
//! the same.

use anstyle::{AnsiColor, Style};
use stratum_core::text::{Harmless, is_obeyed};

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Something is made, or well.
    Good,
    /// Something changes, or needs attention.
    Warning,
    /// Something is taken away, or wrong.
    Bad,
    /// Something is named or taken over.
    Name,
    /// A heading.
    Strong,
    /// What is worth less attention.
    Quiet,
}

/// A symbol, with a form for terminals without Unicode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Well.
    Good,
    /// Not well.
    Bad,
    /// In work.
    Busy,
    /// Waiting, or set aside.
    Idle,
    /// Nobody knows.
    Unknown,
    /// Put back.
    Back,
}

/// How text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Theme {
    /// Whether to use colours.
    pub(crate) color: bool,
    /// Whether to use characters beyond ASCII.
    pub(crate) unicode: bool,
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// Whether it is a terminal: elsewhere nothing is cut or wrapped, so that programs find it.
    pub(crate) terminal: bool,
}

impl Theme {
    /// No colours, no Unicode, 80 columns: what a pipe gets, except that pipes get Unicode.
    pub(crate) const PLAIN: Self = Self {
        color: false,
        unicode: false,
        width: 80,
        terminal: false,
    };

    /// `text` in the look of `role`.
    pub(crate) fn paint(&self, role: Role, text: impl std::fmt::Display) -> String {
        if !self.color {
            return text.to_string();
        }
        let style = look(role);
        format!("{style}{text}{style:#}")
    }

    /// The symbol, uncoloured.
    pub(crate) fn mark(&self, mark: Mark) -> &'static str {
        let (unicode, ascii) = match mark {
            Mark::Good => ("✓", "ok"),
            Mark::Bad => ("✗", "!!"),
            Mark::Busy => ("⟳", ".."),
            Mark::Idle => ("○", "--"),
            Mark::Unknown => ("?", "??"),
            Mark::Back => ("↩", "<-"),
        };
        if self.unicode { unicode } else { ascii }
    }

    /// The symbol, in the look of `role`.
    pub(crate) fn marked(&self, mark: Mark, role: Role) -> String {
        self.paint(role, self.mark(mark))
    }

    /// An arrow from before to after.
    pub(crate) fn arrow(&self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }

    /// Columns that text may take: those of the terminal, or as many as it likes.
    pub(crate) fn columns(&self) -> usize {
        if self.terminal {
            self.width
        } else {
            usize::MAX
        }
    }

    /// `text` on lines that fit, each after `indent` blanks; ends with a line end.
    pub(crate) fn wrapped(&self, indent: usize, text: &str) -> String {
        let room = self.columns().saturating_sub(indent).max(16);
        let blank = " ".repeat(indent);
        wrap(text, room)
            .iter()
            .map(|line| format!("{blank}{line}\n"))
            .collect()
    }

    /// A line across, for headings.
    pub(crate) fn rule(&self) -> String {
        let piece = if self.unicode { "─" } else { "-" };
        piece.repeat(self.width.min(78))
    }
}

fn look(role: Role) -> Style {
    let color = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
    match role {
        Role::Good => color(AnsiColor::Green),
        Role::Warning => color(AnsiColor::Yellow),
        Role::Bad => color(AnsiColor::Red),
        Role::Name => color(AnsiColor::Cyan),
        Role::Strong => Style::new().bold(),
        Role::Quiet => Style::new().dimmed(),
    }
}

/// Text of others, made harmless for a terminal: control characters are shown, not obeyed.
pub(crate) fn harmless(text: &str) -> String {
    Harmless::lines(text).into_string()
}

/// What is written to a terminal: nothing in it is obeyed but line ends, tabs, and where there are
/// colours those that [`look`] and the log make. The last border: what is shown is made harmless
/// where it is put together, and what was forgotten there ends here.
pub(crate) fn shown(text: &str, color: bool) -> std::borrow::Cow<'_, str> {
    let obeyed = |c: char| is_obeyed(c) && !matches!(c, '\n' | '\t');
    if !text.contains(obeyed) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match paint(rest).filter(|_| color) {
            Some(length) => {
                shown.push_str(rest.get(..length).unwrap_or_default());
                length
            }
            None => {
                shown.push(if obeyed(c) {
                    char::REPLACEMENT_CHARACTER
                } else {
                    c
                });
                c.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    shown.into()
}

/// JSON on its way to a terminal: the same characters, written as escapes.
pub(crate) fn shown_json(json: &str) -> std::borrow::Cow<'_, str> {
    let obeyed = |c: char| is_obeyed(c) && !matches!(c, '\n' | '\t');
    if !json.contains(obeyed) {
        return json.into();
    }
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if obeyed(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(c);
        }
    }
    shown.into()
}

/// The length of the sequence at the beginning that only sets a colour or the weight of letters.
fn paint(text: &str) -> Option<usize> {
    let rest = text.strip_prefix("\u{1b}[")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    let numbers = rest.get(..end)?;
    let plain = |number: &str| {
        let number = number
            .parse::<u8>()
            .unwrap_or(if number.is_empty() { 0 } else { 8 });
        matches!(number, 0..=4 | 22..=24 | 30..=37 | 39 | 90..=97)
    };
    let ours = rest.get(end..)?.starts_with('m') && numbers.split(';').all(plain);
    ours.then_some(end + 3)
}

/// [`harmless`], on one line.
pub(crate) fn one_line(text: &str) -> String {
    Harmless::line(text).into_string()
}

/// `text` on lines of at most `width` columns where its words allow it; never none.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        let taken = line.chars().count();
        if taken > 0 && taken + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if taken > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// The beginning of `text` that fits into `width` columns, with dots when something is left out.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(3)).collect();
    format!("{}...", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_direction_marks_are_not_obeyed() {
        assert_eq!(
            harmless("a\u{1b}[2Jb\u{202e}c\n"),
            "a\u{fffd}[2Jb\u{fffd}c\n"
        );
        assert_eq!(one_line("a\n  b\r\nc"), "a b c");
    }

    #[test]
    fn only_our_own_colours_reach_a_terminal() {
        let text = "\u{1b}[31mred\u{1b}[0m \u{1b}[8mhidden\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}1m\u{202e}";
        let held = shown(text, true);
        assert!(held.starts_with("\u{1b}[31mred\u{1b}[0m "), "{held:?}");
        assert_eq!(held.matches('\u{1b}').count(), 2, "{held:?}");
        assert!(!shown(text, false).contains('\u{1b}'));
        assert_eq!(shown("plain\n\ttext", false), "plain\n\ttext");
        let json = serde_json::json!({ "a": "\u{9b}2J\u{202e}\u{e0041}\u{7}" });
        let held = shown_json(&json.to_string()).into_owned();
        assert!(!held.chars().any(is_obeyed), "{held:?}");
        let again: serde_json::Value = serde_json::from_str(&held).unwrap();
        assert_eq!(again, json);
    }

    #[test]
    fn without_color_text_is_bare() {
        assert_eq!(Theme::PLAIN.paint(Role::Bad, "x"), "x");
        let colored = Theme {
            color: true,
            ..Theme::PLAIN
        };
        assert_eq!(colored.paint(Role::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
    }

    #[test]
    fn text_is_wrapped_between_words_on_a_terminal_only() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(
            wrap("a-word-that-does-not-fit x", 5),
            ["a-word-that-does-not-fit", "x"]
        );
        assert_eq!(wrap("", 5), [""]);
        let narrow = Theme {
            terminal: true,
            width: 20,
            ..Theme::PLAIN
        };
        assert_eq!(
            narrow.wrapped(4, "one two three four"),
            "    one two three\n    four\n"
        );
        assert_eq!(
            Theme::PLAIN.wrapped(4, &"word ".repeat(40)).lines().count(),
            1
        );
    }

    #[test]
    fn long_text_is_cut_with_dots() {
        assert_eq!(fit("abcdefgh", 6), "abc...");
        assert_eq!(fit("abc", 3), "abc");
    }
}
