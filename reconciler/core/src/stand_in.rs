//! What stands in a repository for a text: pointers, conflicts, a mark at its start.

use crate::finding::{Finding, codes};
use crate::source::Source;

/// What bytes are that are no text of a person: what they are, what to do, and in which line.
struct Odd(&'static str, &'static str, u32);

/// The finding of a file that only stands for a text; `None` for any other.
///
/// *Source*: git-lfs `docs/spec.md`; git-annex `internals`; git-crypt `doc/`; git-merge(1).
pub fn stand_in(path: &str, bytes: &[u8]) -> Option<Finding> {
    // A page about git may show a conflict.
    let Odd(what, hint, line) = pointer(bytes).or_else(|| match path.ends_with(".md") {
        true => None,
        false => conflict(bytes),
    })?;
    let finding = Finding::error(&codes::NOT_TEXT, format!("`{path}` {what}"));
    Some(finding.at(Source::new(path, line, 1)).hint(hint))
}

fn pointer(bytes: &[u8]) -> Option<Odd> {
    if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Some(Odd(
            "is a pointer of git LFS: the file itself is not in git, so it cannot be read",
            "`git lfs untrack` its name in `.gitattributes`, then `git add --renormalize` it",
            1,
        ));
    }
    if bytes.starts_with(b"\0GITCRYPT\0") {
        return Some(Odd(
            "is encrypted by git-crypt, so it cannot be read",
            "take it out of the filter in `.gitattributes`; secrets lie in `secrets/`, sealed",
            1,
        ));
    }
    if bytes.len() < 1024
        && (bytes.starts_with(b"/annex/objects/") || bytes.starts_with(b"../.git/annex/"))
    {
        return Some(Odd(
            "is a pointer of git-annex: the file itself is not in git, so it cannot be read",
            "`git annex unannex` it, then add it to git",
            1,
        ));
    }
    None
}

/// The marks of a merge that was not resolved: all three, each at the start of a line, in order.
fn conflict(bytes: &[u8]) -> Option<Odd> {
    let mut first = None;
    let mut wanted = [&b"<<<<<<< "[..], b"=======", b">>>>>>> "]
        .into_iter()
        .peekable();
    for (line, text) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let Some(mark) = wanted.peek() else { break };
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let found = match mark.ends_with(b" ") {
            true => text.starts_with(mark),
            false => text == *mark,
        };
        if found {
            first = first.or(Some(line));
            wanted.next();
        }
    }
    let line = first.filter(|_| wanted.peek().is_none())?;
    Some(Odd(
        "has the marks of a merge that was not resolved",
        "keep what is right, and take the lines with `<<<<<<<`, `=======` and `>>>>>>>` out",
        line,
    ))
}

/// A text without a byte order mark at its start: some editors write one, and it says nothing.
pub fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<(String, u32)> {
        let found = stand_in("f", text.as_bytes())?;
        Some((found.message, found.source.unwrap().line))
    }

    #[test]
    fn pointers_and_conflicts_are_told_from_texts() {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n";
        assert!(said(pointer).unwrap().0.contains("git LFS"));
        assert!(said("\0GITCRYPT\0x").unwrap().0.contains("git-crypt"));
        assert!(
            said("/annex/objects/SHA256E-s3--ab\n")
                .unwrap()
                .0
                .contains("git-annex")
        );
        for end in ["\n", "\r\n"] {
            let text = ["a", "<<<<<<< HEAD", "b", "=======", "c", ">>>>>>> side", ""].join(end);
            assert_eq!(said(&text).unwrap().1, 2);
        }
    }

    #[test]
    fn ordinary_texts_are_none() {
        for text in [
            "",
            "{ a = 1 }",
            "Title\n=======\ntext\n",
            "a <<<<<<< b\n=======\n>>>>>>> c\n",
            "<<<<<<< HEAD\nin a text about git\n",
            "see version https://git-lfs.github.com/spec/v1",
        ] {
            assert_eq!(said(text), None, "{text:?}");
        }
        let page = "<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> side\n";
        assert_eq!(stand_in("k/a.md", page.as_bytes()), None);
        assert_eq!(without_mark("\u{feff}a".to_owned()), "a");
        assert_eq!(without_mark("a\u{feff}".to_owned()), "a\u{feff}");
    }
}
