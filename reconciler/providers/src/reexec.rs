//! The parts of this room that run in processes of their own: the reconciler's program, executed
//! again with one of these words as its first argument.
//!
//! A program that makes a [`local::provider`](crate::local::provider) with its own path must
//! call [`run`] first thing in `main`, before it reads its arguments or starts a thread.

use std::process::ExitCode;

/// The word that makes the program carry out one command of a `local_exec`.
pub const EXEC_ARGUMENT: &str = "__exec";

/// The word that makes the program supervise one `local_service`.
pub const SUPERVISE_ARGUMENT: &str = "__supervise";

/// The word that makes the program run another one in namespaces of its own.
pub const ISOLATE_ARGUMENT: &str = "__isolate";

/// Does what the first argument asks, if it is one of the words; otherwise `None`.
pub fn run(first_argument: Option<&str>) -> Option<ExitCode> {
    match first_argument {
        Some(EXEC_ARGUMENT) => Some(exec_main()),
        Some(SUPERVISE_ARGUMENT) => Some(supervise_main()),
        Some(ISOLATE_ARGUMENT) => Some(isolate_main()),
        _ => None,
    }
}

/// Carries out one command; see [`crate::local`] on `local_exec`.
pub fn exec_main() -> ExitCode {
    crate::process::exec_main()
}

/// Supervises one service; see [`crate::local`] on `local_service`.
pub fn supervise_main() -> ExitCode {
    crate::process::supervise_main()
}

/// Runs a program in namespaces of its own: an environment's whose programs are isolated.
pub fn isolate_main() -> ExitCode {
    crate::process::isolate_main()
}

/// Tries on this machine what isolated programs need; `name` is a user that they could run as.
///
/// *Errors*: one sentence, with what the kernel refuses.
pub fn attempt_isolation(name: Option<&str>) -> Result<(), String> {
    let named = name.map(crate::process::User::find).transpose()?;
    let cell = crate::process::Cell::default();
    crate::process::attempt(crate::process::User::in_cell(named, cell)?)
}
