//! Records that wait: why is said once, where people look, until none does any more.

use serde::Serialize;
use stratum_core::waiting::{WAITS, Waits};

use super::Records;
use crate::error::RuntimeError;
use crate::progress::Progress;

impl Records {
    /// Says once why records wait, where people look.
    pub(super) async fn say_waits(&self, error: &RuntimeError) {
        let reason = error.sentence();
        let now = self.clock.now();
        let (count, since) = {
            let mut state = self.state();
            let (told, since) = state.told.clone().unwrap_or_else(|| (String::new(), now));
            if told == reason {
                return;
            }
            state.told = Some((reason.clone(), since));
            state.clear = false;
            (state.waiting.len(), since)
        };
        let waits = Waits {
            count,
            since,
            reason,
        };
        self.put_fact(WAITS, Some(&waits)).await;
        (self.progress)(&Progress::RecordsWait(Some(waits)));
    }

    pub(super) async fn no_longer_waits(&self) {
        let (told, clear) = {
            let mut state = self.state();
            (state.told.take(), std::mem::replace(&mut state.clear, true))
        };
        if told.is_none() && clear {
            return;
        }
        // An earlier process may have said so.
        let said = self.store.facts(WAITS).await;
        if said.is_ok_and(|facts| !facts.is_empty()) {
            self.put_fact(WAITS, None::<&Waits>).await;
            (self.progress)(&Progress::RecordsWait(None));
        }
    }

    /// Writes a fact; that it could not be written is logged, since what it is about stands anyway.
    pub(super) async fn put_fact<T: Serialize>(&self, name: &str, value: Option<&T>) {
        let value = value.map(serde_json::to_vec).transpose();
        let Ok(value) = value else { return };
        let changes = vec![(name.to_owned(), value)];
        if let Err(error) = self.store.put_facts(changes).await {
            tracing::warn!(%error, name, "what is remembered of the records was not written");
        }
    }
}
