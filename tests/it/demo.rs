//! The demo tells its story and leaves nothing behind.

use std::process::{Command, Stdio};

use crate::ground::PROGRAM;

#[test]
fn the_demo_tells_the_story_and_cleans_up() {
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM)
        .arg("demo")
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let chapters = [
        "1. The first push",
        "2. A change",
        "3. A change that breaks",
        "4. The undo",
        "5. A secret changes",
        "6. Who may do that",
    ];
    let mut rest: &str = &text;
    for chapter in chapters {
        rest = rest
            .split_once(chapter)
            .unwrap_or_else(|| panic!("no `{chapter}` in {text}"))
            .1;
    }
    assert!(text.contains("rolled back in"), "{text}");
    assert_eq!(text.matches("HTTP/1.0 200 OK").count(), 8, "{text}");
    for said in [
        "orders#token v2",
        "orders#token v3",
        "with the old one: HTTP/1.0 401",
        "with the new one: HTTP/1.0 200 OK / 3 loaves of rye",
        "refused in production\n  secrets/production/orders.sealed.yaml",
        "asked with the good one: HTTP/1.0 200 OK",
        "needs approval by ben",
    ] {
        assert!(text.contains(said), "no `{said}` in {text}");
    }
    assert!(text.contains("and croissants"), "{text}");
    assert!(!text.contains("  The page nobody shall ever see"), "{text}");
    let left = std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left, 0, "the demo left something behind");
}

#[test]
fn without_python_the_demo_says_so_before_it_begins() {
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM)
        .arg("demo")
        .env("TMPDIR", temporary.path())
        .env("PATH", temporary.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("error: `python3`, which serves the page of the story, cannot be run"),
        "{said}"
    );
    assert!(said.contains("apt-get install python3"), "{said}");
    assert!(output.stdout.is_empty(), "the story was begun");
    let left = std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left, 0, "the demo left something behind");
}
