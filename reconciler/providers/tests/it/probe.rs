//! Health checks against real sockets and programs.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use stratum_core::ports::{Probe, ProbeError};
use stratum_core::resource::HealthCheck;
use stratum_providers::probe::{HealthProbe, validate};

fn check(text: &str) -> HealthCheck {
    serde_json::from_str(text).unwrap()
}

async fn probe(text: &str) -> Result<(), ProbeError> {
    HealthProbe.probe(&check(text), Path::new("/tmp")).await
}

/// Answers every request with one text, and closes.
fn serve(answer: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

#[tokio::test]
async fn http_passes_from_200_to_399() {
    for (answer, passes) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
        ("HTTP/1.0 302 Found\r\nlocation: /x\r\n\r\n", true),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
        (
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            false,
        ),
        ("nonsense\r\n\r\n", false),
        ("", false),
    ] {
        let port = serve(answer);
        let answered = probe(&format!(
            r#"{{"http": "http://localhost:{port}/health?x=1"}}"#
        ))
        .await;
        assert_eq!(answered.is_ok(), passes, "{answer:?}: {answered:?}");
    }
}

#[tokio::test]
async fn tcp_passes_when_the_connection_is_accepted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!(r#"{{"tcp": "{}"}}"#, listener.local_addr().unwrap());
    probe(&place).await.unwrap();
    // A port that was free a moment ago may be another test's by now; nobody serves port 1.
    let refused = probe(r#"{"tcp": "127.0.0.1:1"}"#).await.unwrap_err();
    assert!(refused.reason.contains("refused"), "{refused}");
}

#[tokio::test]
async fn commands_pass_with_exit_0_in_the_root() {
    probe(r#"{"command": ["sh", "-c", "test $PWD = /tmp"]}"#)
        .await
        .unwrap();
    let error = probe(r#"{"command": ["sh", "-c", "echo sick >&2; exit 2"]}"#)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`sh -c echo sick >&2; exit 2` exited with 2: sick"
    );
}

#[tokio::test]
async fn every_kind_ends_within_its_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let http = format!(
        r#"{{"http": "http://{}/", "timeout": "50ms"}}"#,
        silent.local_addr().unwrap()
    );
    let command = r#"{"command": ["sleep", "60"], "timeout": "50ms"}"#;
    for text in [http.as_str(), command] {
        let begun = std::time::Instant::now();
        let error = probe(text).await.unwrap_err();
        assert!(error.reason.contains("did not answer within"), "{error}");
        // It would take a minute otherwise.
        assert!(begun.elapsed() < std::time::Duration::from_secs(40));
    }
}

#[test]
fn what_can_never_pass_is_refused_before() {
    for (text, said) in [
        (r#"{"http": "https://example.com/"}"#, "https"),
        (r#"{"http": "example.com"}"#, "http://"),
        (r#"{"tcp": "localhost"}"#, "host:port"),
        (r#"{"command": []}"#, "names no program"),
        (r#"{"tcp": "a:1", "http": "http://a/"}"#, "exactly one"),
        ("{}", "exactly one"),
    ] {
        assert!(validate(&check(text)).unwrap_err().contains(said), "{text}");
    }
    validate(&check(r#"{"http": "http://[::1]:8080"}"#)).unwrap();
}
