//! The `git` command, for what a person would do with it: list files, clone, commit, push.

use std::ffi::OsStr;
use std::path::Path;
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
