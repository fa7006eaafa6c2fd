use super::*;
use crate::memory::{Forgetful, MemoryTree, local_schema};
use stratum_core::ids::CommitId;
use stratum_core::ports::TreeKind;

fn loader(cache: Arc<dyn EvaluationCache>) -> NickelLoader {
    let evaluators = Arc::new(Evaluators::here());
    NickelLoader::new(
        evaluators,
        vec![local_schema()],
        Arc::new(|_, _, _| Vec::new()),
        cache,
    )
}

fn revision() -> Revision {
    Revision {
        commit: CommitId::new("a".repeat(40)).unwrap(),
        inputs: stratum_core::ids::ObjectId::new("b".repeat(40)).unwrap(),
        author: "A <a@b>".to_owned(),
        committed_at: "2026-11-24T00:00:00Z".parse().unwrap(),
        subject: String::new(),
        message: String::new(),
    }
}

const SETTINGS: &str = "{ name = \"shop\", environments = { staging = {}, production = {} } }";

fn load(loader: &NickelLoader, tree: &MemoryTree, name: &str) -> Loaded<Desired> {
    let settings = loader.settings(tree).unwrap().value.unwrap();
    loader
        .load(
            tree,
            &revision(),
            &settings,
            &EnvironmentName::new(name).unwrap(),
        )
        .unwrap()
}

#[test]
fn a_changed_file_and_a_new_one_change_the_inputs_and_others_do_not() {
    let loader = loader(Arc::new(Forgetful));
    let files = [
        ("stratum.ncl", SETTINGS),
        ("infra/staging/a.ncl", "import \"../../lib.ncl\""),
        ("lib.ncl", "{ local_data.a = {} }"),
        ("README.md", "x"),
    ];
    let tree = MemoryTree::new(files);
    let before = load(&loader, &tree, "staging").value.unwrap();
    let readme = tree.clone().with("README.md", TreeKind::File, b"y");
    assert!(loader.unchanged(&readme, &before.closure).unwrap());
    assert_eq!(
        load(&loader, &readme, "staging").value.unwrap().inputs,
        before.inputs
    );
    for (path, text) in [
        ("lib.ncl", "{ local_data.b = {} }"),
        ("infra/staging/b.ncl", "{}"),
        ("infra/staging.ncl", "{}"),
    ] {
        let changed = tree.clone().with(path, TreeKind::File, text.as_bytes());
        assert!(
            !loader.unchanged(&changed, &before.closure).unwrap(),
            "{path}"
        );
        assert_ne!(
            load(&loader, &changed, "staging").value.unwrap().inputs,
            before.inputs
        );
    }
}

#[test]
fn an_environment_without_files_is_named() {
    let loader = loader(Arc::new(Forgetful));
    let tree = MemoryTree::new([("stratum.ncl", SETTINGS)]);
    let loaded = load(&loader, &tree, "production");
    assert_eq!(loaded.value, None);
    assert_eq!(loaded.findings[0].code.0, "STR0108");
}

#[test]
fn strays_are_warned_about_with_the_nearest_environment() {
    let loader = loader(Arc::new(Forgetful));
    let tree = MemoryTree::new([
        ("stratum.ncl", SETTINGS),
        ("infra/staging.ncl", "import \"lib/used.ncl\""),
        ("infra/lib/used.ncl", "{}"),
        ("infra/prodution.ncl", "{}"),
    ]);
    let settings = loader.settings(&tree).unwrap().value.unwrap();
    let strays = loader.strays(&tree, &settings).unwrap();
    assert_eq!(strays.len(), 1);
    assert_eq!(
        strays[0].hint.as_deref(),
        Some("did you mean the environment `production`?")
    );
    assert!(!strays[0].is_error());
}

#[derive(Default)]
struct Counting {
    kept: std::sync::Mutex<std::collections::BTreeMap<String, Vec<u8>>>,
    hits: std::sync::atomic::AtomicUsize,
}

impl EvaluationCache for Counting {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let found = self.kept.lock().unwrap().get(key).cloned();
        self.hits.fetch_add(
            usize::from(found.is_some()),
            std::sync::atomic::Ordering::Relaxed,
        );
        found
    }

    fn put(&self, key: &str, value: &[u8]) {
        self.kept
            .lock()
            .unwrap()
            .insert(key.to_owned(), value.to_vec());
    }
}

