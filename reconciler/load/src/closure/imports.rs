//! What the tokens of a Nickel file say about it.
//!
//! Imports are found in the token stream and not in the syntax tree, because the tree's own
//! visitor does not see all of it (the defaults of let patterns, for one).

use std::collections::{BTreeMap, BTreeSet};

use nickel_lang_core::parser::lexer::{Lexer, MultiStringToken, NormalToken, StringToken, Token};

use crate::evaluate::protocol::Format;

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

/// Reads the tokens of `text`, up to the first that is none: the parser will name that one. Of its
/// words those are kept that `names` asks for.
pub(crate) fn scan(text: &str, names: &dyn Fn(&str) -> bool) -> Scan {
    let tokens: Vec<(usize, Token<'_>)> = Lexer::new(text)
        .map_while(Result::ok)
        .map(|(start, token, _)| (start, token))
        .collect();
    let mut scan = Scan::default();
    let mut depth = 0usize;
    let mut cursor = Cursor {
        text,
        offset: 0,
        line: 1,
        column: 1,
    };
    for (index, (start, token)) in tokens.iter().enumerate() {
        let rest = tokens.get(index.saturating_add(1)..).unwrap_or_default();
        match token {
            Token::Normal(NormalToken::Import) => {
                scan.imports.push(import(rest, cursor.at(*start)));
            }
            Token::Normal(NormalToken::LBrace) => depth = depth.saturating_add(1),
            Token::Normal(NormalToken::RBrace) => depth = depth.saturating_sub(1),
            Token::Normal(NormalToken::Identifier(word)) => {
                if names(word) {
                    scan.words.insert((*word).to_owned());
                }
                if depth == 1 && starts_field(&tokens, index) && is_piece(rest) {
                    let piece = scan.pieces.entry((*word).to_owned());
                    let count = piece.or_insert_with(|| (0, cursor.at(*start)));
                    count.0 = count.0.saturating_add(1);
                }
            }
            Token::Str(StringToken::Literal(word))
            | Token::MultiStr(MultiStringToken::Literal(word)) => {
                if names(word) {
                    scan.words.insert(word.clone());
                }
            }
            Token::Normal(_) | Token::Str(_) | Token::MultiStr(_) => {}
        }
    }
    scan
}

/// Whether the token at `index` is where a field of a record may begin.
fn starts_field(tokens: &[(usize, Token<'_>)], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|index| tokens.get(index));
    matches!(
        before,
        Some((_, Token::Normal(NormalToken::LBrace | NormalToken::Comma)))
    )
}

/// Whether the tokens after a name are those of `.name =` or `."name" =`.
fn is_piece(rest: &[(usize, Token<'_>)]) -> bool {
    let mut rest = rest.iter().map(|(_, token)| token);
    matches!(rest.next(), Some(Token::Normal(NormalToken::Dot)))
        && rest
            .take(5)
            .take_while(|token| {
                matches!(
                    token,
                    Token::Normal(
                        NormalToken::Identifier(_) | NormalToken::DoubleQuote | NormalToken::Equals
                    ) | Token::Str(_)
                )
            })
            .any(|token| matches!(token, Token::Normal(NormalToken::Equals)))
}

/// Reads what stands after the word `import`: one plain literal, and perhaps a format.
fn import(rest: &[(usize, Token<'_>)], at: (u32, u32)) -> Import {
    let mut tokens = rest.iter().map(|(_, token)| token).peekable();
    let refused = |reason: &str| Import {
        path: Err(reason.to_owned()),
        format: Format::Text,
        at,
    };
    if tokens.next() != Some(&Token::Normal(NormalToken::DoubleQuote)) {
        return refused("only files are imported, by a path in plain quotes");
    }
    let mut path = String::new();
    loop {
        match tokens.next() {
            Some(Token::Str(StringToken::Literal(text))) => path.push_str(text),
            Some(
                Token::Str(StringToken::DoubleQuote) | Token::Normal(NormalToken::DoubleQuote),
            ) => break,
            _ => return refused("the path must be plain text, without escapes"),
        }
    }
    let format = if tokens
        .next_if_eq(&&Token::Normal(NormalToken::As))
        .is_some()
    {
        match tokens.next() {
            Some(Token::Normal(NormalToken::RawEnumTag(tag))) => named_format(tag),
            _ => None,
        }
    } else {
        Some(format_of(&path))
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
