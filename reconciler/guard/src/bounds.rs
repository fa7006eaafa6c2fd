//! What a file of policies may be, looked at before Cedar's own reader sees it.
//!
//! That one calls itself for each bracket and each operator, and its validator takes time with the
//! square of some. Here the words are counted, in one pass and without recursion.

use stratum_core::finding::Finding;
use stratum_core::finding::codes::POLICY_SYNTAX;

use crate::place::place;

/// The largest file, in bytes.
pub(crate) const LARGEST: usize = 64 << 10;

/// The deepest nesting of brackets.
const DEEPEST: usize = 50;

/// The most operators of one policy: each is a level of its own to Cedar.
const MOST_OPERATORS: usize = 400;

/// The most clauses, `when` and `unless`, of one policy.
const MOST_CLAUSES: usize = 64;

/// The most names, texts and numbers of one policy: a set of many takes the square of that.
const MOST_WORDS: usize = 2000;

/// The most policies of one file.
const MOST_POLICIES: usize = 500;

/// A word of Cedar, as far as it matters here.
enum Word<'a> {
    Open,
    Close,
    End,
    Comma,
    Name(&'a str),
    Operator,
    /// A text or a number.
    Value,
    /// A comment, a blank.
    Other,
}

/// What the policy that is being read holds so far.
#[derive(Default)]
struct Counts {
    depth: usize,
    operators: usize,
    clauses: usize,
    words: usize,
}

/// The finding of a text that is not given to Cedar.
pub(crate) fn refused(file: &str, text: &str) -> Option<Finding> {
    let refuse = |message: String, at: usize| {
        let finding = Finding::error(&POLICY_SYNTAX, message).at(place(file, text, at));
        Some(finding.hint("write several policies instead of one that holds everything"))
    };
    if text.len() > LARGEST {
        let message = format!("the file is larger than {} KiB", LARGEST >> 10);
        return refuse(message, 0);
    }
    let (mut at, mut counts, mut policies) = (0, Counts::default(), 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (word, length) = word(rest);
        counts.words += usize::from(matches!(word, Word::Name(_) | Word::Value));
        match word {
            Word::Open => counts.depth += 1,
            Word::Close => counts.depth = counts.depth.saturating_sub(1),
            Word::End if counts.depth == 0 => {
                counts = Counts::default();
                policies += 1;
            }
            Word::Name("when" | "unless") => counts.clauses += 1,
            Word::Name("if" | "then" | "else" | "in" | "has" | "like" | "is") | Word::Operator => {
                counts.operators += 1;
            }
            Word::Name(_) | Word::Value | Word::Comma | Word::End | Word::Other => {}
        }
        if let Some(message) = counts.too_much(policies) {
            return refuse(message, at);
        }
        at += length;
    }
    None
}

impl Counts {
    fn too_much(&self, policies: usize) -> Option<String> {
        if self.depth > DEEPEST {
            Some(format!(
                "brackets are nested more than {DEEPEST} levels deep"
            ))
        } else if self.operators > MOST_OPERATORS {
            Some(format!(
                "the policy has more than {MOST_OPERATORS} operators"
            ))
        } else if self.clauses > MOST_CLAUSES {
            Some(format!("the policy has more than {MOST_CLAUSES} clauses"))
        } else if self.words > MOST_WORDS {
            Some(format!("the policy has more than {MOST_WORDS} words"))
        } else if policies > MOST_POLICIES {
            Some(format!("the file has more than {MOST_POLICIES} policies"))
        } else {
            None
        }
    }
}

/// The word at the beginning, and its length in bytes; never 0.
fn word(rest: &str) -> (Word<'_>, usize) {
    let mut chars = rest.chars();
    let first = chars.next().unwrap_or_default();
    let one = first.len_utf8();
    match first {
        '(' | '[' | '{' => (Word::Open, one),
        ')' | ']' | '}' => (Word::Close, one),
        ';' => (Word::End, one),
        ',' => (Word::Comma, one),
        '"' => (Word::Value, text(rest)),
        '/' if rest.starts_with("//") => {
            (Word::Other, rest.find(['\n', '\r']).unwrap_or(rest.len()))
        }
        letter if letter.is_alphabetic() || letter == '_' => {
            let inner = |c: char| c.is_alphanumeric() || c == '_';
            let length = rest.find(|c| !inner(c)).unwrap_or(rest.len());
            (Word::Name(rest.get(..length).unwrap_or_default()), length)
        }
        digit if digit.is_ascii_digit() => {
            let length = rest.find(|c: char| !c.is_ascii_digit());
            (Word::Value, length.unwrap_or(rest.len()))
        }
        blank if blank.is_whitespace() => (Word::Other, one),
        _ => (Word::Operator, one),
    }
}

/// The length of the text at the beginning, its quotes included.
fn text(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            b'\\' if !escaped => escaped = true,
            b'"' if !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "@id(\"a\") @reason(\"b\") forbid (principal, action, resource) when ";

    fn message(text: &str) -> Option<String> {
        refused("policies/a.cedar", text).map(|finding| finding.message)
    }

    #[test]
    fn what_nests_in_any_way_is_refused() {
        let many = |piece: &str, count: usize| piece.repeat(count);
        for body in [
            format!("{}true{}", many("(", 200), many(")", 200)),
            format!("{}true{}", many("[", 51), many("]", 51)),
            format!("{}true", many("if true then ", 3000)),
            format!("true{}", many(" && true", 500)),
            format!("true{}", many(" || true", 3000)),
            format!("1{} > 0", many(" + 1", 500)),
            format!("context{}", many(".a", 500)),
            format!("context{}", many("[\"a\"]", 60)),
            format!("{}true", many("!", 500)),
            format!("{}1", many("-", 500)),
            format!("{{a: {}1{}}}", many("{a: ", 60), many("}", 60)),
            format!("[{}1].contains(1)", many("1, ", 2000)),
        ] {
            let text = format!("{HEAD} {{ {body} }};");
            // Sixty calls in a row close each bracket that they open, and are no level.
            let nested = !body.contains("[\"a\"]");
            assert_eq!(message(&text).is_some(), nested, "{}", &text[..120]);
        }
        let clauses = many("when { true } ", 65);
        assert!(message(&format!("forbid (principal, action, resource) {clauses};")).is_some());
        let policies = many("permit(principal,action,resource);", 501);
        assert!(message(&policies).is_some());
        assert!(message(&many("// a long story\n", 5000)).is_some());
    }

    #[test]
    fn what_stands_in_texts_and_comments_counts_for_nothing() {
        let text = format!(
            "// {0}\n{HEAD} {{ context.branch == \"{0}\\\"{0}\" }};\n",
            "((((".repeat(100)
        );
        assert_eq!(message(&text), None);
        assert_eq!(message(crate::DEFAULTS), None);
        let many = format!("{HEAD} {{ context.plan.delete > 1 }};").repeat(400);
        assert_eq!(message(&many), None, "many small policies");
        let list = vec!["\"x\""; 1900].join(", ");
        assert_eq!(
            message(&format!("{HEAD} {{ [{list}].contains(context.branch) }};")),
            None
        );
    }

    #[test]
    fn odd_texts_end() {
        for text in ["\"", "\"\\", "é\"é", "/", "//", "\u{202e};", "'", "\0\0"] {
            assert_eq!(message(text), None, "{text:?}");
        }
    }
}
