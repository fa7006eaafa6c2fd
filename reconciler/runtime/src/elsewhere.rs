//! Environments that another process reconciles: they are left alone for a moment at a time, and
//! it is said once by whom.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::LeaseError;

use crate::error::RuntimeError;
use crate::reconcile::Reconciler;
use crate::retry::later;

/// How long it is left alone: so much later at most is it taken over when the other ends.
const MOMENT: Duration = Duration::from_secs(2);

/// One environment that another process reconciles.
pub(crate) struct Elsewhere {
    environment: EnvironmentName,
    holder: String,
    until: Timestamp,
}

impl Reconciler {
    /// Remembers that another process holds the lease; answers whether that was known already.
    pub(crate) fn note_elsewhere(&self, error: &RuntimeError) -> bool {
        let RuntimeError::Lease(LeaseError::Held {
            environment,
            holder,
        }) = error
        else {
            return false;
        };
        let mut others = self.others();
        let same = |other: &Elsewhere| other.environment == *environment;
        let known = others.iter().any(|o| same(o) && o.holder == *holder);
        others.retain(|other| !same(other));
        others.push(Elsewhere {
            environment: environment.clone(),
            holder: holder.clone(),
            until: later(self.ports.clock.now(), MOMENT),
        });
        known
    }

    /// Whether an environment is left alone for now. A moment that a clock which jumped back put
    /// out of reach is over.
    pub(crate) fn is_elsewhere(&self, environment: &EnvironmentName) -> bool {
        let now = self.ports.clock.now();
        let others = self.others();
        let mut others = others.iter();
        others.any(|other| {
            other.environment == *environment
                && other.until > now
                && other.until <= later(now, MOMENT)
        })
    }

    /// The lease is ours.
    pub(crate) fn no_longer_elsewhere(&self, environment: &EnvironmentName) {
        self.others()
            .retain(|other| other.environment != *environment);
    }

    /// When one of them is looked at again.
    pub(crate) fn elsewhere_until(&self) -> Option<Timestamp> {
        let others = self.others();
        others.iter().map(|other| other.until).min()
    }

    fn others(&self) -> MutexGuard<'_, Vec<Elsewhere>> {
        self.elsewhere
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
