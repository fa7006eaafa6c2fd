//! How many arenas the memory of this process is cut into.
#![allow(unsafe_code, reason = "glibc is told by a call into C")]

/// glibc gives almost every thread an arena of its own, up to eight for each core, and an arena
/// gives back only what lies at its end. Work that wanders from thread to thread, as ours does,
/// then leaves a little behind in each: a reconciler that lives on grew by 60 kB with each push.
const ARENAS: libc::c_int = 2;

/// Cuts memory into few arenas from now on; answers whether that was granted.
pub(crate) fn few() -> bool {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` takes two numbers and no pointer, and may be called at any time.
    return unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) } == 1;
    #[cfg(not(target_env = "gnu"))]
    return ARENAS > 0;
}
