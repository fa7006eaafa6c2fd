//! The `git` command, for what a person would do with it: list files, clone, commit, push.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::CommandError;
use crate::style::one_line;

/// A call of `git` in `folder`. Nothing is asked on the terminal.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

/// Runs `git` in `folder` and gives its standard output.
///
/// *Errors*: git is not there, or it ended with another code than 0; what it said is in the error.
pub(crate) fn run<S: AsRef<OsStr>>(
    folder: &Path,
    arguments: &[S],
) -> Result<Vec<u8>, CommandError> {
    let mut call = command(folder);
    call.args(arguments);
    output(call)
}

/// Runs `git` in `folder` and gives its standard output as text, without the last line end.
pub(crate) fn text<S: AsRef<OsStr>>(
    folder: &Path,
    arguments: &[S],
) -> Result<String, CommandError> {
    let mut call = command(folder);
    call.args(arguments);
    finish(call)
}

/// The top of the work tree that holds `folder`.
///
/// *Errors*: what git says, where it says more than that there is none.
pub(crate) fn top(folder: &Path) -> Result<PathBuf, CommandError> {
    let mut call = command(folder);
    call.args(["rev-parse", "--show-toplevel"]);
    let output = call.output().map_err(|error| no_git(folder, &error))?;
    let said = one_line(&String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        use std::os::unix::ffi::OsStrExt as _;
        let path = output.stdout.strip_suffix(b"\n").unwrap_or(&output.stdout);
        return Ok(PathBuf::from(OsStr::from_bytes(path)));
    }
    // Absolute, for whoever goes by what is said here.
    let absolute = std::path::absolute(folder);
    let folder = absolute.as_deref().unwrap_or(folder);
    let shown = folder.display();
    Err(if said.contains("dubious ownership") {
        CommandError::given(format!("git refuses `{shown}`: it belongs to another user")).hint(
            format!("`git config --global --add safe.directory {shown}`, if you trust it"),
        )
    } else if said.contains("must be run in a work tree") {
        CommandError::given(format!("`{shown}` is a repository without a work tree"))
            .hint("make a clone of it, and go there")
            .hint_if(of_variable(folder))
    } else if said.contains("not a git repository") {
        CommandError::given(format!("`{shown}` is not in a git work tree")).hint(
            "go to a clone, or name one with `--repo PATH`; `git init && stratum init` makes one",
        )
    } else {
        CommandError::given(format!("git cannot read `{shown}`"))
            .because(&std::io::Error::other(said))
            .hint("`git status` there says the same")
    })
}

/// That it is a variable that named the folder.
fn of_variable(folder: &Path) -> Option<String> {
    let named = std::env::var_os("STRATUM_REPO")?;
    (Path::new(&named) == folder).then(|| {
        "`STRATUM_REPO` names it; in a clone that has `stratum.ncl` it gives way to that".to_owned()
    })
}

fn no_git(folder: &Path, error: &std::io::Error) -> CommandError {
    if folder.is_dir() {
        CommandError::machine("`git` could not be run")
            .because(error)
            .hint("install git, for example with `apt-get install git`, and look at `PATH`")
    } else {
        CommandError::given(format!("there is no folder `{}`", folder.display()))
            .hint("name another with `--repo PATH`")
    }
}

/// Runs a call that was made with [`command`]; its answer as text, without the last line end.
pub(crate) fn finish(call: Command) -> Result<String, CommandError> {
    let bytes = output(call)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

fn output(mut call: Command) -> Result<Vec<u8>, CommandError> {
    let words = call.get_args().map(OsStr::to_string_lossy);
    let shown = words.take(3).collect::<Vec<_>>().join(" ");
    let output = call.output().map_err(|error| {
        CommandError::machine(format!("`git {shown}` could not be run"))
            .because(&error)
            .hint("install git, for example with `apt-get install git`")
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = one_line(&String::from_utf8_lossy(&output.stderr));
    Err(CommandError::machine(format!(
        "`git {shown}` failed: {said}"
    )))
}
