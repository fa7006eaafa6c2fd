//! Files tidied: what nobody disputes about the form of Nickel and TOML.
//!
//! Line ends are one character, nothing trails on a line, tabs do not indent, blank lines come one
//! at a time, and the last line ends. The formatter of Nickel itself (`nickel format`) does more, and
//! leaves nothing that would be changed here; it is not inside, because it takes 68 libraries with it.
//!
//! *Guarantees*: what is given back says the same as what was given: texts in quotes are untouched.

use std::ops::Range;

use nickel_lang_core::ast::AstAlloc;
use nickel_lang_core::files::Files;
use nickel_lang_core::parser::lexer::Lexer;
use nickel_lang_core::parser::{ErrorTolerantParser as _, grammar};
use thiserror::Error;

use crate::tokens::{Token, Tokens};

/// Why a file was left as it is.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The file is not what it should be.
    #[error("the file is not {language} that can be read: {reason}")]
    Syntax {
        /// The language.
        language: &'static str,
        /// What its reader said.
        reason: String,
    },
}

/// The reader of Nickel calls itself for each bracket, and its stack is not endless.
const DEEPEST: usize = 200;

/// The most characters of a number: the reader of Nickel computes its value.
const LONGEST_NUMBER: usize = 300;

/// The most digits of an exponent, for the same reason.
const LONGEST_EXPONENT: usize = 4;

/// The largest file that is tidied, in bytes.
const LARGEST: usize = 1 << 20;

/// Tidies a Nickel file.
///
/// *Guarantees*: depth, size and numbers are looked at before Nickel's reader sees the text, which
/// runs in this process.
pub fn nickel(text: &str) -> Result<String, FormatError> {
    let wrong = |reason: &str| FormatError::Syntax {
        language: "Nickel",
        reason: reason.to_owned(),
    };
    let (mut texts, mut depth) = (Vec::new(), 0usize);
    if text.len() > LARGEST {
        return Err(wrong("it is larger than 1 MiB"));
    }
    if has_lone_return(text) {
        return Err(wrong("a carriage return in it ends no line"));
    }
    let (mut steps, mut tokens) = (0usize, Tokens::of(text));
    for (start, token, end) in tokens.by_ref() {
        match token {
            Token::Literal(_) | Token::Escape => texts.push(start..end),
            Token::Left(_) | Token::Interpolation => depth += 1,
            Token::Right(_) => depth = depth.saturating_sub(1),
            Token::Number(number) if is_long(number) => {
                return Err(wrong("a number in it is too long"));
            }
            _ => {}
        }
        // Operators and functions nest without brackets, until the next field or element.
        steps = match token {
            Token::Comma | Token::Literal(_) | Token::Quote | Token::Escape | Token::Dot => steps,
            Token::Equals => 0,
            _ => steps + 1,
        };
        if depth > DEEPEST || steps > 20 * DEEPEST {
            return Err(wrong("it is nested too deeply"));
        }
    }
    if tokens.place() < text.trim_end().len() {
        return Err(wrong("`stratum check` names the place"));
    }
    let (alloc, mut files) = (AstAlloc::new(), Files::empty());
    let file = files.add("file", text);
    grammar::TermParser::new()
        .parse_strict(&alloc, file, Lexer::new(text))
        .map_err(|_| wrong("`stratum check` names the place"))?;
    Ok(tidy(text, &texts))
}

/// Nickel's reader breaks off at one in a text, where it was built to look for its own mistakes.
fn has_lone_return(text: &str) -> bool {
    text.split('\r').skip(1).any(|rest| !rest.starts_with('\n'))
}

fn is_long(number: &str) -> bool {
    let exponent = number.split(['e', 'E']).nth(1).unwrap_or_default();
    let plain = !number.starts_with("0x") && exponent.len() > LONGEST_EXPONENT;
    number.len() > LONGEST_NUMBER || plain
}

/// Tidies a TOML file.
pub fn toml(text: &str) -> Result<String, FormatError> {
    if stratum_core::bounds::too_deep_toml(text).is_some() {
        return Err(FormatError::Syntax {
            language: "TOML",
            reason: "it is nested too deeply".to_owned(),
        });
    }
    toml::from_str::<toml::Table>(text).map_err(|error| FormatError::Syntax {
        language: "TOML",
        reason: error.message().to_owned(),
    })?;
    Ok(tidy(text, &texts_of_toml(text)))
}

/// Where the texts of many lines stand in a valid TOML file. *Source*: TOML 1.0, "String".
fn texts_of_toml(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let long = ["\"\"\"", "'''"]
            .into_iter()
            .find(|mark| rest.starts_with(mark));
        let first = rest.chars().next().unwrap_or_default();
        at += match (long, first) {
            (Some(mark), _) => {
                let end = closing(rest, 3, mark);
                found.push(at..at + end);
                end
            }
            (None, '"') => closing(rest, 1, "\""),
            (None, '\'') => closing(rest, 1, "'"),
            (None, '#') => rest.find('\n').unwrap_or(rest.len()),
            (None, other) => other.len_utf8(),
        };
    }
    found
}

