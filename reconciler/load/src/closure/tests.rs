use super::*;
use crate::memory::MemoryTree;
use crate::shipped::Nothing;

fn codes_of(closed: &Closed) -> Vec<&str> {
    closed
        .findings
        .iter()
        .map(|finding| finding.code.0.as_str())
        .collect()
}

#[test]
fn imports_are_followed_once_and_by_format() {
    let tree = MemoryTree::new([
        (
            "infra/a.ncl",
            "let b = import \"lib/b.ncl\" in b & (import \"../data.json\")",
        ),
        ("infra/lib/b.ncl", "import \"../a.ncl\""),
        ("data.json", "{}"),
    ]);
    let closed = close(&tree, "infra/a.ncl", &Nothing).unwrap();
    let paths: Vec<_> = closed
        .blobs
        .iter()
        .map(|blob| (blob.path.as_str(), blob.format))
        .collect();
    assert_eq!(closed.findings, vec![]);
    assert_eq!(
        paths,
        vec![
            ("infra/a.ncl", Format::Nickel),
            ("infra/lib/b.ncl", Format::Nickel),
            ("data.json", Format::Json)
        ]
    );
    assert!(closed.objects.0.values().all(Option::is_some) && closed.objects.0.len() == 3);
}

#[test]
fn what_leads_out_is_refused_wherever_it_hides() {
    for text in [
        "import \"/etc/passwd\" as 'Text",
        "import \"../../../etc/passwd\" as 'Text",
        "let {a ? (import \"/etc/passwd\" as 'Text), ..} = {} in a",
        "{ a | (import \"/etc/c.ncl\") = 1 }",
        "\"%{import \"/etc/passwd\" as 'Text}\"",
        "import \"/etc\\x2fpasswd\" as 'Text",
        "import foo",
        "import \"link.ncl\"",
        "import \"folder\"",
        "import \"nothing.ncl\"",
        "import \"%inmem_src%:x\"",
    ] {
        let tree = MemoryTree::new([("a.ncl", text), ("folder/x", "")]).with(
            "link.ncl",
            TreeKind::Symlink,
            b"/etc/passwd",
        );
        let closed = close(&tree, "a.ncl", &Nothing).unwrap();
        assert_eq!(codes_of(&closed), vec!["STR0210"], "{text}");
        assert_eq!(closed.findings[0].source.as_ref().unwrap().line, 1);
    }
}

#[test]
fn the_word_in_texts_and_comments_is_no_import() {
    let text =
        "# import \"/etc/passwd\"\n{ a = \"import \", b = m%\"import \"/x\" \"%, \"import\" = 1 }";
    let tree = MemoryTree::new([("a.ncl", text)]);
    let closed = close(&tree, "a.ncl", &Nothing).unwrap();
    assert_eq!((closed.findings, closed.blobs.len()), (vec![], 1));
}

#[test]
fn symlinks_and_bytes_are_not_read() {
    let tree = MemoryTree::default()
        .with("a.ncl", TreeKind::Symlink, b"/etc/passwd")
        .with("b.ncl", TreeKind::File, b"\xff\xfe");
    assert_eq!(
        codes_of(&close(&tree, "a.ncl", &Nothing).unwrap()),
        vec!["STR0105"]
    );
    assert_eq!(
        codes_of(&close(&tree, "b.ncl", &Nothing).unwrap()),
        vec!["STR0107"]
    );
}

#[test]
fn pieces_of_the_outermost_record_are_counted() {
    let text = "{ a.x = { b.y = 1 }, a.\"z\" = 2, c = a.x, d.e.f = 1 }";
    let pieces = scan(text, &|_| false).pieces;
    assert_eq!(pieces.get("a"), Some(&(2, (1, 3))));
    assert_eq!(pieces.get("b"), None);
}
