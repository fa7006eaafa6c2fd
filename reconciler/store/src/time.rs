//! Times as SQLite holds them.

use jiff::Timestamp;

/// Nanoseconds since 1970 (UTC). A time that 64 bits cannot hold (before 1677, after 2262) becomes
/// the nearest that they can: "never" stays far away.
pub(crate) fn to_nanoseconds(at: Timestamp) -> i64 {
    let nanoseconds = at.as_nanosecond();
    i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
}

/// The time of a stored number.
pub(crate) fn from_nanoseconds(nanoseconds: i64) -> Result<Timestamp, jiff::Error> {
    Timestamp::from_nanosecond(i128::from(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_to_the_nanosecond() {
        for text in ["2026-11-24T03:15:00.123456789Z", "1969-07-20T20:17:40Z"] {
            let at: Timestamp = text.parse().unwrap();
            assert_eq!(from_nanoseconds(to_nanoseconds(at)).unwrap(), at);
        }
    }

    #[test]
    fn a_time_beyond_reach_stays_far_away() {
        let far = from_nanoseconds(to_nanoseconds(Timestamp::MAX)).unwrap();
        assert!(far > "2262-01-01T00:00:00Z".parse().unwrap());
        let long_ago = from_nanoseconds(to_nanoseconds(Timestamp::MIN)).unwrap();
        assert!(long_ago < "1678-01-01T00:00:00Z".parse().unwrap());
    }
}
