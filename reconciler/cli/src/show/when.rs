//! Times for people.

use jiff::Timestamp;

/// How long ago `then` was, in one unit: `12 s ago`, `3 min ago`, `5 h ago`, `2 days ago`.
pub(crate) fn ago(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second());
    match seconds {
        i64::MIN..=-1 => "in the future".to_owned(),
        0..=1 => "just now".to_owned(),
        2..=89 => format!("{seconds} s ago"),
        90..=5_399 => format!("{} min ago", (seconds + 30) / 60),
        5_400..=129_599 => format!("{} h ago", (seconds + 1_800) / 3_600),
        129_600.. => format!("{} days ago", (seconds + 43_200) / 86_400),
    }
}

/// How long something took: `12 ms`, `3.4 s`, `5 min 3 s`.
pub(crate) fn took(from: Timestamp, to: Timestamp) -> String {
    let milliseconds = to.as_millisecond().saturating_sub(from.as_millisecond());
    match milliseconds {
        i64::MIN..=0 => "0 ms".to_owned(),
        1..=999 => format!("{milliseconds} ms"),
        1_000..=59_999 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        60_000.. => format!(
            "{} min {} s",
            milliseconds / 60_000,
            milliseconds % 60_000 / 1_000
        ),
    }
}

/// A moment in UTC, to the second.
pub(crate) fn at(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn ago_uses_one_unit() {
        let said = |seconds: i64| ago(second(1_000_000), second(1_000_000_i64 - seconds));
        assert_eq!(said(0), "just now");
        assert_eq!(said(45), "45 s ago");
        assert_eq!(said(90), "2 min ago");
        assert_eq!(said(7_200), "2 h ago");
        assert_eq!(said(200_000), "2 days ago");
        assert_eq!(said(-5), "in the future");
    }

    #[test]
    fn took_grows_with_the_unit() {
        let said = |milliseconds: i64| {
            took(
                second(0),
                Timestamp::from_millisecond(milliseconds).unwrap(),
            )
        };
        assert_eq!(said(12), "12 ms");
        assert_eq!(said(3_449), "3.4 s");
        assert_eq!(said(303_000), "5 min 3 s");
    }
}
