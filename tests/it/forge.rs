//! The steps of the action as a runner calls them, and the reconciler as a server.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ground::{Answer, Ground, PROGRAM, git, run};

const TOKEN: &str = "ghs_theTokenOfTheWorkflow";

/// A GitHub that takes everything and remembers it.
#[derive(Clone)]
struct Hub {
    address: String,
    requests: Arc<Mutex<Vec<(String, String)>>>,
    /// What every writing request is answered with.
    status: u16,
    /// What a download gives.
    file: Arc<Vec<u8>>,
}

impl Hub {
    fn start(status: u16, file: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hub = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            requests: Arc::default(),
            status,
            file: Arc::new(file),
        };
        let own = hub.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let own = own.clone();
                std::thread::spawn(move || own.serve(stream.unwrap()));
            }
        });
        hub
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut first = String::new();
            if reader.read_line(&mut first).unwrap_or(0) == 0 {
                return;
            }
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                if let Some(text) = line.strip_prefix("content-length:") {
                    length = text.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let words: Vec<&str> = first.split(' ').collect();
            let request = format!("{} {}", words[0], words[1]);
            let (status, answer) = self.answer(&request);
            let body = String::from_utf8(body).unwrap();
            self.requests.lock().unwrap().push((request, body));
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        }
    }

    fn answer(&self, request: &str) -> (u16, Vec<u8>) {
        let said = |status, value: Value| (status, value.to_string().into_bytes());
        let denied = json!({ "message": "Resource not accessible by integration" });
        if request.contains("/releases/") {
            return (200, self.file.to_vec());
        }
        match request.split_once(' ').unwrap() {
            ("GET", "/user") => said(403, denied),
            ("GET", _) => said(200, json!([])),
            _ if self.status != 201 => said(self.status, denied),
            _ => said(
                201,
                json!({
                    "id": 1, "html_url": "https://github.com/octo/shop/pull/7#issuecomment-1",
                    "user": { "login": "github-actions[bot]" },
                }),
            ),
        }
    }

    fn bodies(&self, request: &str) -> Vec<Value> {
        let requests = self.requests.lock().unwrap();
        let of = requests
            .iter()
            .filter(|(name, _)| name.starts_with(request));
        of.map(|(_, body)| serde_json::from_str(body).unwrap())
            .collect()
    }
}

/// The folder of a runner, and the environment that it gives.
struct Runner<'a> {
    ground: &'a Ground,
    folder: PathBuf,
    variables: BTreeMap<&'static str, String>,
}

impl<'a> Runner<'a> {
    /// A runner that checked out the merge of a pull request, as GitHub makes it.
    fn on_a_pull_request(ground: &'a Ground, hub: &Hub, head_repository: &str) -> Self {
        let clone = ground.clone_folder();
        let base = git(&clone, &["rev-parse", "origin/main"]);
        let head = git(&clone, &["rev-parse", "HEAD"]);
        git(&clone, &["checkout", "-q", "--detach", &base]);
        git(&clone, &["merge", "-q", "--no-ff", "-m", "merge", &head]);
        let folder = ground.clone_folder().parent().unwrap().join("runner");
        fs::create_dir_all(folder.join("temp")).unwrap();
        let event = json!({
            "repository": { "full_name": "octo/shop", "default_branch": "main" },
            "pull_request": {
                "number": 7,
                "head": { "sha": head, "ref": "x", "repo": { "full_name": head_repository } },
                "base": { "sha": base, "ref": "main", "repo": { "full_name": "octo/shop" } },
            },
        });
        fs::write(folder.join("event.json"), event.to_string()).unwrap();
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let variables = BTreeMap::from([
            ("GITHUB_EVENT_NAME", "pull_request".to_owned()),
            ("GITHUB_EVENT_PATH", path("event.json")),
            ("GITHUB_SHA", git(&clone, &["rev-parse", "HEAD"])),
            ("GITHUB_REPOSITORY", "octo/shop".to_owned()),
            ("GITHUB_API_URL", hub.address.clone()),
            ("GITHUB_SERVER_URL", "https://github.com".to_owned()),
            ("GITHUB_RUN_ID", "42".to_owned()),
            ("GITHUB_OUTPUT", path("output")),
            ("GITHUB_STEP_SUMMARY", path("summary")),
            ("GITHUB_TOKEN", TOKEN.to_owned()),
            ("RUNNER_TEMP", path("temp")),
            ("STRATUM_PROGRAM", PROGRAM.to_owned()),
            ("STRATUM_FOLDER", ".".to_owned()),
            ("STRATUM_SILENT", "false".to_owned()),
            ("STRATUM_GITHUB_AUTHOR", String::new()),
            ("STRATUM_BASE", String::new()),
        ]);
        Self {
            ground,
            folder,
            variables,
        }
    }

