//! The reconciler as a server.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ground::{Ground, PROGRAM};

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
    assert_eq!(server.deliver("star", "3", SECRET, b"{ }").0, 202);
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

#[test]
fn files_of_tls_that_cannot_be_used_are_said_before_anything_is_begun() {
    let ground = Ground::with_a_file();
    ground.push("one");
    let listen = ["reconcile", "--listen", "127.0.0.1:0"];
    let alone = [&listen[..], &["--tls-cert", "cert.pem"]].concat();
    let answer = ground.stratum(&alone).ends_with(1);
    assert!(answer.side.contains("--tls-key"), "{}", answer.side);
    let both = [&alone[..], &["--tls-key", "key.pem"]].concat();
    let answer = ground.stratum(&both).ends_with(1);
    let said = "the file `cert.pem` for TLS cannot be used";
    assert!(answer.side.contains(said), "{}", answer.side);
    assert!(!ground.made("staging/a").exists());
}

/// While the forge cannot be reached, everything but the telling goes on, and `status` says so.
#[test]
fn a_forge_that_is_not_there_is_said_by_status_and_stops_nothing() {
    let ground = Ground::with_a_file();
    ground.push("one");
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let folder = ground.clone_folder().parent().unwrap().to_owned();
    let token = folder.join("token");
    fs::write(&token, "ghp_0123456789").unwrap();
    let look = |extra: &[&str]| {
        let root = ground.made("");
        let mut arguments = vec!["reconcile", "--once", "--root", root.to_str().unwrap()];
        arguments.extend(extra);
        ground.stratum(&arguments).ends_with(0)
    };
    let token = token.to_str().unwrap();
    let forge = [
        "--github",
        "octo/shop",
        "--github-api",
        &api,
        "--github-token-file",
        token,
    ];
    look(&forge);
    assert_eq!(
        fs::read_to_string(ground.made("staging/a")).unwrap(),
        "one\n"
    );
    let status = ground.stratum(&["status"]).ends_with(0).out;
    for part in [
        "Ready",
        "the forge is not told how commits fare, since 20",
        "could not be reached",
        "Reconciling goes on; one outcome waits to be told.",
        "next: try `curl",
    ] {
        assert!(status.contains(part), "{part}\n{status}");
    }
    assert!(!status.contains("ghp_"), "{status}");
    let json: Value =
        serde_json::from_str(&ground.stratum(&["status", "--json"]).ends_with(0).out).unwrap();
    assert_eq!(json["forge"]["kind"], "unreachable");
    // Whoever stops telling a forge has no trouble with it.
    look(&[]);
    let status = ground.stratum(&["status"]).ends_with(0).out;
    assert!(!status.contains("forge"), "{status}");
}

/// Connections that begin a request and never end it, more than there would be descriptors.
#[test]
fn half_requests_keep_nobody_from_being_answered() {
    let ground = Ground::with_a_file();
    let server = Server::start(&ground);
    let mut held = Vec::new();
    for _ in 0..300 {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let _refused_is_as_good = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n");
        held.push(stream);
    }
    assert_eq!(server.get("/healthz").0, 200);
    let folder = format!("/proc/{}/fd", server.child.id());
    let open = fs::read_dir(folder).unwrap().count();
    assert!(open < 150, "{open} descriptors");
    ground.push("one");
    wait(|| ground.made("staging/a").exists().then_some(())).expect("the push is applied");
    assert_eq!(server.get("/readyz").0, 200);
    drop(held);
}

/// Whoever comes through a proxy is a stranger: whether, and not why or what.
#[test]
fn strangers_learn_nothing_but_whether() {
    let ground = Ground::with_a_file();
    ground.push("one");
    let server = Server::start(&ground);
    wait(|| (server.get("/readyz").0 == 200).then_some(())).unwrap();
    for proxied in [
        "x-forwarded-for: 192.0.2.1",
        "forwarded: for=192.0.2.1",
        "via: 1.1 x",
    ] {
        let ask = |path: &str| server.ask(&format!("GET {path} HTTP/1.1\r\n{proxied}\r\n"), b"");
        let (status, text) = ask("/metrics");
        assert_eq!(status, 401, "{text}");
        assert!(!text.contains("staging"), "{text}");
        assert_eq!(ask("/readyz"), (200, "ok\n".to_owned()));
    }
    let named = || server.get("/metrics").1.contains("staging").then_some(());
    wait(named).expect("who is here reads the names");
    // The same body under other ids is one delivery.
    let body = br#"{"repository":{"full_name":"octo/shop"}}"#;
    assert_eq!(server.deliver("push", "1", SECRET, body).0, 202);
    for id in ["2", "3"] {
        let (status, said) = server.deliver("push", id, SECRET, body);
        assert_eq!(
            (status, said.contains("seen before")),
            (200, true),
            "{said}"
        );
    }
}
