//! The steps of the action as a runner calls them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

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

/// What GitHub itself lists at most of a pull request. It is not asked: the clone has all of them.
#[test]
fn a_pull_request_of_three_thousand_files_is_planned_whole() {
    let ground = Ground::with_a_file();
    ground.push("one");
    for number in 0..3_000 {
        let text = format!(
            "{{ local_file.f{number} = {{ path = \"f/{number}\", content = \"{number}\\n\" }} }}\n"
        );
        ground.write(&format!("infra/staging/{number}.ncl"), &text);
    }
    let clone = ground.clone_folder();
    git(&clone, &["add", "-A"]);
    git(&clone, &["commit", "-q", "-m", "three thousand"]);
    let hub = Hub::start(201, Vec::new());
    let runner = Runner::on_a_pull_request(&ground, &hub, "octo/shop");
    runner.step("install.sh").ends_with(0);
    runner.step("plan.sh").ends_with(0);
    assert_eq!(runner.output("to-add"), "3000");
    let comments = hub.bodies("POST /repos/octo/shop/issues/7/comments");
    let comment = comments[0]["body"].as_str().unwrap();
    assert!(comment.len() <= 65_536, "{}", comment.len());
    assert!(
        comment.contains("3000 to add"),
        "{}",
        comment.chars().take(600).collect::<String>()
    );
    let whole = fs::read_to_string(runner.output("json-path")).unwrap();
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole["plans"][0]["steps"].as_array().unwrap().len(), 3_000);
    let requests = hub.requests.lock().unwrap();
    assert!(
        requests
            .iter()
            .all(|(request, _)| !request.contains("/files")),
        "{requests:?}"
    );
}

/// The installation of a release needs nothing but the pin, and where the action comes from.
#[test]
fn the_pin_beside_the_action_is_enough_to_install_a_release() {
    let ground = with_a_change();
    let program = b"#!/bin/sh\necho the release\n".to_vec();
    let hub = Hub::start(201, program.clone());
    let mut runner = Runner::on_a_pull_request(&ground, &hub, "octo/shop");
    let own = runner.folder.join("action");
    fs::create_dir(&own).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("action/install.sh");
    fs::copy(shipped, own.join("install.sh")).unwrap();
    let install = |runner: &Runner<'_>| {
        let mut command = Command::new("bash");
        command.arg(own.join("install.sh")).envs(&runner.variables);
        run(&runner.folder, &mut command)
    };
    runner.variables.insert("STRATUM_PROGRAM", String::new());
    let refused = install(&runner).ends_with(1);
    assert!(
        refused.out.contains("no release of its own"),
        "{}",
        refused.out
    );
    fs::write(runner.folder.join("release"), &program).unwrap();
    let mut sum = Command::new("sha256sum");
    let sum = run(&runner.folder, sum.arg(runner.folder.join("release"))).out;
    let sum = sum.split(' ').next().unwrap();
    let processor = std::env::consts::ARCH;
    fs::write(
        own.join("pin"),
        format!("version 1.2.3\n{processor} {sum}\n"),
    )
    .unwrap();
    let homeless = install(&runner).ends_with(1);
    assert!(
        homeless.out.contains("`url` is not there"),
        "{}",
        homeless.out
    );
    runner
        .variables
        .insert("STRATUM_ACTION_REPOSITORY", "acme/stratum".to_owned());
    runner
        .variables
        .insert("STRATUM_SERVER", hub.address.clone());
    install(&runner).ends_with(0);
    let installed = runner.folder.join("temp/stratum-bin/stratum");
    assert_eq!(fs::read(installed).unwrap(), program);
    let asked = hub.requests.lock().unwrap()[0].0.clone();
    assert_eq!(
        asked,
        format!("GET /acme/stratum/releases/download/v1.2.3/stratum-1.2.3-{processor}-linux")
    );
}
