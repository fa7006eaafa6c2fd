//! Commits that are kept alive while they are applied, and loose objects that are packed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stratum_core::ids::CommitId;
use stratum_core::ports::EnvironmentRow;
use stratum_core::waiting::{UNKEPT, Unkept};

use super::{Records, TIDYING};
use crate::error::RuntimeError;
use crate::progress::Progress;

/// What was said of commits that are not kept.
#[derive(Default)]
pub(super) struct Keeping {
    /// Why they are not, and since when.
    told: Option<Unkept>,
    /// Whether it is known that the state says nothing of that.
    clear: bool,
}

impl Records {
    /// Keeps the commits alive whose content is applied, or whose rules hold; and now and then packs
    /// what lies about. Answers when that was done last.
    ///
    /// *Guarantees*: why they cannot be kept is said where people look until they are; it is tried
    /// again by itself.
    pub(super) async fn keep_applied(&self, tidied: Option<Duration>) -> Option<Duration> {
        let now = self.clock.monotonic();
        let early = tidied.is_some_and(|last| now < last.saturating_add(TIDYING));
        let moved = {
            let mut state = self.state();
            state.untidy |= state.moved;
            let tidies = state.untidy && !early;
            if !state.moved && !tidies {
                return tidied;
            }
            state.untidy &= !tidies;
            std::mem::take(&mut state.moved)
        };
        if moved {
            match self.keep_commits().await {
                Ok(()) => self.are_kept().await,
                Err(error) => self.say_unkept(&error).await,
            }
        }
        if early {
            return tidied;
        }
        let repository = Arc::clone(&self.repository);
        match self.blocking.run(move || Ok(repository.tidy()?)).await {
            Ok(0) => {}
            Ok(packed) => tracing::info!(packed, "loose objects were packed"),
            Err(error) => {
                tracing::warn!(error = %error.sentence(), "the repository was not tidied up");
            }
        }
        Some(now)
    }

    async fn keep_commits(&self) -> Result<(), RuntimeError> {
        let rows = self.store.environments().await?;
        let pins = |row: &EnvironmentRow| {
            let pin = row.pin.as_ref().map(|pin| pin.commit.clone());
            [row.revision.clone(), pin]
        };
        let commits: BTreeSet<CommitId> = rows.iter().flat_map(pins).flatten().collect();
        let repository = Arc::clone(&self.repository);
        self.blocking
            .run(move || Ok(repository.keep(&commits)?))
            .await
    }

    async fn say_unkept(&self, error: &RuntimeError) {
        let reason = error.sentence();
        let said = {
            let mut state = self.state();
            // It is tried again.
            state.moved = true;
            let keeping = &mut state.keeping;
            keeping.clear = false;
            let since = match &keeping.told {
                Some(told) if told.reason == reason => return,
                Some(told) => told.since,
                None => self.clock.now(),
            };
            keeping.told.insert(Unkept { since, reason }).clone()
        };
        self.put_fact(UNKEPT, Some(&said)).await;
        (self.progress)(&Progress::CommitsUnkept(Some(said)));
    }

    async fn are_kept(&self) {
        let (told, clear) = {
            let keeping = &mut self.state().keeping;
            let clear = std::mem::replace(&mut keeping.clear, true);
            (keeping.told.take(), clear)
        };
        if told.is_none() && clear {
            return;
        }
        // An earlier process may have said so.
        let said = self.store.facts(UNKEPT).await;
        if said.is_ok_and(|facts| !facts.is_empty()) {
            self.put_fact(UNKEPT, None::<&Unkept>).await;
            (self.progress)(&Progress::CommitsUnkept(None));
        }
    }
}
