//! The right to reconcile an environment, kept once it was given.

use std::convert::Infallible;
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
        self.no_longer_elsewhere(environment);
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

    /// Renews all leases together, again and again, for as long as it is polled: beside whatever the
    /// process does, also while it does nothing.
    pub(crate) async fn keep_leases(&self) -> Infallible {
        loop {
            self.ports
                .clock
                .sleep(renewal(self.options.lease_ttl))
                .await;
            if let Err(error) = self.renew_all().await {
                tracing::warn!(%error, "the leases were not renewed");
            }
        }
    }

    /// Says that this process lives, for all its leases; forgets those that were lost. Whoever goes
    /// on with one is refused by the next append.
    async fn renew_all(&self) -> Result<(), StoreError> {
        let own: Vec<Lease> = {
            let leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
            leases.values().cloned().collect()
        };
        for lost in self.ports.store.renew(&own).await? {
            let environment = &lost.environment;
            tracing::warn!(%environment, "the lease was lost; nothing more is begun");
            self.lost(environment);
        }
        Ok(())
    }

    /// Gives every lease back.
    pub(crate) async fn release_all(&self) {
        let held = std::mem::take(&mut *self.leases.lock().unwrap_or_else(PoisonError::into_inner));
        for lease in held.values() {
            if let Err(error) = self.ports.store.release(lease).await {
                tracing::warn!(%error, environment = %lease.environment, "a lease was not released");
            }
        }
    }
}

/// How long a renewal of the lease waits, as a share of its life.
fn renewal(ttl: Duration) -> Duration {
    ttl / 3
}
