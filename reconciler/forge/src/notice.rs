//! What keeps the forge from being told, noted in the store for `status` and whoever else looks.

use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use stratum_core::ports::{Announcements, ForgeError, ForgeTrouble};
use tokio::sync::Mutex;

/// The note, as this process wrote or found it.
#[derive(Default)]
pub(crate) struct Notice {
    /// `None` until the store was read.
    noted: Mutex<Option<Option<ForgeTrouble>>>,
    /// Whether what is said on the way, and kept nowhere, was not heard last time.
    unheard: AtomicBool,
}

impl Notice {
    /// Something that is said on the way was heard, or not.
    pub(crate) async fn on_the_way(
        &self,
        book: &dyn Announcements,
        now: Timestamp,
        result: &Result<(), ForgeError>,
        waiting: u64,
    ) {
        self.unheard.store(result.is_err(), Ordering::Relaxed);
        match result {
            Err(error) => self.failed(book, now, error, waiting).await,
            Ok(()) if waiting == 0 => self.over(book).await,
            Ok(()) => {}
        }
    }

    /// The forge did not do as asked.
    pub(crate) async fn failed(
        &self,
        book: &dyn Announcements,
        now: Timestamp,
        error: &ForgeError,
        waiting: u64,
    ) {
        self.note(book, |before| {
            Some(ForgeTrouble {
                since: before.map_or(now, |before| before.since),
                kind: error.kind().to_owned(),
                reason: error.to_string(),
                waiting,
            })
        })
        .await;
    }

    /// Nothing waits to be told. That ends the trouble, unless it is with what is kept nowhere.
    pub(crate) async fn nothing_waits(&self, book: &dyn Announcements) {
        if !self.unheard.load(Ordering::Relaxed) {
            self.over(book).await;
        }
    }

    /// The forge does as asked again.
    pub(crate) async fn over(&self, book: &dyn Announcements) {
        self.unheard.store(false, Ordering::Relaxed);
        self.note(book, |_| None).await;
    }

    /// Notes what `change` makes of the note. That this fails keeps nothing else from being done.
    async fn note(
        &self,
        book: &dyn Announcements,
        change: impl FnOnce(Option<&ForgeTrouble>) -> Option<ForgeTrouble>,
    ) {
        let mut noted = self.noted.lock().await;
        let written = async {
            let before = match noted.take() {
                Some(before) => before,
                None => book.trouble().await?,
            };
            let after = change(before.as_ref());
            if after != before {
                book.note_trouble(after.as_ref()).await?;
            }
            Ok::<_, stratum_core::ports::StoreError>(after)
        };
        match written.await {
            Ok(after) => *noted = Some(after),
            Err(error) => tracing::warn!(%error, "trouble with the forge was not noted"),
        }
    }
}
