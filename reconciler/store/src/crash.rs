//! Dying on order, for the harness that proves recovery: `STRATUM_CRASH_AT=n` ends the process at
//! its nth chance, in debug builds only. A transaction is three chances: before it, in the middle
//! of it, and after it.

/// Ends the process when its time has come.
#[cfg(debug_assertions)]
pub(crate) fn chance() {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static AT: OnceLock<Option<u64>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let at = AT.get_or_init(|| std::env::var("STRATUM_CRASH_AT").ok()?.parse().ok());
    if let Some(at) = at
        && PASSED.fetch_add(1, Ordering::Relaxed) == *at
    {
        std::process::abort();
    }
}

/// Release builds do not die on order.
#[cfg(not(debug_assertions))]
pub(crate) fn chance() {}
