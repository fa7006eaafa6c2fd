//! The suite of the testkit, for every type.

use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use stratum_core::ports::{Provider, Site};
use stratum_providers::registry::RegistryProvider;
use stratum_testkit::conformance::{self, Case, Sites, Witness};
use tempfile::TempDir;

use crate::kept::{provider, record};

/// A new folder for each scenario.
fn sites(folder: &TempDir, prepare: impl Fn(&Path) + Send + Sync + 'static) -> Sites {
    let top = folder.path().to_owned();
    let counter = std::sync::atomic::AtomicU32::new(0);
    Arc::new(move |_| {
        let number = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let root = top.join(number.to_string());
        std::fs::create_dir_all(&root).unwrap();
        prepare(&root);
        Site {
            root,
            roots: Vec::new(),
            own: top.join(format!("own-{number}")),
            user: None,
            isolation: None,
        }
    })
}

/// Everything in the root: kind, mode, content.
fn tree() -> Witness {
    Arc::new(|site| {
        let mut text = String::new();
        describe(&site.root, &site.root, &mut text);
        text
    })
}

fn describe(root: &Path, folder: &Path, text: &mut String) {
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        let shown = path.strip_prefix(root).unwrap();
        let stat = path.symlink_metadata().unwrap();
        write!(
            text,
            "{} {:o} {}",
            shown.display(),
            stat.permissions().mode(),
            stat.uid()
        )
        .unwrap();
        if stat.is_symlink() {
            write!(text, " -> {}", path.read_link().unwrap().display()).unwrap();
        } else if stat.is_file() {
            write!(
                text,
                " {:?}",
                String::from_utf8_lossy(&std::fs::read(&path).unwrap())
            )
            .unwrap();
        }
        text.push('\n');
        if stat.is_dir() {
            describe(root, &path, text);
        }
    }
}

async fn keeps_to_the_contract(provider: &dyn Provider, cases: &[Case]) {
    let failures = conformance::check(provider, cases).await;
    let shown: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(shown.is_empty(), "{}", shown.join("\n"));
}

fn case(name: &str, address: &str, create: &str, sites: Sites) -> Case {
    Case {
        world: Some(tree()),
        ..Case::new(name, address.parse().unwrap(), record(create), sites)
    }
}