    /// Runs one of the scripts of the action.
    fn step(&self, script: &str) -> Answer {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("action")
            .join(script);
        let mut command = Command::new("bash");
        command.arg(path).envs(&self.variables);
        let answer = run(&self.ground.clone_folder(), &mut command);
        let all = format!("{}{}{}", answer.out, answer.side, self.file("summary"));
        assert!(!all.contains(TOKEN), "{all}");
        answer
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }

    fn output(&self, name: &str) -> String {
        let text = self.file("output");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.unwrap_or_else(|| panic!("{name}\n{text}")).to_owned()
    }
}

/// A repository with one file on `main`, and a second one on the branch that is checked out.
fn with_a_change() -> Ground {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.write(
        "infra/staging.ncl",
        "{\n  local_file.a = { path = \"a\", content = \"two\\n\" },\n  \
         local_file.b = { path = \"b\", content = \"new\\n\" },\n}\n",
    );
    let clone = ground.clone_folder();
    git(&clone, &["commit", "-q", "-a", "-m", "two"]);
    ground
}

#[test]
fn the_action_comments_sets_a_status_and_gives_outputs() {
    let ground = with_a_change();
    let hub = Hub::start(201, Vec::new());
    let runner = Runner::on_a_pull_request(&ground, &hub, "octo/shop");
    runner.step("install.sh").ends_with(0);
    let answer = runner.step("plan.sh").ends_with(0);
    assert!(
        answer.out.contains("stratum: 1 to add, 1 to change"),
        "{}",
        answer.out
    );
    for (name, value) in [
        ("changes", "true"),
        ("to-add", "1"),
        ("to-change", "1"),
        ("to-destroy", "0"),
        ("verdict", "allowed"),
        (
            "comment-url",
            "https://github.com/octo/shop/pull/7#issuecomment-1",
        ),
    ] {
        assert_eq!(runner.output(name), value, "{name}");
    }
    let plan: Value =
        serde_json::from_str(&fs::read_to_string(runner.output("json-path")).unwrap()).unwrap();
    assert_eq!(plan["digest"], runner.output("digest").as_str());
    assert_eq!(plan["plans"][0]["summary"]["create"], 1);
    let sarif = fs::read_to_string(runner.output("sarif-path")).unwrap();
    assert!(sarif.contains("\"2.1.0\""));
    let comments = hub.bodies("POST /repos/octo/shop/issues/7/comments");
    let comment = comments[0]["body"].as_str().unwrap();
    assert!(
        comment.contains("-one") && comment.contains("+two"),
        "{comment}"
    );
    let head = git(&ground.clone_folder(), &["rev-parse", "HEAD^2"]);
    let statuses = hub.bodies(&format!("POST /repos/octo/shop/statuses/{head}"));
    assert_eq!(statuses[0]["state"], "success");
    assert!(runner.file("summary").contains("1 to add, 1 to change"));
}

