use super::*;
use crate::memory::MemoryTree;

const DECISION: &str = "\
---
id: adr-1
type: decision
title: Use one process
status: accepted
date: 2026-11-23
tags: [a]
relations:
  - { type: relates_to, to: rule-1 }
---
# Context and why

See [the rule](../rules/one.md#the-rule), [below](#context-and-why), [code](/src/main.rs#L1) and
[elsewhere](https://example.org).
";

const RULE: &str = "\
---
id: rule-1
type: guideline
title: One process
scope: project
priority: 50
applies_to: ['infra/**']
---
## The rule
";

fn tree(files: &[(&str, &str)]) -> MemoryTree {
    let base = [
        ("knowledge/decisions/a.md", DECISION),
        ("knowledge/rules/one.md", RULE),
        ("knowledge/README.md", "no frontmatter"),
        ("src/main.rs", "fn main() {}"),
    ];
    let mut all: BTreeMap<&str, &str> = base.into();
    all.extend(files.iter().copied());
    MemoryTree::new(all)
}

fn show(findings: &[Finding]) -> Vec<String> {
    assert!(
        findings.iter().all(|finding| finding.hint.is_some()),
        "{findings:?}"
    );
    let line = |f: &Finding| {
        let source = f.source.as_ref().unwrap();
        let file = source.file.trim_start_matches("knowledge/");
        format!(
            "{} {file}:{}:{} {}",
            f.code, source.line, source.column, f.message
        )
    };
    findings.iter().map(line).collect()
}

fn found_in(files: &[(&str, &str)]) -> Vec<String> {
    let tree = tree(files);
    let mut reading = Reading::new(&tree);
    knowledge(&mut reading).unwrap();
    show(&reading.findings)
}

/// What is found when `from` is written `to` in the decision.
fn decision(from: &str, to: &str) -> Vec<String> {
    assert!(DECISION.contains(from), "{from}");
    found_in(&[("knowledge/decisions/a.md", &DECISION.replacen(from, to, 1))])
}

/// What is found when `from` is written `to` in the guideline.
fn rule(from: &str, to: &str) -> Vec<String> {
    assert!(RULE.contains(from), "{from}");
    found_in(&[("knowledge/rules/one.md", &RULE.replacen(from, to, 1))])
}

#[test]
fn right_nodes_become_entries_by_digest() {
    let tree = tree(&[]);
    let mut reading = Reading::new(&tree);
    let entries = knowledge(&mut reading).unwrap();
    assert_eq!(show(&reading.findings), [""; 0]);
    let first = &entries[0];
    assert_eq!((first.r#type, first.name.as_str()), ("decision", "adr-1"));
    assert_eq!(
        first.attributes["digest"].as_text().unwrap(),
        Digest::of_bytes(DECISION.as_bytes()).to_string()
    );
    assert_eq!(first.source, Source::new("knowledge/decisions/a.md", 2, 5));
    assert!(
        reading.closure.0.contains_key("knowledge")
            && reading.closure.0.contains_key("src/main.rs")
    );
}

#[test]
fn frontmatter_is_there_and_yaml() {
    let file = "knowledge/n.md";
    let one = |text: &str| found_in(&[(file, text)]);
    assert_eq!(
        one("# Title\n"),
        ["STR0601 n.md:1:1 the file has no frontmatter"]
    );
    assert_eq!(
        one("---\nid: x\n"),
        ["STR0601 n.md:1:1 the file has no frontmatter"]
    );
    assert_eq!(
        one("---\n---\n"),
        ["STR0601 n.md:2:1 the frontmatter has no keys"]
    );
    let broken = one("---\nid: n\ntitle: a: b\n---\n");
    assert!(
        broken.len() == 1 && broken[0].starts_with("STR0601 n.md:3:"),
        "{broken:?}"
    );
    let twice = one("---\nid: n\nid: m\n---\n");
    assert!(
        twice.len() == 1 && twice[0].starts_with("STR0601 n.md:3:1 not YAML: "),
        "{twice:?}"
    );
}

#[test]
fn a_frontmatter_without_id_is_one_finding() {
    assert_eq!(
        found_in(&[("knowledge/n.md", "---\ntype: note\ntitle: N\n---\n")]),
        ["STR0602 n.md:2:1 the frontmatter has no `id`"]
    );
    assert_eq!(
        rule("id: rule-1\n", ""),
        ["STR0602 rules/one.md:2:1 the frontmatter has no `id`"]
    );
}

#[test]
fn ids_are_plain_and_unique() {
    assert_eq!(
        found_in(&[(
            "knowledge/z.md",
            "---\nid: adr-1\ntype: note\ntitle: N\n---\n"
        )]),
        ["STR0602 z.md:2:5 knowledge id `adr-1` is used twice"]
    );
    assert_eq!(
        found_in(&[(
            "knowledge/z.md",
            "---\nid: a b\ntype: note\ntitle: N\n---\n"
        )]),
        ["STR0602 z.md:2:5 `a b` cannot be a knowledge id"]
    );
}

#[test]
fn every_type_has_its_keys() {
    let cases = [
        (
            "type: decision",
            "type: descision",
            "STR0603 decisions/a.md:3:7 `descision` is not a known `type`",
        ),
        (
            "status: accepted\n",
            "",
            "STR0603 decisions/a.md:2:1 decision lacks `status`",
        ),
        (
            "date: 2026-11-23\n",
            "",
            "STR0603 decisions/a.md:2:1 decision lacks `date`",
        ),
        (
            "tags:",
            "tgas:",
            "STR0603 decisions/a.md:7:1 decision has no key `tgas`",
        ),
        (
            "tags: [a]",
            "scope: org",
            "STR0603 decisions/a.md:7:1 decision has no key `scope`",
        ),
        (
            "status: accepted",
            "status: acepted",
            "STR0605 decisions/a.md:5:9 `acepted` is not a known `status`",
        ),
        (
            "2026-11-23",
            "23.11.2026",
            "STR0601 decisions/a.md:6:7 `date` must be a day like `2026-11-24`, not the text `23.11.2026`",
        ),
        (
            "tags: [a]",
            "tags: a",
            "STR0601 decisions/a.md:7:7 `tags` must be a list, not the text `a`",
        ),
        (
            "title: Use one process",
            "title: 7",
            "STR0601 decisions/a.md:4:8 `title` must be a text, not the number `7`",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(decision(from, to), [expected]);
    }
}

#[test]
fn guidelines_have_scopes_and_only_those_of_an_organisation_are_mandatory() {
    let cases = [
        (
            "scope: project\n",
            "",
            "STR0603 rules/one.md:2:1 guideline lacks `scope`",
        ),
        (
            "scope: project",
            "scope: team",
            "STR0601 rules/one.md:5:8 `team` is not a known `scope`",
        ),
        (
            "priority: 50",
            "priority: high",
            "STR0601 rules/one.md:6:11 `priority` must be a whole number from 0, not the text `high`",
        ),
        (
            "priority: 50",
            "mandatory: true",
            "STR0603 rules/one.md:6:12 guideline `rule-1` is mandatory, but not an organisation's",
        ),
        (
            "infra/**",
            "infra/[",
            "STR0601 rules/one.md:7:14 `infra/[` is not a pattern for paths: unclosed character class; missing ']'",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(rule(from, to), [expected]);
    }
    assert_eq!(
        rule("scope: project", "scope: org\nmandatory: true"),
        [""; 0]
    );
}

#[test]
fn relations_are_known_and_lead_somewhere() {
    let cases = [
        (
            "relates_to, to",
            "relate_to, to",
            "STR0604 decisions/a.md:9:13 `relate_to` is not a known relation",
        ),
        (
            "to: rule-1",
            "to: rule-2",
            "STR0604 decisions/a.md:9:29 `rule-2` is no knowledge node",
        ),
        (
            "to: rule-1",
            "to: adr-1",
            "STR0604 decisions/a.md:9:29 `adr-1` names itself",
        ),
        (
            "relates_to, to",
            "supersedes, to",
            "STR0604 decisions/a.md:9:29 a decision cannot supersede `rule-1`, which is a guideline",
        ),
        (
            "to: rule-1 }",
            "to: rule-1, why: x }",
            "STR0604 decisions/a.md:9:37 relation has no key `why`",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(decision(from, to), [expected]);
    }
    assert_eq!(
        decision("to: rule-1", "to: exec-20261124T031500Z-1f9c2a"),
        [""; 0]
    );
}

#[test]
fn supersedes_has_no_circle_and_statuses_match() {
    let other = |status: &str, relations: &str| {
        format!(
            "---\nid: adr-2\ntype: decision\ntitle: B\nstatus: {status}\ndate: 2026-01-01\n{relations}---\n"
        )
    };
    let with = |first: &str, second: &str| {
        found_in(&[
            ("knowledge/decisions/a.md", first),
            ("knowledge/decisions/b.md", second),
        ])
    };
    let newer = DECISION.replace("relates_to, to: rule-1", "supersedes, to: adr-2");
    assert_eq!(with(&newer, &other("superseded", "")), [""; 0]);
    assert_eq!(
        with(&newer, &other("accepted", "")),
        ["STR0605 decisions/b.md:5:9 `adr-1` supersedes `adr-2`, whose status is not `superseded`"]
    );
    assert_eq!(
        with(DECISION, &other("superseded", "")),
        [
            "STR0605 decisions/b.md:5:9 `adr-2` is superseded, but no decision that holds supersedes it"
        ]
    );
    let circle = other(
        "superseded",
        "relations: [{ type: supersedes, to: adr-1 }]\n",
    );
    let newer = newer.replace("status: accepted", "status: superseded");
    assert_eq!(
        with(&newer, &circle),
        ["STR0604 decisions/a.md:9:29 nodes supersede each other: `adr-1` -> `adr-2` -> `adr-1`"]
    );
}

#[test]
fn one_broken_file_makes_no_findings_in_others() {
    let broken = RULE.replace("title: One process", "title: a: b");
    let found = found_in(&[("knowledge/rules/one.md", &broken)]);
    assert!(
        found.len() == 1 && found[0].starts_with("STR0601 rules/one.md:4:"),
        "{found:?}"
    );
}

#[test]
fn links_and_anchors_lead_somewhere() {
    let cases = [
        (
            "../rules/one.md#",
            "../rules/on.md#",
            "STR0606 decisions/a.md:13:5 there is no file `knowledge/rules/on.md`",
        ),
        (
            "one.md#the-rule",
            "one.md#the-rul",
            "STR0606 decisions/a.md:13:5 `knowledge/rules/one.md` has no anchor `#the-rul`",
        ),
        (
            "(#context-and-why)",
            "(#context)",
            "STR0606 decisions/a.md:13:43 `knowledge/decisions/a.md` has no anchor `#context`",
        ),
        (
            "../rules/one.md#the-rule",
            "../../../x.md",
            "STR0606 decisions/a.md:13:5 the link leads out of the repository",
        ),
        (
            "/src/main.rs",
            "/src/man.rs",
            "STR0606 decisions/a.md:13:70 there is no file `src/man.rs`",
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(decision(from, to), [expected]);
    }
}

#[test]
fn a_flood_of_broken_links_is_cut() {
    let found = decision("See ", &"[a](nothing) ".repeat(200));
    assert_eq!(found.len(), 51);
    assert!(
        found[50].ends_with("more links follow, which were not looked at"),
        "{found:?}"
    );
}

#[test]
fn wiki_links_are_read_with_a_warning() {
    let warned = decision("See ", "See [[rule-1]] ");
    assert_eq!(
        warned,
        ["STR0607 decisions/a.md:13:5 `[[rule-1]]` is followed by few other tools"]
    );
    let broken = decision("See ", "See [[rule-2]] ");
    assert_eq!(
        broken,
        ["STR0606 decisions/a.md:13:5 `[[rule-2]]` names no knowledge node"]
    );
    let tree = tree(&[(
        "knowledge/decisions/a.md",
        &DECISION.replace("See ", "See [[rule-1]] "),
    )]);
    let mut reading = Reading::new(&tree);
    knowledge(&mut reading).unwrap();
    assert!(!reading.findings[0].is_error());
    assert_eq!(
        reading.findings[0].hint.as_deref(),
        Some("write `[rule-1](../rules/one.md)`")
    );
}

#[test]
fn execution_nodes_are_not_written_by_hand() {
    let node = "---\nid: exec-1\ntype: execution\ntitle: x\noutcome: done\n---\n";
    assert_eq!(
        found_in(&[("knowledge/executions/x.md", node)]),
        ["STR0608 executions/x.md:3:7 a node of type `execution` is written by stratum alone"]
    );
}
