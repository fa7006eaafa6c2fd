//! Environments that another process reconciles: all of them are asked after together, and one is
//! looked at again only when its lease may be had.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{HeldLease, Life};

/// How often it is asked who holds the leases: so much later at most is an environment taken over
/// when the other process ends.
const EVERY: Duration = Duration::from_secs(2);

/// The environments that another process reconciles.
#[derive(Debug, Default)]
pub(crate) struct ForeignLeases {
    waiting: BTreeSet<EnvironmentName>,
    /// When it is asked next (monotonic).
    next: Duration,
}

impl ForeignLeases {
    /// Another process reconciles this one.
    pub(crate) fn met(&mut self, environment: EnvironmentName, now: Duration) {
        if self.waiting.is_empty() {
            self.next = now.saturating_add(EVERY);
        }
        self.waiting.insert(environment);
    }

    /// How long until it is asked again; `None` when there is nothing to ask after.
    pub(crate) fn wait(&self, now: Duration) -> Option<Duration> {
        (!self.waiting.is_empty()).then(|| self.next.saturating_sub(now))
    }

    /// Whether it is to be asked now; the next time is later then.
    pub(crate) fn are_due(&mut self, now: Duration) -> bool {
        let due = self.wait(now).is_some_and(|wait| wait.is_zero());
        if due {
            self.next = now.saturating_add(EVERY);
        }
        due
    }

    /// Those whose lease may be had now; they are no longer waited for.
    ///
    /// A time in the future counts as long ago: it comes from a clock that was wrong, and whoever
    /// tries to take the lease puts it right.
    pub(crate) fn free(
        &mut self,
        held: &[HeldLease],
        now: Timestamp,
        ttl: Duration,
    ) -> Vec<EnvironmentName> {
        let stands = |held: &&HeldLease| match held.life {
            Life::Alive => true,
            Life::Dead => false,
            Life::Unknown => {
                let age = Duration::try_from(now.duration_since(held.renewed_at));
                age.is_ok_and(|age| age < ttl)
            }
        };
        let standing = held.iter().filter(stands);
        let standing: BTreeSet<_> = standing.map(|held| &held.lease.environment).collect();
        let mut free = Vec::new();
        self.waiting.retain(|environment| {
            let stays = standing.contains(environment);
            if !stays {
                free.push(environment.clone());
            }
            stays
        });
        free
    }
}

#[cfg(test)]
mod tests {
    use stratum_core::ports::Lease;

    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn name(text: &str) -> EnvironmentName {
        EnvironmentName::new(text).unwrap()
    }

    fn held(environment: &str, life: Life, renewed: i64) -> HeldLease {
        HeldLease {
            lease: Lease {
                environment: name(environment),
                number: 1,
                holder: "another".to_owned(),
            },
            renewed_at: Timestamp::from_second(renewed).unwrap(),
            life,
        }
    }

    #[test]
    fn only_what_may_be_had_is_looked_at_again() {
        let mut foreign = ForeignLeases::default();
        for one in ["alive", "dead", "given-back", "silent", "quiet", "ahead"] {
            foreign.met(name(one), Duration::ZERO);
        }
        let held = [
            held("alive", Life::Alive, 0),
            held("dead", Life::Dead, 1_000),
            held("silent", Life::Unknown, 900),
            held("quiet", Life::Unknown, 990),
            held("ahead", Life::Unknown, 5_000),
        ];
        let now = Timestamp::from_second(1_000).unwrap();
        let free = foreign.free(&held, now, TTL);
        let names = ["ahead", "dead", "given-back", "silent"].map(name);
        assert_eq!(free, names);
        assert_eq!(foreign.free(&held, now, TTL), []);
    }

    #[test]
    fn it_is_asked_at_a_pace_whatever_the_number_of_environments() {
        let mut foreign = ForeignLeases::default();
        assert_eq!(foreign.wait(Duration::ZERO), None);
        let mut asked = 0;
        for second in 0..100 {
            let now = Duration::from_secs(second);
            for number in 0..50 {
                foreign.met(name(&format!("e{number}")), now);
            }
            asked += usize::from(foreign.are_due(now));
        }
        assert_eq!(asked, 49);
    }
}
