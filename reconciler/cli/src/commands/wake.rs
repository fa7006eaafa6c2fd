//! The hook post-receive: tells a reconciler that does not see the refs of this repository itself.
//!
//! A reconciler that watches the folder of the repository needs none of it. One that mirrors it, or
//! that cannot watch its file system, is told over its webhook, in the form that GitHub uses.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stratum_forge::webhook::Secrets;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::git;
use crate::style::one_line;

/// Nobody who pushes waits longer than this.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is sent: which ref it was does not matter, the reconciler looks at all of them.
const BODY: &str = "{}";

/// Wakes the reconciler that `git config stratum.wake` names, if it names one.
///
/// *Guarantees*: a push that was taken is never called a failure because of it.
pub(crate) fn wake(context: &Context) -> Result<Exit, CommandError> {
    let here = Path::new(".");
    let Ok(url) = git::text(here, &["config", "--get", "stratum.wake"]) else {
        return Ok(Exit::Done);
    };
    let file = git::text(
        here,
        &["config", "--type=path", "--get", "stratum.wakeSecretFile"],
    );
    if let Err(reason) = tell(&url, file.ok().as_deref()) {
        let said = format!(
            "the reconciler at `{}` was not woken: {}; it looks by itself before long",
            one_line(&url),
            one_line(&reason)
        );
        context.ui.say(&said);
    }
    Ok(Exit::Done)
}

fn tell(url: &str, file: Option<&str>) -> Result<(), String> {
    let file = file.ok_or("`git config stratum.wakeSecretFile` names no file")?;
    let bytes = std::fs::read(file).map_err(|error| format!("`{file}`: {error}"))?;
    let secrets = Secrets::read(&bytes).map_err(|error| error.to_string())?;
    let signature = secrets.sign(BODY.as_bytes());
    let rest = url
        .strip_prefix("http://")
        .ok_or("it is no address that begins with `http://`")?;
    let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
    let place = if place.contains(':') {
        place.to_owned()
    } else {
        format!("{place}:80")
    };
    // One of a kind, so that the receiver does not take it for one that is played again.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let delivery = format!("{}-{}", now.as_nanos(), std::process::id());
    let request = format!(
        "POST /{path} HTTP/1.1\r\nHost: {place}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: {delivery}\r\n\
         X-Hub-Signature-256: {signature}\r\nConnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    let status = post(&place, &request).map_err(|error| error.to_string())?;
    match status {
        200..=299 => Ok(()),
        status => Err(format!("it answered with {status}")),
    }
}

/// Sends a request, and gives the status of the answer. *Source*: RFC 9112, section 4.
fn post(place: &str, request: &str) -> io::Result<u16> {
    let address = place
        .to_socket_addrs()?
        .next()
        .ok_or(io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    let status = std::str::from_utf8(&head)
        .ok()
        .and_then(|head| head.get(9..12)?.parse().ok());
    status.ok_or_else(|| io::Error::other("it does not speak HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answering(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/webhook", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(asked.get(..length).unwrap()).into_owned()
        });
        (url, thread)
    }

    #[test]
    fn what_is_sent_is_signed_as_the_receiver_checks_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "0123456789abcdef0123\n").unwrap();
        let (url, thread) = answering("HTTP/1.1 202 Accepted\r\n\r\n");
        tell(&url, file.to_str()).unwrap();
        let asked = thread.join().unwrap();
        let header = asked
            .lines()
            .find_map(|line| line.strip_prefix("X-Hub-Signature-256: "));
        let secrets = Secrets::read(b"0123456789abcdef0123").unwrap();
        secrets.check(header, BODY.as_bytes()).unwrap();
        assert!(asked.ends_with("\r\n\r\n{}"), "{asked}");

        let (url, thread) = answering("HTTP/1.1 401 Unauthorized\r\n\r\n");
        assert_eq!(
            tell(&url, file.to_str()).unwrap_err(),
            "it answered with 401"
        );
        thread.join().unwrap();
        assert!(tell("https://x/", file.to_str()).is_err());
        assert!(tell(&url, None).unwrap_err().contains("wakeSecretFile"));
    }
}