#[tokio::test]
async fn data() {
    let folder = tempfile::tempdir().unwrap();
    let case = Case {
        update: Some(record(r#"{"input": {"a": [2]}, "triggers": "x"}"#)),
        replace: Some(record(r#"{"input": 1, "triggers": "y"}"#)),
        ..case(
            "data",
            "t/local_data.a",
            r#"{"input": 1, "triggers": "x"}"#,
            sites(&folder, |_| {}),
        )
    };
    keeps_to_the_contract(&provider(), &[case]).await;
}

#[tokio::test]
async fn file() {
    let folder = tempfile::tempdir().unwrap();
    let deep = Case {
        update: Some(record(
            r#"{"path": "./a/b/c", "content": "two", "mode": "600"}"#,
        )),
        replace: Some(record(r#"{"path": "d/e", "content": "one"}"#)),
        invalid: vec![
            record(r#"{"path": "../a", "content": ""}"#),
            record(r#"{"path": "", "content": ""}"#),
            record(r#"{"path": ".stratum/x", "content": ""}"#),
            record(r#"{"path": "a", "content": "", "mode": "rw"}"#),
            record(r#"{"path": "a", "content": "", "owner": "a:b:c"}"#),
        ],
        import: Some("a/b/c".to_owned()),
        lists: true,
        ..case(
            "a file in folders",
            "t/local_file.a",
            r#"{"path": "a/b/c", "content": "one"}"#,
            sites(&folder, |_| {}),
        )
    };
    keeps_to_the_contract(&provider(), &[deep]).await;
}

#[tokio::test]
async fn file_that_is_there_already() {
    let folder = tempfile::tempdir().unwrap();
    let place = sites(&folder, |root| {
        std::fs::write(root.join("a"), "same").unwrap();
        std::fs::set_permissions(root.join("a"), std::fs::Permissions::from_mode(0o600)).unwrap();
    });
    let same = Case {
        update: Some(record(
            r#"{"path": "a", "content": "other", "mode": "0640"}"#,
        )),
        ..case(
            "a file that is there",
            "t/local_file.a",
            r#"{"path": "a", "content": "same"}"#,
            place,
        )
    };
    // Only what does not need the file to be gone afterwards: restores bring the old mode back.
    let failures = conformance::check(&provider(), &[same]).await;
    let about_create = |f: &&conformance::Failure| {
        f.scenario.starts_with("create, restored") || f.scenario == "update"
    };
    let wrong: Vec<_> = failures
        .iter()
        .filter(about_create)
        .filter(|f| !f.message.contains("read still sees"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn directory() {
    let folder = tempfile::tempdir().unwrap();
    let case = Case {
        update: Some(record(r#"{"path": "a/b/", "mode": "0700"}"#)),
        replace: Some(record(r#"{"path": "c"}"#)),
        invalid: vec![record(r#"{"path": "a/../../b"}"#)],
        import: Some("./a/b".to_owned()),
        lists: true,
        ..case(
            "a folder",
            "t/local_directory.a",
            r#"{"path": "a/b"}"#,
            sites(&folder, |_| {}),
        )
    };
    keeps_to_the_contract(&provider(), &[case]).await;
}

#[tokio::test]
async fn symlink() {
    let folder = tempfile::tempdir().unwrap();
    let case = Case {
        update: Some(record(r#"{"path": "a/now", "target": "releases/2"}"#)),
        replace: Some(record(r#"{"path": "now", "target": "releases/1"}"#)),
        invalid: vec![record(r#"{"path": "..", "target": "x"}"#)],
        import: Some("a/now".to_owned()),
        lists: true,
        ..case(
            "a link",
            "t/local_symlink.a",
            r#"{"path": "a/now", "target": "releases/1"}"#,
            sites(&folder, |_| {}),
        )
    };
    keeps_to_the_contract(&provider(), &[case]).await;
}

/// A thing in a file, made by programs; `read` prints what is there.
const FULL: &str = r#""create": ["sh", "-c", "cat > thing"],
    "read": ["sh", "-c", "test -e thing || exit 3; printf '{\"inputs\": %s}' \"$(cat thing)\""],
    "update": ["sh", "-c", "cat > thing.new; mv thing.new thing"],
    "delete": ["sh", "-c", "rm -f thing thing.new"]"#;

#[tokio::test]
async fn exec_with_all_its_programs() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = |inputs: &str| format!(r#"{{{FULL}, "inputs": {inputs}}}"#);
    let case = Case {
        update: Some(record(&wanted(r#"{"size": 2}"#))),
        invalid: vec![
            record(r#"{"create": []}"#),
            record(r#"{"create": ["true"], "timeout": "soon"}"#),
        ],
        import: Some("thing".to_owned()),
        ..case(
            "exec",
            "t/local_exec.a",
            &wanted(r#"{"size": 1}"#),
            sites(&folder, |_| {}),
        )
    };
    keeps_to_the_contract(&provider(), &[case]).await;
}

#[tokio::test]
async fn exec_without_read_and_update() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = |what: &str| {
        format!(
            r#"{{"create": ["sh", "-c", "printf %s \"$WHAT\" > thing; echo made"],
                "delete": ["rm", "-f", "thing"], "env": {{"WHAT": "{what}"}}}}"#
        )
    };
    let case = Case {
        replace: Some(record(&wanted("other"))),
        ..case(
            "exec without read",
            "t/local_exec.a",
            &wanted("one"),
            sites(&folder, |_| {}),
        )
    };
    // Without `read`, nothing says that it is gone.
    let failures = conformance::check(&provider(), &[case]).await;
    let wrong: Vec<_> = failures
        .iter()
        .filter(|f| !f.message.contains("read still sees"))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn service() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = |word: &str| {
        format!(
            r#"{{"command": ["sh", "-c", "echo {word} > word; exec sleep 1000"],
                "health": {{"command": ["grep", "-q", "{word}", "word"], "every": "10ms", "within": "10s"}}}}"#
        )
    };
    let case = Case {
        update: Some(record(&wanted("two"))),
        invalid: vec![
            record(r#"{"command": [""]}"#),
            record(r#"{"command": ["a"], "health": {"http": "https://localhost/"}}"#),
            record(r#"{"command": ["a"], "health": {}}"#),
        ],
        volatile: vec!["started_at".to_owned()],
        world: None,
        ..case(
            "a service",
            "t/local_service.a",
            &wanted("one"),
            sites(&folder, |_| {}),
        )
    };
    keeps_to_the_contract(&provider(), &[case]).await;
}

#[tokio::test]
async fn registered_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let provider = RegistryProvider::new().unwrap();
    let cases: Vec<Case> = provider
        .schema()
        .types
        .keys()
        .map(|name| Case {
            update: Some(record(r#"{"digest": "b", "title": "T"}"#)),
            ..case(
                name.as_str(),
                &format!("repository/{name}.a"),
                r#"{"digest": "a"}"#,
                sites(&folder, |_| {}),
            )
        })
        .collect();
    assert_eq!(cases.len(), 8);
    keeps_to_the_contract(&provider, &cases).await;
}
