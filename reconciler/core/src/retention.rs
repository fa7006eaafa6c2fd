//! By which time things are old: nothing that cannot be undone is decided by one reading of a clock.

use jiff::{SignedDuration, Timestamp};

/// So far ahead of the other witnesses a clock is still believed.
const SLACK: SignedDuration = SignedDuration::from_hours(31 * 24);

/// The time that the clock of this machine and another witness agree on; what is older by this time
/// may be dropped.
///
/// `lived` is the time that the state has lived through (see
/// [`Retention::lived`](crate::ports::Retention::lived)); `newest` is when somebody else's clock was
/// last heard of: when the newest commit that is applied was made.
///
/// *Guarantees*: a clock that is years ahead makes nothing old, unless one of the others is too. One
/// that is behind makes less old than is.
pub fn proven(clock: Timestamp, lived: Option<Timestamp>, newest: Option<Timestamp>) -> Timestamp {
    let witness = lived.max(newest).unwrap_or(Timestamp::MIN);
    let latest = witness.checked_add(SLACK).unwrap_or(Timestamp::MAX);
    clock.min(latest)
}

/// Whether the clock is so far ahead that others do not bear it out.
pub fn is_doubted(clock: Timestamp, proven: Timestamp) -> bool {
    proven < clock
}

/// The time `days` days before `now`.
pub fn days_before(now: Timestamp, days: u32) -> Timestamp {
    let span = SignedDuration::from_hours(i64::from(days) * 24);
    now.checked_sub(span).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-11-30T12:00:00Z";

    #[test]
    fn a_clock_that_another_witness_bears_out_is_believed() {
        let (now, week) = (at(NOW), at("2026-11-23T12:00:00Z"));
        assert_eq!(proven(now, Some(week), None), now);
        assert_eq!(proven(now, None, Some(week)), now);
        let old = at("2020-01-01T00:00:00Z");
        assert_eq!(proven(now, Some(old), Some(week)), now, "one is enough");
    }

    #[test]
    fn a_clock_ten_years_ahead_makes_nothing_old() {
        let ahead = at("2036-11-30T12:00:00Z");
        let seen = proven(ahead, Some(at(NOW)), Some(at(NOW)));
        assert_eq!(seen, at("2026-12-31T12:00:00Z"));
        assert!(is_doubted(ahead, seen));
        assert_eq!(
            proven(ahead, None, None),
            Timestamp::MIN.checked_add(SLACK).unwrap()
        );
    }

    #[test]
    fn a_clock_that_is_behind_makes_less_old() {
        let behind = at("1970-01-01T00:00:05Z");
        assert_eq!(proven(behind, Some(at(NOW)), Some(at(NOW))), behind);
    }

    #[test]
    fn days_are_counted_back_and_never_past_the_beginning() {
        assert_eq!(days_before(at(NOW), 30), at("2026-10-31T12:00:00Z"));
        assert_eq!(days_before(Timestamp::MIN, 1), Timestamp::MIN);
    }
}
