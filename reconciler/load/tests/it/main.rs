//! Loading with real child processes: hostile files, limits, confinement.

#![allow(clippy::unwrap_used, reason = "a test may fail this way")]

#[path = "../../src/memory.rs"]
mod memory;

use std::sync::Arc;

use memory::{Forgetful, MemoryTree, local_schema};
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use stratum_core::desired::{Desired, Revision};
use stratum_core::finding::Finding;
use stratum_core::ids::{CommitId, EnvironmentName, ObjectId};
use stratum_core::ports::{Loaded, Loader as _, TreeKind};
use stratum_core::settings::Settings;

use stratum_core::bounds::Bounds;
use stratum_core::ports::{Confined as _, ConfinedError};
use stratum_load::{Enforcement, Evaluators, NickelLoader, Readers};

fn loader() -> NickelLoader {
    let evaluators = Arc::new(Evaluators::new(env!("CARGO_BIN_EXE_stratum-evaluate")));
    let validate = Arc::new(|_: &_, _: &_, _: &_| Vec::new());
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

fn revision() -> Revision {
    Revision {
        commit: CommitId::new("a".repeat(40)).unwrap(),
        inputs: ObjectId::new("b".repeat(40)).unwrap(),
        author: "A <a@b>".to_owned(),
        committed_at: "2026-11-24T00:00:00Z".parse().unwrap(),
        subject: String::new(),
        message: String::new(),
    }
}

fn load(loader: &NickelLoader, tree: &MemoryTree) -> Loaded<Desired> {
    loader
        .load(
            tree,
            &revision(),
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

const LOOP: &str = "let rec f = fun x => f (x + 1) in { local_data.a.input = f 0 }";

/// Twice as long, `times` times.
fn doubled(name: &str, times: u32) -> String {
    format!(
        "let d = fun s => \"%{{s}}%{{s}}\" in let rec f = fun n s => if n == 0 then s else \
         f (n - 1) (d s) in {{ local_data.{name}.input = f {times} \"0123456789abcdef\" }}"
    )
}

fn codes(findings: &[Finding]) -> Vec<&str> {
    findings
        .iter()
        .map(|finding| finding.code.0.as_str())
        .collect()
}

fn environment(texts: &[String]) -> MemoryTree {
    let paths: Vec<String> = (0..texts.len())
        .map(|n| format!("infra/e/f{n}.ncl"))
        .collect();
    let files = paths.iter().zip(texts);
    MemoryTree::new(files.map(|(path, text)| (path.as_str(), text.as_str())))
}

#[test]
fn a_child_ends_with_its_input_also_while_it_computes() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_stratum-evaluate"))
        .args(["__evaluate", "256", "60"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let request = serde_json::json!({ "Evaluate": {
        "root": "/nowhere", "main": "a.ncl", "balance": false, "contract": null, "most": 1 << 20,
        "blobs": [{ "path": "a.ncl", "format": "Nickel", "text": LOOP, "shipped": false }],
    }});
    let bytes = request.to_string().into_bytes();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(&u32::try_from(bytes.len()).unwrap().to_le_bytes())
        .unwrap();
    input.write_all(&bytes).unwrap();
    let mut greeting = [0; 16];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut greeting)
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it should compute");
    drop(input);
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "it outlives its parent"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_a_confined_reader_does_to_itself_is_a_finding_about_the_text() {
    let evaluators = Arc::new(Evaluators::new(env!("CARGO_BIN_EXE_stratum-evaluate")));
    let bounds: Bounds = "memory=300,time=2s".parse().unwrap();
    let readers = Readers::new(evaluators, &bounds);
    for (text, said) in [
        ("loop", "took longer than 2s"),
        ("panic", "a panic"),
        ("overflow", "nested too deeply"),
        ("memory", "memory"),
    ] {
        match readers.read("obey", text) {
            Err(ConfinedError::Ended(why)) => assert!(why.contains(said), "{text}: {why}"),
            other => panic!("{text}: {other:?}"),
        }
        assert_eq!(
            readers.read("obey", "good").as_deref(),
            Ok("GOOD"),
            "after {text}"
        );
    }
    let unknown = readers.read("nothing", "good");
    assert!(
        matches!(unknown, Err(ConfinedError::NotRun(_))),
        "{unknown:?}"
    );
}

#[test]
fn answers_are_bounded_before_they_are_sent() {
    let loader = loader().within("memory=2000,time=1m,environment-time=10m".parse().unwrap());
    let settings_text =
        r#"{"name":"t","environments":{"e":{}},"limits":{"memory":2000,"time":"1m"}}"#;
    let large: Settings = serde_json::from_str(settings_text).unwrap();
    let load = |tree: &MemoryTree| {
        let name = EnvironmentName::new("e").unwrap();
        loader
            .load(tree, &revision(), &large, &name)
            .unwrap()
            .findings
    };
    // 268 MB each, as in the report; 20 MB; and what just fits.
    let texts: Vec<String> = (0..6).map(|n| doubled(&format!("a{n}"), 24)).collect();
    assert_eq!(codes(&load(&environment(&texts))), vec!["STR0211"; 6]);
    let wide = "{ local_data.a.input = std.array.range 0 1000000 }".to_owned();
    assert_eq!(codes(&load(&environment(&[wide]))), ["STR0211"]);
    let keys = "{ local_data.a.input = std.record.from_array (std.array.map (fun n => { field = \
                \"k%{std.to_string n}\", value = n }) (std.array.range 0 200000)) }";
    assert_eq!(codes(&load(&environment(&[keys.to_owned()]))), ["STR0211"]);
    let fits = vec![doubled("a", 19)];
    assert_eq!(load(&environment(&fits)), vec![]);
    // Eight of 8 MiB each are the whole of an environment; nine are too much.
    let texts: Vec<String> = (0..9).map(|n| doubled(&format!("a{n}"), 19)).collect();
    // Two are evaluated at once: the child of one may find too little room, and this process too.
    let said = load(&environment(&texts));
    let said = codes(&said);
    assert!((1..=2).contains(&said.len()) && said.iter().all(|code| *code == "STR0211"));
}

#[test]
fn one_hostile_evaluation_costs_its_limit_once() {
    let loader = loader();
    // A child that has evaluated something: its successor must not be given the time again.
    assert_eq!(found(&loader, "{ local_data.a = {} }"), vec![]);
    let started = Instant::now();
    assert_eq!(codes(&found(&loader, LOOP)), ["STR0211"]);
    assert!(
        started.elapsed() < Duration::from_millis(3500),
        "{:?}",
        started.elapsed()
    );
    // The same file is not tried again at once.
    let started = Instant::now();
    assert_eq!(codes(&found(&loader, LOOP)), ["STR0211"]);
    assert!(
        started.elapsed() < Duration::from_millis(500),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn an_environment_has_a_budget_of_time_and_files() {
    let bounded = |text: &str| loader().within(text.parse().unwrap());
    let loops: Vec<String> = (0..40)
        .map(|n| LOOP.replace(".a.", &format!(".a{n}.")))
        .collect();
    let started = Instant::now();
    let findings = load(&bounded("environment-time=4s"), &environment(&loops)).findings;
    assert!(
        codes(&findings).iter().all(|code| *code == "STR0211"),
        "{findings:?}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "{:?}",
        started.elapsed()
    );
    let small: Vec<String> = (0..20)
        .map(|n| format!("{{ local_data.d{n} = {{}} }}"))
        .collect();
    let findings = load(&bounded("files=19"), &environment(&small)).findings;
    assert_eq!(codes(&findings), ["STR0211"]);
    assert_eq!(
        load(&bounded("files=20"), &environment(&small)).findings,
        vec![]
    );
    // All environments of a commit together.
    let loader = bounded("pass=3s,environment-time=1h");
    let started = Instant::now();
    for _ in 0..3 {
        let findings = load(&loader, &environment(&loops)).findings;
        assert!(codes(&findings).contains(&"STR0211"));
    }
    assert!(
        started.elapsed() < Duration::from_secs(12),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn limits_of_a_repository_only_lower_those_of_the_operator() {
    let loader = loader().within("time=1s,memory=300".parse().unwrap());
    let text = r#"{"name":"t","environments":{"e":{}},"limits":{"memory":1000000,"time":"100h"}}"#;
    let greedy: Settings = serde_json::from_str(text).unwrap();
    for text in [
        LOOP,
        "{ local_data.a.input = std.array.replicate 1000000000 0 }",
    ] {
        let tree = MemoryTree::new([("infra/e.ncl", text)]);
        let started = Instant::now();
        let name = EnvironmentName::new("e").unwrap();
        let loaded = loader.load(&tree, &revision(), &greedy, &name).unwrap();
        assert_eq!(codes(&loaded.findings), ["STR0211"]);
        assert!(
            started.elapsed() < Duration::from_secs(4),
            "{:?}",
            started.elapsed()
        );
    }
}

#[test]
fn numbers_are_computed_in_the_child_only() {
    let loader = loader();
    for number in [
        "1e1000000000",
        "1e-4000000000",
        "1e20000000000",
        "\"%{1e1000000000}\"",
    ] {
        let text = format!("{{ local_data.a.input = {number} }}");
        let tree = MemoryTree::new([("infra/e.ncl", text.as_str())]);
        // What is done in this process: finding the imports.
        let started = Instant::now();
        assert_eq!(loader.strays(&tree, &settings()).unwrap(), vec![]);
        assert!(started.elapsed() < Duration::from_secs(1), "{number}");
        let started = Instant::now();
        assert_eq!(
            codes(&load(&loader, &tree).findings),
            ["STR0211"],
            "{number}"
        );
        assert!(started.elapsed() < Duration::from_secs(5), "{number}");
    }
}

#[test]
fn what_ends_while_a_child_computes_is_not_waited_for() {
    let loader = Arc::new(loader().within("time=60s".parse().unwrap()));
    let patient = r#"{"name":"t","environments":{"e":{}},"limits":{"time":"60s"}}"#;
    let patient: Settings = serde_json::from_str(patient).unwrap();
    let other = Arc::clone(&loader);
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        other.stop();
    });
    let started = Instant::now();
    let tree = MemoryTree::new([("infra/e.ncl", LOOP)]);
    let name = EnvironmentName::new("e").unwrap();
    assert!(loader.load(&tree, &revision(), &patient, &name).is_err());
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    stopper.join().unwrap();
}
