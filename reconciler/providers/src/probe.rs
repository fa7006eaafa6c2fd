//! Health checks: HTTP, TCP, command.

use std::path::Path;

use async_trait::async_trait;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use stratum_core::ports::{Probe, ProbeError};
use stratum_core::resource::HealthCheck;
use tokio::net::TcpStream;

use crate::process::{self, Command};

/// Tries health checks from this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct HealthProbe;

/// What is wrong with a health check, in one sentence, before it is ever tried.
///
/// *Errors*: not exactly one of `http`, `tcp`, `command`; a URL that is not `http://host…`; a
/// `tcp` that is not `host:port`; a command without a program.
pub fn validate(check: &HealthCheck) -> Result<(), String> {
    for (name, time) in [
        ("every", check.every),
        ("timeout", check.timeout),
        ("within", check.within),
    ] {
        if time.is_zero() {
            return Err(format!("`{name}` is no time at all"));
        }
    }
    match (&check.http, &check.tcp, &check.command) {
        (Some(url), None, None) => target(url).map(|_| ()),
        (None, Some(place), None) => host_and_port(place).map(|_| ()),
        (None, None, Some(command)) => match command.first() {
            Some(_) if command.iter().any(|word| word.contains('\0')) => {
                Err("`command` has a NUL byte in it".to_owned())
            }
            Some(program) if !program.is_empty() => Ok(()),
            _ => Err("`command` names no program".to_owned()),
        },
        _ => Err("a health check has exactly one of `http`, `tcp`, `command`".to_owned()),
    }
}

/// Where an HTTP check goes.
struct Target {
    host: String,
    port: u16,
    authority: String,
    path: String,
}

fn target(url: &str) -> Result<Target, String> {
    let uri: Uri = url.parse().map_err(|_| format!("`{url}` is not a URL"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            return Err(format!(
                "`{url}` is https, which health checks do not speak: use `http`, or `tcp`, or \
                 `command` with a program that does"
            ));
        }
        _ => return Err(format!("`{url}` is not a URL that starts with `http://`")),
    }
    let authority = uri
        .authority()
        .ok_or_else(|| format!("`{url}` names no host"))?;
    if authority.host().is_empty()
        || authority.port_u16() == Some(0)
        || odd_port(authority.as_str())
    {
        return Err(format!(
            "`{url}` has no host, or a port that is none: 1 to 65535"
        ));
    }
    if authority.as_str().contains('@') {
        return Err(format!(
            "`{url}` names a user, which health checks do not send"
        ));
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok(Target {
        host: authority.host().trim_matches(['[', ']']).to_owned(),
        port: authority.port_u16().unwrap_or(80),
        authority: authority.to_string(),
        path: path.to_owned(),
    })
}

/// Whether something stands for a port that is none.
fn odd_port(authority: &str) -> bool {
    let host_end = authority.rfind(']').map_or(0, |at| at + 1);
    let after = authority
        .get(host_end..)
        .and_then(|rest| rest.rsplit_once(':'));
    after.is_some_and(|(_, port)| port.parse::<u16>().is_err())
}

fn host_and_port(place: &str) -> Result<(&str, u16), String> {
    let wrong = || format!("`{place}` is not `host:port`");
    let (host, port) = place.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@');
    if host.is_empty() || host.contains(odd) || port == 0 {
        return Err(format!("{}, with a port from 1 to 65535", wrong()));
    }
    Ok((host.trim_matches(['[', ']']), port))
}

#[async_trait]
impl Probe for HealthProbe {
    async fn probe(&self, check: &HealthCheck, root: &Path) -> Result<(), ProbeError> {
        let what = describe(check);
        let tried = async {
            match (&check.http, &check.tcp, &check.command) {
                (Some(url), None, None) => http(url).await,
                (None, Some(place), None) => tcp(place).await.map(|_| ()),
                (None, None, Some(command)) => run(command, root).await,
                _ => Err("is not exactly one of `http`, `tcp`, `command`".to_owned()),
            }
        };
        let answer = tokio::time::timeout(check.timeout, tried).await;
        let seconds = check.timeout.as_secs_f64();
        answer
            .unwrap_or_else(|_| Err(format!("did not answer within {seconds} s")))
            .map_err(|reason| ProbeError { what, reason })
    }
}

/// What a check asks, for people.
pub fn describe(check: &HealthCheck) -> String {
    match (&check.http, &check.tcp, &check.command) {
        (Some(url), _, _) => format!("GET {url}"),
        (None, Some(place), _) => format!("connecting to {place}"),
        (None, None, Some(command)) => format!("`{}`", command.join(" ")),
        (None, None, None) => "the health check".to_owned(),
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let stream = TcpStream::connect((host, port)).await;
    stream.map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "refused the connection".to_owned(),
        _ => format!("could not be reached: {error}"),
    })
}

async fn tcp(place: &str) -> Result<TcpStream, String> {
    let (host, port) = host_and_port(place)?;
    connect(host, port).await
}

async fn http(url: &str) -> Result<(), String> {
    let target = target(url)?;
    let stream = connect(&target.host, target.port).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("did not speak HTTP: {error}"))?;
    let request = Request::get(&target.path)
        .header(HOST, &target.authority)
        .header(USER_AGENT, "stratum-health")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("is not a request: {error}"))?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    driver.abort();
    let status = answer
        .map_err(|error| format!("did not speak HTTP: {error}"))?
        .status();
    if (200..400).contains(&status.as_u16()) {
        Ok(())
    } else {
        Err(format!("answered {status}"))
    }
}

async fn run(command: &[String], root: &Path) -> Result<(), String> {
    let command = Command::new(command, root);
    let ended = process::run(&command, std::future::pending()).await;
    match ended.failure() {
        None => Ok(()),
        Some(failure) => Err(failure),
    }
}
