//! When something that failed is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What an error asks for; decides requeueing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// It may pass by itself: try again after at least this long.
    Later(Duration),
    /// It comes from the input: try again when the input is another.
    WhenInputChanges,
    /// A person must act first.
    NeedsPerson,
}

impl Retry {
    /// What two errors ask for together: both must be gone, so the one that waits longer decides.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Later(a), Self::Later(b)) => Self::Later(a.max(b)),
            (Self::NeedsPerson, _) | (_, Self::NeedsPerson) => Self::NeedsPerson,
            (Self::WhenInputChanges, _) | (_, Self::WhenInputChanges) => Self::WhenInputChanges,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_longer_decides() {
        let later = |seconds| Retry::Later(Duration::from_secs(seconds));
        assert_eq!(later(3).and(later(9)), later(9));
        assert_eq!(
            later(3).and(Retry::WhenInputChanges),
            Retry::WhenInputChanges
        );
        assert_eq!(
            Retry::NeedsPerson.and(Retry::WhenInputChanges),
            Retry::NeedsPerson
        );
    }
}
