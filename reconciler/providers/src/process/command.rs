//! Runs one program in a process group of its own, with its input and a bounded output.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use stratum_core::redact::{Redaction, Redactor};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::task::JoinHandle;

use super::family::{Family, MARK, new_mark, own_session};
use super::isolation::apart;
use super::{Identity, User};

/// The most bytes of an output that are kept; the rest is read and dropped.
pub(crate) const OUTPUT_LIMIT: usize = 1024 * 1024;

/// The most bytes of the error output that are kept: the last ones.
const ERROR_LIMIT: usize = 4096;

/// The time a group gets between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// The time that output is waited for after the program ended, in case something it left behind
/// still holds it, and that the rest of a killed group is waited for.
const LINGER: Duration = Duration::from_millis(200);

/// Variables of the reconciler that its programs get; nothing else of its environment is passed
/// on, so that a token in it does not leak.
const PASSED_ON: [&str; 9] = [
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR",
];

/// A program with all it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Command {
    /// The program and its arguments.
    pub(crate) words: Vec<String>,
    /// Its environment, besides what is passed on.
    pub(crate) env: BTreeMap<String, String>,
    /// The folder it runs in.
    pub(crate) dir: PathBuf,
    /// What it reads.
    pub(crate) input: String,
    /// Secrets that it was given: what it prints of them is taken out before it is kept.
    #[serde(default)]
    pub(crate) secrets: Vec<String>,
    /// After this it is ended.
    pub(crate) timeout: Option<Duration>,
    /// The user it runs as, when that is another.
    #[serde(default)]
    pub(crate) user: Option<User>,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// Its exit code; `None` when it was ended by a signal or never ran.
    pub(crate) code: Option<i32>,
    /// Why it ended otherwise, as a clause: `ran longer than 5s`.
    pub(crate) otherwise: Option<String>,
    /// It could not be started, so nothing happened.
    pub(crate) never_ran: bool,
    /// What it wrote, up to the limit.
    pub(crate) output: String,
    /// It wrote more.
    pub(crate) truncated: bool,
    /// The end of what it wrote to its error output; begins with [`CUT`] when it wrote more.
    pub(crate) errors: String,
}

/// Stands where something was left out.
const CUT: char = '…';

/// The most lines of the error output that a failure tells, and the most characters of each.
const TOLD: (usize, usize) = (5, 200);

impl Ended {
    fn never_ran(reason: String) -> Self {
        Self {
            code: None,
            otherwise: Some(reason),
            never_ran: true,
            output: String::new(),
            truncated: false,
            errors: String::new(),
        }
    }

    /// Why it failed, as a clause; `None` when it exited with 0.
    pub(crate) fn failure(&self) -> Option<String> {
        let how = match (&self.otherwise, self.code) {
            (Some(otherwise), _) => otherwise.clone(),
            (None, Some(0)) => return None,
            (None, Some(code)) => format!("exited with {code}"),
            (None, None) => "was ended".to_owned(),
        };
        match last_lines(&self.errors) {
            told if told.is_empty() => Some(how),
            told => Some(format!("{how}: {told}")),
        }
    }
}

/// The last lines of a text in one, each cut where it is long.
pub(crate) fn last_lines(text: &str) -> String {
    let (most, longest) = TOLD;
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let (left_out, told) = lines.split_at(lines.len().saturating_sub(most));
    let told = told
        .iter()
        .map(|line| match line.char_indices().nth(longest) {
            Some((end, _)) => format!("{}{CUT}", line.get(..end).unwrap_or_default()),
            None => (*line).to_owned(),
        });
    let begun = (!left_out.is_empty()).then(|| CUT.to_string());
    begun
        .into_iter()
        .chain(told)
        .collect::<Vec<_>>()
        .join(" / ")
}

impl Command {
    /// A program that reads nothing and gets no variables of its own.
    pub(crate) fn new(words: &[String], dir: &Path) -> Self {
        Self {
            words: words.to_vec(),
            env: BTreeMap::new(),
            dir: dir.to_owned(),
            input: String::new(),
            secrets: Vec::new(),
            timeout: None,
            user: None,
        }
    }

    /// Its name for people.
    pub(crate) fn shown(&self) -> String {
        let text = self.words.join(" ");
        match text.char_indices().nth(80) {
            Some((end, _)) => format!("`{}…`", text.get(..end).unwrap_or_default()),
            None => format!("`{text}`"),
        }
    }

