//! Leases in memory.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::audit::{AuditEntry, Principal, What};
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Break, HeldLease, Lease, LeaseError, Leases, Life, StoreError};

use super::memory::MemoryStore;
use super::state::State;

/// A lease as it is remembered.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) number: u64,
    pub(super) holder: Option<String>,
    pub(super) renewed_at: Timestamp,
}

impl Held {
    /// Whether it is this lease, and was not given back.
    pub(super) fn is(&self, lease: &Lease) -> bool {
        self.number == lease.number && self.holder.is_some()
    }
}

impl State {
    fn life(&self, holder: &str) -> Life {
        self.lives.get(holder).copied().unwrap_or(Life::Unknown)
    }

    /// Who stands in the way of taking a lease, if anyone does.
    fn in_the_way(
        &mut self,
        environment: &EnvironmentName,
        own: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> Option<String> {
        let held = self.leases.get(environment)?;
        let other = held.holder.clone().filter(|other| other != own)?;
        let (life, age) = (self.life(&other), now.duration_since(held.renewed_at));
        if age.is_negative()
            && life == Life::Unknown
            && let Some(held) = self.leases.get_mut(environment)
        {
            held.renewed_at = now;
        }
        let fresh = age.is_negative() || age.unsigned_abs() < ttl;
        (life == Life::Alive || (life == Life::Unknown && fresh)).then_some(other)
    }

    fn take(&mut self, environment: &EnvironmentName, holder: &str, now: Timestamp) -> Lease {
        let number = self.leases.get(environment).map_or(0, |held| held.number) + 1;
        let taken = Held {
            number,
            holder: Some(holder.to_owned()),
            renewed_at: now,
        };
        self.leases.insert(environment.clone(), taken);
        Lease {
            environment: environment.clone(),
            number,
            holder: holder.to_owned(),
        }
    }

    fn break_lease(
        &mut self,
        environment: &EnvironmentName,
        how: &Break,
        now: Timestamp,
    ) -> Result<Lease, LeaseError> {
        let environment = environment.clone();
        let Some(lease) = self.held(&environment) else {
            return Err(LeaseError::Free { environment });
        };
        let (holder, life) = (lease.holder.clone(), self.life(&lease.holder));
        if life == Life::Alive && !how.force {
            return Err(LeaseError::Held {
                environment,
                holder,
            });
        }
        if let Some(held) = self.leases.get_mut(&environment) {
            held.holder = None;
        }
        self.entries.push(AuditEntry {
            at: now,
            environment: Some(environment),
            run: None,
            principal: Principal::Operator,
            what: What::LeaseBroken {
                number: lease.number,
                holder,
                life: life.as_str().to_owned(),
                reason: how.reason.clone(),
            },
            people: how.people.clone(),
        });
        Ok(lease)
    }

    fn held(&self, environment: &EnvironmentName) -> Option<Lease> {
        let held = self.leases.get(environment)?;
        Some(Lease {
            environment: environment.clone(),
            number: held.number,
            holder: held.holder.clone()?,
        })
    }
}

#[async_trait]
impl Leases for MemoryStore {
    async fn holder(&self) -> Result<String, StoreError> {
        let name = self.name();
        self.read().lives.entry(name.clone()).or_insert(Life::Alive);
        Ok(name)
    }

    async fn acquire(
        &self,
        environment: &EnvironmentName,
        ttl: Duration,
    ) -> Result<Lease, LeaseError> {
        let (own, now) = (self.holder().await?, self.now());
        let mut state = self.write()?;
        match state.in_the_way(environment, &own, now, ttl) {
            Some(holder) => Err(LeaseError::Held {
                environment: environment.clone(),
                holder,
            }),
            None => Ok(state.take(environment, &own, now)),
        }
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<Lease>, StoreError> {
        let now = self.now();
        let mut state = self.write()?;
        let mut lost = Vec::new();
        for lease in leases {
            let held = state.leases.get_mut(&lease.environment);
            match held.filter(|held| held.is(lease)) {
                Some(held) => held.renewed_at = now,
                None => lost.push(lease.clone()),
            }
        }
        Ok(lost)
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        let mut state = self.write()?;
        for lease in leases {
            let held = state.leases.get_mut(&lease.environment);
            if let Some(held) = held.filter(|held| held.number == lease.number) {
                held.holder = None;
            }
        }
        Ok(())
    }

    async fn leases(&self) -> Result<Vec<HeldLease>, StoreError> {
        let state = self.read();
        let held = state.leases.iter().filter_map(|(environment, held)| {
            let lease = state.held(environment)?;
            Some(HeldLease {
                life: state.life(&lease.holder),
                renewed_at: held.renewed_at,
                lease,
            })
        });
        Ok(held.collect())
    }

    async fn break_lease(
        &self,
        environment: &EnvironmentName,
        how: &Break,
    ) -> Result<Lease, LeaseError> {
        let now = self.now();
        self.write()?.break_lease(environment, how, now)
    }
}
