//! What the words of a Nickel file say about it.
//!
//! Imports are found in the words and not in the syntax tree, because the tree's own visitor does
//! not see all of it (the defaults of let patterns, for one), and because this happens before the
//! text is confined: see [`crate::tokens`].

use std::collections::{BTreeMap, BTreeSet};

use crate::evaluate::protocol::Format;
use crate::tokens::{Token, Tokens};

/// One import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// The path as written, or why it is refused.
    pub(crate) path: Result<String, String>,
    /// How the file is read.
    pub(crate) format: Format,
    /// Line and column of the word `import`.
    pub(crate) at: (u32, u32),
}

/// What the tokens say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scan {
    /// The imports, in order.
    pub(crate) imports: Vec<Import>,
    /// Every identifier and quoted text that was asked for.
    pub(crate) words: BTreeSet<String>,
    /// For `a.x = ..., a.y = ...` in the outermost record: how often, and where first, by `a`.
    pub(crate) pieces: BTreeMap<String, (usize, (u32, u32))>,
}

/// Reads the words of `text`, up to the first place where none can begin: the parser will name
/// that one. Of its names and literals those are kept that `names` asks for.
///
/// *Guarantees*: one pass; nothing is computed, no number either.
pub(crate) fn scan(text: &str, names: &dyn Fn(&str) -> bool) -> Scan {
    let mut scan = Scan::default();
    let (mut depth, mut starts) = (0usize, false);
    let mut cursor = Cursor {
        text,
        offset: 0,
        line: 1,
        column: 1,
    };
    for (start, token, end) in Tokens::of(text) {
        match token {
            Token::Import => scan.imports.push(import(text, end, cursor.at(start))),
            Token::Left(b'{') => depth = depth.saturating_add(1),
            Token::Right(b'}') => depth = depth.saturating_sub(1),
            Token::Name(word) => {
                if names(word) {
                    scan.words.insert(word.to_owned());
                }
                if depth == 1 && starts && is_piece(text, end) {
                    let piece = scan.pieces.entry(word.to_owned());
                    let count = piece.or_insert_with(|| (0, cursor.at(start)));
                    count.0 = count.0.saturating_add(1);
                }
            }
            Token::Literal(word) if names(word) => {
                scan.words.insert(word.to_owned());
            }
            _ => {}
        }
        starts = matches!(token, Token::Left(b'{') | Token::Comma);
    }
    scan
}

/// Whether the words behind a name, from byte `end` on, are those of `.name =` or `."name" =`.
fn is_piece(text: &str, end: usize) -> bool {
    let mut rest = Tokens::behind(text, end).map(|(_, token, _)| token);
    rest.next() == Some(Token::Dot)
        && rest
            .take(5)
            .take_while(|token| {
                matches!(
                    token,
                    Token::Name(_)
                        | Token::Quote
                        | Token::Equals
                        | Token::Literal(_)
                        | Token::Escape
                )
            })
            .any(|token| token == Token::Equals)
}

/// The longest path of an import, in bytes.
const LONGEST_PATH: usize = 4096;

/// Reads what stands behind the word `import`, from byte `end` on: one plain literal, and perhaps a
/// format.
fn import(text: &str, end: usize, at: (u32, u32)) -> Import {
    let mut tokens = Tokens::behind(text, end)
        .map(|(_, token, _)| token)
        .peekable();
    let refused = |reason: &str| Import {
        path: Err(reason.to_owned()),
        format: Format::Text,
        at,
    };
    if tokens.next() != Some(Token::Quote) {
        return refused("only files are imported, by a path in plain quotes");
    }
    let mut path = String::new();
    loop {
        match tokens.next() {
            Some(Token::Literal(text)) if path.len() + text.len() <= LONGEST_PATH => {
                path.push_str(text);
            }
            Some(Token::Quote) => break,
            Some(Token::Literal(_)) => return refused("the path is longer than 4096 bytes"),
            _ => return refused("the path must be plain text, without escapes"),
        }
    }
    let format = match tokens.next_if_eq(&Token::As) {
        Some(_) => match tokens.next() {
            Some(Token::Tag(tag)) => named_format(tag),
            _ => None,
        },
        None => Some(format_of(&path)),
    };
    match format {
        Some(format) => Import {
            path: Ok(path),
            format,
            at,
        },
        None => refused("the format must be one of 'Nickel, 'Json, 'Yaml, 'Toml and 'Text"),
    }
}

fn named_format(tag: &str) -> Option<Format> {
    match tag {
        "Nickel" => Some(Format::Nickel),
        "Json" => Some(Format::Json),
        "Yaml" => Some(Format::Yaml),
        "Toml" => Some(Format::Toml),
        "Text" => Some(Format::Text),
        _ => None,
    }
}

/// The format that Nickel itself takes from the end of a name.
fn format_of(path: &str) -> Format {
    match path
        .rsplit('/')
        .next()
        .and_then(|name| name.rsplit_once('.'))
    {
        Some((_, "json")) => Format::Json,
        Some((_, "yaml" | "yml")) => Format::Yaml,
        Some((_, "toml")) => Format::Toml,
        Some((_, "txt")) => Format::Text,
        _ => Format::Nickel,
    }
}

/// A place in a text that moves forwards only.
struct Cursor<'a> {
    text: &'a str,
    offset: usize,
    line: u32,
    column: u32,
}

impl Cursor<'_> {
    /// Line and column of `offset`, which lies behind those asked for before.
    fn at(&mut self, offset: usize) -> (u32, u32) {
        for character in self
            .text
            .get(self.offset..offset)
            .unwrap_or_default()
            .chars()
        {
            if character == '\n' {
                self.line = self.line.saturating_add(1);
                self.column = 1;
            } else {
                self.column = self.column.saturating_add(1);
            }
        }
        self.offset = offset;
        (self.line, self.column)
    }
}
