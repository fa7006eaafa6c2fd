//! Health checks: after a step, and of everything that has one whenever the world is looked at.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use stratum_core::ids::Address;
use stratum_core::observed::{Observed, Report};
use stratum_core::ports::{Base, Clock, Probe, Secrets};
use stratum_core::resource::{HealthCheck, ResourceState};

use crate::granted::Granted;

/// How many are asked at once.
const AT_ONCE: usize = 16;

/// So many tries a resource gets whenever the world is looked at: one that fails may be a hiccup.
const TRIES: u32 = 3;

/// Asks whether resources are healthy.
#[derive(Clone, Copy)]
pub(crate) struct Doctor<'a> {
    pub(crate) probe: &'a dyn Probe,
    pub(crate) clock: &'a dyn Clock,
    /// Commands run in this folder.
    pub(crate) root: &'a Path,
}

impl Doctor<'_> {
    /// Waits until a check passes, for as long as it says.
    ///
    /// *Errors*: why it did not, in one sentence.
    pub(crate) async fn wait(&self, check: &HealthCheck) -> Result<(), String> {
        let started = self.clock.monotonic();
        loop {
            let Err(error) = self.probe.probe(check, self.root).await else {
                return Ok(());
            };
            let waited = self.clock.monotonic().saturating_sub(started);
            if waited + check.every > check.within {
                let within = stratum_core::duration::format(check.within);
                return Err(format!(
                    "it did not become healthy within {within}: {error}"
                ));
            }
            self.clock.sleep(check.every).await;
        }
    }

    /// The resources that are there and not healthy, with the reason. What does not run is not
    /// asked: it is started anyway.
    pub(crate) async fn ill(
        &self,
        secrets: &dyn Secrets,
        base: &Base,
        observed: &Observed,
    ) -> BTreeMap<Address, String> {
        let there = base.resources.values().filter(|state| {
            let report = observed.reports.get(&state.address);
            matches!(report, Some(Report::Present(_)))
        });
        let checks = there.filter_map(|state| Some((state, state.meta.health.as_ref()?)));
        // Boxed, because the compiler cannot tell that unboxed ones may move between threads.
        let asked: Vec<BoxFuture<'_, _>> = checks
            .map(|(state, check)| self.looked_at(secrets, state, check).boxed())
            .collect();
        let answers: Vec<_> = stream::iter(asked)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        answers.into_iter().flatten().collect()
    }

    async fn looked_at(
        &self,
        secrets: &dyn Secrets,
        state: &ResourceState,
        check: &HealthCheck,
    ) -> Option<(Address, String)> {
        let (address, why) = (&state.address, self.fails(check).await?);
        // It is given no secret, and may say one all the same.
        let granted = Granted::to(secrets, [&state.instance.attributes]);
        let why = granted.redactor(address).await.text(&why);
        Some((
            address.clone(),
            format!("`{address}` is not healthy: {why}"),
        ))
    }

    async fn fails(&self, check: &HealthCheck) -> Option<String> {
        let mut tries = 1;
        loop {
            let error = self.probe.probe(check, self.root).await.err()?;
            if tries == TRIES {
                return Some(error.to_string());
            }
            tries += 1;
            self.clock.sleep(check.every).await;
        }
    }
}
