//! The words of a Nickel file, found without Nickel's own lexer.
//!
//! That one computes the value of every number that it meets, so that `1e1000000000` takes its
//! caller's time and memory. This one knows strings, comments, braces and names, and no numbers.
//!
//! *Guarantees*: one pass, time and memory linear in the text, no recursion. A text that Nickel
//! accepts has the same imports, names and literals here; where the two differ on what Nickel
//! refuses, nothing is lost: an import that was not seen cannot be read in the confined child.
//! *Source*: `nickel-lang-parser` 0.4, `lexer.rs`.

/// One word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// The word `import`.
    Import,
    /// The word `as`.
    As,
    /// Another name or keyword.
    Name(&'a str),
    /// `'tag`.
    Tag(&'a str),
    /// `"`, before and after a text in plain quotes; also `'"`.
    Quote,
    /// `m%"` and `x-s%"`.
    Open,
    /// `"%`, the end of such a text.
    Close,
    /// A piece of a text as it stands there.
    Literal(&'a str),
    /// `\n` and the like.
    Escape,
    /// `%{` in a text.
    Interpolation,
    /// `{`, `[` or `(`.
    Left(u8),
    /// `}`, `]` or `)`.
    Right(u8),
    /// `.`
    Dot,
    /// `,`
    Comma,
    /// `=`
    Equals,
    /// A number, not computed.
    Number(&'a str),
    /// Any other sign.
    Other,
}

/// What surrounds the place that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Code, with the braces that are open in it.
    Code(usize),
    /// A text in plain quotes.
    Text,
    /// A text that ends with a quote and this many `%`.
    Long(usize),
}

/// Reads the words of a text, up to the first place where none can begin.
#[derive(Debug, Clone)]
pub(crate) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    mode: Mode,
    around: Vec<Mode>,
}

/// A word, and the bytes where it begins and ends.
pub(crate) type Spanned<'a> = (usize, Token<'a>, usize);

impl<'a> Tokens<'a> {
    /// The words of `text`.
    pub(crate) fn of(text: &'a str) -> Self {
        Self::behind(text, 0)
    }

    /// The words of `text` from byte `at` on, which must lie in code.
    pub(crate) fn behind(text: &'a str, at: usize) -> Self {
        Self {
            text,
            at,
            mode: Mode::Code(0),
            around: Vec::new(),
        }
    }

