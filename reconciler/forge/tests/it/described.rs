//! Every request and every answer against GitHub's own description of its API.
//!
//! Prism stands between the client and the GitHub of these tests, and refuses what the description
//! does not allow, on both sides; then it answers by itself, with the description's examples.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use stratum_core::ports::{CommitState, CommitStatus, Forge, PullNumber, Written};
use stratum_forge::github::{GitHub, Settings, TokenSource};

use crate::fake::{Fake, PULL, TOKEN};
use crate::published::package;
use crate::samples::commit;

const MARKER: &str = "<!-- stratum:plan ";

/// How long Prism may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is asked of GitHub. Prism takes minutes to read the description of all the rest.
const PATHS: [&str; 5] = [
    "/user",
    "/repos/{owner}/{repo}/issues/{issue_number}/comments",
    "/repos/{owner}/{repo}/issues/comments/{comment_id}",
    "/repos/{owner}/{repo}/statuses/{sha}",
    "/repos/{owner}/{repo}/commits/{commit_sha}/pulls",
];

/// The description of these paths, with everything that they refer to, word for word.
fn reduced(text: &[u8]) -> Value {
    let whole: Value = serde_json::from_slice(text).unwrap();
    let mut reduced = whole.clone();
    reduced["paths"] = Value::Object(
        PATHS
            .iter()
            .map(|path| ((*path).to_owned(), whole["paths"][*path].clone()))
            .collect(),
    );
    for path in PATHS {
        assert!(
            reduced["paths"][path].is_object(),
            "{path} is described no more"
        );
    }
    reduced.as_object_mut().unwrap().remove("x-webhooks");
    reduced["components"] = serde_json::json!({});
    let mut open = Vec::new();
    references(&reduced["paths"], &mut open);
    let mut seen = BTreeSet::new();
    while let Some(reference) = open.pop() {
        if !seen.insert(reference.clone()) {
            continue;
        }
        let part = whole.pointer(reference.trim_start_matches('#')).unwrap();
        references(part, &mut open);
        let names: Vec<&str> = reference.split('/').collect();
        reduced["components"][names[2]][names[3]] = part.clone();
    }
    reduced
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                found.push(reference.clone());
            }
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A Prism that ends with the test.
struct Prism {
    child: Child,
    address: String,
    _description: tempfile::NamedTempFile,
}

impl Drop for Prism {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Prism {
    /// Starts one; with `upstream` it stands before it, else it answers by itself.
    fn start(upstream: Option<&str>) -> Option<Self> {
        let program = package("@stoplight/prism-cli")?.join("dist/index.js");
        let whole = package("@octokit/openapi")?.join("generated/api.github.com.json");
        let description = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
        let text = reduced(&std::fs::read(whole).unwrap()).to_string();
        std::fs::write(description.path(), text).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new("node");
        command.arg(program);
        command.arg(if upstream.is_some() { "proxy" } else { "mock" });
        command.arg(description.path()).args(upstream);
        command.args([
            "--errors",
            "--host",
            "127.0.0.1",
            "--port",
            &port.to_string(),
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                eprintln!("SKIPPED: node does not start: {error}");
                return None;
            }
        };
        let prism = Self {
            child,
            address: format!("http://127.0.0.1:{port}"),
            _description: description,
        };
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "Prism does not listen");
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(prism)
    }

    fn client(&self) -> GitHub {
        let token = TokenSource::Given(TOKEN.to_owned());
        let name = "octo/shop".parse().unwrap();
        let mut settings = Settings::new(&self.address, name, token).unwrap();
        settings.patience = Duration::from_secs(2);
        GitHub::new(settings).unwrap()
    }
}

fn status() -> CommitStatus {
    CommitStatus {
        commit: commit('c'),
        context: "stratum/production".to_owned(),
        state: CommitState::Error,
        description: "stuck".to_owned(),
        target: Some("https://example.org".to_owned()),
    }
}

#[tokio::test]
async fn requests_and_answers_keep_to_the_description() {
    let fake = Fake::start().await;
    let Some(prism) = Prism::start(Some(&fake.address)) else {
        return;
    };
    let client = prism.client();
    for (text, written) in [
        ("one", Written::Created),
        ("one", Written::Kept),
        ("two", Written::Edited),
    ] {
        let text = format!("{MARKER}-->\n{text}");
        let wording = |_: Option<&str>| text.clone();
        let place = client
            .comment(PullNumber(PULL), MARKER, &wording)
            .await
            .unwrap();
        assert_eq!(place.written, written);
    }
    client.status(&status()).await.unwrap();
    assert_eq!(fake.inner().statuses.len(), 1);
    // What the description forbids does not pass: the check is one.
    fake.inner().comments[0]["id"] = "not a number".into();
    let wording = |_: Option<&str>| MARKER.to_owned();
    assert!(
        client
            .comment(PullNumber(PULL), MARKER, &wording)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn the_examples_of_the_description_are_understood() {
    let Some(prism) = Prism::start(None) else {
        return;
    };
    let client = prism.client();
    let wording = |_: Option<&str>| MARKER.to_owned();
    let place = client
        .comment(PullNumber(PULL), MARKER, &wording)
        .await
        .unwrap();
    assert!(place.url.is_some());
    client.status(&status()).await.unwrap();
}
