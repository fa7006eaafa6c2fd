//! The right to reconcile an environment, kept once it was given.

use std::sync::PoisonError;
use std::time::Duration;

use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Lease, StoreError};

use crate::error::RuntimeError;
use crate::reconcile::Reconciler;

impl Reconciler {
    /// The lease of an environment: kept once it was given.
    pub(crate) async fn lease(&self, environment: &EnvironmentName) -> Result<Lease, RuntimeError> {
        if let Some(lease) = self.held(environment) {
            return Ok(lease);
        }
        let ttl = self.options.lease_ttl;
        let lease = self.ports.store.acquire(environment, ttl).await?;
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.insert(environment.clone(), lease.clone());
        drop(leases);
        self.took_over(environment);
        Ok(lease)
    }

    fn held(&self, environment: &EnvironmentName) -> Option<Lease> {
        let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.get(environment).cloned()
    }

    /// Passes a result of the store on, and forgets the lease when it was lost to another process.
    pub(crate) fn fenced<T>(&self, result: Result<T, StoreError>) -> Result<T, RuntimeError> {
        if let Err(StoreError::Fenced { environment }) = &result {
            self.lost(environment);
        }
        Ok(result?)
    }

    /// Forgets a lease that was lost to another process.
    pub(crate) fn lost(&self, environment: &EnvironmentName) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.remove(environment);
    }

    /// Renews every lease that is held, while the process lives; never returns. One that was lost
    /// is forgotten: whoever works on it finds out at its next write, which is refused.
    pub(crate) async fn keep_renewing(&self) -> std::convert::Infallible {
        loop {
            let pause = renewal(self.options.lease_ttl);
            self.ports.clock.sleep(pause).await;
            let held: Vec<Lease> = {
                let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
                leases.values().cloned().collect()
            };
            match self.ports.store.renew(&held).await {
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
        let held = std::mem::take(&mut *self.leases.lock().unwrap_or_else(PoisonError::into_inner));
        let held: Vec<Lease> = held.into_values().collect();
        if held.is_empty() {
            return;
        }
        if let Err(error) = self.ports.store.release(&held).await {
            tracing::warn!(%error, "the leases were not released");
        }
    }
}

/// How long a renewal of the leases waits, as a share of their life.
fn renewal(ttl: Duration) -> Duration {
    ttl / 3
}
