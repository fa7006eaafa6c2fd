//! What is remembered of words and of rules, so that neither a tag that goes nor a restart undoes
//! what was said; and of what is to be done, so that a restart forgets none of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::{Address, CommitId, ObjectId};
use crate::signed::Approval;

/// What is remembered of one environment, besides how it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Remembered {
    /// It is suspended by a word that counted, until one that counts resumes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Suspension>,
    /// When the last word was said that resumed it (UTC): suspensions from before are over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Timestamp>,
    /// It has resources that run, which are looked at whatever the drift mode.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub runs: bool,
    /// Approvals that were used: each counts once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spent: Vec<Spent>,
    /// When something must be renewed, or made anew (UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// Resources whose drift could not be corrected, with the reason: they are left out, so that
    /// others are corrected, until they are tried again.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub obstacles: BTreeMap<Address, String>,
}

impl Remembered {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These approvals are used now. Those that could not count any more anyway are forgotten.
    pub fn spend(&mut self, approvals: &[Approval], now: Timestamp) {
        spend(&mut self.spent, approvals, now);
    }
}

/// Adds approvals to those that were used; forgets those that could not count any more anyway.
pub fn spend(used: &mut Vec<Spent>, approvals: &[Approval], now: Timestamp) {
    if approvals.is_empty() {
        return;
    }
    used.retain(|spent| spent.expires > now);
    for approval in approvals {
        let Some(object) = &approval.object else {
            continue;
        };
        if !used.iter().any(|spent| spent.object == *object) {
            used.push(Spent {
                object: object.clone(),
                expires: approval.expires,
            });
        }
    }
}

/// The last HEAD whose settings were admitted: they hold for every environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charter {
    /// The commit.
    pub commit: CommitId,
    /// Approvals that were used for it, or for one before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spent: Vec<Spent>,
}

/// The name of the fact that keeps the [`Charter`].
pub const CHARTER: &str = "charter";

/// What the facts begin with that say how often an environment came to the same: [`Again`].
pub const AGAIN: &str = "again/";

/// How often an environment came to the same outcome, which is not Ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// What is the same.
    pub what: Digest,
    /// How often, from 2.
    pub times: u64,
    /// Since when (UTC).
    pub since: Timestamp,
}

/// A word that suspended an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Who said it, by name in trust.
    pub by: String,
    /// The tag.
    pub tag: String,
    /// The tag object that was signed.
    pub object: ObjectId,
    /// When, as it says itself (UTC).
    pub at: Timestamp,
}

/// An approval that was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// The tag object that was signed.
    pub object: ObjectId,
    /// Until when it would count (UTC).
    pub expires: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_is_remembered_as_long_as_it_could_count() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let approval = |digit: &str, expires| Approval {
            by: "ben".to_owned(),
            tag: "stratum/approve/x".to_owned(),
            object: ObjectId::new(digit.repeat(40)).ok(),
            at: at(0),
            expires: at(expires),
        };
        let mut remembered = Remembered::default();
        assert!(remembered.is_empty());
        remembered.spend(&[approval("a", 10), approval("a", 10)], at(1));
        assert_eq!(remembered.spent.len(), 1);
        remembered.spend(&[approval("b", 30)], at(11));
        assert_eq!(remembered.spent.len(), 1);
        assert_eq!(remembered.spent[0].object.as_str(), "b".repeat(40));
    }
}
