//! Handles on one repository, lent to whichever thread needs one.

use std::sync::{Mutex, PoisonError};

use gix::{Repository, ThreadSafeRepository};

/// More threads than this make a new handle for each call.
const KEPT: usize = 4;
/// Bytes of decoded objects that one handle keeps.
const CACHE: usize = 256 << 10;

/// An opened repository and its idle handles.
///
/// A handle of gix has buffers and caches of its own, so it is `Send` and not `Sync`; making one
/// anew for each object read would cost more than the read.
pub(crate) struct Pool {
    shared: ThreadSafeRepository,
    idle: Mutex<Vec<Repository>>,
}

impl Pool {
    /// A pool on an opened repository.
    pub(crate) fn new(shared: ThreadSafeRepository) -> Self {
        Self {
            shared,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Lends a handle to `work`.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Repository) -> T) -> T {
        let repository = self.take();
        let result = work(&repository);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(repository);
        }
        result
    }

    fn take(&self) -> Repository {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop().unwrap_or_else(|| {
            let mut repository = self.shared.to_thread_local();
            repository.object_cache_size_if_unset(CACHE);
            repository
        })
    }
}
