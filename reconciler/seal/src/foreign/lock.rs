//! Pages for keys that stay in memory: not swapped out, not dumped, wiped in the end.
#![allow(
    unsafe_code,
    reason = "pages of one's own, and locking them, are calls into the system"
)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Once;

use crate::backend::Key;

/// A whole page, so that unlocking one key never unlocks another.
const PAGE: usize = 4096;

/// That keys are not locked is said once.
static SAID: Once = Once::new();

/// A 32-byte key in a page of its own.
///
/// *Guarantees*: wiped when dropped. Where the system allows no (more) locked memory, it is an
/// ordinary page, which [`Self::is_locked`] tells, and the log once.
pub(crate) struct Locked {
    page: NonNull<[u8; 32]>,
    locked: bool,
}

#[allow(
    clippy::panic,
    reason = "evaluated when it is compiled, where a mistake ends the build"
)]
const fn layout() -> Layout {
    // The size is a multiple of the alignment, and the alignment a power of two.
    match Layout::from_size_align(PAGE, PAGE) {
        Ok(layout) => layout,
        Err(_) => panic!("a page is a valid layout"),
    }
}

impl Locked {
    pub(crate) fn new(key: &Key) -> Self {
        const LAYOUT: Layout = layout();
        // SAFETY: the layout has a size that is not zero.
        let page = unsafe { alloc_zeroed(LAYOUT) };
        let Some(page) = NonNull::new(page.cast::<[u8; 32]>()) else {
            handle_alloc_error(LAYOUT)
        };
        // SAFETY: the page is ours, PAGE bytes long, and stays where it is until `drop`.
        let locked = unsafe { memsec::mlock(page.as_ptr().cast(), PAGE) };
        // SAFETY: the page is ours, zeroed, and aligned for bytes; nobody else points into it yet.
        unsafe { page.as_ptr().write(**key) };
        if !locked {
            SAID.call_once(|| {
                tracing::warn!(
                    "the system locks no more memory for this process (RLIMIT_MEMLOCK): keys could \
                     be swapped out; raise the limit, or encrypt the swap"
                );
            });
        }
        Self { page, locked }
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.locked
    }
}

impl Deref for Locked {
    type Target = [u8; 32];

    fn deref(&self) -> &[u8; 32] {
        // SAFETY: the page lives as long as `self`, holds 32 initialised bytes, and is not written
        // to while `self` is borrowed.
        unsafe { self.page.as_ref() }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        const LAYOUT: Layout = layout();
        // SAFETY: the page is ours, PAGE bytes long. `munlock` wipes it, also where it was not
        // locked; it was allocated with this layout, and nothing points into it any more.
        unsafe {
            memsec::munlock(self.page.as_ptr().cast(), PAGE);
            dealloc(self.page.as_ptr().cast(), LAYOUT);
        }
    }
}

// SAFETY: `Locked` owns its page alone, and gives out shared references only while it is shared.
unsafe impl Send for Locked {}
// SAFETY: as above; there is no way to write through a shared reference.
unsafe impl Sync for Locked {}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn it_holds_the_key() {
        let locked = Locked::new(&Zeroizing::new([7; 32]));
        let other = Locked::new(&Zeroizing::new([8; 32]));
        assert_eq!((*locked, *other), ([7; 32], [8; 32]));
        drop(other);
        assert_eq!(*locked, [7; 32]);
    }
}
