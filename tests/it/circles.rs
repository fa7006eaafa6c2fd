//! Fails on a circle of files inside a room: whoever reads one of them must read them all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Files that use each other still, by room. None may be added.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "commands/pull_request",
            "commands/pull_request/event",
            "commands/pull_request/files",
            "commands/pull_request/report",
        ],
    ),
    (
        "forge",
        &["markdown/report", "markdown/section", "markdown/step"],
    ),
    ("guard", &["cases", "context", "imagined", "judge"]),
    ("runtime", &["driver", "reconcile", "visit"]),
    (
        "store",
        &[
            "log/export",
            "log/verify",
            "write/append",
            "write/audit",
            "write/lease",
            "write/run",
        ],
    ),
];

/// Each file, and the files of the same room that it uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_file_uses_itself_through_others() {
    let rooms = Path::new(env!("CARGO_MANIFEST_DIR")).join("reconciler");
    let mut complaints = Vec::new();
    for room in fs::read_dir(rooms).unwrap() {
        let room = room.unwrap();
        let (name, sources) = (room.file_name(), room.path().join("src"));
        let name = name.to_str().unwrap();
        if !sources.is_dir() {
            continue;
        }
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        let known = known.map_or(&[][..], |(_, files)| files);
        let files = uses(&sources);
        let circle = in_circles(&files);
        let new = circle.iter().filter(|file| !known.contains(&file.as_str()));
        complaints.extend(new.map(|file| format!("{name}/src/{file} uses itself through others")));
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn a_circle_is_seen_and_whoever_only_uses_it_is_not_in_it() {
    let uses = |text: &str| paths(text).into_iter().collect::<BTreeSet<_>>();
    let files: Uses = [
        ("a", uses("use crate::b::{One, Two};")),
        ("b", uses("fn f() { crate::c::g() }\n// crate::d")),
        ("c", uses("use crate::a;\n#[cfg(test)]\nuse crate::d;")),
        ("d", uses("use crate::{a, b::Three};")),
    ]
    .map(|(file, uses)| (file.to_owned(), uses))
    .into();
    let files = resolved(&files);
    assert_eq!(in_circles(&files), ["a", "b", "c"]);
    assert_eq!(files["d"].len(), 2);
}

/// What the files below `folder` use.
fn uses(folder: &Path) -> Uses {
    let (mut found, mut left) = (Uses::new(), vec![folder.to_owned()]);
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let inside = path.strip_prefix(folder).unwrap().to_str().unwrap();
            let Some(name) = inside.strip_suffix(".rs") else {
                continue;
            };
            let name = name.strip_suffix("/mod").unwrap_or(name);
            let text = fs::read_to_string(&path).unwrap();
            found.insert(name.to_owned(), paths(&text).into_iter().collect());
        }
    }
    resolved(&found)
}

/// The paths below `crate::` that a text names, outside comments and tests.
fn paths(text: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim().starts_with("//"));
    let text: String = lines.collect();
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    for (at, word) in text.match_indices("crate::") {
        let rest = &text[at + word.len()..];
        let (path, after) = rest.split_at(rest.find(|c| !part(c)).unwrap_or(rest.len()));
        match after.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or_default();
                found.extend(list.split(',').map(|item| format!("{path}{}", item.trim())));
            }
            None => found.push(path.to_owned()),
        }
    }
    found
}

/// The same, with the file that each path leads to in place of the path.
fn resolved(files: &Uses) -> Uses {
    let file = |path: &String| {
        let mut path = path.replace("::", "/");
        while !files.contains_key(&path) {
            path.truncate(path.rfind('/')?);
        }
        Some(path)
    };
    let one = |(name, paths): (&String, &BTreeSet<String>)| {
        let found = paths.iter().filter_map(file).filter(|other| other != name);
        (name.clone(), found.collect())
    };
    files.iter().map(one).collect()
}

/// The files that use themselves through others, in order.
fn in_circles(files: &Uses) -> Vec<&String> {
    let reaches_itself = |file: &&String| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![*file]);
        while let Some(next) = left.pop() {
            for other in files.get(next).into_iter().flatten() {
                if other == *file {
                    return true;
                }
                if seen.insert(other) {
                    left.push(other);
                }
            }
        }
        false
    };
    files.keys().filter(reaches_itself).collect()
}
