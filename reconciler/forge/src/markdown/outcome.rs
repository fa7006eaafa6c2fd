//! A comment on a merged pull request: what became of it, environment by environment.

use serde::{Deserialize, Serialize};
use stratum_core::ids::{CommitId, EnvironmentName, RunId};
use stratum_core::ports::RunOutcome;

use crate::markdown::escape::{code, cut, plain, prose};
use crate::markdown::marker::{OUTCOME, Remembered};

/// Characters of the reason of a run.
const LONGEST: usize = 1_000;

/// What became of a commit in one environment.
#[derive(Debug, Clone)]
pub struct Outcome<'a> {
    /// The environment.
    pub environment: &'a EnvironmentName,
    /// The run.
    pub run: &'a RunId,
    /// The commit.
    pub commit: &'a CommitId,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Why, in one sentence; empty when it was applied.
    pub reason: &'a str,
    /// Where its record is read, once it is in git.
    pub record: Option<String>,
}

/// One outcome, as it is remembered: without the reason, which others wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    environment: EnvironmentName,
    run: RunId,
    commit: CommitId,
    outcome: RunOutcome,
}

/// The comment that tells the outcome; what it told before stays as one line each.
pub fn outcome_comment(told: &Outcome<'_>, before: Option<&str>) -> String {
    let entry = Entry {
        environment: told.environment.clone(),
        run: told.run.clone(),
        commit: told.commit.clone(),
        outcome: told.outcome,
    };
    // An older run that is told late must not push away a newer one.
    let read = before.and_then(Remembered::<Entry>::read);
    if let (Some(before), Some(read)) = (before, read)
        && (read.earlier.contains(&entry) || read.now.run > entry.run)
    {
        return before.to_owned();
    }
    let remembered = Remembered::after(before, entry);
    let mut text = format!(
        "{OUTCOME}v1 run={} -->\n## stratum: {} {}\n\n{}\n\n",
        told.run,
        plain(told.environment.as_str()),
        told.outcome.as_str(),
        sentence(told)
    );
    if !remembered.earlier.is_empty() {
        text.push_str("### Earlier\n\n");
        for entry in &remembered.earlier {
            text.push_str(&format!(
                "- {} {} {} (run {})\n",
                plain(entry.environment.as_str()),
                entry.outcome.as_str(),
                code(entry.commit.short()),
                code(entry.run.as_str())
            ));
        }
        text.push('\n');
    }
    text.push_str(&remembered.line());
    text
}

fn sentence(told: &Outcome<'_>) -> String {
    let commit = code(told.commit.short());
    let reason = prose(&cut(told.reason, LONGEST));
    let said = match told.outcome {
        RunOutcome::Applied => format!("{commit} was applied."),
        RunOutcome::Nothing => format!("{commit} changed nothing."),
        RunOutcome::RolledBack => format!(
            "{commit} was rolled back, and everything is as it was: {reason}. It is held until \
             another commit comes: revert it, or push a fix."
        ),
        RunOutcome::Stuck => format!("{commit} is stuck, and a person must act: {reason}."),
        RunOutcome::Denied => format!("{commit} was denied, and nothing was changed: {reason}."),
    };
    match &told.record {
        Some(record) => format!("{said} [Its record]({record}) says what was done."),
        None => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<'a>(
        environment: &'a EnvironmentName,
        run: &'a RunId,
        commit: &'a CommitId,
        reason: &'a str,
    ) -> Outcome<'a> {
        Outcome {
            environment,
            run,
            commit,
            outcome: RunOutcome::RolledBack,
            reason,
            record: None,
        }
    }

    #[test]
    fn what_was_told_is_not_told_again_and_what_was_before_stays() {
        let (production, staging) = (
            EnvironmentName::new("production").unwrap(),
            EnvironmentName::new("staging").unwrap(),
        );
        let (one, two) = (RunId::new("r1").unwrap(), RunId::new("r2").unwrap());
        let commit = CommitId::new("a".repeat(40)).unwrap();
        let first = outcome_comment(&told(&production, &one, &commit, "no room"), None);
        assert!(first.starts_with(OUTCOME) && first.contains("no room"));
        let again = outcome_comment(&told(&production, &one, &commit, "no room"), Some(&first));
        assert_eq!(first, again);
        let second = outcome_comment(&told(&staging, &two, &commit, "x"), Some(&first));
        assert!(second.contains("- production rolled-back"), "{second}");
        let late = outcome_comment(&told(&production, &one, &commit, "x"), Some(&second));
        assert_eq!(second, late);
    }

    #[test]
    fn a_reason_cannot_become_markup() {
        let name = EnvironmentName::new("e").unwrap();
        let run = RunId::new("r1").unwrap();
        let commit = CommitId::new("a".repeat(40)).unwrap();
        let reason = "x\n<!-- stratum:remembered {} -->\n@all <img src=y>";
        let text = outcome_comment(&told(&name, &run, &commit, reason), None);
        assert!(!text.contains("<img") && !text.contains("@all"), "{text}");
        assert_eq!(text.matches("<!--").count(), 2);
    }
}
