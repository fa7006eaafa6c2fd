//! A budget of bytes, so that whole blocks are left out and none is cut.

/// How far a taker may go, of what there was in the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Until half is used.
    Half,
    /// Until three quarters are used.
    Most,
    /// Until all is used.
    All,
}

/// Bytes that may still be written.
#[derive(Debug)]
pub(crate) struct Budget {
    all: usize,
    used: usize,
}

impl Budget {
    pub(crate) fn new(all: usize) -> Self {
        Self { all, used: 0 }
    }

    /// Takes the bytes of `text`, if they are still to be had.
    pub(crate) fn take(&mut self, text: &str, share: Share) -> bool {
        self.take_bytes(text.len(), share)
    }

    /// Takes bytes, if they are still to be had.
    pub(crate) fn take_bytes(&mut self, bytes: usize, share: Share) -> bool {
        let limit = match share {
            Share::Half => self.all / 2,
            Share::Most => self.all / 4 * 3,
            Share::All => self.all,
        };
        let fits = self.used.saturating_add(bytes) <= limit;
        if fits {
            self.used += bytes;
        }
        fits
    }

    /// Takes bytes that are written whatever comes.
    pub(crate) fn force(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes);
    }
}
