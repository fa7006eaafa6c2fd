//! Text of strangers through every command and every file that is written: shown, never obeyed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::ground::{Answer, Ground, git, run, stratum};

const ESC: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}2J";
const TURNED: &str = "\u{202e}\u{2066}";
const LIVE: &str = "@org/team fixes #2 [x](http://evil) ![i](http://evil/i.png) `a` <img src=x>";

/// Fails where a terminal, or who reads the file, would obey something.
fn harmless(what: &str, text: &str) {
    let obeyed = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if let Some(at) = text.find(obeyed) {
        let from = text.floor_char_boundary(at.saturating_sub(80));
        let to = text.ceil_char_boundary((at + 80).min(text.len()));
        panic!("{what}: {:?}", &text[from..to]);
    }
}

/// Fails where markdown would link, mention or show something: everything live stands in code.
fn inert(what: &str, markdown: &str) {
    let mut fence = None;
    for line in markdown.lines().filter(|line| !line.starts_with("author:")) {
        // A fence ends at as many ticks as it began with.
        let ticks = line.len() - line.trim_start_matches('`').len();
        match fence {
            None if ticks >= 3 => fence = Some(ticks),
            Some(begun) if ticks >= begun => fence = None,
            Some(_) | None => {}
        }
        if fence.is_some() {
            continue;
        }
        let mut code = false;
        let mut outside = String::new();
        let mut rest = line;
        // A span ends at as many ticks as it began with.
        while let Some(at) = rest.find('`') {
            let ticks = rest[at..].len() - rest[at..].trim_start_matches('`').len();
            outside.push_str(&rest[..at]);
            let mark = "`".repeat(ticks);
            let behind = &rest[at + ticks..];
            match behind.find(&mark) {
                Some(end) => rest = &behind[end + ticks..],
                None => {
                    code = true;
                    rest = "";
                }
            }
        }
        outside.push_str(rest);
        for live in ["](http", "@org", "#2", "<img"] {
            assert!(code || !outside.contains(live), "{what}: {live} in {line}");
        }
    }
}

fn both(what: &str, answer: &Answer) {
    harmless(what, &answer.out);
    harmless(what, &answer.side);
}

fn push_as(ground: &Ground, author: &str, message: &str) {
    let clone = ground.clone_folder();
    git(&clone, &["add", "--all"]);
    let mut named = Command::new("git");
    named.args(["commit", "-q", "--allow-empty"]);
    named.args([
        "-m",
        message,
        "--author",
        &format!("{author} <e@example.org>"),
    ]);
    run(&clone, &mut named);
    git(&clone, &["push", "-q", "origin", "HEAD:main"]);
}

/// Everything that only reads, in a folder.
fn everything(folder: &Path, what: &str, more: &[&[&str]]) {
    let plain: [&[&str]; 16] = [
        &["status"],
        &["plan"],
        &["plan", "--markdown"],
        &["history"],
        &["events"],
        &["get"],
        &["tree"],
        &["drift"],
        &["doctor"],
        &["check"],
        &["explain", "staging"],
        &["audit", "list"],
        &["audit", "verify"],
        &["diff", "HEAD~1", "HEAD"],
        &["status", "-vv"],
        &["show"],
    ];
    for arguments in plain.iter().chain(more) {
        for json in [false, true] {
            let mut all = arguments.to_vec();
            all.extend(json.then_some("--json"));
            let answer = stratum(folder, &all);
            both(&format!("{what}: {all:?}"), &answer);
            let colored: Vec<&str> = all.iter().copied().chain(["--color", "always"]).collect();
            let answer = stratum(folder, &colored);
            for forbidden in ["\u{1b}]", "\u{1b}[2J", "\u{7}", "\u{9b}", "\u{202e}"] {
                let shown = format!("{}{}", answer.out, answer.side);
                assert!(
                    !shown.contains(forbidden),
                    "{what}: {colored:?}: {forbidden:?}"
                );
            }
        }
    }
}

