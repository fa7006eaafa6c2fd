//! A tiny HTTP client: what a visitor of the example's page sees.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest a visitor waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// The status line and the text of the front page, without its tags.
pub(crate) fn visit(port: u16) -> io::Result<Vec<String>> {
    ask(port, "")
}

/// What somebody gets who shows a token.
pub(crate) fn visit_with(port: u16, token: &str) -> io::Result<Vec<String>> {
    ask(port, &format!("Authorization: Bearer {token}\r\n"))
}

fn ask(port: u16, header: &str) -> io::Result<Vec<String>> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let question = format!("GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n{header}\r\n");
    stream.write_all(question.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(1 << 20).read_to_end(&mut answer)?;
    Ok(lines(&String::from_utf8_lossy(&answer)))
}

fn lines(answer: &str) -> Vec<String> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.lines().next().unwrap_or_default().to_owned();
    let visible = body.split_once("<h1>").map_or(body, |(_, rest)| rest);
    let text = without_tags(visible);
    let text = text.lines().map(str::trim).filter(|line| !line.is_empty());
    std::iter::once(status)
        .chain(text.map(str::to_owned))
        .collect()
}

fn without_tags(html: &str) -> String {
    let mut inside = false;
    html.chars()
        .filter(|c| match c {
            '<' => {
                inside = true;
                false
            }
            '>' => !std::mem::take(&mut inside),
            _ => !inside,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_without_its_tags() {
        let answer = "HTTP/1.0 200 OK\r\nA: b\r\n\r\n<title>x</title>\n<h1>Hello</h1>\n<p>We <b>open</b>.</p>\n</html>\n";
        assert_eq!(lines(answer), ["HTTP/1.0 200 OK", "Hello", "We open."]);
    }
}