    /// Starts it; `None` when it names no program.
    fn spawn(&self, mark: &str) -> Option<std::io::Result<Child>> {
        let (program, arguments) = self.words.split_first()?;
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).current_dir(&self.dir);
        split_environment(&mut command, &self.env, self.user.as_ref());
        command.env(MARK, mark);
        let started = apart(command, self.user.as_ref()).and_then(|(mut command, _open)| {
            command
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
        });
        Some(started)
    }
}

/// Gives a command the variables that are passed on, and its own; and makes it run as `user`.
pub(crate) fn split_environment(
    command: &mut tokio::process::Command,
    own: &BTreeMap<String, String>,
    user: Option<&User>,
) {
    command.env_clear();
    for name in PASSED_ON {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    if let Some(user) = user {
        user.take_on(command);
    }
    command.envs(own);
}

/// Asks a program something: runs it to its end, or until `stop` answers with a clause why.
///
/// *Guarantees*: when it returns, no process that came of it is left; when it is dropped, all of
/// them are killed, also those that left its group.
pub(crate) async fn run(command: &Command, stop: impl Future<Output = String> + Send) -> Ended {
    run_watched(command, None, stop).await
}

/// As [`run`], in a process that is there for this one program, and the subreaper of all that
/// comes of it: `watcher`. What a program that exits by itself leaves running goes on, because it
/// may be what it was to make.
pub(crate) async fn run_watched(
    command: &Command,
    watcher: Option<Identity>,
    stop: impl Future<Output = String> + Send,
) -> Ended {
    let mark = new_mark();
    let mut child = match command.spawn(&mark) {
        None => return Ended::never_ran("names no program".to_owned()),
        Some(Ok(child)) => child,
        Some(Err(error)) => return Ended::never_ran(why_not(command, &error)),
    };
    let mut group = Group(Some(Family {
        home: String::new(),
        mark,
        leader: child.id().and_then(Identity::of),
        watcher,
        session: own_session(),
        cgroup: None,
    }));
    feed(child.stdin.take(), command.input.clone());
    let redactor = Redactor::new(&command.secrets);
    let output = collect(child.stdout.take(), OUTPUT_LIMIT, Keep::Start, &redactor);
    let errors = collect(child.stderr.take(), ERROR_LIMIT, Keep::End, &redactor);
    let (status, otherwise) = wait(&mut child, &group, command.timeout, stop).await;
    if let (None, Some(family)) = (watcher, &group.0) {
        family.kill().await;
    }
    group.release();
    let (output, truncated) = finish(output).await;
    let (errors, cut) = finish(errors).await;
    let errors = if cut {
        format!("{CUT}{errors}")
    } else {
        errors
    };
    Ended {
        code: status.and_then(|status| status.code()),
        otherwise: otherwise.or_else(|| status.and_then(signal_clause)),
        never_ran: false,
        output,
        truncated,
        errors,
    }
}

fn why_not(command: &Command, error: &std::io::Error) -> String {
    if command.dir.is_dir() {
        format!("could not be started: {error}")
    } else {
        format!(
            "could not be started: there is no folder `{}`",
            command.dir.display()
        )
    }
}

fn signal_clause(status: ExitStatus) -> Option<String> {
    use std::os::unix::process::ExitStatusExt as _;
    status
        .signal()
        .map(|signal| format!("was ended by signal {signal}"))
}

async fn wait(
    child: &mut Child,
    group: &Group,
    timeout: Option<Duration>,
    stop: impl Future<Output = String> + Send,
) -> (Option<ExitStatus>, Option<String>) {
    let limit = timeout.unwrap_or(Duration::MAX);
    let why = tokio::select! {
        status = child.wait() => return (status.ok(), None),
        () = tokio::time::sleep(limit) => {
            format!("ran longer than {}", stratum_core::duration::format(limit))
        }
        why = stop => why,
    };
    if let Some(family) = &group.0 {
        family.signal(Signal::TERM);
        let ended = tokio::time::timeout(GRACE, child.wait()).await;
        family.kill().await;
        let status = match ended {
            Ok(status) => status.ok(),
            Err(_) => child.wait().await.ok(),
        };
        return (status, Some(why));
    }
    (None, Some(why))
}

/// All that came of a program; killed when this is dropped, unless it was released.
struct Group(Option<Family>);

impl Group {
    fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(family) = &self.0 {
            family.signal(Signal::KILL);
        }
    }
}