#[test]
fn a_fork_gets_a_plan_and_no_attempt_to_write() {
    let ground = with_a_change();
    let hub = Hub::start(201, Vec::new());
    let runner = Runner::on_a_pull_request(&ground, &hub, "stranger/shop");
    runner.step("install.sh").ends_with(0);
    runner.step("plan.sh").ends_with(0);
    assert!(hub.requests.lock().unwrap().is_empty());
    let summary = runner.file("summary");
    assert!(
        summary.contains("comes from a fork") && summary.contains("1 to add"),
        "{summary}"
    );
    assert_eq!(runner.output("to-add"), "1");
}

#[test]
fn a_token_that_may_not_write_is_said_and_fails_nothing() {
    let ground = with_a_change();
    let hub = Hub::start(403, Vec::new());
    let runner = Runner::on_a_pull_request(&ground, &hub, "octo/shop");
    runner.step("install.sh").ends_with(0);
    let answer = runner.step("plan.sh").ends_with(0);
    assert!(
        answer
            .out
            .contains("::warning title=stratum::The comment was not written"),
        "{}",
        answer.out
    );
    assert!(runner.file("summary").contains("pull-requests: write"));
}

#[test]
fn errors_are_annotated_and_fail_the_step_after_everything_was_said() {
    let ground = with_a_change();
    ground.write(
        "infra/staging.ncl",
        "{\n  local_file.a = { pth = \"a\" },\n}\n",
    );
    git(
        &ground.clone_folder(),
        &["commit", "-q", "-a", "-m", "three"],
    );
    let hub = Hub::start(201, Vec::new());
    let runner = Runner::on_a_pull_request(&ground, &hub, "octo/shop");
    runner.step("install.sh").ends_with(0);
    let answer = runner.step("plan.sh").ends_with(1);
    assert!(
        answer
            .out
            .contains("::error title=STR0302,file=infra/staging.ncl,line=2"),
        "{}",
        answer.out
    );
    assert_eq!(runner.output("verdict"), "errors");
    let comments = hub.bodies("POST /repos/octo/shop/issues/7/comments");
    assert!(comments[0]["body"].as_str().unwrap().contains("STR0302"));
}

#[test]
fn a_shallow_clone_is_told_what_it_lacks() {
    let ground = with_a_change();
    let hub = Hub::start(201, Vec::new());
    let mut runner = Runner::on_a_pull_request(&ground, &hub, "octo/shop");
    runner.step("install.sh").ends_with(0);
    runner.variables.insert("STRATUM_BASE", "e".repeat(40));
    let answer = runner.step("plan.sh").ends_with(1);
    assert!(answer.side.contains("fetch-depth: 0"), "{}", answer.side);
}

#[test]
fn a_release_is_installed_only_with_the_sum_that_was_given() {
    let ground = with_a_change();
    let program = b"#!/bin/sh\necho the release\n".to_vec();
    let hub = Hub::start(201, program.clone());
    let mut runner = Runner::on_a_pull_request(&ground, &hub, "octo/shop");
    let file = runner.folder.join("release");
    fs::write(&file, &program).unwrap();
    let mut sum = Command::new("sha256sum");
    let sum = run(&runner.folder, sum.arg(&file)).out;
    let sum = sum.split(' ').next().unwrap().to_owned();
    runner.variables.insert("STRATUM_PROGRAM", String::new());
    runner
        .variables
        .insert("STRATUM_VERSION", "1.2.3".to_owned());
    let url = format!("{}/releases", hub.address);
    runner.variables.insert("STRATUM_URL", url);
    runner.variables.insert("STRATUM_SHA256", "0".repeat(64));
    let refused = runner.step("install.sh").ends_with(1);
    assert!(refused.out.contains("another SHA-256"), "{}", refused.out);
    let installed = runner.folder.join("temp/stratum-bin/stratum");
    assert!(!installed.exists());
    runner.variables.insert("STRATUM_SHA256", sum);
    runner.step("install.sh").ends_with(0);
    assert_eq!(fs::read(installed).unwrap(), program);
    let asked = hub.requests.lock().unwrap()[0].0.clone();
    assert!(
        asked.starts_with("GET /releases/v1.2.3/stratum-1.2.3-"),
        "{asked}"
    );
    runner
        .variables
        .insert("STRATUM_VERSION", "1/../../x".to_owned());
    runner.step("install.sh").ends_with(1);
}

