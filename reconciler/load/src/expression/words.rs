//! The filters, tests and methods that an expression uses, found among its words.

/// A filter, a test or a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use<'a> {
    /// `value | name`
    Filter(&'a str),
    /// `value is name`, `value is not name`
    Test(&'a str),
    /// `value.name(...)`
    Method(&'a str),
}

/// What the expression `text`, which parses, uses.
pub(super) fn words(text: &str) -> Vec<Use<'_>> {
    let tokens = tokens(text);
    let at = |index: usize| tokens.get(index).copied().unwrap_or_default();
    let before = |index: usize, back: usize| index.checked_sub(back).map_or("", at);
    let word = |token: &str| token.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let used = |index: usize| match (before(index, 2), before(index, 1), at(index)) {
        (_, "|", name) if word(name) => Some(Use::Filter(name)),
        (_, "is", name) if word(name) && name != "not" => Some(Use::Test(name)),
        ("is", "not", name) if word(name) => Some(Use::Test(name)),
        (_, ".", name) if word(name) && at(index + 1) == "(" => Some(Use::Method(name)),
        _ => None,
    };
    (0..tokens.len()).filter_map(used).collect()
}

/// What the template `text`, which parses, uses.
pub(super) fn of_template(text: &str) -> Vec<Use<'_>> {
    let mut uses = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        let end = match after.chars().next() {
            Some('{') => "}}",
            Some('%') => "%}",
            _ => {
                rest = after;
                continue;
            }
        };
        let inner = after.get(1..).unwrap_or_default();
        let (code, after) = inner.split_once(end).unwrap_or((inner, ""));
        uses.extend(words(code));
        rest = after;
    }
    uses
}

/// Words, single signs, and `'` for a text in quotes.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => {
                tokens.push("'");
                rest = after_quote(rest, first).trim_start();
                continue;
            }
            c if c.is_alphanumeric() || c == '_' => rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

/// What follows the text in quotes that `rest` begins with.
fn after_quote(rest: &str, quote: char) -> &str {
    let mut escaped = false;
    let end = |(_, c): &(usize, char)| {
        let closes = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        closes
    };
    let closing = rest.char_indices().skip(1).find(end);
    closing
        .and_then(|(at, c)| rest.get(at + c.len_utf8()..))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hide_what_is_in_them() {
        assert_eq!(words(r"a ~ 'it\'s | b' | c"), [Use::Filter("c")]);
        assert_eq!(
            words("a.b.c(x) is not d"),
            [Use::Method("c"), Use::Test("d")]
        );
        assert_eq!(
            of_template("a | b {{ x | y }} { | z } {% if x is w %}"),
            [Use::Filter("y"), Use::Test("w")]
        );
    }
}
