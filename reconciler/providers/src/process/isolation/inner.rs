//! The first process in the namespaces.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitCode, ExitStatus};

use rustix::process::{Pid, WaitOptions, geteuid, getpid, wait};

use super::{Errand, TOOLS, mounts};

/// Arranges what is seen, runs the program and collects all that comes of it; ends as the program
/// does, and everything in the namespaces with it.
///
/// *Errors*: one clause; nothing was started then.
pub(super) fn run(errand: &Errand) -> Result<ExitCode, String> {
    crate::process::keep_to_itself();
    if getpid() != Pid::INIT {
        return Err("it is not the first process there".to_owned());
    }
    mounts::arrange(&errand.cell)?;
    let child = command(errand)
        .spawn()
        .map_err(|error| format!("`{}` could not be started: {error}", errand.program))?;
    let program = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == program => {
                return Ok(code(ExitStatus::from_raw(status.as_raw())));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("could not wait for the program: {error}")),
        }
    }
}

/// The program without a way to gain rights, as its user.
fn command(errand: &Errand) -> Command {
    let user = &errand.user;
    let as_root = geteuid().is_root();
    let mut words = vec!["setpriv".to_owned(), "--no-new-privs".to_owned()];
    if as_root && is_mapped() {
        // Root is only a name here, under which mounts can be made: the user is itself again.
        words.insert(0, "unshare".to_owned());
        words.insert(1, format!("--map-user={}", user.uid().as_raw()));
        words.insert(2, format!("--map-group={}", user.gid().as_raw()));
    }
    words.extend(["--".to_owned(), errand.program.clone()]);
    let (tool, arguments) = words
        .split_first()
        .map_or(("", &[][..]), |(tool, rest)| (tool.as_str(), rest));
    let mut command = Command::new(found(tool));
    command
        .args(arguments)
        .args(&errand.arguments)
        .current_dir(&errand.dir)
        .env_clear()
        .envs(&errand.env);
    if as_root && !is_mapped() {
        command.uid(user.uid().as_raw()).gid(user.gid().as_raw());
    }
    command
}

/// Whether the users here are not those of the machine.
///
/// *Source*: user_namespaces(7); the first one maps all numbers to themselves.
fn is_mapped() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().ne(["0", "0", "4294967295"])
}

/// A tool by its path: the variables of the program do not decide about it.
fn found(tool: &str) -> std::path::PathBuf {
    let mut all = std::env::split_paths(TOOLS).map(|folder| folder.join(tool));
    all.find(|path| path.exists())
        .unwrap_or_else(|| tool.into())
}

/// The exit code of a process, as a shell says it where a signal ended it.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
