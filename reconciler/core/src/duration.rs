//! Durations as people write them: `30s`, `5m`, `1h 30m`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// Reads `30s`, `5m`, `1h30m`, `7d`; a day is 24 hours; never negative.
///
/// *Errors*: a sentence that names the text. *Source*: the "friendly" format of the crate `jiff`.
pub fn parse(text: &str) -> Result<Duration, String> {
    let day = jiff::SpanRelativeTo::days_are_24_hours();
    let signed = text
        .parse::<jiff::Span>()
        .and_then(|span| span.to_duration(day))
        .map_err(|_| format!("`{text}` is not a duration: write for example `30s`, `5m`, `1h`"))?;
    Duration::try_from(signed).map_err(|_| format!("`{text}` is negative"))
}

/// Writes a duration so that [`parse`] reads the same one.
pub fn format(duration: Duration) -> String {
    match jiff::SignedDuration::try_from(duration) {
        Ok(signed) => format!("{signed:#}"),
        Err(_) => format!("{}s", duration.as_secs()),
    }
}

/// For `#[serde(with = "duration::text")]`.
pub mod text {
    use super::*;

    /// Writes the text form.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format(*duration))
    }

    /// Reads the text form.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map_err(serde::de::Error::custom)
    }
}

/// For `#[serde(with = "duration::optional")]`.
pub mod optional {
    use super::*;

    /// Writes the text form, or null.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_some(&format(*duration)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the text form, or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| parse(&text).map_err(serde::de::Error::custom))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in ["30s", "5m", "1h30m", "250ms"] {
            let duration = parse(text).unwrap();
            assert_eq!(parse(&format(duration)).unwrap(), duration, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_duration() {
        for text in ["", "5", "soon", "-5m"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
