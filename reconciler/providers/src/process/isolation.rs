//! Programs in a mount, pid and network namespace of their own.
//!
//! Two processes stand between whoever watches a program and the program:
//!
//! ```text
//! unshare(1)  makes the namespaces, waits, and ends as the program did
//!  inner      the first process in them: arranges what is seen, starts the program, collects all
//!   the program, by setpriv(1), which gives up that it could gain rights
//! ```
//!
//! Both tools are of util-linux, as is mount(8).
//!
//! *Guarantees*: the program sees no process but its own, writes nowhere but in the places of its
//! environment and in folders for what is passing, sees nothing of what is hidden from it, and gains
//! no rights by executing something. When the first one ends, however that was, all that is inside
//! ends. What the program is given reaches it in a file in memory: nothing of it is in the
//! environment of a process that has more rights than the program.

mod inner;
mod mounts;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use stratum_core::ports::Site;

use super::family::MARK;
use super::{User, memory};
use crate::reexec::ISOLATE_ARGUMENT;

/// The exit code of what could not begin: no namespace, or no program.
const NOT_BEGUN: u8 = 125;

/// Where the tools are looked for, whatever the program's variables say.
const TOOLS: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// What is left of the machine for a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// Places that it may write to, as far as its user may; absolute.
    writable: Vec<PathBuf>,
    /// Files and folders of which nothing is seen; absolute.
    hidden: Vec<PathBuf>,
    /// It has the network of the machine, not one of its own with nothing in it.
    network: bool,
}

/// A program, and how it is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Errand {
    program: String,
    arguments: Vec<String>,
    env: BTreeMap<String, String>,
    dir: PathBuf,
    user: User,
    cell: Cell,
}

impl Cell {
    /// That of an environment; `None` where its programs are not isolated.
    pub(crate) fn of(site: &Site) -> Option<Self> {
        let isolation = site.isolation.as_ref()?;
        let roots = std::iter::once(&site.root).chain(&site.roots);
        Some(Self {
            writable: roots.cloned().collect(),
            hidden: isolation.hidden.clone(),
            network: isolation.network,
        })
    }
}

/// What starts the command: itself, or one that runs it in its cell. The files must stay open until
/// then.
pub(super) fn apart(
    command: tokio::process::Command,
    user: Option<&User>,
) -> std::io::Result<(tokio::process::Command, Vec<OwnedFd>)> {
    let Some((user, cell)) = user.and_then(|user| Some((user, user.cell()?))) else {
        return Ok((command, Vec::new()));
    };
    let inner = command.as_std();
    let text = |text: &OsStr| text.to_string_lossy().into_owned();
    let set = inner.get_envs();
    let (outer, files) = outer_command(&Errand {
        program: text(inner.get_program()),
        arguments: inner.get_args().map(text).collect(),
        env: set
            .filter_map(|(name, value)| Some((text(name), text(value?))))
            .collect(),
        dir: inner.get_current_dir().unwrap_or("/".as_ref()).to_owned(),
        user: user.clone(),
        cell: cell.clone(),
    })?;
    Ok((outer.into(), files))
}

/// The process that makes the namespaces of an errand.
fn outer_command(errand: &Errand) -> std::io::Result<(std::process::Command, Vec<OwnedFd>)> {
    let file = memory::file(&serde_json::to_vec(errand)?, None)?;
    // By its open file: that is there also where it lies in what is hidden, or was replaced.
    let own = rustix::fs::open("/proc/self/exe", OFlags::RDONLY, Mode::empty())?;
    let mut command = std::process::Command::new("unshare");
    command.args(["--fork", "--kill-child", "--mount-proc"]);
    command.args(["--mount", "--pid", "--ipc", "--uts"]);
    if !errand.cell.network {
        command.arg("--net");
    }
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
        .arg("--")
        .arg(format!("/proc/self/fd/{}", own.as_raw_fd()))
        .args([ISOLATE_ARGUMENT, &file.as_raw_fd().to_string()])
        .current_dir("/")
        .env_clear()
        .env("PATH", TOOLS);
    if let Some(mark) = errand.env.get(MARK) {
        command.env(MARK, mark);
    }
    Ok((command, vec![file, own]))
}

/// Tries on this machine what isolated programs need.
///
/// *Errors*: one sentence, with what the kernel refuses.
pub(crate) fn attempt(user: User) -> Result<(), String> {
    let errand = Errand {
        program: "true".to_owned(),
        arguments: Vec::new(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        dir: "/".into(),
        user,
        cell: Cell::default(),
    };
    let run = || {
        let (mut command, _open) = outer_command(&errand)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).output()
    };
    let output = run().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// Is the first process in the namespaces; its second argument is the file with the errand.
pub(crate) fn isolate_main() -> ExitCode {
    let file = std::env::args_os().nth(2).unwrap_or_default();
    let errand = std::fs::read(PathBuf::from("/proc/self/fd").join(file));
    let errand = errand.map_err(|error| error.to_string());
    let errand = errand.and_then(|text| {
        serde_json::from_slice::<Errand>(&text).map_err(|error| error.to_string())
    });
    errand
        .and_then(|errand| inner::run(&errand))
        .unwrap_or_else(|why| {
            // Its error output is the program's own, and is read as such.
            use std::io::Write as _;
            let _nobody_reads = writeln!(std::io::stderr(), "could not be isolated: {why}");
            ExitCode::from(NOT_BEGUN)
        })
}