    /// Where the reading stopped: the end of the text, unless a word cannot begin there.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn slice(&self, length: usize) -> &'a str {
        let end = self.at.saturating_add(length);
        self.text.get(self.at..end).unwrap_or_default()
    }

    /// Gives back a word of `length` bytes.
    fn word(&mut self, token: Token<'a>, length: usize) -> Option<Spanned<'a>> {
        let start = self.at;
        self.at = start.saturating_add(length);
        Some((start, token, self.at))
    }

    fn enter(&mut self, mode: Mode) {
        self.around.push(self.mode);
        self.mode = mode;
    }

    fn leave(&mut self) {
        self.mode = self.around.pop().unwrap_or(Mode::Code(0));
    }

    fn code(&mut self) -> Option<Spanned<'a>> {
        self.skip()?;
        let rest = self.rest();
        match *rest.first()? {
            b'"' => {
                self.enter(Mode::Text);
                self.word(Token::Quote, 1)
            }
            b'\'' => self.tag(rest),
            open @ (b'{' | b'[' | b'(') => {
                self.count(open, usize::saturating_add);
                self.word(Token::Left(open), 1)
            }
            close @ (b'}' | b']' | b')') => self.close(close),
            b'.' if rest.get(1) == Some(&b'.') => self.word(Token::Other, 2),
            b'-' | b'|' if rest.get(1) == Some(&b'>') => self.word(Token::Other, 2),
            b'.' if !rest.get(1).is_some_and(u8::is_ascii_digit) => self.word(Token::Dot, 1),
            b',' => self.word(Token::Comma, 1),
            b'=' if !matches!(rest.get(1), Some(b'=' | b'>')) => self.word(Token::Equals, 1),
            b'=' | b'!' | b'<' | b'>' if rest.get(1) == Some(&b'=') => self.word(Token::Other, 2),
            b'=' => self.word(Token::Other, 2),
            b'.' | b'0'..=b'9' => {
                let length = number(rest);
                self.word(Token::Number(self.slice(length)), length)
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => self.name(rest),
            b'?' | b';' | b':' | b'$' | b'&' | b'+' | b'-' | b'*' | b'/' | b'%' | b'@' | b'|'
            | b'!' | b'<' | b'>' => self.word(Token::Other, 1),
            _ => None,
        }
    }

    /// Goes to the next word: behind blanks and comments. `None` at a lone carriage return.
    fn skip(&mut self) -> Option<()> {
        loop {
            let rest = self.rest();
            match rest.first()? {
                b' ' | b'\t' | b'\n' => self.at += 1,
                b'\r' if rest.get(1) == Some(&b'\n') => self.at += 2,
                b'#' => self.at += until(rest, |byte| byte == b'\n'),
                b'\r' => return None,
                _ => return Some(()),
            }
        }
    }

    fn count(&mut self, brace: u8, by: fn(usize, usize) -> usize) {
        if let (Mode::Code(braces), b'{' | b'}') = (self.mode, brace) {
            self.mode = Mode::Code(by(braces, 1));
        }
    }

    fn close(&mut self, brace: u8) -> Option<Spanned<'a>> {
        if (self.mode, brace) != (Mode::Code(0), b'}') {
            self.count(brace, usize::saturating_sub);
        } else if self.around.is_empty() {
            return None;
        } else {
            self.leave();
        }
        self.word(Token::Right(brace), 1)
    }

    fn tag(&mut self, rest: &'a [u8]) -> Option<Spanned<'a>> {
        if rest.get(1) == Some(&b'"') {
            self.enter(Mode::Text);
            return self.word(Token::Quote, 2);
        }
        let length = name(rest.get(1..).unwrap_or_default());
        let tag = self.slice(length.saturating_add(1)).get(1..)?;
        (length > 0).then(|| self.word(Token::Tag(tag), length.saturating_add(1)))?
    }

    fn name(&mut self, rest: &'a [u8]) -> Option<Spanned<'a>> {
        let length = name(rest);
        let word = self.slice(length);
        if length == 0 {
            return self.word(Token::Other, 1);
        }
        let behind = rest.get(length..).unwrap_or_default();
        let percents = until(behind, |byte| byte != b'%');
        let long =
            word == "m" || (word.len() > 2 && word.ends_with("-s") && !word.starts_with('_'));
        if long && percents > 0 && behind.get(percents) == Some(&b'"') {
            self.enter(Mode::Long(percents));
            return self.word(Token::Open, length + percents + 1);
        }
        let token = match word {
            "import" => Token::Import,
            "as" => Token::As,
            _ => Token::Name(word),
        };
        self.word(token, length)
    }

    fn text(&mut self) -> Option<Spanned<'a>> {
        let rest = self.rest();
        match (rest.first()?, rest.get(1)) {
            (b'"', _) => {
                self.leave();
                self.word(Token::Quote, 1)
            }
            (b'%', Some(b'{')) => {
                self.enter(Mode::Code(0));
                self.word(Token::Interpolation, 2)
            }
            (b'%', _) => self.word(Token::Literal(self.slice(1)), 1),
            (b'\\', _) => {
                let escaped = self.text.get(self.at + 1..)?.chars().next()?;
                self.word(Token::Escape, 1 + escaped.len_utf8())
            }
            _ => {
                let length = until(rest, |byte| matches!(byte, b'"' | b'%' | b'\\'));
                self.word(Token::Literal(self.slice(length)), length)
            }
        }
    }

    fn long(&mut self, percents: usize) -> Option<Spanned<'a>> {
        let rest = self.rest();
        match rest.first()? {
            b'"' => {
                let behind = rest.get(1..).unwrap_or_default();
                let count = until(behind, |byte| byte != b'%');
                // `"%%{` is a quote and an interpolation, never an end.
                let ends = count >= percents && behind.get(count) != Some(&b'{');
                match ends {
                    // Nickel refuses an end with more signs than the beginning has.
                    true if count > percents => None,
                    true => {
                        self.leave();
                        self.word(Token::Close, 1 + percents)
                    }
                    false => self.word(Token::Literal(self.slice(1)), 1),
                }
            }
            b'%' => {
                let count = until(rest, |byte| byte != b'%');
                match rest.get(count) == Some(&b'{') && count >= percents {
                    true if count == percents => {
                        self.enter(Mode::Code(0));
                        self.word(Token::Interpolation, count + 1)
                    }
                    true => {
                        let more = count - percents;
                        self.word(Token::Literal(self.slice(more)), more)
                    }
                    false => self.word(Token::Literal(self.slice(count)), count),
                }
            }
            _ => {
                let length = until(rest, |byte| matches!(byte, b'"' | b'%'));
                self.word(Token::Literal(self.slice(length)), length)
            }
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Spanned<'a>;

    fn next(&mut self) -> Option<Spanned<'a>> {
        match self.mode {
            Mode::Code(_) => self.code(),
            Mode::Text => self.text(),
            Mode::Long(percents) => self.long(percents),
        }
    }
}