#[test]
fn an_image_without_a_digest_is_refused() {
    let ground = with_a_change();
    let hub = Hub::start(201, Vec::new());
    let mut runner = Runner::on_a_pull_request(&ground, &hub, "octo/shop");
    runner.variables.insert("STRATUM_PROGRAM", String::new());
    runner
        .variables
        .insert("STRATUM_CONTAINER", "example.org/stratum:latest".to_owned());
    let refused = runner.step("install.sh").ends_with(1);
    assert!(refused.out.contains("names no digest"), "{}", refused.out);
}

/// A reconciler that listens; it ends with the test.
struct Server {
    child: Child,
    address: String,
    lines: Arc<Mutex<Vec<String>>>,
}

const SECRET: &str = "the secret of the webhook";

impl Server {
    fn start(ground: &Ground) -> Self {
        let folder = ground.clone_folder().parent().unwrap().to_owned();
        let secret = folder.join("secret");
        fs::write(&secret, SECRET).unwrap();
        let mut child = Command::new(PROGRAM)
            .current_dir(&folder)
            .arg("reconcile")
            .arg("--repo")
            .arg(format!("file://{}", ground.bare().display()))
            .arg("--root")
            .arg(ground.made(""))
            .args([
                "--listen",
                "127.0.0.1:0",
                "--log",
                "json",
                "--webhook-secret-file",
            ])
            .arg(secret)
            .env("XDG_STATE_HOME", folder.join("state"))
            .env_remove("STRATUM_LOG")
            .env_remove("STRATUM_STATE")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (kept, stderr) = (Arc::clone(&lines), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                kept.lock().unwrap().push(line.unwrap());
            }
        });
        let mut server = Self {
            child,
            address: String::new(),
            lines,
        };
        let said = server.wait_for_line("answering at http://");
        let said: Value = serde_json::from_str(&said).unwrap();
        let said = said["message"].as_str().unwrap();
        server.address = said.rsplit('/').next().unwrap().to_owned();
        server
    }

    fn wait_for_line(&self, part: &str) -> String {
        let found = wait(|| {
            let lines = self.lines.lock().unwrap();
            lines.iter().find(|line| line.contains(part)).cloned()
        });
        found.unwrap_or_else(|| panic!("{part}: {:?}", self.lines.lock().unwrap()))
    }

    /// One request on a connection of its own: the status and the body.
    fn ask(&self, head: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!("{head}host: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // Whoever answers early may close the connection while the rest is on its way.
        let _refused = stream.write_all(body);
        let mut text = Vec::new();
        let _reset = stream.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status.unwrap_or_else(|| panic!("{text}")), body.to_owned())
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\n"), b"")
    }

    fn deliver(&self, event: &str, id: &str, secret: &str, body: &[u8]) -> (u16, String) {
        let head = format!(
            "POST /webhook HTTP/1.1\r\nx-github-event: {event}\r\nx-github-delivery: {id}\r\n\
             x-hub-signature-256: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            sign(secret, body),
            body.len()
        );
        self.ask(&head, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        self.child.wait().unwrap();
    }
}

