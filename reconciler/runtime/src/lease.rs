//! The right to reconcile an environment, kept once it was given.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Clock, Lease, Leases, StoreError};

use crate::error::RuntimeError;
use crate::ports::Ports;

/// The leases that this process has.
pub(crate) struct OwnLeases {
    store: Arc<dyn Leases>,
    clock: Arc<dyn Clock>,
    /// How long a lease lives when nobody can tell whether its holder does.
    ttl: Duration,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    leases: BTreeMap<EnvironmentName, Lease>,
    /// Those that were just taken: whoever had them before may have left a run.
    taken_over: BTreeSet<EnvironmentName>,
}

impl OwnLeases {
    pub(crate) fn new(ports: &Ports, ttl: Duration) -> Self {
        Self {
            store: ports.store.clone(),
            clock: Arc::clone(&ports.clock),
            ttl,
            held: Mutex::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease of an environment: kept once it was given.
    pub(crate) async fn of(&self, environment: &EnvironmentName) -> Result<Lease, RuntimeError> {
        let held = self.held().leases.get(environment).cloned();
        if let Some(lease) = held {
            return Ok(lease);
        }
        let lease = self.store.acquire(environment, self.ttl).await?;
        let mut held = self.held();
        held.leases.insert(environment.clone(), lease.clone());
        held.taken_over.insert(environment.clone());
        Ok(lease)
    }

    /// Whether whoever had the lease before may have left a run that nobody looked for.
    pub(crate) fn was_taken_over(&self, environment: &EnvironmentName) -> bool {
        self.held().taken_over.contains(environment)
    }

    /// What was left by whoever had the lease before came to its end.
    pub(crate) fn is_looked_after(&self, environment: &EnvironmentName) {
        self.held().taken_over.remove(environment);
    }

    /// Passes a result of the store on, and forgets the lease when it was lost to another process.
    pub(crate) fn fenced<T>(&self, result: Result<T, StoreError>) -> Result<T, RuntimeError> {
        if let Err(StoreError::Fenced { environment }) = &result {
            self.lost(environment);
        }
        Ok(result?)
    }

    fn lost(&self, environment: &EnvironmentName) {
        self.held().leases.remove(environment);
    }

    /// Renews every lease that is held, while the process lives; never returns. One that was lost
    /// is forgotten: whoever works on it finds out at its next write, which is refused.
    pub(crate) async fn keep_renewing(&self) -> std::convert::Infallible {
        loop {
            self.clock.sleep(renewal(self.ttl)).await;
            let held: Vec<Lease> = self.held().leases.values().cloned().collect();
            match self.store.renew(&held).await {
                Ok(lost) => {
                    for lease in lost {
                        let environment = &lease.environment;
                        tracing::warn!(%environment, "the lease was lost; nothing more is begun");
                        self.lost(environment);
                    }
                }
                Err(error) => tracing::warn!(%error, "the leases were not renewed"),
            }
        }
    }

    /// Gives every lease back.
    pub(crate) async fn release_all(&self) {
        let held = std::mem::take(&mut self.held().leases);
        let held: Vec<Lease> = held.into_values().collect();
        if held.is_empty() {
            return;
        }
        if let Err(error) = self.store.release(&held).await {
            tracing::warn!(%error, "the leases were not released");
        }
    }
}

/// How long a renewal of the leases waits, as a share of their life.
fn renewal(ttl: Duration) -> Duration {
    ttl / 3
}