#[test]
fn text_of_strangers_is_obeyed_nowhere() {
    let ground = Ground::with_a_file();
    ground.push("good");
    ground.once().ends_with(0);
    let said = format!("{ESC}{TURNED}{LIVE}");
    // A policy's reason, a failing program's words, a label, and who wrote it.
    ground.write(
        "policies/own.cedar",
        &format!(
            "@id(\"own\") @reason(\"because {TURNED}{LIVE}\")\n\
             forbid (principal, action == Action::\"delete\", resource is Resource);\n"
        ),
    );
    let script = format!("printf '{}' >&2; exit 1", said.replace('\'', ""));
    ground.write(
        "infra/staging.ncl",
        &format!(
            "{{\n  local_file.a = {{ path = \"a\", content = \"two\" }},\n  local_exec.x = {{ \
             create = [\"sh\", \"-c\", m%\"{script}\"%] }},\n}}\n"
        ),
    );
    push_as(
        &ground,
        &format!("E{}", said.replace(['<', '>'], "")),
        &said,
    );
    let once = ground.once();
    both("reconcile --once", &once);
    ground.write(&format!("infra/{}.ncl", said.replace('/', "")), "{ oops");
    ground.write("policies/other.cedar", &said);
    push_as(&ground, "Eve", &format!("{said}\n\n{said}"));
    both("reconcile --once, refused", &ground.once());
    let tag = said.replace('\u{9b}', "");
    git(
        &ground.clone_folder(),
        &["tag", "-a", "stratum/suspend/staging", "-m", &tag],
    );
    git(
        &ground.clone_folder(),
        &["push", "-q", "origin", "stratum/suspend/staging"],
    );
    both(
        "reconcile --once -vv",
        &ground.stratum(&["reconcile", "--once", "-vv", "--root", "w"]),
    );
    both(
        "in JSON",
        &ground.stratum(&["reconcile", "--once", "--log", "json", "--root", "w"]),
    );
    let runs = ground.stratum(&["history", "--json"]).json();
    let ids: Vec<&str> = runs["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| run["id"].as_str().unwrap())
        .collect();
    let mut more: Vec<Vec<&str>> = ids.iter().map(|id| vec!["show", *id]).collect();
    more.extend(ids.iter().map(|id| vec!["trace", *id]));
    more.push(vec!["trace", "staging/local_file.a"]);
    let more: Vec<&[&str]> = more.iter().map(Vec::as_slice).collect();
    everything(&ground.bare(), "bare", &more);
    everything(&ground.clone_folder(), "clone", &[&["hook", "pre-commit"]]);
    let out = ground.made("pull");
    fs::create_dir_all(&out).unwrap();
    let pull = [
        "pull-request",
        "--base",
        "HEAD~2",
        "--head",
        "HEAD",
        "--out",
        out.to_str().unwrap(),
    ];
    both("pull-request", &stratum(&ground.bare(), &pull));
    for entry in fs::read_dir(&out).unwrap() {
        let path = entry.unwrap().path();
        harmless(
            &path.display().to_string(),
            &fs::read_to_string(&path).unwrap(),
        );
    }
    records(&ground);
}

/// What is written into the repository.
fn records(ground: &Ground) {
    let bare = ground.bare();
    let subjects = git(&bare, &["log", "--format=%B", "stratum/records"]);
    harmless("subjects of records", &subjects);
    for live in ["@org", "#2", "://"] {
        assert!(!subjects.contains(live), "{live} in {subjects}");
    }
    let files = git(&bare, &["ls-tree", "-r", "--name-only", "stratum/records"]);
    let mut read = 0;
    for file in files.lines() {
        let text = git(&bare, &["show", &format!("stratum/records:{file}")]);
        harmless(file, &text);
        if file.ends_with(".md") {
            inert(file, &text);
            read += 1;
        }
    }
    assert!(read >= 2, "{files}");
    let notes = git(
        &bare,
        &["for-each-ref", "--format=%(refname)", "refs/notes"],
    );
    for name in notes.lines() {
        for line in git(&bare, &["notes", "--ref", name, "list"]).lines() {
            let (blob, _) = line.split_once(' ').unwrap();
            harmless(name, &git(&bare, &["cat-file", "blob", blob]));
        }
    }
}