fn sign(secret: &str, body: &[u8]) -> String {
    let script = "import hmac,sys;print('sha256='+hmac.new(sys.argv[1].encode(),\
                  sys.stdin.buffer.read(),'sha256').hexdigest())";
    let mut child = Command::new("python3")
        .args(["-c", script, secret])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn wait<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(60) {
        if let Some(found) = look() {
            return Some(found);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}

#[test]
fn a_delivery_wakes_the_reconciler_and_nothing_else_does_harm() {
    let ground = Ground::with_a_file();
    ground.push("one");
    let server = Server::start(&ground);
    let is_ready = || (server.get("/readyz").0 == 200).then_some(());
    wait(is_ready).unwrap();
    let made = || fs::read_to_string(ground.made("staging/a")).ok();
    assert_eq!(wait(made).unwrap(), "one\n");

    // The remote is polled twice a minute; a delivery is what makes it quick.
    ground.write(
        "infra/staging.ncl",
        "{\n  local_file.a = { path = \"a\", content = \"two\\n\" },\n}\n",
    );
    ground.push("two");
    let began = Instant::now();
    let body = br#"{"repository":{"full_name":"octo/shop"}}"#;
    assert_eq!(server.deliver("push", "1", SECRET, body).0, 202);
    wait(|| made().filter(|text| text == "two\n")).unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );

    assert_eq!(server.deliver("push", "1", SECRET, body).0, 200);
    assert_eq!(server.deliver("ping", "2", SECRET, b"{}").0, 200);
    assert_eq!(server.deliver("star", "3", SECRET, b"{}").0, 202);
    assert_eq!(
        server
            .deliver("push", "4", "another secret of 24 b", body)
            .0,
        401
    );
    assert_eq!(server.deliver("push", "5", SECRET, b"not json").0, 400);
    assert_eq!(server.deliver("push", "", SECRET, body).0, 400);
    assert_eq!(server.get("/webhook").0, 405);
    let large = vec![b' '; 30 * 1024 * 1024];
    let (status, sentence) = server.deliver("push", "6", SECRET, &large);
    assert!(
        status == 413 && sentence.contains("25 MB"),
        "{status} {sentence}"
    );
    let unsigned = "POST /webhook HTTP/1.1\r\ncontent-length: 2\r\n";
    assert_eq!(server.ask(unsigned, b"{}").0, 401);

    let (status, metrics) = server.get("/metrics");
    assert_eq!(status, 200);
    for line in [
        "stratum_environment_condition{environment=\"staging\",condition=\"Ready\"} 1",
        "stratum_environment_condition{environment=\"staging\",condition=\"Stalled\"} 0",
        "stratum_environment_resources{environment=\"staging\"} 1",
        "stratum_runs_total{environment=\"staging\",outcome=\"applied\"} 2",
        "stratum_webhook_deliveries_total{result=\"Repeated\"} 1",
        "stratum_webhook_deliveries_total{result=\"TooLong\"} 1",
        "stratum_run_duration_seconds_count 2",
        "# EOF",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}\n{metrics}"
        );
    }
    let (status, _) = server.get("/healthz");
    assert_eq!(status, 200);
}

#[test]
fn signals_read_secrets_again_and_end_it_in_order() {
    let ground = Ground::with_a_file();
    ground.push("one");
    let mut server = Server::start(&ground);
    wait(|| (server.get("/readyz").0 == 200).then_some(())).unwrap();
    let secret = ground.clone_folder().parent().unwrap().join("secret");
    fs::write(&secret, "short").unwrap();
    signal(&server, "-HUP");
    server.wait_for_line("the secrets from before stay");
    assert_eq!(server.deliver("ping", "1", SECRET, b"{}").0, 200);
    fs::write(&secret, "another secret of the webhook").unwrap();
    signal(&server, "-HUP");
    server.wait_for_line("secrets are read again");
    assert_eq!(server.deliver("ping", "2", SECRET, b"{}").0, 401);
    signal(&server, "-TERM");
    let ended = wait(|| server.child.try_wait().unwrap()).unwrap();
    assert_eq!(ended.code(), Some(0));
    server.wait_for_line("nothing is left in flight");
    for line in server.lines.lock().unwrap().iter() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}

fn signal(server: &Server, name: &str) {
    let pid = server.child.id().to_string();
    let status = Command::new("kill").args([name, &pid]).status().unwrap();
    assert!(status.success());
}

#[test]
fn an_address_that_is_taken_is_said_before_anything_is_begun() {
    let ground = Ground::with_a_file();
    ground.push("one");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let answer = ground
        .stratum(&["reconcile", "--listen", &address])
        .ends_with(1);
    assert!(
        answer.side.contains("cannot be listened on"),
        "{}",
        answer.side
    );
    assert!(!ground.made("staging/a").exists());
}
