//! What every store must do, checked through the port alone.

mod facts;
mod fronts;
mod journal;
mod lease;
mod observation;
mod queue;
mod retention;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use stratum_core::ids::{EnvironmentName, RunId};
use stratum_core::ports::{Lease, Store, StoreError};
use stratum_core::run::Run;
use thiserror::Error;

use super::sample;
use crate::clock::ManualClock;

/// How a store broke its contract.
#[derive(Debug, Error)]
#[error("a store must keep this: {rule}: {what}")]
pub struct Broken {
    /// The rule.
    pub rule: String,
    /// What was found instead.
    pub what: String,
}

impl Broken {
    fn new(rule: &str, what: impl Into<String>) -> Self {
        Self {
            rule: rule.to_owned(),
            what: what.into(),
        }
    }
}

type Kept = Result<(), Broken>;

/// One empty state, as several processes have it, and the clock of all of them.
pub struct Stage {
    one: Arc<dyn Store>,
    other: Arc<dyn Store>,
    stranger: Arc<dyn Store>,
    clock: Arc<ManualClock>,
}

impl Stage {
    /// A stage: `other` is a process beside `one`; whether `stranger` lives, nobody can tell. A
    /// process is dead when its store is dropped.
    pub fn new(
        one: impl Store + 'static,
        other: impl Store + 'static,
        stranger: impl Store + 'static,
        clock: Arc<ManualClock>,
    ) -> Self {
        Self {
            one: Arc::new(one),
            other: Arc::new(other),
            stranger: Arc::new(stranger),
            clock,
        }
    }
}

/// Runs every check, each on an empty store that `make` gives; its clock shows [`sample::at`] 0.
pub async fn conforms(make: impl AsyncFn() -> Result<Stage, StoreError>) -> Kept {
    let stage = async || done("a store opens", make().await);
    let fresh = async || Ok::<_, Broken>(stage().await?.one);
    lease::is_taken_over(stage().await?).await?;
    lease::ages_when_a_clock_ran_ahead(stage().await?).await?;
    lease::is_renewed_with_others(stage().await?).await?;
    lease::is_broken_by_a_person(stage().await?).await?;
    journal::tells_open_runs_page_by_page(&*fresh().await?).await?;
    retention::keeps_the_newest_runs(&*fresh().await?).await?;
    retention::keeps_what_is_young_or_spoken_of(&*fresh().await?).await?;
    retention::keeps_the_newest_observations(&*fresh().await?).await?;
    retention::lives_no_faster_than_its_processes(&*fresh().await?).await?;
    lease::fences(&*fresh().await?).await?;
    lease::is_for_one_environment(&*fresh().await?).await?;
    journal::keeps_events_and_state(&*fresh().await?).await?;
    journal::refuses_a_moved_base(&*fresh().await?).await?;
    journal::tells_what_is_unfinished(&*fresh().await?).await?;
    journal::summarises(&*fresh().await?).await?;
    journal::notes_runs(&*fresh().await?).await?;
    journal::remembers_environments(&*fresh().await?).await?;
    observation::keeps_what_differs(&*fresh().await?).await?;
    observation::is_bounded(&*fresh().await?).await?;
    queue::holds_one_entry_for_each_environment(&*fresh().await?).await?;
    queue::keeps_what_was_replaced(&*fresh().await?).await?;
    facts::are_kept_by_name(&*fresh().await?).await?;
    fronts::carry_who_follows(&*fresh().await?).await?;
    fronts::refuse_what_is_not_known(&*fresh().await?).await
}

/// The value, or the rule that is broken because there is none.
fn done<T, E: std::error::Error>(rule: &str, result: Result<T, E>) -> Result<T, Broken> {
    result.map_err(|error| {
        let mut what = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            what = format!("{what}: {inner}");
            source = inner.source();
        }
        Broken::new(rule, what)
    })
}

/// Both sides are equal.
fn same<T: PartialEq + Debug>(rule: &str, found: T, wanted: T) -> Kept {
    if found == wanted {
        return Ok(());
    }
    let what = format!("found {found:?}, wanted {wanted:?}");
    Err(Broken::new(rule, what))
}

/// The write was refused because the lease is lost.
fn fenced<T: Debug>(rule: &str, result: Result<T, StoreError>) -> Kept {
    match result {
        Err(StoreError::Fenced { .. }) => Ok(()),
        other => Err(Broken::new(rule, format!("{other:?}"))),
    }
}

fn environment(name: &str) -> Result<EnvironmentName, Broken> {
    done("a sample is well formed", EnvironmentName::new(name))
}

/// The lease of an environment that nobody else wants.
async fn lease(store: &dyn Store, environment: &EnvironmentName) -> Result<Lease, Broken> {
    let taken = store.acquire(environment, Duration::from_secs(30)).await;
    done("a free lease can be taken", taken)
}

/// Starts a run of `steps` steps on the state as it is.
async fn start(store: &dyn Store, lease: &Lease, id: &str, steps: u32) -> Result<Run, Broken> {
    let base = done("a base can be read", store.base(&lease.environment).await)?;
    let run = sample::run(&lease.environment, id, base.serial, steps);
    let run = done("a sample is well formed", run)?;
    let started = store.start(lease, &run, &sample::started(&run)).await;
    done("a run on the head can be started", started)?;
    Ok(run)
}

fn run_id(text: &str) -> Result<RunId, Broken> {
    done("a sample is well formed", RunId::new(text))
}