/// The bytes before the first that `ends` names.
fn until(bytes: &[u8], ends: impl Fn(u8) -> bool) -> usize {
    let found = bytes.iter().position(|byte| ends(*byte));
    found.unwrap_or(bytes.len())
}

/// The length of the name at the beginning: `_*[a-zA-Z][_a-zA-Z0-9-']*`; 0 where there is none.
fn name(bytes: &[u8]) -> usize {
    let start = until(bytes, |byte| byte != b'_');
    let rest = bytes.get(start..).unwrap_or_default();
    match rest.first().is_some_and(u8::is_ascii_alphabetic) {
        true => start + until(rest, |byte| !is_inner(byte)),
        false => 0,
    }
}

fn is_inner(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'\'')
}

/// The length of the number at the beginning.
fn number(bytes: &[u8]) -> usize {
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        until(rest, |byte| !byte.is_ascii_digit())
    };
    let base = match bytes.get(..2) {
        Some(b"0x") => Some(u8::is_ascii_hexdigit as fn(&u8) -> bool),
        Some(b"0o") => Some((|byte: &u8| matches!(byte, b'0'..=b'7')) as fn(&u8) -> bool),
        Some(b"0b") => Some((|byte: &u8| matches!(byte, b'0' | b'1')) as fn(&u8) -> bool),
        _ => None,
    };
    if let Some(is_digit) = base {
        let rest = bytes.get(2..).unwrap_or_default();
        let length = until(rest, |byte| !is_digit(&byte));
        return if length > 0 { length + 2 } else { 1 };
    }
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    end.max(1)
}

#[cfg(test)]
mod tests {
    use nickel_lang_core::parser::lexer::{
        Lexer, MultiStringToken, NormalToken, StringToken, Token as Theirs,
    };

    use super::*;

    /// What matters of Nickel's own words; literals that follow one another are one.
    fn theirs(text: &str) -> Option<Vec<String>> {
        let mut words = Vec::new();
        for token in Lexer::new(text) {
            let (start, token, _) = token.ok()?;
            words.push(match token {
                Theirs::Normal(NormalToken::Import) => format!("{start} import"),
                Theirs::Normal(NormalToken::As) => format!("{start} as"),
                Theirs::Normal(NormalToken::DoubleQuote | NormalToken::StrEnumTagBegin) => {
                    format!("{start} quote")
                }
                Theirs::Normal(NormalToken::RawEnumTag(tag)) => format!("{start} tag {tag}"),
                Theirs::Normal(NormalToken::Identifier(word)) => format!("{start} name {word}"),
                Theirs::Normal(NormalToken::LBrace) => format!("{start} {{"),
                Theirs::Normal(NormalToken::RBrace) => format!("{start} }}"),
                Theirs::Normal(NormalToken::Comma) => format!("{start} ,"),
                Theirs::Normal(NormalToken::Dot) => format!("{start} ."),
                Theirs::Normal(NormalToken::Equals) => format!("{start} ="),
                Theirs::Str(StringToken::Interpolation)
                | Theirs::MultiStr(MultiStringToken::Interpolation) => "%{".to_owned(),
                Theirs::Normal(NormalToken::MultiStringStart(_))
                | Theirs::Normal(NormalToken::SymbolicStringStart(_)) => format!("{start} open"),
                Theirs::MultiStr(MultiStringToken::End) => format!("{start} close"),
                _ => continue,
            });
        }
        Some(words)
    }

