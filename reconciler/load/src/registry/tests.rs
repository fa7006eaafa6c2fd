use std::path::Path as File;

use stratum_core::ids::EnvironmentName;
use stratum_core::settings::Settings;

use super::*;
use crate::evaluate::in_process;
use crate::memory::MemoryTree;

const PIPELINE: &str = "\
let kept = import \"../steps.ncl\" in
{
  name = \"look\",
  intent = \"Look at drift\",
  triggers = [{ on = 'drift, environment = \"staging\" }],
  steps = kept,
}
";

const STEPS: &str = "[{ id = \"see\", role = 'Monitor, prompt = \"p.md\", timeout = \"5m\" }]\n";

const AGENTS: &str = "\
{
  models.small = {
    provider = 'openai, model = \"m\", price = { input = 1, output = 2, date = \"2026-11-01\" },
  },
  roles.Monitor = { models = [\"small\"] },
}
";

const FORM: &str = "\
schema = 1
id = \"page\"
title = \"Page\"
output = { path = \"infra/{{ name }}.ncl\", module = \"m.ncl\" }
answers = \"infra/{{ name }}.toml\"
page = [{ id = \"a\", title = \"A\" }]
field = [{ id = \"name\", page = \"a\", kind = \"text\", label = \"Name\" }]
";

fn tree() -> MemoryTree {
    MemoryTree::new([
        ("stratum.ncl", "unused: settings are given"),
        ("agents.ncl", AGENTS),
        ("pipelines/look.ncl", PIPELINE),
        ("steps.ncl", STEPS),
        ("p.md", "look"),
        ("forms/page.toml", FORM),
        ("m.ncl", "{}"),
        (
            "knowledge/n.md",
            "---\nid: n-1\ntype: note\ntitle: N\n---\n",
        ),
    ])
}

fn settings(environments: &str) -> Settings {
    serde_json::from_str(&format!(
        r#"{{ "name": "shop", "environments": {environments} }}"#
    ))
    .unwrap()
}

fn load(tree: &MemoryTree) -> Registered {
    let settings = settings(r#"{ "staging": {}, "production": {} }"#);
    load_repository(tree, &in_process(tree), &settings).unwrap()
}

fn show(findings: &[Finding]) -> Vec<String> {
    let line = |f: &Finding| format!("{} {} {}", f.code, f.source.as_ref().unwrap(), f.message);
    findings.iter().map(line).collect()
}

fn with(path: &str, text: &str) -> MemoryTree {
    tree().with(path, stratum_core::ports::TreeKind::File, text.as_bytes())
}

#[test]
fn everything_has_an_address_and_a_digest() {
    let registered = load(&tree());
    assert_eq!(show(&registered.findings), [""; 0]);
    let names: Vec<String> = registered
        .resources
        .keys()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        names,
        [
            "repository/form.page",
            "repository/note.n-1",
            "repository/pipeline.look"
        ]
    );
    for resource in registered.resources.values() {
        assert_eq!(resource.provider.as_str(), "registry");
        assert_eq!(resource.attributes["digest"].as_text().unwrap().len(), 64);
        assert!(
            resource.attributes.contains_key("title") && resource.attributes.contains_key("path")
        );
    }
    let pipeline = registered.resources.values().last().unwrap();
    assert_eq!(
        pipeline.sources[&Path::default()].to_string(),
        "pipelines/look.ncl:3:10"
    );
    assert!(has_repository(&tree()).unwrap());
    assert!(
        !has_repository(&MemoryTree::new([
            ("agents.ncl", ""),
            ("knowledge/README.md", "")
        ]))
        .unwrap()
    );
}

#[test]
fn a_digest_changes_with_every_file_it_is_made_of_and_with_no_other() {
    let digests = |tree: &MemoryTree| -> Vec<String> {
        let registered = load(tree);
        let digest =
            |resource: &Resource| resource.attributes["digest"].as_text().unwrap().to_owned();
        registered.resources.values().map(digest).collect()
    };
    let before = digests(&tree());
    let changed = |path: &str, text: &str| -> Vec<usize> {
        let after = digests(&with(path, text));
        (0..3).filter(|n| before[*n] != after[*n]).collect()
    };
    assert_eq!(changed("m.ncl", "{ a = 1 }"), [0]);
    assert_eq!(
        changed(
            "knowledge/n.md",
            "---\nid: n-1\ntype: note\ntitle: N\n---\nmore\n"
        ),
        [1]
    );
    assert_eq!(changed("p.md", "look twice"), [2]);
    assert_eq!(changed("steps.ncl", &STEPS.replace("5m", "6m")), [2]);
    assert_eq!(
        changed("pipelines/look.ncl", &format!("# a remark\n{PIPELINE}")),
        [0; 0]
    );
}

#[test]
fn the_closure_names_everything_that_was_read() {
    let closure = load(&tree()).closure.0;
    for path in [
        "agents.ncl",
        "pipelines",
        "pipelines/look.ncl",
        "steps.ncl",
        "p.md",
        "forms",
        "forms/page.toml",
        "m.ncl",
        "knowledge",
        "knowledge/n.md",
        "stratum.ncl",
        "secrets/repository",
        "trust/groups.toml",
    ] {
        assert!(closure.contains_key(path), "{path}");
    }
}

#[test]
fn findings_stand_at_the_line_of_the_nickel_file() {
    let cases = [
        (
            "pipelines/look.ncl",
            PIPELINE.replace("intent", "intnt"),
            "STR0401 pipelines/look.ncl:2:1 pipeline lacks `intent`",
        ),
        (
            "pipelines/look.ncl",
            PIPELINE.replace("\"staging\"", "\"stagin\""),
            "STR0405 pipelines/look.ncl:5:44 there is no environment `stagin`",
        ),
        (
            "steps.ncl",
            STEPS.replace("5m", "soon"),
            "STR0401 steps.ncl:1:60 `soon` is not a duration: write for example `30s`, `5m`, `1h`",
        ),
        (
            "steps.ncl",
            STEPS.replace("p.md", "q.md"),
            "STR0403 steps.ncl:1:42 there is no file `q.md`",
        ),
        (
            "agents.ncl",
            AGENTS.replace("[\"small\"]", "[\"large\"]"),
            "STR0405 agents.ncl:5:31 there is no model `large`",
        ),
        (
            "agents.ncl",
            AGENTS.replace("model = ", "secret = \"a#b\", model = "),
            "STR0306 agents.ncl:3:34 there is no sealed value `a#b` in `secrets/repository/`",
        ),
        (
            "pipelines/look.ncl",
            "{ name = ] }".to_owned(),
            "STR0201 pipelines/look.ncl:1:10 ",
        ),
    ];
    for (path, text, expected) in cases {
        let found = show(&load(&with(path, &text)).findings);
        assert!(
            found.iter().any(|line| line.starts_with(expected)),
            "{expected}: {found:#?}"
        );
    }
}

#[test]
fn agents_that_cannot_be_read_are_one_finding() {
    let found = show(&load(&with("agents.ncl", "{")).findings);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn two_of_one_name_are_a_finding() {
    let found = show(&load(&with("forms/z.toml", FORM)).findings);
    assert_eq!(
        found,
        ["STR0308 forms/z.toml:2:6 `repository/form.page` is defined twice"]
    );
}

/// The repository that people copy is valid.
#[test]
fn the_example_has_no_findings() {
    let root = File::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../example-repo"));
    let mut tree = MemoryTree::default();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                tree = tree.with(
                    &name,
                    stratum_core::ports::TreeKind::File,
                    &std::fs::read(path).unwrap(),
                );
            }
        }
    }
    let service = "(import \"../modules/service.ncl\") { name = \"tea\", env = \"staging\", \
                   greeting = \"Tea\", port = 8090, url = \"http://127.0.0.1:8090/\" }";
    let with_answers = tree.clone().with(
        "infra/tea.ncl",
        stratum_core::ports::TreeKind::File,
        service.as_bytes(),
    );
    let made = in_process(&with_answers).file("infra/tea.ncl").unwrap();
    assert_eq!(show(&made.findings), [""; 0]);
    assert_eq!(
        made.value.unwrap()["local_file"]["tea"]["path"],
        "services/tea/index.html"
    );
    let registered = load(&tree);
    assert_eq!(show(&registered.findings), [""; 0]);
    let types: Vec<&str> = registered
        .resources
        .keys()
        .map(|address| address.r#type().as_str())
        .collect();
    for wanted in ["pipeline", "form", "decision", "guideline", "pattern"] {
        assert!(types.contains(&wanted), "{wanted}: {types:?}");
    }
    assert_eq!(
        registered.resources.keys().next().unwrap().environment,
        EnvironmentName::repository()
    );
}
