//! What the evaluating child gives up before it reads a byte from a repository.

use std::io;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::BpfProgram;
use serde::{Deserialize, Serialize};

/// The stack of the evaluation, in bytes; it counts as memory of the child.
pub(crate) const STACK: usize = 256 << 20;

/// With less than this, in MiB, the child could not read the smallest file: its program, the
/// standard library and the stacks of its threads count too.
pub(crate) const LEAST: u64 = 256;

/// How far the kernel confines an evaluation, besides the limits on memory, time, files and
/// processes that hold everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// No file, no socket, no signal to others, by Landlock.
    pub landlock: Enforcement,
    /// No system call but those that computing needs, by seccomp.
    pub seccomp: Enforcement,
}

/// Whether the kernel enforces a restriction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// Wholly.
    Full,
    /// As far as this kernel can.
    Partial,
    /// Not at all: the kernel does not have it, or a container forbids it.
    Missing,
}

/// Limits the process: memory and stack in bytes, processor time in seconds, no files, no dumps.
pub(crate) fn limit(memory: u64, seconds: u64) -> io::Result<()> {
    let all = |most: u64| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    setrlimit(Resource::As, all(memory))?;
    let seconds = Rlimit {
        current: Some(seconds),
        maximum: Some(seconds.saturating_add(1)),
    };
    setrlimit(Resource::Cpu, seconds)?;
    setrlimit(Resource::Fsize, all(0))?;
    setrlimit(Resource::Core, all(0))?;
    Ok(())
}

/// Forbids every file, socket and signal to this thread and those it starts.
pub(crate) fn landlock() -> Enforcement {
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V6))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V6)))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.restrict_self());
    match restricted.map(|status| status.ruleset) {
        Ok(RulesetStatus::FullyEnforced) => Enforcement::Full,
        Ok(RulesetStatus::PartiallyEnforced) => Enforcement::Partial,
        Ok(RulesetStatus::NotEnforced) | Err(_) => Enforcement::Missing,
    }
}

/// Forbids new processes and threads, and every system call that is not in `syscalls.json`, to
/// all threads of the process. Forbidden calls answer `EPERM`.
pub(crate) fn seccomp() -> Enforcement {
    let processes = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = setrlimit(Resource::Nproc, processes).is_ok();
    let filtered =
        filter().is_some_and(|program| seccompiler::apply_filter_all_threads(&program).is_ok());
    match (filtered, limited) {
        (true, true) => Enforcement::Full,
        (true, false) => Enforcement::Partial,
        (false, _) => Enforcement::Missing,
    }
}

fn filter() -> Option<BpfProgram> {
    let architecture = std::env::consts::ARCH.try_into().ok()?;
    let rules = include_str!("syscalls.json");
    seccompiler::compile_from_json(rules.as_bytes(), architecture)
        .ok()?
        .remove("evaluate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_for_this_machine() {
        assert!(filter().is_some());
    }
}
