//! The port of leases.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::audit::{AuditEntry, Principal, What};
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{
    AuditError, Break, HeldLease, Lease, LeaseError, Leases, Life, StoreError,
};

use crate::lease::{Held, Standing};
use crate::ports::audit::stored;
use crate::presence::{self, Presence};
use crate::read;
use crate::store::{SqliteStore, look};
use crate::time::to_nanoseconds;
use crate::write::Write;
use crate::write::audit::Note;
use crate::write::lease::{Clamp, Release, Renew, Take, Taken};

#[async_trait]
impl Leases for SqliteStore {
    async fn holder(&self) -> Result<String, StoreError> {
        let mut own = self.presence.lock().await;
        if let Some(own) = &*own {
            return Ok(own.name().to_owned());
        }
        let path = self.reader.path().to_owned();
        let leases = self.all_leases().await?.into_iter();
        let kept: Vec<String> = leases.map(|(lease, _)| lease.holder).collect();
        let claim = move || {
            presence::sweep(&path, &kept);
            Presence::claim(&path)
        };
        let claimed = off_the_loop(claim).await;
        let claimed = claimed.map_err(|error| StoreError::Database {
            doing: "telling others that this process lives",
            source: Box::new(error),
        })?;
        Ok(own.insert(claimed).name().to_owned())
    }

    async fn acquire(
        &self,
        environment: &EnvironmentName,
        ttl: Duration,
    ) -> Result<Lease, LeaseError> {
        let holder = self.holder().await?;
        loop {
            let before = self.lease(environment).await?;
            if let Some(other) = self
                .in_the_way(environment, before.as_ref(), &holder, ttl)
                .await?
            {
                return Err(LeaseError::Held {
                    environment: environment.clone(),
                    holder: other,
                });
            }
            let number = before.as_ref().map_or(0, |held| held.number);
            let lease = Lease {
                environment: environment.clone(),
                number: number.saturating_add(1),
                holder: holder.clone(),
            };
            let take = Take {
                lease: lease.clone(),
                before,
                at: self.now(),
            };
            if self.write(Write::Take(take)).await? {
                return Ok(lease);
            }
        }
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<Lease>, StoreError> {
        if let Some(own) = self.presence.lock().await.as_ref() {
            own.speak();
        }
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let renew = self.ready(Renew::new(leases, self.now()), "renewing leases")?;
        if self.write(Write::Renew(renew)).await? {
            return Ok(Vec::new());
        }
        let held = self.all_leases().await?;
        let is_held = |lease: &&Lease| !held.iter().any(|(other, _)| other == *lease);
        Ok(leases.iter().filter(is_held).cloned().collect())
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        let release = self.ready(Release::new(leases), "giving leases back")?;
        self.write(Write::Release(release)).await?;
        Ok(())
    }

    async fn leases(&self) -> Result<Vec<HeldLease>, StoreError> {
        let mut leases = Vec::new();
        // One process holds many.
        let mut lives: BTreeMap<String, Life> = BTreeMap::new();
        for (lease, renewed_at) in self.all_leases().await? {
            let life = match lives.get(&lease.holder) {
                Some(life) => *life,
                None => self.life(&lease.holder).await,
            };
            lives.insert(lease.holder.clone(), life);
            leases.push(HeldLease {
                lease,
                renewed_at,
                life,
            });
        }
        Ok(leases)
    }

    async fn break_lease(
        &self,
        environment: &EnvironmentName,
        how: &Break,
    ) -> Result<Lease, LeaseError> {
        let free = || LeaseError::Free {
            environment: environment.clone(),
        };
        loop {
            let held = self.lease(environment).await?.ok_or_else(free)?;
            let holder = held.holder.clone().ok_or_else(free)?;
            let life = self.life(&holder).await;
            if life == Life::Alive && !how.force {
                return Err(LeaseError::Held {
                    environment: environment.clone(),
                    holder,
                });
            }
            let lease = Lease {
                environment: environment.clone(),
                number: held.number,
                holder,
            };
            let mut writes = self.said(&lease, life, how)?;
            writes.push(Write::Break(Taken {
                lease: lease.clone(),
                before: held,
            }));
            if self.write(Write::Together(writes)).await? {
                return Ok(lease);
            }
        }
    }
}

impl SqliteStore {
    /// When a process of this machine spoke last that lives and said so with [`Leases::holder`],
    /// leases or not; `None` where none lives. Whoever renews leases, or none, speaks.
    pub async fn attended_at(&self) -> Option<Timestamp> {
        let path = self.reader.path().to_owned();
        let told = tokio::task::spawn_blocking(move || presence::last_word(&path)).await;
        Timestamp::try_from(told.ok()??).ok()
    }

    /// Who stands in the way of taking a lease, if anyone does.
    ///
    /// The time of a holder whose clock runs ahead is put down to now: its lease ages from here on.
    async fn in_the_way(
        &self,
        environment: &EnvironmentName,
        held: Option<&Held>,
        own: &str,
        ttl: Duration,
    ) -> Result<Option<String>, StoreError> {
        let Some((held, other)) = held.and_then(|held| Some((held, held.holder.as_deref()?)))
        else {
            return Ok(None);
        };
        if other == own {
            return Ok(None);
        }
        let now = self.now();
        match held.standing(self.life(other).await, now, ttl) {
            Standing::Free => return Ok(None),
            Standing::Held => {}
            Standing::Ahead => {
                let clamp = Clamp {
                    environment: environment.clone(),
                    before: held.clone(),
                    at: to_nanoseconds(now),
                };
                self.write(Write::Clamp(clamp)).await?;
            }
        }
        Ok(Some(other.to_owned()))
    }

    /// What the audit log says of a lease that is broken, as a write.
    fn said(&self, lease: &Lease, life: Life, how: &Break) -> Result<Vec<Write>, LeaseError> {
        let Some(log) = &self.log else {
            return Ok(Vec::new());
        };
        let entry = AuditEntry {
            at: self.now(),
            environment: Some(lease.environment.clone()),
            run: None,
            principal: Principal::Operator,
            what: What::LeaseBroken {
                number: lease.number,
                holder: lease.holder.clone(),
                life: life.as_str().to_owned(),
                reason: how.reason.clone(),
            },
            people: how.people.clone(),
        };
        let entries = stored(log, &[entry]).map_err(|error| match error {
            AuditError::Store(error) => error,
            error @ (AuditError::TooLarge { .. } | AuditError::Veil(_)) => StoreError::Database {
                doing: "writing the audit log",
                source: Box::new(error),
            },
        })?;
        Ok(vec![Write::Audit(Note { entries })])
    }

    /// Whether a holder lives.
    async fn life(&self, holder: &str) -> Life {
        let (path, holder) = (self.reader.path().to_owned(), holder.to_owned());
        let told = tokio::task::spawn_blocking(move || presence::life(&path, &holder)).await;
        told.unwrap_or(Life::Unknown)
    }

    async fn all_leases(&self) -> Result<Vec<(Lease, jiff::Timestamp)>, StoreError> {
        look!(self.reader, "reading the leases", read::environment::leases)
    }
}

async fn off_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(std::io::Error::other("the task was ended")))
}