/// Writes the input from a task of its own: a program need not read it.
fn feed(stdin: Option<ChildStdin>, input: String) {
    if let Some(mut stdin) = stdin {
        tokio::spawn(async move {
            let _program_does_not_read = stdin.write_all(input.as_bytes()).await;
        });
    }
}

/// Which part of too long an output is kept.
#[derive(Clone, Copy)]
enum Keep {
    Start,
    End,
}

/// What was read so far, shared so that an end that never comes is not waited for.
struct Collected {
    kept: Arc<Mutex<Kept>>,
    task: Option<JoinHandle<()>>,
}

/// What is kept of an output. Secrets are taken out before anything is cut.
struct Kept {
    bytes: Vec<u8>,
    truncated: bool,
    limit: usize,
    keep: Keep,
    redaction: Redaction,
}

impl Kept {
    fn take(&mut self, piece: &[u8]) {
        // What comes after a full start is dropped, whatever it says.
        if matches!(self.keep, Keep::Start) && self.truncated {
            return;
        }
        self.redaction.push(piece, &mut self.bytes);
        self.cut();
    }

    fn finish(&mut self) {
        if !(matches!(self.keep, Keep::Start) && self.truncated) {
            self.redaction.finish(&mut self.bytes);
            self.cut();
        }
    }

    fn cut(&mut self) {
        let extra = self.bytes.len().saturating_sub(self.limit);
        match self.keep {
            Keep::Start => self.bytes.truncate(self.limit),
            Keep::End => drop(self.bytes.drain(..extra)),
        }
        self.truncated |= extra > 0;
    }
}

fn collect(
    stream: Option<impl AsyncRead + Unpin + Send + 'static>,
    limit: usize,
    keep: Keep,
    redactor: &Redactor,
) -> Collected {
    let kept = Arc::new(Mutex::new(Kept {
        bytes: Vec::new(),
        truncated: false,
        limit,
        keep,
        redaction: redactor.stream(),
    }));
    let task = stream.map(|stream| tokio::spawn(read_bounded(stream, Arc::clone(&kept))));
    Collected { kept, task }
}

async fn read_bounded(mut stream: impl AsyncRead + Unpin, kept: Arc<Mutex<Kept>>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let piece = buffer.get(..count).unwrap_or_default();
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take(piece);
    }
}

