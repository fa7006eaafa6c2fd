//! Reads dotenv files (`NAME=value`) in the clear, or says in which line it would have to guess.
//!
//! There is no standard: each language has its own reader, and they differ. Read here is what those of
//! JavaScript, Python, Go and Ruby read alike; a line that one of them reads otherwise is refused, so
//! that no value is changed in silence.
//!
//! *Shape*: `NAME=value`, blanks around `=`, `export ` before it; comments on lines of their own and,
//! after a blank, behind values; `'…'` as it is; `"…"` with `\n` for a line feed; both over several
//! lines. A byte order mark at the start and `\r\n` at the ends of lines are passed over.
//! *Source*: motdotla/dotenv 16 `lib/main.js`, theskumar/python-dotenv `parser.py`,
//! joho/godotenv `parser.go`, bkeepers/dotenv `lib/dotenv/parser.rb`.

use zeroize::Zeroizing;

/// Why a file is not read, and in which line. No value is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(crate) struct DotenvError {
    /// The line, from 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) what: &'static str,
}

/// The variables of a file, in its order.
pub(crate) type Variables = Vec<(String, Zeroizing<String>)>;

const DOLLAR: &str =
    "some readers put a variable or a command in for `$`; within single quotes none does";
const BACKSLASH: &str =
    "some readers take a backslash for an escape; within single quotes none does";
const ESCAPE: &str = "readers differ about this escape; in double quotes only `\\n` is the same for \
                      all, and in single quotes there are none";

/// Reads a whole file.
pub(crate) fn read(text: &str) -> Result<Variables, DotenvError> {
    let mut rest = Rest {
        text: text.strip_prefix('\u{feff}').unwrap_or(text),
        line: 1,
    };
    let mut found = Variables::new();
    while !rest.text.is_empty() {
        let line = rest.line;
        let fail = |what| DotenvError { line, what };
        if let Some((name, value)) = rest.entry()? {
            if found.iter().any(|(known, _)| *known == name) {
                return Err(fail("the name stands there a second time"));
            }
            if value.contains('\0') {
                return Err(fail("a NUL byte, which no variable can hold"));
            }
            found.push((name, value));
        }
    }
    Ok(found)
}

/// What is left of a file.
struct Rest<'a> {
    text: &'a str,
    line: usize,
}

impl<'a> Rest<'a> {
    fn fail<T>(&self, what: &'static str) -> Result<T, DotenvError> {
        Err(DotenvError {
            line: self.line,
            what,
        })
    }

    /// The next line without its end, not yet taken.
    fn ahead(&self) -> Result<&'a str, DotenvError> {
        let line = self.text.split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        match line.contains(['\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']) {
            true => self.fail("a character that some readers take for the end of a line"),
            false => Ok(line),
        }
    }

    /// Takes the next line.
    fn take(&mut self) {
        let (_, rest) = self.text.split_once('\n').unwrap_or_default();
        self.text = rest;
        self.line += 1;
    }

    /// One variable; `None` for a line without any.
    fn entry(&mut self) -> Result<Option<(String, Zeroizing<String>)>, DotenvError> {
        let line = self.ahead()?;
        let bare = line.trim_matches([' ', '\t']);
        if bare.is_empty() || bare.starts_with('#') {
            self.take();
            return Ok(None);
        }
        let Some((name, value)) = line.split_once('=') else {
            return self.fail("it is not `NAME=value`");
        };
        let name = self.name(name)?;
        let value = value.trim_start_matches([' ', '\t']);
        let read = match value.chars().next() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote, line.len() - value.len() + 1)?,
            Some('`') => return self.fail("only some readers know the quote at its start"),
            Some(_) | None => {
                let read = self.plain(value)?;
                self.take();
                read
            }
        };
        Ok(Some((name, read)))
    }

    fn name(&self, text: &str) -> Result<String, DotenvError> {
        let name = text.trim_matches([' ', '\t']);
        let exported = name
            .strip_prefix("export")
            .filter(|rest| rest.starts_with([' ', '\t']));
        let name = exported.unwrap_or(name).trim_start_matches([' ', '\t']);
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        match !name.is_empty() && name.chars().all(sound) {
            true => Ok(name.to_owned()),
            false => self.fail("the name has other characters than letters, digits, `_`, `.`, `-`"),
        }
    }

    /// A value without quotes, up to the end of its line.
    fn plain(&self, text: &str) -> Result<Zeroizing<String>, DotenvError> {
        let (value, comment) = match text.split_once('#') {
            Some((value, _)) => (value, Some(())),
            None => (text, None),
        };
        if comment.is_some() && !value.is_empty() && !value.ends_with([' ', '\t']) {
            return self.fail(
                "some readers take `#` within a value for a comment; put the value in quotes",
            );
        }
        let value = value.trim_matches([' ', '\t']);
        if value.starts_with(char::is_whitespace) || value.ends_with(char::is_whitespace) {
            return self.fail("some readers keep the blanks around the value; put it in quotes");
        }
        if expands(value) {
            return self.fail(DOLLAR);
        }
        if value.contains('\\') {
            return self.fail(BACKSLASH);
        }
        Ok(Zeroizing::new(value.to_owned()))
    }

    /// A value in quotes, which begins at `from` in the next line and may go over several.
    fn quoted(&mut self, quote: char, from: usize) -> Result<Zeroizing<String>, DotenvError> {
        let first = self.line;
        let text = self.text.get(from..).unwrap_or_default();
        let mut value = Zeroizing::new(String::with_capacity(text.len().min(64 << 10)));
        let mut chars = text.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    return self.closed(text.get(at + 1..).unwrap_or_default(), value);
                }
                '\\' if quote == '"' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    _ => {
                        return self.fail(ESCAPE);
                    }
                },
                '\\' => match text.get(at + 1..).and_then(|rest| rest.chars().next()) {
                    Some('\\' | '\'') => {
                        return self.fail(
                            "readers differ about a backslash before a backslash or a quote",
                        );
                    }
                    _ => value.push('\\'),
                },
                '$' if quote == '"' && begins_expansion(text.get(at + 1..).unwrap_or_default()) => {
                    return self.fail(DOLLAR);
                }
                '\r' => return self.fail("readers differ about `\\r` within quotes"),
                '\n' => {
                    self.line += 1;
                    value.push('\n');
                }
                c => value.push(c),
            }
        }
        Err(DotenvError {
            line: first,
            what: "the quote is never closed",
        })
    }

    /// Goes on behind a closing quote, where only a comment may follow.
    fn closed(
        &mut self,
        after: &'a str,
        value: Zeroizing<String>,
    ) -> Result<Zeroizing<String>, DotenvError> {
        let tail = after.split('\n').next().unwrap_or_default();
        let tail = tail.strip_suffix('\r').unwrap_or(tail);
        let bare = tail.trim_start_matches([' ', '\t']);
        let blank = bare.len() < tail.len();
        if !(bare.is_empty() || blank && bare.starts_with('#')) {
            return self.fail("something other than a comment follows the closing quote");
        }
        self.text = after;
        self.take();
        Ok(value)
    }
}

