//! What was said of environments: each outcome once, and how often it came again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use stratum_core::condition::Condition;
use stratum_core::digest::Digest;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{FactChange, RunOutcome};
use stratum_core::remembered::{AGAIN, Again};

use crate::progress::EnvironmentReport;

/// What was said last of each environment.
#[derive(Default)]
pub(crate) struct Sayings {
    said: BTreeMap<EnvironmentName, Said>,
    /// What an earlier process had said.
    kept: BTreeMap<String, Again>,
}

struct Said {
    what: Digest,
    condition: Condition,
    times: u64,
    since: Timestamp,
}

/// What follows from a report.
pub(crate) struct Heard {
    /// It says something else than the last one.
    pub(crate) is_new: bool,
    /// What is to be kept of it for whoever asks.
    pub(crate) fact: Option<FactChange>,
}

impl Sayings {
    /// Takes in what an earlier process kept.
    pub(crate) fn remember(&mut self, facts: Vec<(String, Vec<u8>)>) {
        // One that cannot be read counts from the beginning.
        let facts = facts
            .into_iter()
            .filter_map(|(name, value)| Some((name, serde_json::from_slice(&value).ok()?)));
        self.kept = facts.collect();
    }

    /// Whether an environment is not Ready, as far as is known.
    pub(crate) fn waits(&self, environment: &EnvironmentName) -> bool {
        let said = self.said.get(environment);
        said.is_none_or(|said| said.condition != Condition::Ready)
    }

    /// Takes in a report.
    pub(crate) fn hear(&mut self, report: &EnvironmentReport, now: Timestamp) -> Heard {
        let (name, what) = (format!("{AGAIN}{}", report.environment), content(report));
        let kept = self.kept.remove(&name);
        let said = self.said.get_mut(&report.environment);
        if let Some(said) = said.filter(|said| said.what == what) {
            said.times = said.times.saturating_add(1);
            let fact = said.fact(name);
            return Heard {
                is_new: false,
                fact,
            };
        }
        let before = kept.as_ref().filter(|kept| kept.what == what);
        let said = Said {
            what,
            condition: report.condition,
            times: before.map_or(1, |kept| kept.times.saturating_add(1)),
            since: before.map_or(now, |kept| kept.since),
        };
        let fact = match said.times {
            1 => None,
            _ => said.fact(name.clone()),
        };
        let last = self.said.insert(report.environment.clone(), said);
        let is_kept = kept.is_some() || last.is_some_and(|last| last.times > 1);
        Heard {
            is_new: true,
            fact: fact.or(is_kept.then_some((name, None))),
        }
    }
}

impl Said {
    /// What is kept of it: of what is well, nothing.
    fn fact(&self, name: String) -> Option<FactChange> {
        let again = Again {
            what: self.what,
            times: self.times,
            since: self.since,
        };
        let kept = self.condition != Condition::Ready;
        let value = kept.then(|| serde_json::to_vec(&again).ok()).flatten()?;
        Some((name, Some(value)))
    }
}

/// What a report says. A run that did not come to its end says no more than its reason: when it is
/// made again for the same, that is the same.
fn content(report: &EnvironmentReport) -> Digest {
    let run = match report.outcome {
        Some(RunOutcome::RolledBack | RunOutcome::Stuck) => None,
        Some(RunOutcome::Applied | RunOutcome::Denied | RunOutcome::Nothing) | None => {
            report.run.as_ref()
        }
    };
    let (reason, commit) = (&report.reason, &report.commit);
    Digest::of_json(&(report.condition, reason, commit, run, report.outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn report(condition: Condition, reason: &str) -> EnvironmentReport {
        let name = EnvironmentName::new("e").unwrap();
        let mut report = EnvironmentReport::of(name, condition);
        report.reason = reason.to_owned();
        report
    }

    fn again(heard: Heard) -> Option<Again> {
        let (name, value) = heard.fact?;
        assert_eq!(name, "again/e");
        value.map(|value| serde_json::from_slice(&value).unwrap())
    }

    #[test]
    fn an_outcome_is_said_once_and_counted_also_by_the_next_process() {
        let (down, other) = (
            report(Condition::Stalled, "it is down"),
            report(Condition::Stalled, "something else"),
        );
        let mut sayings = Sayings::default();
        let first = sayings.hear(&down, at(1));
        assert!(first.is_new && first.fact.is_none());
        let second = sayings.hear(&down, at(2));
        assert!(!second.is_new);
        let kept = second.fact.clone().unwrap();
        let counted = again(second).unwrap();
        assert_eq!((counted.times, counted.since), (2, at(1)));
        let mut next = Sayings::default();
        next.remember(vec![(kept.0, kept.1.unwrap())]);
        let third = next.hear(&down, at(3));
        assert!(third.is_new, "whoever looks now is told");
        let counted = again(third).unwrap();
        assert_eq!((counted.times, counted.since), (3, at(1)));
        // Something else begins anew, and nothing is left of it.
        let changed = next.hear(&other, at(4));
        assert!(changed.is_new);
        assert_eq!(changed.fact, Some(("again/e".to_owned(), None)));
    }

    #[test]
    fn of_what_is_well_nothing_is_kept() {
        let mut sayings = Sayings::default();
        let well = report(Condition::Ready, "");
        for _ in 0..3 {
            assert_eq!(sayings.hear(&well, at(1)).fact, None);
        }
        let name = EnvironmentName::new("e").unwrap();
        assert!(!sayings.waits(&name));
    }
}
