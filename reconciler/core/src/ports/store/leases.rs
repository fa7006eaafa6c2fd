//! The right of one process to reconcile one environment.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use thiserror::Error;

use super::StoreError;
use crate::audit::Named;
use crate::ids::EnvironmentName;

/// The right of one process to reconcile one Environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The environment.
    pub environment: EnvironmentName,
    /// The fencing number: larger than that of every lease before it.
    pub number: u64,
    /// Who holds it, as [`Leases::holder`] names it there.
    pub holder: String,
}

/// Whether the holder of a lease lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It lives: the system says so.
    Alive,
    /// It is dead: the system says so.
    Dead,
    /// Nobody here can tell, because it is on another machine, say. How long it was silent decides.
    Unknown,
}

impl Life {
    /// The word, as everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }
}

/// A lease as it stands in the store, and what is known of its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLease {
    /// The lease.
    pub lease: Lease,
    /// When its holder last said that it lives (the store's time, UTC).
    pub renewed_at: Timestamp,
    /// Whether its holder lives.
    pub life: Life,
}

/// A person takes a lease away from its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// Why, in one sentence; it is in the audit log.
    pub reason: String,
    /// Who.
    pub people: Vec<Named>,
    /// Also when its holder demonstrably lives.
    pub force: bool,
}

/// Why a lease was not given, or not taken away.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// Another process holds it.
    #[error(
        "`{environment}` is being reconciled by {}; it is taken over when that ends",
        who(holder)
    )]
    Held {
        /// The environment.
        environment: EnvironmentName,
        /// The other holder.
        holder: String,
    },
    /// Nobody holds it, so there is nothing to take away.
    #[error("nobody holds the lease on `{environment}`")]
    Free {
        /// The environment.
        environment: EnvironmentName,
    },
    /// The store failed.
    #[error("the lease could not be taken")]
    Store(#[from] StoreError),
}

/// A holder of a lease (`host boot pid start`) as people read it.
pub fn who(holder: &str) -> String {
    let mut parts = holder.split(' ');
    match (parts.next(), parts.nth(1)) {
        (Some(host), Some(pid)) => format!("process {pid} on `{host}`"),
        _ => format!("`{holder}`"),
    }
}

/// Leases.
///
/// Time is the store's own: a process with a wrong clock locks nobody out. Whether a holder lives
/// is for the store to know: by a lock that the system lets go when the process ends, by a session
/// of the database; where it cannot tell, by how long the holder was silent.
///
/// Each lease that is taken or broken is in the audit log by the same transaction; if it cannot be,
/// nothing is written.
///
/// *Guarantees*: as [`super::Store`].
#[async_trait]
pub trait Leases: Send + Sync {
    /// The name of this process as a holder. Others can tell from it whether the process lives, for
    /// as long as this store is open.
    async fn holder(&self) -> Result<String, StoreError>;

    /// Takes the lease of an environment, at once, or says who has it. A lease of a dead holder, or
    /// of one of which nobody can tell and that was silent for `ttl`, is taken over with a larger
    /// number; so is one that this process holds already, and whoever had it here is fenced off.
    ///
    /// *Guarantees*: a holder whose clock runs ahead, by years even, locks for one `ttl` at most
    /// after it fell silent.
    async fn acquire(
        &self,
        environment: &EnvironmentName,
        ttl: Duration,
    ) -> Result<Lease, LeaseError>;

    /// Says that the holder of these leases lives, in one transaction; answers those that were lost
    /// meanwhile.
    async fn renew(&self, leases: &[Lease]) -> Result<Vec<Lease>, StoreError>;

    /// Gives leases back, all by one write. Giving back what was lost is not an error.
    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError>;

    /// The leases that are held, by environment.
    async fn leases(&self) -> Result<Vec<HeldLease>, StoreError>;

    /// Takes a lease away from its holder, which can write nothing more then; answers the lease as
    /// it was.
    ///
    /// *Errors*: [`LeaseError::Held`] when the holder demonstrably lives and [`Break::force`] is
    /// not set; [`LeaseError::Free`] when there is no holder.
    async fn break_lease(
        &self,
        environment: &EnvironmentName,
        how: &Break,
    ) -> Result<Lease, LeaseError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_process_and_machine() {
        assert_eq!(who("box b 12 99"), "process 12 on `box`");
        assert_eq!(who("odd"), "`odd`");
    }
}
