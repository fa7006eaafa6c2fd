//! Observed: what providers report about the world.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Address;
use crate::ports::{ProviderError, Reading, Retry};
use crate::resource::Instance;

/// What providers report about the resources of one Environment.
///
/// *Shape*: an address that was not asked about is absent, and its last known state stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Observed {
    /// The reports by address.
    pub reports: BTreeMap<Address, Report>,
}

/// What one provider reports about one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Report {
    /// It is there, like this; what should run does.
    Present(Instance),
    /// It is there, but what should run does not. Liveness is not drift: it is started whatever the
    /// drift mode says.
    Stopped {
        /// What is there.
        instance: Instance,
        /// Why it does not run, in one clause.
        why: String,
    },
    /// It is gone.
    Gone,
    /// The provider could not say.
    Unreadable(Unreadable),
}

/// Why a provider could not say what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Unreadable {
    /// Why, without secrets.
    pub why: String,
    /// When to ask again.
    pub retry: Retry,
}

/// The forms in which [`Unreadable`] was ever written.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Whole { why: String, retry: Retry },
}

impl From<Written> for Unreadable {
    fn from(written: Written) -> Self {
        match written {
            Written::Text(why) => ProviderError::later(why).into(),
            Written::Whole { why, retry } => Self { why, retry },
        }
    }
}

impl From<ProviderError> for Unreadable {
    fn from(error: ProviderError) -> Self {
        Self {
            why: error.message,
            retry: error.retry,
        }
    }
}

impl Report {
    /// What is there, as far as the provider said.
    pub fn instance(&self) -> Option<&Instance> {
        match self {
            Self::Present(instance) | Self::Stopped { instance, .. } => Some(instance),
            Self::Gone | Self::Unreadable(_) => None,
        }
    }

    /// Why what should run does not, if so.
    pub fn stopped(&self) -> Option<&str> {
        match self {
            Self::Stopped { why, .. } => Some(why),
            Self::Present(_) | Self::Gone | Self::Unreadable(_) => None,
        }
    }
}

impl From<Result<Reading, ProviderError>> for Report {
    fn from(reading: Result<Reading, ProviderError>) -> Self {
        match reading {
            Ok(Reading::There(instance)) => Self::Present(instance),
            Ok(Reading::Stopped { instance, why }) => Self::Stopped { instance, why },
            Ok(Reading::Gone) => Self::Gone,
            Err(error) => Self::Unreadable(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_before_is_read() {
        let report: Report = serde_json::from_str(r#"{"unreadable":"no answer"}"#).unwrap();
        let Report::Unreadable(unreadable) = &report else {
            panic!("{report:?}");
        };
        assert_eq!(unreadable.why, "no answer");
        assert!(matches!(unreadable.retry, Retry::Later(_)));
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