/// Behind the mark that closes a text; in double quotes a backslash hides the next character.
fn closing(rest: &str, from: usize, mark: &str) -> usize {
    let mut at = from;
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with(mark) {
            // `"""a""""` ends with the last three quotes.
            let more = tail.get(mark.len()..).unwrap_or_default();
            let quote = mark.get(..1).unwrap_or_default();
            let extra = match mark.len() {
                3 => more
                    .matches(quote)
                    .count()
                    .min(more.len() - more.trim_start_matches(quote).len()),
                _ => 0,
            };
            return at + mark.len() + extra;
        }
        let escaped = tail.starts_with('\\') && mark.starts_with('"');
        let mut chars = tail.chars();
        let step = chars.next().map_or(1, char::len_utf8);
        at += step
            + if escaped {
                chars.next().map_or(0, char::len_utf8)
            } else {
                0
            };
    }
    rest.len()
}

/// The lines, each tidied as far as no text of many lines is on it.
fn tidy(text: &str, texts: &[Range<usize>]) -> String {
    let mut tidied = String::with_capacity(text.len());
    let (mut start, mut blank) = (0, true);
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let bare = line.trim_end_matches(['\n', '\r']);
        // The end of the line, and its beginning, belong to a text that goes on there.
        let break_at = start + bare.len();
        let holds = |at: usize| texts.iter().any(|text| text.start < at && at < text.end);
        let (head, tail) = (
            holds(start),
            break_at < text.len() && holds(break_at) && holds(end),
        );
        let body = match tail {
            true => line,
            false => bare.trim_end(),
        };
        let body = if head {
            body.to_owned()
        } else {
            untabbed(body)
        };
        let is_blank = body.trim().is_empty() && !head && !tail;
        if !(is_blank && blank) {
            tidied.push_str(&body);
            if !tail {
                tidied.push('\n');
            }
        }
        blank = is_blank;
        start = end;
    }
    let kept = tidied.trim_end_matches('\n').len();
    tidied.truncate(kept);
    if !tidied.is_empty() {
        tidied.push('\n');
    }
    tidied
}

/// The line with two spaces for each tab that indents it.
fn untabbed(line: &str) -> String {
    let rest = line.trim_start_matches(['\t', ' ']);
    let indent = line.get(..line.len() - rest.len()).unwrap_or_default();
    format!("{}{rest}", indent.replace('\t', "  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carriage_return_that_ends_no_line_is_refused_wherever_it_stands() {
        for text in ["m%\"a\rb\"%", "\"a\rb\"", "1\r", "# a\rb\n1", "1\r\r\n"] {
            let said = nickel(text).unwrap_err().to_string();
            assert!(said.contains("carriage return"), "{text:?}: {said}");
        }
        assert_eq!(nickel("m%\"a\r\nb\"%\r\n").unwrap(), "m%\"a\r\nb\"%\n");
    }

    #[test]
    fn nickel_is_tidied_and_its_texts_are_not() {
        let text = "\n\n{ \r\n\ta = 1,  # why \n\n\n  b = m%\"\n  x  \n\n\n\ty\n  \"%, \n}\n\n";
        let once = nickel(text).unwrap();
        assert_eq!(
            once,
            "{\n  a = 1,  # why\n\n  b = m%\"\n  x  \n\n\n\ty\n  \"%,\n}\n"
        );
        assert_eq!(nickel(&once).unwrap(), once);
        assert_eq!(nickel("{}").unwrap(), "{}\n");
        assert!(matches!(
            nickel("{ a = \""),
            Err(FormatError::Syntax { .. })
        ));
    }

    #[test]
    fn toml_is_tidied_and_its_texts_are_not() {
        let long = "\"\"\"\nx  \n\n\n\\\"\"\" y\"\"\"\"";
        let rest = "d = 'it\\'\ne = \"# \\\" \" # '''\nf = '''\n  a  \n\n\n\"\"\" '''";
        let text = format!("a = 1 \r\n\n\n[b]\t\nc = {long}  \n{rest}\n\n");
        let once = toml(&text).unwrap();
        assert_eq!(once, format!("a = 1\n\n[b]\nc = {long}\n{rest}\n"));
        assert_eq!(toml(&once).unwrap(), once);
        assert!(matches!(toml("a = "), Err(FormatError::Syntax { .. })));
    }

    #[test]
    fn deep_files_do_not_end_the_process() {
        assert!(nickel(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn what_ships_is_tidy() {
        for text in [crate::shipped::RESOURCE, crate::shipped::REPO] {
            assert_eq!(nickel(text).unwrap(), text);
        }
    }
}
