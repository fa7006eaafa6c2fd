//! Files that want to end the process or to take it forever. Only Nickel is read in a child.

use std::time::{Duration, Instant};

use stratum_core::finding::codes::FORM_SHAPE;

use crate::document::{toml, yaml};
use crate::expression::{expression, template};
use crate::form::texts;
use crate::knowledge::knowledge;
use crate::memory::MemoryTree;
use crate::paths::paths;
use crate::reading::Reading;

/// Every reader ends within this, also unoptimised on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// Reads each piece, repeated to `bytes`, and says which one took too long.
fn soon(bytes: usize, pieces: &[&str], read: impl Fn(&str)) {
    for piece in pieces {
        let started = Instant::now();
        read(&piece.repeat(bytes / piece.len()));
        assert!(
            started.elapsed() < SOON,
            "{piece:?} took {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn nested_data() {
    soon(100_000, &["[", "{a: ", "- ", "? ", "&a ", "!x "], |text| {
        drop(yaml("f", text, 0))
    });
    soon(100_000, &["[", "a=[", "a.", "a={a="], |text| {
        drop(toml("f", &format!("a={text}"), &FORM_SHAPE));
    });
}

#[test]
fn nested_expressions() {
    let pieces = [
        "(", "[", "not ", "-", "a.", "a if ", "{'a':", "a|f|", "a and ", "a(", "a~",
    ];
    for bytes in [2000, 100_000] {
        soon(bytes, &pieces, |text| {
            drop(expression(&format!("{text}a")));
            drop(template(&format!("{{{{ {text}a }}}}")));
        });
        soon(bytes, &["{% if a %}", "{% for a in b %}", "{{"], |text| {
            drop(template(text))
        });
    }
}

#[test]
fn nested_patterns() {
    for bytes in [1000, 100_000] {
        soon(
            bytes,
            &["{", "{a,", "[", "**/", "*", "{}", "{a,b}"],
            |text| {
                drop(paths(text).map(|set| set.is_match("a/b")));
            },
        );
    }
}

#[test]
fn nested_texts() {
    soon(
        100_000,
        &["{", "{ ", "{ $a -> *[a] ", "{ A(", "{ A(A(", "{\n"],
        |text| {
            let text = format!("a = {text}");
            let tree = MemoryTree::new([("forms/locales/en/a.ftl", text.as_str())]);
            let mut reading = Reading::new(&tree);
            texts(&mut reading).unwrap();
            assert!(
                reading
                    .findings
                    .iter()
                    .any(stratum_core::finding::Finding::is_error)
            );
        },
    );
}

/// Found by changing seeds at random: each mistake was placed by counting from the beginning.
#[test]
fn a_bundle_of_mistakes() {
    soon(
        500_000,
        &["d | de\n", "e\n", "a b\n", "= x\n", "{\n}\n", "é\n"],
        |text| {
            let tree = MemoryTree::new([("forms/locales/en/a.ftl", text)]);
            let mut reading = Reading::new(&tree);
            texts(&mut reading).unwrap();
            assert!(reading.findings.len() <= 50);
        },
    );
}

#[test]
fn long_bodies() {
    let pieces = [
        "> ",
        "[",
        "![",
        "*a_",
        "- ",
        "[[",
        "<a id='",
        "# a\n",
        "[a](b) ",
        "[[x]] ",
        "`",
        "|",
        "`[[",
        "[a](#b)",
        "[a](../r.md#b)\n",
        "[a]: b\n",
        "<!--",
        "**a",
        "[^a]",
        "\\",
        "&",
        "é[[x]]",
    ];
    soon(50_000, &pieces, |text| {
        let text = format!("---\nid: a\ntype: note\ntitle: b\n---\n{text}");
        let tree = MemoryTree::new([("knowledge/a.md", text.as_str()), ("r.md", text.as_str())]);
        knowledge(&mut Reading::new(&tree)).unwrap();
    });
}
