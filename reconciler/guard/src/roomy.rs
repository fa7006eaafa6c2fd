//! Work whose depth a text decides, with room for it.

use std::thread::Builder;

/// The stack, in bytes; only what is used of it is taken.
const STACK: usize = 128 << 20;

/// Does `work` on a large stack.
///
/// *Errors*: a sentence, when it panicked or no thread could be had.
pub(crate) fn roomy<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        let thread = Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| format!("no thread could be started: {error}"))?;
        let stopped = |_| "the reader stopped at a mistake of its own".to_owned();
        thread.join().map_err(stopped)
    })
}
