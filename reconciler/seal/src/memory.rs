//! What keeps secrets of this process from leaving it by accident, and its memory small.

use std::io;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, getrlimit, set_dumpable_behavior,
    setrlimit,
};
use zeroize::Zeroizing;

use crate::foreign::arenas;
use crate::foreign::lock::Locked;

/// What the system granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardening {
    /// No core file is written when the process dies.
    pub no_core: bool,
    /// Nobody but root may look into the memory of the process, and it is not dumped.
    pub not_dumpable: bool,
    /// Keys are kept in pages that are not swapped out. A page for a key could be locked when this
    /// was asked; each key is locked as it is made, and the log says so once where that fails.
    pub keys_locked: bool,
}

/// Refuses core dumps and the looks of others for this process, and tries whether keys can be
/// locked into memory. To be called first thing by whatever may meet a secret.
///
/// Child processes inherit the limit of core files, but not that they cannot be dumped.
///
/// *Errors*: when the system refuses what every Linux allows; go on only if that is known.
pub fn harden() -> io::Result<Hardening> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(Hardening {
        no_core: getrlimit(Resource::Core).current == Some(0),
        not_dumpable: dumpable_behavior()? == DumpableBehavior::NotDumpable,
        keys_locked: Locked::new(&Zeroizing::new([0; 32])).is_locked(),
    })
}

/// Keeps a process that lives on from growing with the number of its threads. To be called before
/// the first of them is started; elsewhere than with glibc there is nothing to do.
pub fn stay_small() {
    if !arenas::few() {
        tracing::debug!("memory is cut into as many arenas as the system likes");
    }
}
