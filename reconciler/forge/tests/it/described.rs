//! Every request and every answer against GitHub's own description of its API.
//!
//! Prism stands between the client and the GitHub of these tests, and refuses what the description
//! does not allow, on both sides; then it answers by itself, with the description's examples.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use stratum_core::ids::CommitId;
use stratum_core::ports::{CommitState, CommitStatus, Forge, ForgeError, PullNumber, Written};
use stratum_forge::github::{GitHub, Settings, TokenSource};

use crate::fake::{Fake, Fault, PULL, TOKEN};
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
    mend(&mut reduced);
    reduced
}

/// GitHub's example of the pull requests of a commit names a team without the `type` that GitHub's
/// schema of a team requires. Prism would refuse it.
fn mend(description: &mut Value) {
    let team = description
        .pointer_mut("/components/examples/pull-request-simple-items/value/0/requested_teams/0")
        .unwrap();
    assert!(team.get("type").is_none(), "GitHub mended it: so can we");
    team["type"] = "organization".into();
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
    /// What it checks against.
    description: Value,
    _file: tempfile::NamedTempFile,
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
        let description = reduced(&std::fs::read(whole).unwrap());
        let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
        std::fs::write(file.path(), description.to_string()).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new("node");
        command.arg(program);
        command.arg(if upstream.is_some() { "proxy" } else { "mock" });
        command.arg(file.path()).args(upstream);
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
            description,
            _file: file,
        };
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "Prism does not listen");
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(prism)
    }

    /// A pull request in all its fields: GitHub's own example of one.
    fn pull(&self, number: u64, head: &CommitId) -> Value {
        let example = "/components/examples/pull-request-simple-items/value/0";
        let mut pull = self.description.pointer(example).unwrap().clone();
        pull["number"] = number.into();
        pull["head"]["sha"] = head.as_str().into();
        pull["merged_at"] = "2026-11-24T03:00:00Z".into();
        pull
    }

    fn client(&self) -> GitHub {
        let token = TokenSource::Given(TOKEN.to_owned());
        let name = "octo/shop".parse().unwrap();
        let mut settings = Settings::new(&self.address, name, token).unwrap();
        settings.patience = Duration::from_secs(2);
        GitHub::new(settings).unwrap()
    }
}

fn status(state: CommitState) -> CommitStatus {
    CommitStatus {
        commit: commit('c'),
        context: "stratum/production".to_owned(),
        state,
        description: "files have errors".to_owned(),
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
    for state in [
        CommitState::Pending,
        CommitState::Success,
        CommitState::Failure,
        CommitState::Error,
    ] {
        client.status(&status(state)).await.unwrap();
    }
    assert_eq!(fake.inner().statuses.len(), 4);
    let pull = prism.pull(PULL, &commit('b'));
    fake.inner()
        .pulls
        .insert(commit('c').to_string(), vec![pull]);
    let pulls = client.pulls(&commit('c')).await.unwrap();
    assert_eq!(
        (pulls[0].number, pulls[0].merged, &pulls[0].head),
        (PullNumber(PULL), true, &commit('b'))
    );
    // What the description forbids does not pass: the check is one.
    fake.inner().comments[0]["id"] = "not a number".into();
    let wording = |_: Option<&str>| MARKER.to_owned();
    assert!(
        client
            .comment(PullNumber(PULL), MARKER, &wording)
            .await
            .is_err()
    );
    fake.inner().pulls.get_mut(commit('c').as_str()).unwrap()[0]["merged_at"] = 7.into();
    assert!(client.pulls(&commit('c')).await.is_err());
}

/// Refusals are described as well, and mean what they mean without Prism.
#[tokio::test]
async fn refusals_that_keep_to_the_description_are_understood() {
    let fake = Fake::start().await;
    let Some(prism) = Prism::start(Some(&fake.address)) else {
        return;
    };
    let client = prism.client();
    let denied = "Resource not accessible by integration";
    fake.fails([Fault::Refuse(403, Vec::new(), denied)]);
    let wording = |_: Option<&str>| MARKER.to_owned();
    let error = client
        .comment(PullNumber(PULL), MARKER, &wording)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ForgeError::Forbidden { reason, .. } if reason == denied),
        "{error}"
    );
    let error = client
        .comment(PullNumber(8), MARKER, &wording)
        .await
        .unwrap_err();
    assert!(matches!(error, ForgeError::Missing { .. }), "{error}");
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
    client.status(&status(CommitState::Pending)).await.unwrap();
    // Prism names a next page each time, so the list has as many as are read at most.
    let pulls = client.pulls(&commit('c')).await.unwrap();
    assert_eq!(pulls.len(), 50);
    assert_eq!(pulls[0].title, "Amazing new feature");
}
