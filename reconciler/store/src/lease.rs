//! Who may have a lease.

use std::time::Duration;

use jiff::Timestamp;

/// A lease as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// The fencing number.
    pub(crate) number: u64,
    /// Who has it; `None` when it was given back.
    pub(crate) holder: Option<String>,
    /// When the holder last said that it lives.
    pub(crate) renewed_at: Timestamp,
}

impl Held {
    /// Who stands in the way of taking it now: a holder that lives, or one of which nobody can
    /// tell and that renewed less than `ttl` ago.
    pub(crate) fn in_the_way(
        &self,
        now: Timestamp,
        ttl: Duration,
        alive: &(dyn for<'h> Fn(&'h str) -> Option<bool> + Sync),
    ) -> Option<&str> {
        let holder = self.holder.as_deref()?;
        let stands = alive(holder).unwrap_or_else(|| self.is_fresh(now, ttl));
        stands.then_some(holder)
    }

    /// A clock that went backwards makes a lease fresh, never old.
    fn is_fresh(&self, now: Timestamp, ttl: Duration) -> bool {
        let age = now.duration_since(self.renewed_at);
        age.is_negative() || age.unsigned_abs() < ttl
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(renewed: i64) -> Held {
        Held {
            number: 3,
            holder: Some("a".to_owned()),
            renewed_at: Timestamp::from_second(renewed).unwrap(),
        }
    }

    fn way(held: &Held, now: i64, alive: Option<bool>) -> bool {
        let now = Timestamp::from_second(now).unwrap();
        let ttl = Duration::from_secs(10);
        held.in_the_way(now, ttl, &|_| alive).is_some()
    }

    #[test]
    fn a_living_holder_stands_in_the_way_however_long_it_was_silent() {
        assert!(way(&held(0), 1_000_000, Some(true)));
        assert!(!way(&held(0), 0, Some(false)));
    }

    #[test]
    fn a_holder_nobody_can_tell_about_stands_in_the_way_for_the_ttl() {
        assert!(way(&held(100), 109, None));
        assert!(!way(&held(100), 110, None));
        assert!(way(&held(100), 5, None), "the clock went backwards");
    }

    #[test]
    fn a_lease_that_was_given_back_stands_in_nobodys_way() {
        let mut held = held(100);
        held.holder = None;
        assert!(!way(&held, 100, Some(true)));
    }
}
