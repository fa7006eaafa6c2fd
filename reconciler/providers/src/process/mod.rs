//! Programs that are run for a short time, and the processes that look after them.

mod cgroup;
mod command;
mod exec;
mod family;
mod identity;
mod isolation;
mod log;
mod memory;
mod program;
mod supervise;
mod table;
mod user;

pub(crate) use cgroup::remove as remove_cgroup;
pub(crate) use command::{Command, Ended, last_lines, run, split_environment};
pub(crate) use exec::{Instruction, Line, append, exec_main, lines};
pub(crate) use family::Family;
pub(crate) use identity::{Identity, since_boot};
pub(crate) use isolation::{Cell, attempt, isolate_main};
pub(crate) use supervise::{
    GRACE, Phase, REMEMBERED, STEADY, Settings, Status, Supervision, read_status, supervise_main,
};
pub(crate) use user::User;
pub use user::is_known;

/// Why a helper process cannot do its work; its only reader is the process that started it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelperError {
    /// The instruction did not arrive whole: the one that sent it died.
    #[error("the instruction did not arrive whole")]
    Instruction(#[from] serde_json::Error),
    /// Something of the machine failed.
    #[error("could not {doing}")]
    Machine {
        /// What was being done.
        doing: &'static str,
        /// What the machine said.
        #[source]
        source: std::io::Error,
    },
}

/// Lets nobody else look into this process, and leaves no core dump: it is given secrets.
pub(crate) fn keep_to_itself() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // A kernel that refuses either has other means to look into processes anyway.
    let _refused = setrlimit(Resource::Core, none);
    let _refused = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

impl HelperError {
    /// For `map_err`.
    pub(crate) fn machine(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Machine { doing, source }
    }
}
