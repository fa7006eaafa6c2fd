//! Loading with real child processes: hostile files, limits, confinement.

#![allow(clippy::unwrap_used, reason = "a test may fail this way")]

#[path = "../../src/memory.rs"]
mod memory;

use std::sync::Arc;

use memory::{Forgetful, MemoryTree, local_schema};
use stratum_core::desired::{Desired, Revision};
use stratum_core::finding::Finding;
use stratum_core::ids::{CommitId, EnvironmentName, ObjectId};
use stratum_core::ports::{Loaded, Loader as _, TreeKind};
use stratum_core::settings::Settings;
use stratum_load::{Enforcement, Evaluators, NickelLoader};

fn loader() -> NickelLoader {
    let evaluators = Arc::new(Evaluators::new(env!("CARGO_BIN_EXE_stratum-evaluate")));
    let validate = Arc::new(|_: &_, _: &_| Vec::new());
    NickelLoader::new(
        evaluators,
        vec![local_schema()],
        validate,
        Arc::new(Forgetful),
    )
}

fn settings() -> Settings {
    let text = r#"{"name":"t","environments":{"e":{}},"limits":{"memory":256,"time":"2s"}}"#;
    serde_json::from_str(text).unwrap()
}

fn load(loader: &NickelLoader, tree: &MemoryTree) -> Loaded<Desired> {
    let revision = Revision {
        commit: CommitId::new("a".repeat(40)).unwrap(),
        inputs: ObjectId::new("b".repeat(40)).unwrap(),
        author: "A <a@b>".to_owned(),
        committed_at: "2026-11-24T00:00:00Z".parse().unwrap(),
        subject: String::new(),
        message: String::new(),
    };
    loader
        .load(
            tree,
            &revision,
            &settings(),
            &EnvironmentName::new("e").unwrap(),
        )
        .unwrap()
}

fn found(loader: &NickelLoader, text: &str) -> Vec<Finding> {
    load(loader, &MemoryTree::new([("infra/e.ncl", text)])).findings
}

/// The status lines of the children of this process.
fn children() -> Vec<String> {
    let own = format!("PPid:\t{}\n", std::process::id());
    let status = |entry: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(entry.ok()?.path().join("status")).ok()
    };
    let all = std::fs::read_dir("/proc").unwrap().filter_map(status);
    all.filter(|text| text.contains(&own) && text.contains("stratum-evaluat"))
        .collect()
}

#[test]
fn good_files_are_loaded_and_children_are_confined_and_end_with_their_pool() {
    let loader = loader();
    let text = "{ local_data.b = {}, local_file.a = { path = \"a\", content = local_data.b.id } }";
    let tree = MemoryTree::new([("infra/e.ncl", text)]);
    let loaded = load(&loader, &tree);
    assert_eq!(loaded.findings, vec![]);
    assert_eq!(loaded.value.unwrap().resources.len(), 2);

    let confinement = loader.evaluators().confinement().unwrap();
    assert_ne!(
        (confinement.landlock, confinement.seccomp),
        (Enforcement::Missing, Enforcement::Missing)
    );
    let status = children();
    assert!(!status.is_empty());
    for text in status {
        let filtered = text.contains("Seccomp:\t2") && text.contains("NoNewPrivs:\t1");
        assert!(
            filtered || confinement.seccomp == Enforcement::Missing,
            "{text}"
        );
    }
}

#[test]
fn hostile_files_end_in_a_finding_and_harm_no_other_file() {
    let loader = loader();
    let bomb = "[".repeat(100_000);
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let cases = [
        (
            "let rec f = fun x => f (x + 1) in { local_data.a.input = f 0 }",
            "STR0211",
        ),
        ("std.array.fold_left (fun acc it => acc it) : _", "STR0211"),
        (
            "{ local_data.a.input = std.array.generate (fun x => x) 1000000000 }",
            "STR0211",
        ),
        (
            "{ local_data.a.input = std.array.fold_left (fun n _ => n * n) 3 (std.array.range 0 60) }",
            "STR0211",
        ),
        ("{ local_data.a = { b = local_data } }", "STR0211"),
        (&format!("{{ local_data.a.input = {deep} }}"), "STR0211"),
        (&bomb, "STR0201"),
        ("import \"/etc/passwd\" as 'Text", "STR0210"),
        (
            "let {a ? (import \"/etc/passwd\" as 'Text), ..} = {} in a",
            "STR0210",
        ),
        ("import \"../../../../etc/passwd\" as 'Text", "STR0210"),
    ];
    for (text, code) in cases {
        let start = std::time::Instant::now();
        let findings = found(&loader, text);
        let codes: Vec<&str> = findings.iter().map(|f| f.code.0.as_str()).collect();
        let start_of_text: String = text.chars().take(60).collect();
        assert_eq!(codes, vec![code], "{start_of_text}: {findings:?}");
        assert!(findings[0].source.is_some() && start.elapsed().as_secs() < 10);
        assert_eq!(
            found(&loader, "{ local_data.a = {} }"),
            vec![],
            "after {start_of_text}"
        );
    }
}

#[test]
fn symlinks_are_not_followed() {
    let loader = loader();
    let tree = MemoryTree::new([("infra/e.ncl", "import \"x.ncl\"")]).with(
        "infra/x.ncl",
        TreeKind::Symlink,
        b"/etc/passwd",
    );
    let codes: Vec<String> = load(&loader, &tree)
        .findings
        .into_iter()
        .map(|f| f.code.0)
        .collect();
    assert_eq!(codes, ["STR0210"]);
}

#[test]
fn a_program_that_is_no_evaluator_is_an_error_of_the_engine() {
    let evaluators = Evaluators::new("/bin/true");
    let error = evaluators.confinement().unwrap_err();
    assert!(
        error.to_string().contains("could not run the evaluator"),
        "{error}"
    );
}

#[test]
fn many_files_are_evaluated_side_by_side() {
    let loader = loader();
    let texts: Vec<(String, String)> = (0..20)
        .map(|n| {
            (
                format!("infra/e/f{n}.ncl"),
                format!("{{ local_data.d{n} = {{ input = {n} }} }}"),
            )
        })
        .collect();
    let tree = MemoryTree::new(
        texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str())),
    );
    assert_eq!(load(&loader, &tree).value.unwrap().resources.len(), 20);
}