async fn finish(collected: Collected) -> (String, bool) {
    if let Some(task) = collected.task {
        let abort = task.abort_handle();
        if tokio::time::timeout(LINGER, task).await.is_err() {
            abort.abort();
        }
    }
    let mut kept = collected
        .kept
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    kept.finish();
    (
        String::from_utf8_lossy(&kept.bytes).into_owned(),
        kept.truncated,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let words = ["sh", "-c", script].map(str::to_owned);
        Command::new(&words, Path::new("/"))
    }

    #[tokio::test]
    async fn output_code_and_errors_come_back() {
        let ended = run(&shell("cat; echo bad >&2; exit 4"), std::future::pending()).await;
        assert_eq!(ended.failure().unwrap(), "exited with 4: bad");
        let mut cat = shell("cat");
        cat.input = "hello".to_owned();
        let ended = run(&cat, std::future::pending()).await;
        assert_eq!((ended.output.as_str(), ended.code), ("hello", Some(0)));
    }

    #[tokio::test]
    async fn secrets_that_a_program_prints_are_taken_out() {
        let mut command = shell("echo pw=$PW; echo $PW >&2; exit 1");
        command.env.insert("PW".to_owned(), "hunter2".to_owned());
        command.secrets = vec!["hunter2".to_owned()];
        let ended = run(&command, std::future::pending()).await;
        assert_eq!(ended.output, "pw=(secret)\n");
        assert_eq!(ended.errors, "(secret)\n");
    }

    /// What a command with a secret in `$PW` says of itself, in its output and in its failure.
    async fn said(secret: &str, script: &str) -> (String, String) {
        let mut command = shell(&format!("({script}) | tee /dev/stderr; exit 1"));
        command.env.insert("PW".to_owned(), secret.to_owned());
        command.secrets = vec![secret.to_owned()];
        let ended = run(&command, std::future::pending()).await;
        (ended.output.clone(), ended.failure().unwrap())
    }

    #[tokio::test]
    async fn no_part_and_no_form_of_a_secret_leaves_a_program() {
        const KEY: &str =
            "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhki\nBKcwggSjAgEAAoIBAQC\n-----END KEY-----";
        for script in [
            "echo $PW",
            "echo \"$PW\" | head -2",
            "echo \"$PW\" | head -c 50",
            "echo \"$PW\" | base64",
            "echo \"user:$PW\" | base64 -w 20",
            "echo \"$PW\" | od -An -v -tx1",
            "echo \"$PW\" | tr a-z A-Z",
            "echo \"$PW\" | fold -w 7",
            "printf %s \"$PW\" | sed 's|-|%2D|g; s|$|%0A|' | tr -d '\\n'",
            "set -x; exec 2>&1; true \"$PW\"",
        ] {
            let (output, failure) = said(KEY, script).await;
            for left in [&output, &failure] {
                let found = [
                    "MIIEvQ",
                    "MIIEVQ",
                    "BKcwgg",
                    "TUlJRXZR",
                    "4d 49 49 45",
                    "IIEvQI",
                ];
                let found = found.iter().find(|part| left.contains(**part));
                assert!(found.is_none(), "{script}: {found:?} in {left}");
                assert!(left.contains("(secret)"), "{script}: {left}");
            }
        }
    }

    #[tokio::test]
    async fn secrets_are_taken_out_before_the_cut() {
        let script = "head -c 4000 /dev/zero | tr '\\0' x; echo; echo $PW; head -c 4085 /dev/zero | tr '\\0' y";
        let (_, failure) = said("a-secret-of-32-characters-is-long", script).await;
        assert!(!failure.contains("characters"), "{failure}");
        let mut command = shell("head -c 1048570 /dev/zero; echo $PW");
        command
            .env
            .insert("PW".to_owned(), "correct-horse".to_owned());
        command.secrets = vec!["correct-horse".to_owned()];
        let ended = run(&command, std::future::pending()).await;
        assert!(!ended.output.contains("corr") && ended.truncated);
    }

    #[tokio::test]
    async fn what_a_failure_tells_is_short_and_marked() {
        let script = "for n in 1 2 3 4 5 6 7; do echo line $n; done >&2; head -c 900 /dev/zero | tr '\\0' x >&2; exit 2";
        let failure = run(&shell(script), std::future::pending())
            .await
            .failure()
            .unwrap();
        assert!(
            failure.starts_with("exited with 2: … / line 4 / line 5"),
            "{failure}"
        );
        assert!(
            failure.ends_with("xx…") && failure.chars().count() < 300,
            "{failure}"
        );
        let script = "head -c 5000 /dev/zero | tr '\\0' x >&2; exit 2";
        let failure = run(&shell(script), std::future::pending())
            .await
            .failure()
            .unwrap();
        assert!(failure.starts_with("exited with 2: …xxx"), "{failure}");
    }

    #[tokio::test]
    async fn output_is_bounded() {
        let ended = run(&shell("head -c 3000000 /dev/zero"), std::future::pending()).await;
        assert_eq!(ended.output.len(), OUTPUT_LIMIT);
        assert!(ended.truncated && ended.failure().is_none());
    }

    #[tokio::test]
    async fn a_program_that_does_not_exist_never_ran() {
        let ended = run(
            &Command::new(&["/no/such".to_owned()], Path::new("/")),
            std::future::pending(),
        )
        .await;
        assert!(ended.never_ran && ended.failure().unwrap().contains("could not be started"));
    }

    #[tokio::test]
    async fn timeout_ends_the_whole_group() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 60 & echo $! > {}; wait", file.display());
        let mut command = shell(&script);
        command.timeout = Some(Duration::from_millis(600));
        let ended = run(&command, std::future::pending()).await;
        assert!(
            ended.failure().unwrap().contains("ran longer than"),
            "{ended:?}"
        );
        let pid: u32 = std::fs::read_to_string(file)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let sleeper = super::super::Identity::of(pid);
        assert!(sleeper.is_none(), "the child of the program still runs");
    }

    #[tokio::test]
    async fn what_a_program_leaves_behind_does_not_hold_it_up() {
        let begun = std::time::Instant::now();
        let ended = run(&shell("echo done; sleep 60 &"), std::future::pending()).await;
        assert_eq!(ended.output, "done\n");
        assert!(begun.elapsed() < Duration::from_secs(40));
    }

    #[tokio::test]
    async fn variables_of_the_reconciler_are_not_passed_on() {
        let ended = run(&shell("env | cut -d= -f1"), std::future::pending()).await;
        assert!(!ended.output.contains("CARGO"), "{}", ended.output);
    }
}
