//! How long to wait when GitHub says that it is enough.
//!
//! *Source*: GitHub REST API documentation, "Rate limits for the REST API", "Exceeding the rate
//! limit": `retry-after` wins; then `x-ratelimit-reset` when nothing remains; else a minute.

use std::time::Duration;

use jiff::Timestamp;

/// The wait where GitHub names none.
const UNNAMED: Duration = Duration::from_secs(60);

/// The longest wait that is believed: the primary limit is renewed every hour.
const LONGEST: Duration = Duration::from_secs(3600);

/// What the headers of an answer say about limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Headers {
    /// `retry-after`, in seconds or as a date.
    pub(crate) retry_after: Option<String>,
    /// `x-ratelimit-remaining`
    pub(crate) remaining: Option<u64>,
    /// `x-ratelimit-reset`, in seconds since 1970 (UTC).
    pub(crate) reset: Option<i64>,
    /// `date`: the time as GitHub sees it.
    pub(crate) date: Option<String>,
}

impl Headers {
    /// How long to wait; `None` when the answer is not about limits.
    pub(crate) fn wait(&self, status: u16, body: &str, here: Timestamp) -> Option<Duration> {
        let says_so = body.to_ascii_lowercase().contains("rate limit")
            || body.to_ascii_lowercase().contains("abuse detection");
        let none_left = self.remaining == Some(0);
        let is_limit = match status {
            429 => true,
            403 => self.retry_after.is_some() || none_left || says_so,
            503 => self.retry_after.is_some(),
            _ => false,
        };
        if !is_limit {
            return None;
        }
        let now = self.date.as_deref().and_then(date).unwrap_or(here);
        let named = self
            .retry_after
            .as_deref()
            .and_then(|text| after(text, now));
        let reset = self
            .reset
            .filter(|_| none_left)
            .and_then(|at| Timestamp::from_second(at).ok())
            .map(|at| until(now, at));
        let wait = named.or(reset).unwrap_or(UNNAMED);
        Some(wait.clamp(Duration::from_secs(1), LONGEST))
    }
}

fn after(text: &str, now: Timestamp) -> Option<Duration> {
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => date(text).map(|at| until(now, at)),
    }
}

/// A date of HTTP. *Source*: RFC 9110, section 5.6.7.
fn date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(zoned.timestamp())
}

fn until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn seconds(headers: &Headers, status: u16, body: &str) -> Option<u64> {
        headers
            .wait(status, body, at(1_000))
            .map(|wait| wait.as_secs())
    }

    #[test]
    fn what_github_names_is_waited_for() {
        let after = Headers {
            retry_after: Some("17".to_owned()),
            remaining: Some(0),
            reset: Some(5_000),
            date: None,
        };
        assert_eq!(seconds(&after, 403, ""), Some(17));
        let reset = Headers {
            retry_after: None,
            ..after.clone()
        };
        assert_eq!(seconds(&reset, 403, ""), Some(3600));
        let near = Headers {
            reset: Some(1_030),
            ..reset.clone()
        };
        assert_eq!(seconds(&near, 429, ""), Some(30));
        assert_eq!(seconds(&Headers::default(), 429, ""), Some(60));
    }

    #[test]
    fn the_clock_of_github_counts_not_ours() {
        let headers = Headers {
            retry_after: None,
            remaining: Some(0),
            reset: Some(1_700_000_020),
            date: Some("Tue, 14 Nov 2023 22:13:20 GMT".to_owned()),
        };
        assert_eq!(seconds(&headers, 403, ""), Some(20));
    }

    #[test]
    fn a_secondary_limit_is_told_by_its_words_and_a_missing_right_is_not() {
        let none = Headers::default();
        assert_eq!(
            seconds(&none, 403, "You have exceeded a secondary rate limit"),
            Some(60)
        );
        assert_eq!(
            seconds(&none, 403, "Resource not accessible by integration"),
            None
        );
        assert_eq!(seconds(&none, 200, "rate limit"), None);
    }
}
