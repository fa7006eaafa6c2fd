//! Who may have a lease.

use std::time::Duration;

use jiff::Timestamp;
use stratum_core::ports::Life;

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

/// What a lease is to somebody else who wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It may be taken.
    Free,
    /// Its holder stands in the way.
    Held,
    /// Nobody can tell whether its holder lives, and it was renewed in the future: a clock was
    /// wrong. It stands in the way for one life of a lease, counted from now.
    Ahead,
}

impl Held {
    /// What it is to somebody else: a holder that lives stands in the way, and one of which nobody
    /// can tell and that renewed less than `ttl` ago.
    pub(crate) fn standing(&self, life: Life, now: Timestamp, ttl: Duration) -> Standing {
        let age = now.duration_since(self.renewed_at);
        match (&self.holder, life) {
            (None, _) | (Some(_), Life::Dead) => Standing::Free,
            (Some(_), Life::Alive) => Standing::Held,
            (Some(_), Life::Unknown) if age.is_negative() => Standing::Ahead,
            (Some(_), Life::Unknown) if age.unsigned_abs() < ttl => Standing::Held,
            (Some(_), Life::Unknown) => Standing::Free,
        }
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

    fn standing(held: &Held, now: i64, life: Life) -> Standing {
        let now = Timestamp::from_second(now).unwrap();
        held.standing(life, now, Duration::from_secs(10))
    }

    #[test]
    fn a_living_holder_stands_in_the_way_however_long_it_was_silent() {
        assert_eq!(standing(&held(0), 1_000_000, Life::Alive), Standing::Held);
        assert_eq!(standing(&held(0), 0, Life::Dead), Standing::Free);
    }

    #[test]
    fn a_holder_nobody_can_tell_about_stands_in_the_way_for_the_ttl() {
        let at = |now| standing(&held(100), now, Life::Unknown);
        assert_eq!((at(109), at(110)), (Standing::Held, Standing::Free));
        assert_eq!(at(5), Standing::Ahead, "the clock went backwards");
    }

    #[test]
    fn a_lease_that_was_given_back_stands_in_nobodys_way() {
        let mut held = held(100);
        held.holder = None;
        assert_eq!(standing(&held, 100, Life::Alive), Standing::Free);
    }
}