/// Whether some reader puts something else in for a `$` of the value.
fn expands(value: &str) -> bool {
    let mut parts = value.split('$');
    parts.next();
    parts.any(begins_expansion)
}

fn begins_expansion(after: &str) -> bool {
    after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '{' | '('))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Result<Vec<(String, String)>, DotenvError> {
        let found = read(text)?;
        Ok(found
            .into_iter()
            .map(|(name, value)| (name, value.to_string()))
            .collect())
    }

    fn one(line: &str) -> Result<String, usize> {
        let found = read_all(line).map_err(|error| error.line)?;
        assert_eq!(found.len(), 1, "{line}");
        Ok(found[0].1.clone())
    }

    #[test]
    fn what_all_readers_read_alike_is_read() {
        for (line, value) in [
            ("A=b", "b"),
            ("A=", ""),
            ("A=value # a comment", "value"),
            ("A= # only a comment", ""),
            ("Q=\"quoted\" # a comment", "quoted"),
            ("TRAIL=x   ", "x"),
            ("  A = b c ", "b c"),
            ("export A=b", "b"),
            ("export\tA='b'", "b"),
            ("SQ='a\\nb'", "a\\nb"),
            ("A='  kept  '", "  kept  "),
            ("A='p$a${b}$(c)#\"'", "p$a${b}$(c)#\""),
            ("A=\"a # b\"", "a # b"),
            ("A=\"one\\ntwo\"", "one\ntwo"),
            ("A=\"one\ntwo\"", "one\ntwo"),
            ("A='one\ntwo' # three", "one\ntwo"),
            ("A=it's", "it's"),
            ("A=a=b==", "a=b=="),
            ("A=5$", "5$"),
            ("A=a$1", "a$1"),
            ("A=ü", "ü"),
            ("A=b\r\n", "b"),
            ("\u{feff}A=b", "b"),
            ("a.b-c=d", "d"),
            ("A='DOMAIN\\user'", "DOMAIN\\user"),
        ] {
            assert_eq!(one(line).as_deref(), Ok(value), "{line:?}");
        }
    }

    #[test]
    fn what_readers_read_differently_is_refused_with_its_line() {
        for line in [
            "A=ab#c",
            "DQQ=\"say \\\"hi\\\"\"",
            "A=\"a\\tb\"",
            "A=\"a\\\\b\"",
            "A=\"a\\",
            "A='it\\'s'",
            "A='a\\\\b'",
            "WIN=C:\\new\\table",
            "A=DOMAIN\\user",
            "A=ends\\",
            "A=$HOME/x",
            "A=pa${x}",
            "A=$(id)",
            "A=\"x$y\"",
            "A=`x`",
            "A='never closed",
            "A=\"never closed\n\n",
            "A=\"x\"y",
            "A=\"x\"#y",
            "A=a\rB=c",
            "A='a\r\nb'",
            "A=\u{a0}b",
            "A=b\u{2028}c",
            "A: b",
            "A",
            "=b",
            "A B=c",
            "Ä=b",
            "A='a\0b'",
            "export=\n=x",
        ] {
            let text = format!("FIRST=1\n# two\n{line}");
            let error = read_all(&text).unwrap_err();
            assert!(error.line >= 3, "{line:?}: {error}");
        }
        let error = read_all("A=1\nB=2\nA=3\n").unwrap_err();
        assert_eq!(error.line, 3);
    }

    #[test]
    fn lines_are_counted_through_values_of_several_and_no_value_is_repeated() {
        let error = read_all("A='one\ntwo'\n\nB=hunter2#x").unwrap_err();
        assert_eq!(error.line, 4);
        assert!(!error.to_string().contains("hunter2"));
        let found = read_all("# c\r\nA=1\r\n\r\nB='2'\r\nC=\"3\" # x\r\n").unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(found, [("A", "1"), ("B", "2"), ("C", "3")]);
    }
}
