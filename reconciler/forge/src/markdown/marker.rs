//! The hidden first and last line of a comment: how it is found again, and what it said before.
//!
//! *Shape*: the first line is an HTML comment with the kind of the comment, then words without
//! spaces. The last line is an HTML comment with JSON of ids, numbers and words; a text that a
//! person wrote is never in it, so nothing in it can end the comment or become markup.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use stratum_core::digest::Digest;
use stratum_core::ids::{CommitId, EnvironmentName};
use stratum_core::plan::Summary;

/// How a comment with plans begins.
pub const PLAN: &str = "<!-- stratum:plan ";

/// How a comment with outcomes begins.
pub const OUTCOME: &str = "<!-- stratum:outcome ";

/// How the last line begins.
const REMEMBERED: &str = "<!-- stratum:remembered ";

/// How any of these lines ends.
const END: &str = " -->";

/// Earlier plans and outcomes that are kept.
pub(crate) const MOST: usize = 20;

/// Environments that the first line names; more are in the digest over all.
const NAMED: usize = 20;

/// The first line of a comment with plans.
pub(crate) fn plan_line(head: &CommitId, digests: &[(EnvironmentName, Digest)]) -> String {
    let digest = combined(digests);
    let named: Vec<String> = digests
        .iter()
        .take(NAMED)
        .map(|(name, digest)| format!("{name}={digest}"))
        .collect();
    let named = named.join(" ");
    let space = if named.is_empty() { "" } else { " " };
    format!("{PLAN}v1 head={head} digest={digest}{space}{named}{END}\n")
}

/// One digest over the plans of all environments.
pub(crate) fn combined(digests: &[(EnvironmentName, Digest)]) -> Digest {
    match digests {
        [(_, only)] => *only,
        several => Digest::of_json(&several),
    }
}

/// What policy and checks said about a whole commit, worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It may be applied.
    Allowed,
    /// It may be applied once someone approved it.
    NeedsApproval,
    /// Policy denies it.
    Denied,
    /// The files or the plan have errors.
    Errors,
}

impl Standing {
    /// The words for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::NeedsApproval => "needs approval",
            Self::Denied => "denied by policy",
            Self::Errors => "errors",
        }
    }
}

/// One plan, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) head: CommitId,
    pub(crate) digest: Digest,
    pub(crate) summary: Summary,
    pub(crate) standing: Standing,
}

/// The last line of a comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remembered<T> {
    pub(crate) now: T,
    pub(crate) earlier: Vec<T>,
    /// How many fell out of `earlier`.
    #[serde(default)]
    pub(crate) older: u64,
}

impl<T: Serialize + DeserializeOwned + Clone + PartialEq> Remembered<T> {
    /// What is remembered once `now` is said, given the comment that stood there before.
    pub(crate) fn after(before: Option<&str>, now: T) -> Self {
        let Some(before) = before.and_then(Self::read) else {
            let (earlier, older) = (Vec::new(), 0);
            return Self {
                now,
                earlier,
                older,
            };
        };
        let Self {
            now: last,
            mut earlier,
            mut older,
        } = before;
        if last != now {
            earlier.insert(0, last);
        }
        older += earlier.len().saturating_sub(MOST) as u64;
        earlier.truncate(MOST);
        Self {
            now,
            earlier,
            older,
        }
    }

    /// The last line of `comment`, if it is one of ours and whole.
    pub(crate) fn read(comment: &str) -> Option<Self> {
        let last = comment.trim_end().lines().next_back()?;
        let json = last.strip_prefix(REMEMBERED)?.strip_suffix(END)?;
        serde_json::from_str(json).ok()
    }

    /// The line.
    pub(crate) fn line(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("{REMEMBERED}{json}{END}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(letter: &str) -> Entry {
        Entry {
            head: CommitId::new(letter.repeat(40)).unwrap(),
            digest: Digest::of_bytes(letter.as_bytes()),
            summary: Summary::default(),
            standing: Standing::Allowed,
        }
    }

    #[test]
    fn the_same_again_is_not_remembered_twice() {
        let one = Remembered::after(None, entry("a"));
        let same = Remembered::after(Some(&one.line()), entry("a"));
        assert_eq!(one, same);
        let two = Remembered::after(Some(&one.line()), entry("b"));
        assert_eq!(two.earlier, [entry("a")]);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut kept = Remembered::after(None, entry("0"));
        for number in 1..=25 {
            let letter = ["a", "b"][number % 2];
            kept = Remembered::after(Some(&kept.line()), entry(letter));
        }
        assert_eq!((kept.earlier.len(), kept.older), (MOST, 5));
    }

    #[test]
    fn a_line_that_is_not_ours_or_not_last_is_not_read() {
        let line = Remembered::after(None, entry("a")).line();
        assert!(Remembered::<Entry>::read(&format!("text\n{line}\n")).is_some());
        assert!(Remembered::<Entry>::read(&format!("{line}after")).is_none());
        assert!(Remembered::<Entry>::read(&line.replace("allowed", "x --> <b>")).is_none());
        assert!(Remembered::<Entry>::read("").is_none());
    }
}
