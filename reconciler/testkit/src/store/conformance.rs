//! What every store must do, checked through the port alone.

mod facts;
mod fronts;
mod journal;
mod lease;
mod observation;
mod queue;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use stratum_core::ids::{EnvironmentName, RunId};
use stratum_core::ports::{Lease, Store, StoreError};
use stratum_core::run::Run;
use thiserror::Error;

use super::sample;

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

/// Runs every check, each on an empty store that `make` gives.
pub async fn conforms(make: impl AsyncFn() -> Result<Arc<dyn Store>, StoreError>) -> Kept {
    let fresh = async || done("a store opens", make().await);
    lease::is_exclusive(&*fresh().await?).await?;
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
    let ttl = Duration::from_secs(30);
    let alive = |_: &str| Some(false);
    let taken = store.acquire(environment, "host 1", sample::at(0), ttl, &alive);
    done("a free lease can be taken", taken.await)
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
