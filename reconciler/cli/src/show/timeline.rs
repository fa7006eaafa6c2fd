//! Runs as a timeline, newest first.

use std::fmt::Write as _;

use jiff::Timestamp;
use stratum_core::ports::RunOutcome;
use stratum_core::run::RunSummary;

use crate::show::run::outcome_role;
use crate::show::when;
use crate::style::{Mark, Role, Theme, one_line, wrap};

/// A run, with what git says about its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The run.
    pub(crate) run: RunSummary,
    /// The first line of the commit and its author, where the commit is still there.
    pub(crate) commit: Option<(String, String)>,
}

/// The runs under the days they began, each with its commit, its steps, and what went wrong.
pub(crate) fn timeline(theme: &Theme, entries: &[Entry], now: Timestamp) -> String {
    let mut text = String::new();
    let mut day = String::new();
    for (index, entry) in entries.iter().enumerate() {
        let began = entry.run.started_at.strftime("%Y-%m-%d").to_string();
        if began != day {
            let gap = if day.is_empty() { "" } else { "\n" };
            let _infallible = writeln!(text, "{gap}{}", theme.paint(Role::Strong, &began));
            day = began;
        }
        let next = entries.get(index + 1);
        let same_day =
            next.is_some_and(|next| next.run.started_at.strftime("%Y-%m-%d").to_string() == day);
        write_entry(&mut text, theme, entry, now, same_day);
    }
    text
}

fn write_entry(text: &mut String, theme: &Theme, entry: &Entry, now: Timestamp, goes_on: bool) {
    let run = &entry.run;
    let (mark, role, word) = match run.outcome {
        Some(outcome) => (mark(outcome), outcome_role(outcome), outcome.as_str()),
        None => (Mark::Busy, Role::Name, "running"),
    };
    let time = run.started_at.strftime("%H:%M:%SZ").to_string();
    let ago = theme.paint(Role::Quiet, format!("({})", when::ago(now, run.started_at)));
    let marked = theme.marked(mark, role);
    let word = theme.paint(role, word);
    let head = match theme.columns() < 60 {
        true => format!("{marked} {time} {} {word}", run.environment),
        false => format!("{marked} {time}  {}  {word}  {ago}", run.environment),
    };
    let _infallible = writeln!(text, "{head}");
    let line = match (goes_on, theme.unicode) {
        (true, true) => "│",
        (true, false) => "|",
        (false, _) => " ",
    };
    // The line stands under the mark, whose width is 1 or 2.
    let margin = theme.mark(mark).chars().count() + 3;
    let lead = format!(
        "{}{}",
        theme.paint(Role::Quiet, line),
        " ".repeat(margin - 1)
    );
    let room = theme.columns().saturating_sub(margin).max(16);
    for paragraph in paragraphs(entry) {
        for line in wrap(&paragraph, room) {
            let _infallible = writeln!(text, "{}", format!("{lead}{line}").trim_end());
        }
    }
}

fn mark(outcome: RunOutcome) -> Mark {
    match outcome {
        RunOutcome::Applied => Mark::Good,
        RunOutcome::RolledBack => Mark::Back,
        RunOutcome::Stuck | RunOutcome::Denied => Mark::Bad,
        RunOutcome::Nothing => Mark::Idle,
    }
}

fn paragraphs(entry: &Entry) -> Vec<String> {
    let run = &entry.run;
    let commit = match &entry.commit {
        Some((subject, author)) => format!(
            "{} \"{}\" by {}",
            run.revision.short(),
            one_line(subject),
            one_line(author)
        ),
        None => run.revision.short().to_owned(),
    };
    let mut steps = format!("{} done", run.steps.done);
    if run.steps.failed > 0 {
        let _infallible = write!(steps, ", {} failed", run.steps.failed);
    }
    if run.steps.restored > 0 {
        let _infallible = write!(steps, ", {} put back", run.steps.restored);
    }
    if let Some(ended) = run.ended_at {
        let _infallible = write!(steps, " in {}", when::took(run.started_at, ended));
    }
    let _infallible = write!(steps, ", run {}", run.id.short());
    if let Some(record) = &run.record {
        let _infallible = write!(steps, ", record {}", record.short());
    }
    let mut paragraphs = vec![commit, steps];
    if run.trigger == stratum_core::run::Trigger::Drift {
        paragraphs.push("begun because the world differed".to_owned());
    }
    if !run.reason.is_empty() {
        paragraphs.push(format!("because {}", one_line(&run.reason)));
    }
    paragraphs
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_core::digest::Digest;
    use stratum_core::ids::{CommitId, EnvironmentName, RunId};
    use stratum_core::run::{StepCounts, Trigger};

    fn entry(second: i64, outcome: Option<RunOutcome>) -> Entry {
        let started_at = Timestamp::from_second(second).unwrap();
        let run = RunSummary {
            id: RunId::at(started_at, 7),
            environment: EnvironmentName::new("production").unwrap(),
            trigger: Trigger::Push,
            revision: CommitId::new("a".repeat(40)).unwrap(),
            plan_digest: Digest::of_bytes(b""),
            outcome,
            reason: String::new(),
            started_at,
            ended_at: Timestamp::from_second(second + 2).ok(),
            steps: StepCounts::default(),
            record: None,
        };
        let commit = Some(("Fresh bread".to_owned(), "Ada".to_owned()));
        Entry { run, commit }
    }

    #[test]
    fn runs_stand_under_their_day() {
        let mut back = entry(90_000, Some(RunOutcome::RolledBack));
        back.run.reason = "`production/local_exec.job`: it exited with 1".to_owned();
        back.run.steps.failed = 1;
        let entries = [
            entry(90_100, None),
            back,
            entry(10, Some(RunOutcome::Applied)),
        ];
        let id = entries
            .iter()
            .map(|e| e.run.id.short().to_owned())
            .collect::<Vec<_>>();
        let expected = format!(
            "\
1970-01-02
.. 01:01:40Z  production  running  (just now)
|    aaaaaaaaaaaa \"Fresh bread\" by Ada
|    0 done in 2.0 s, run {}
<- 01:00:00Z  production  rolled-back  (2 min ago)
     aaaaaaaaaaaa \"Fresh bread\" by Ada
     0 done, 1 failed in 2.0 s, run {}
     because `production/local_exec.job`: it exited with 1

1970-01-01
ok 00:00:10Z  production  applied  (25 h ago)
     aaaaaaaaaaaa \"Fresh bread\" by Ada
     0 done in 2.0 s, run {}
",
            id[0], id[1], id[2]
        );
        let now = Timestamp::from_second(90_100).unwrap();
        assert_eq!(timeline(&Theme::PLAIN, &entries, now), expected);
    }

    #[test]
    fn forty_columns_are_enough() {
        let narrow = Theme {
            terminal: true,
            width: 40,
            ..Theme::PLAIN
        };
        let mut back = entry(90_000, Some(RunOutcome::RolledBack));
        back.run.reason =
            "`production/local_exec.job`: it exited with 1 and said nothing".to_owned();
        let text = timeline(&narrow, &[back], Timestamp::from_second(90_000).unwrap());
        assert!(
            text.lines().all(|line| line.chars().count() <= 40),
            "{text}"
        );
    }
}
