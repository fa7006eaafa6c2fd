//! The terminal: the only file that writes to it.
//!
//! *Guarantees*: stdout carries the answer and nothing else; a closed pipe is quiet; lines that
//! are redrawn stand below all others and never mix with them.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::style::{Role, Theme, shown, shown_json};

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loudness {
    /// Errors only.
    Quiet,
    /// What a person wants to know.
    Normal,
    /// What a person wants to know when something is odd.
    Verbose,
}

/// The terminal. Cheap to clone; may be used from many threads.
#[derive(Debug, Clone)]
pub(crate) struct Ui {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    out: Theme,
    err: Theme,
    loudness: Loudness,
    live_terminal: bool,
    out_terminal: bool,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    /// How many lines are being redrawn at the bottom of stderr.
    drawn: usize,
    /// Their text.
    live: Vec<String>,
    /// Nobody reads stdout any more.
    closed: bool,
}

impl Ui {
    /// The terminal this process has.
    pub(crate) fn new(color: ColorChoice, loudness: Loudness) -> Self {
        let unicode = speaks_unicode();
        let theme = |terminal: bool| Theme {
            color: match color {
                ColorChoice::Always => true,
                ColorChoice::Never => false,
                ColorChoice::Auto => terminal && colors_are_welcome(),
            },
            unicode,
            width: width(),
            terminal,
        };
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let inner = Inner {
            out: theme(out),
            err: theme(err),
            loudness,
            live_terminal: err && loudness == Loudness::Normal && !is_dumb(),
            out_terminal: out && !is_dumb(),
            lines: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// How text on stdout looks.
    pub(crate) fn theme(&self) -> &Theme {
        &self.inner.out
    }

    /// How text on stderr looks.
    pub(crate) fn side_theme(&self) -> &Theme {
        &self.inner.err
    }

    /// How much is said on stderr.
    pub(crate) fn loudness(&self) -> Loudness {
        self.inner.loudness
    }

    /// Whether lines on stderr can be redrawn.
    pub(crate) fn is_live(&self) -> bool {
        self.inner.live_terminal
    }

    /// Whether an answer on stdout can replace an earlier one.
    pub(crate) fn rewrites(&self) -> bool {
        self.inner.out_terminal
    }

    /// Whether nobody reads stdout any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lines().closed
    }

    /// Writes a part of the answer; nothing in it is obeyed by a terminal.
    pub(crate) fn answer(&self, text: &str) {
        self.answer_exact(&shown(text, self.inner.out.color));
    }

    /// Writes a part of the answer as it is: for what programs read, and nobody pushed.
    pub(crate) fn answer_exact(&self, text: &str) {
        let mut lines = self.lines();
        if lines.closed {
            return;
        }
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        lines.closed = written.is_err();
    }

    /// Writes the answer as JSON, indented.
    pub(crate) fn answer_json(&self, value: &impl Serialize) -> Result<(), serde_json::Error> {
        let text = serde_json::to_string_pretty(value)?;
        self.answer_exact(&format!("{}\n", shown_json(&text)));
        Ok(())
    }

    /// Writes the answer as JSON, on one line.
    pub(crate) fn answer_json_line(&self, value: &impl Serialize) -> Result<(), serde_json::Error> {
        let text = serde_json::to_string(value)?;
        self.answer_exact(&format!("{}\n", shown_json(&text)));
        Ok(())
    }

    /// Replaces the answer on a terminal by a newer one; elsewhere writes it below.
    pub(crate) fn answer_again(&self, text: &str) {
        if self.inner.out_terminal {
            let text = shown(text, self.inner.out.color);
            self.answer_exact(&format!("\u{1b}[H\u{1b}[2J{text}"));
        } else {
            self.answer(text);
        }
    }

    /// Says something on stderr, unless `--quiet`.
    pub(crate) fn say(&self, text: &str) {
        if self.inner.loudness > Loudness::Quiet {
            self.write_aside(text);
        }
    }

    /// Says something on stderr, also when quiet.
    pub(crate) fn complain(&self, text: &str) {
        self.write_aside(text);
    }

    /// Asks something on stderr, also when quiet; the answer stands behind it.
    pub(crate) fn ask(&self, question: &str) {
        let _below_what_is_redrawn = self.lines();
        write_stderr(&shown(question, self.inner.err.color));
    }

    /// Names the next command to try, on stderr.
    pub(crate) fn hint(&self, text: &str) {
        let head = self.inner.err.paint(Role::Name, "hint");
        self.write_aside(&format!("{head}: {text}"));
    }

    /// Redraws the lines at the bottom of stderr; elsewhere than on a terminal nothing happens.
    pub(crate) fn redraw(&self, live: Vec<String>) {
        if !self.inner.live_terminal {
            return;
        }
        let mut lines = self.lines();
        let color = self.inner.err.color;
        let held = live.iter().map(|line| shown(line, color).into_owned());
        lines.live = held.collect();
        let text = lines.replaced("");
        write_stderr(&text);
    }

    fn write_aside(&self, text: &str) {
        let mut lines = self.lines();
        let text = if text.ends_with('\n') || text.is_empty() {
            text.to_owned()
        } else {
            format!("{text}\n")
        };
        let text = match text.starts_with('{') {
            true => shown_json(&text),
            false => shown(&text, self.inner.err.color),
        };
        let text = lines.replaced(&text);
        write_stderr(&text);
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        // What is behind the lock is text; a panic elsewhere leaves it usable.
        self.inner
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// What to write so that `above` stands above the redrawn lines.
    fn replaced(&mut self, above: &str) -> String {
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\u{1b}[{}A\r\u{1b}[J", self.drawn));
        }
        text.push_str(above);
        for line in &self.live {
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = self.live.len();
        text
    }
}

/// Takes the lines of the log, so that they do not mix with redrawn ones.
impl Write for Ui {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_aside(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    // There is nowhere left to say that stderr is gone.
    let _nowhere_to_say = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

/// A terminal that does not show what is typed, until this is dropped.
pub(crate) struct Hidden(rustix::termios::Termios);

impl Hidden {
    pub(crate) fn begin() -> io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        let _the_terminal_may_be_gone = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// Reads a line from standard input, of 16 KiB at most.
pub(crate) fn read_line() -> io::Result<stratum_core::secret::Secret> {
    use io::Read as _;
    // Room for all of it, so that no copy is left behind by growing.
    let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity(16 << 10));
    for byte in io::stdin().lock().bytes() {
        match byte? {
            b'\n' => break,
            byte if bytes.len() < bytes.capacity() => bytes.push(byte),
            _ => return Err(io::Error::other("the line is too long")),
        }
    }
    let bytes = std::mem::take(&mut *bytes);
    Ok(stratum_core::secret::Secret::new(bytes))
}

/// `NO_COLOR` (<https://no-color.org>) set and not empty, or a dumb terminal, means no colours.
fn colors_are_welcome() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !refused && !is_dumb()
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Whether the locale is UTF-8, by the variables in the order in which POSIX reads them.
fn speaks_unicode() -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|value| !value.is_empty())
        .is_some_and(|value| {
            let value = value.to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        })
}

/// Columns: of the terminal, else of `COLUMNS`, else 100; never under 40.
fn width() -> usize {
    let of_variable = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok());
    let of = |size: rustix::termios::Winsize| usize::from(size.ws_col);
    let of_terminal = rustix::termios::tcgetwinsize(io::stdout())
        .or_else(|_| rustix::termios::tcgetwinsize(io::stderr()))
        .map(of)
        .ok()
        .filter(|columns| *columns > 0);
    of_variable.or(of_terminal).unwrap_or(100).max(40)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_said_stand_above_lines_redrawn() {
        let mut lines = Lines {
            live: vec!["a".to_owned(), "b".to_owned()],
            ..Lines::default()
        };
        assert_eq!(lines.replaced(""), "a\nb\n");
        lines.live = vec!["c".to_owned()];
        assert_eq!(lines.replaced("said\n"), "\u{1b}[2A\r\u{1b}[Jsaid\nc\n");
        lines.live.clear();
        assert_eq!(lines.replaced(""), "\u{1b}[1A\r\u{1b}[J");
        assert_eq!(lines.replaced("x\n"), "x\n");
    }
}