    /// Ours in the same form; keywords are not names there.
    fn ours(text: &str) -> Option<Vec<String>> {
        let mut tokens = Tokens::of(text);
        let mut words = Vec::new();
        for (start, token, _) in tokens.by_ref() {
            words.push(match token {
                Token::Import => format!("{start} import"),
                Token::As => format!("{start} as"),
                Token::Quote => format!("{start} quote"),
                Token::Tag(tag) => format!("{start} tag {tag}"),
                Token::Name(word) => format!("{start} name {word}"),
                Token::Left(b'{') => format!("{start} {{"),
                Token::Right(b'}') => format!("{start} }}"),
                Token::Comma => format!("{start} ,"),
                Token::Dot => format!("{start} ."),
                Token::Equals => format!("{start} ="),
                Token::Interpolation => "%{".to_owned(),
                Token::Open => format!("{start} open"),
                Token::Close => format!("{start} close"),
                Token::Left(_) | Token::Right(_) | Token::Literal(_) | Token::Escape => continue,
                Token::Number(_) | Token::Other => continue,
            });
        }
        Some(words)
    }

    fn without_keywords(words: Vec<String>) -> Vec<String> {
        let keywords = nickel_lang_core::parser::lexer::KEYWORDS;
        let more = ["or", "include", "typeof", "map"];
        words
            .into_iter()
            .filter(|word| match word.split_once(" name ") {
                Some((_, name)) => !keywords.contains(&name) && !more.contains(&name),
                None => true,
            })
            .collect()
    }

    const TEXTS: [&str; 16] = [
        "let x = import \"a.ncl\" as 'Text in { a.b = 1, \"c\".d = 0x1F, e = 1.5e10 }",
        "{ a = \"x %{import \"b.ncl\"} y\", b = m%\"%{c} %%{d} \" % %%\" \"%, }",
        "m%%\"%{no} %%{yes} %%%{a} \"%%{b} \"% \"%%",
        "nix-s%\"%{x}\"% & foo-s%%\"a\"%% & _a-s & m & -s",
        "'tag & '\"quoted %{x}\" & '_t-'x' & a' & import' & _import & import-x & 'import",
        "# import \"x\"\n{ import = 1, ok.import.as = 2 }",
        "\"\\\"import \\u{41} \\x41 %% % %{\"%{\"%{x}\"}\"}\"",
        "{a=.5,b=1.e5,c=1e+5,d=0b01,e=5.5.5} == => != <= >= -> |> .. ++ && || [| |]",
        "%typeof% x 5 % 6 y",
        "{ a = { b = \"%{ { c = {} } }\" }, }",
        "x |> std.array.map (fun y => y)\r\n  & z",
        "m%\"import \"a\" \"% import \"é/b.ncl\"",
        "0xfg 0o78 1import \"a\" 2as",
        "let {a ? (import \"/etc/passwd\" as 'Text), ..} = {} in a",
        "if a then b else c let rec d = null in true fun e => match { 'F => false }",
        "Number Dyn Bool String Array forall a. a -> a _ $ @ ? ; :",
    ];

    #[test]
    fn the_words_are_those_of_nickel() {
        for text in TEXTS {
            let theirs = theirs(text).unwrap_or_else(|| panic!("not Nickel: {text}"));
            let ours = without_keywords(ours(text).unwrap());
            assert_eq!(ours, without_keywords(theirs), "{text}");
        }
    }

    #[test]
    fn what_is_cut_from_nickel_gives_the_same_words_or_is_no_nickel() {
        // Every cut and every doubled piece of the texts, as a small fuzzer.
        for text in TEXTS {
            for from in 0..text.len() {
                for to in (from..=text.len()).step_by(3) {
                    let Some(piece) = text.get(from..to) else {
                        continue;
                    };
                    let twice = format!("{piece} {piece}");
                    for text in [piece, &twice] {
                        if let Some(theirs) = theirs(text) {
                            let ours = without_keywords(ours(text).unwrap());
                            assert_eq!(ours, without_keywords(theirs), "{text}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_cost_nothing_and_depth_needs_no_stack() {
        let started = std::time::Instant::now();
        let huge = format!("[1e1000000000, {}, 1e-99999999999]", "9".repeat(1 << 20));
        assert_eq!(Tokens::of(&huge).count(), 7);
        for piece in ["\"%{", "m%\"%{", "{", "[", "import ", "'a", "%", "1e9"] {
            let text = piece.repeat((4 << 20) / piece.len());
            assert!(Tokens::of(&text).count() > 0);
        }
        assert!(started.elapsed().as_secs() < 10);
    }
}
