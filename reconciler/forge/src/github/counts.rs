//! What was asked of the forge, for metrics.

use std::collections::BTreeMap;

use stratum_core::ports::ForgeError;

/// What was asked of the forge since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were sent, tries included.
    pub requests: u64,
    /// Failures by kind; the kinds are those of [`ForgeError::kind`].
    pub failures: BTreeMap<&'static str, u64>,
    /// Requests that may still be made before the limit; `None` until GitHub said.
    pub remaining: Option<u64>,
}

#[derive(Default)]
pub(crate) struct Counter(Counts);

impl Counter {
    pub(crate) fn request(&mut self) {
        self.0.requests += 1;
    }

    pub(crate) fn failure(&mut self, error: &ForgeError) {
        *self.0.failures.entry(error.kind()).or_default() += 1;
    }

    pub(crate) fn remaining(&mut self, remaining: Option<u64>) {
        self.0.remaining = remaining.or(self.0.remaining);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.0.clone()
    }
}