#[test]
fn what_was_evaluated_once_is_kept_by_its_closure() {
    let cache = Arc::new(Counting::default());
    let loader = loader(cache.clone());
    let tree = MemoryTree::new([
        ("stratum.ncl", SETTINGS),
        (
            "infra/staging.ncl",
            "{ local_data.a = {}, local_flie.b = {} }",
        ),
    ]);
    let first = load(&loader, &tree, "staging");
    let second = load(&loader, &tree, "staging");
    assert_eq!(first.findings, second.findings);
    assert_eq!(first.findings.len(), 1, "{:?}", first.findings);
    assert_eq!(cache.hits.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn what_the_repository_registers_cannot_be_written_as_infrastructure() {
    let mut registry = local_schema();
    registry.provider = stratum_core::ids::ProviderName::new("registry").unwrap();
    registry.types = registry
        .types
        .into_values()
        .map(|schema| (stratum_core::ids::TypeName::new("secret").unwrap(), schema))
        .collect();
    let evaluators = Arc::new(Evaluators::here());
    let schemas = vec![local_schema(), registry];
    let loader = NickelLoader::new(
        evaluators,
        schemas,
        Arc::new(|_, _, _| Vec::new()),
        Arc::new(Forgetful),
    );
    let tree = MemoryTree::new([
        ("stratum.ncl", SETTINGS),
        ("infra/staging.ncl", "{ secret.a = { path = \"x\" } }"),
    ]);
    let codes: Vec<String> = load(&loader, &tree, "staging")
        .findings
        .into_iter()
        .map(|f| f.code.0)
        .collect();
    assert_eq!(codes, ["STR0301"]);
}

#[test]
fn secrets_get_the_version_of_what_they_name_and_a_finding_when_it_is_not_there() {
    use stratum_core::value::Value;
    let loader = loader(Arc::new(Forgetful));
    let sealed = "stratum: sealed/v1\n\
        context: { repo: shop, environment: staging, path: db }\n\
        values: { password: { v: 7, age: YWdlLWVuY3J5cHRpb24ub3JnL3YxCmFiYw==, sig: AAAA } }\n";
    let infra = |key: &str| {
        format!(
            "let stratum = import \"stratum.ncl\" in\n\
             {{ local_file.a = {{ path = \"a\", content = stratum.secret \"db\" \"{key}\" }} }}"
        )
    };
    let read = |key: &str| {
        let tree = MemoryTree::new([
            ("stratum.ncl", SETTINGS),
            ("infra/staging.ncl", infra(key).as_str()),
            ("secrets/staging/db.sealed.yaml", sealed),
        ]);
        load(&loader, &tree, "staging")
    };
    let loaded = read("password");
    assert_eq!(loaded.findings, vec![]);
    let resources = loaded.value.unwrap().resources;
    assert_eq!(resources.len(), 2, "the file and the sealed value");
    let file = &resources[&"staging/local_file.a".parse().unwrap()];
    let Some(Value::Secret(secret)) = file.attributes.get("content") else {
        panic!("{file:?}");
    };
    assert!(secret.version == Some(7) && secret.digest.is_some());
    let lost = read("pasword").findings;
    assert_eq!((lost.len(), lost[0].code.0.as_str()), (1, "STR0306"));
    assert_eq!(lost[0].hint.as_deref(), Some("did you mean `db#password`?"));
    assert_eq!(lost[0].source.as_ref().unwrap().line, 2);
}

#[test]
fn records_on_the_watched_branch_are_no_executions_by_hand() {
    let loader = loader(Arc::new(Forgetful));
    let page = "---\nid: n-1\ntype: note\ntitle: N\n---\n";
    let record = "---\nid: exec-1\ntype: execution\ntitle: x\noutcome: done\n---\n";
    let settings = |records: &'static str| {
        let text = "{ name = \"shop\", environments = { staging = {} }RECORDS }";
        text.replace("RECORDS", records)
    };
    let with = |settings: &str, recorded: bool| {
        let files = [("stratum.ncl", settings), ("knowledge/n.md", page)];
        let tree = MemoryTree::new(files);
        match recorded {
            true => tree.with(
                "knowledge/executions/2026/x.md",
                TreeKind::File,
                record.as_bytes(),
            ),
            false => tree,
        }
    };
    let codes = |loaded: &Loaded<Desired>| -> Vec<String> {
        let codes = loaded.findings.iter().map(|f| f.code.to_string());
        codes.collect()
    };
    let usual = settings("");
    let loaded = load(&loader, &with(&usual, true), "repository");
    assert_eq!(codes(&loaded), ["STR0608"]);

    let watched = settings(", records.branch = \"main\"");
    let before = load(&loader, &with(&watched, false), "repository");
    let before = before.value.unwrap();
    let recorded = with(&watched, true);
    let after = load(&loader, &recorded, "repository");
    assert_eq!(codes(&after), [""; 0]);
    assert_eq!(after.value.unwrap().inputs, before.inputs);
    assert!(loader.unchanged(&recorded, &before.closure).unwrap());
    let other = with(&watched, true).with("knowledge/o.md", TreeKind::File, b"x");
    assert!(!loader.unchanged(&other, &before.closure).unwrap());
}

#[test]
fn deep_folders_are_a_finding_wherever_they_lie() {
    let loader = loader(Arc::new(Forgetful));
    for folder in [
        "infra",
        "infra/staging",
        "trust",
        "knowledge",
        "secrets/staging",
        "secrets",
    ] {
        let deep = format!("{folder}{}/x.ncl", "/a".repeat(300));
        let tree = MemoryTree::new([
            ("stratum.ncl", SETTINGS),
            ("infra/staging.ncl", "{}"),
            (deep.as_str(), "{}"),
        ]);
        let settings = loader.settings(&tree).unwrap().value.unwrap();
        let mut found = loader.strays(&tree, &settings).unwrap();
        found.extend(loader.trust(&tree, &settings).unwrap().findings);
        for name in loader.environments(&tree, &settings).unwrap() {
            let loaded = loader.load(&tree, &revision(), &settings, &name).unwrap();
            found.extend(loaded.findings);
        }
        let deep = |finding: &Finding| finding.message.contains("levels deep");
        assert!(found.iter().any(deep), "{folder}: {found:?}");
    }
}

#[test]
fn what_should_be_a_folder_of_trust_and_is_not_is_an_error() {
    let loader = loader(Arc::new(Forgetful));
    for kind in [TreeKind::Symlink, TreeKind::Submodule, TreeKind::File] {
        let tree = MemoryTree::new([("stratum.ncl", SETTINGS)]).with("trust", kind, b"/etc");
        let settings = loader.settings(&tree).unwrap().value.unwrap();
        let loaded = loader.trust(&tree, &settings).unwrap();
        assert!(loaded.value.is_none());
        assert_eq!(loaded.findings[0].code.0, "STR0109");
    }
}
