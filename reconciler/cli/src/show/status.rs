//! Environments at a glance: to be understood in five seconds.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::show::json::EnvironmentView;
use crate::show::when;
use crate::style::{Mark, Role, Theme, one_line};

/// All environments: one line each, and below it what needs attention, with what to do.
pub(crate) fn status(theme: &Theme, environments: &[EnvironmentView], now: Timestamp) -> String {
    let widest = environments
        .iter()
        .map(|environment| environment.name.as_str().chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for environment in environments {
        write_environment(&mut text, theme, environment, widest, now);
    }
    if environments.is_empty() {
        text.push_str("no environments yet\n");
    }
    text
}

/// The symbol and look of a condition.
pub(crate) fn look(condition: &str) -> (Mark, Role) {
    match condition {
        "Ready" => (Mark::Good, Role::Good),
        "Reconciling" => (Mark::Busy, Role::Name),
        "Stalled" => (Mark::Bad, Role::Bad),
        "Suspended" => (Mark::Idle, Role::Warning),
        _ => (Mark::Unknown, Role::Warning),
    }
}

fn write_environment(
    text: &mut String,
    theme: &Theme,
    environment: &EnvironmentView,
    widest: usize,
    now: Timestamp,
) {
    let (mark, role) = look(environment.condition);
    let revision = environment
        .revision
        .as_ref()
        .map_or("-", |commit| commit.short());
    let seen = environment
        .observed_at
        .map(|then| theme.paint(Role::Quiet, format!(", looked at {}", when::ago(now, then))))
        .unwrap_or_default();
    let _infallible = writeln!(
        text,
        "{} {:<widest$}  {}  {:<12}  {}{seen}",
        theme.marked(mark, role),
        environment.name.as_str(),
        theme.paint(role, format!("{:<11}", environment.condition)),
        revision,
        counts(environment),
    );
    if !environment.reason.is_empty() {
        let _infallible = writeln!(text, "    {}", one_line(&environment.reason));
    }
    if let Some(next) = next(environment) {
        let head = theme.paint(Role::Name, "next");
        let _infallible = writeln!(text, "    {head}: {next}");
    }
}

fn counts(environment: &EnvironmentView) -> String {
    let mut text = match environment.resources {
        1 => "1 resource".to_owned(),
        many => format!("{many} resources"),
    };
    if environment.drifted > 0 {
        let _infallible = write!(text, ", {} drifted", environment.drifted);
    }
    if environment.unknown > 0 {
        let _infallible = write!(text, ", {} unknown", environment.unknown);
    }
    text
}

/// What a person does next, where something is to be done.
fn next(environment: &EnvironmentView) -> Option<String> {
    let behind = environment.desired_revision.is_some()
        && environment.desired_revision != environment.revision;
    match (
        environment.condition,
        &environment.held,
        &environment.last_run,
    ) {
        ("Stalled", Some(held), _) => Some(format!(
            "`git revert {}` or push a fix; `stratum show {}` has the story",
            held.short(),
            environment
                .last_run
                .as_ref()
                .map_or("RUN", |run| run.as_str()),
        )),
        ("Stalled", None, Some(run)) if environment.outcome.is_some() || !behind => {
            Some(format!("`stratum show {run}` has the story"))
        }
        ("Stalled", None, _) => {
            Some("`stratum check` and `stratum plan` show what is in the way".to_owned())
        }
        ("Unknown", _, _) => Some("`stratum reconcile` looks at it".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_core::ids::{CommitId, EnvironmentName, RunId};

    fn environment(name: &str, condition: &'static str) -> EnvironmentView {
        EnvironmentView {
            name: EnvironmentName::new(name).unwrap(),
            condition,
            reason: String::new(),
            revision: Some(CommitId::new("a".repeat(40)).unwrap()),
            desired_revision: Some(CommitId::new("a".repeat(40)).unwrap()),
            resources: 4,
            drifted: 0,
            unknown: 0,
            held: None,
            outcome: None,
            last_run: Some(RunId::new("20261124T031500Z-1f9c2a").unwrap()),
            observed_at: Some(Timestamp::from_second(1_000).unwrap()),
        }
    }

    #[test]
    fn what_needs_attention_says_why_and_what_next() {
        let mut stalled = environment("production", "Stalled");
        stalled.reason = "`production/local_exec.job`: it exited with 1".to_owned();
        stalled.held = Some(CommitId::new("b".repeat(40)).unwrap());
        stalled.drifted = 1;
        let all = [environment("staging", "Ready"), stalled];
        let expected = "\
ok staging     Ready        aaaaaaaaaaaa  4 resources, looked at 20 s ago
!! production  Stalled      aaaaaaaaaaaa  4 resources, 1 drifted, looked at 20 s ago
    `production/local_exec.job`: it exited with 1
    next: `git revert bbbbbbbbbbbb` or push a fix; `stratum show 20261124T031500Z-1f9c2a` has the story
";
        let now = Timestamp::from_second(1_020).unwrap();
        assert_eq!(status(&Theme::PLAIN, &all, now), expected);
    }

    #[test]
    fn a_run_that_ended_badly_is_named_and_a_file_that_cannot_be_read_is_not_its_fault() {
        let mut stalled = environment("production", "Stalled");
        stalled.desired_revision = Some(CommitId::new("b".repeat(40)).unwrap());
        assert!(next(&stalled).unwrap().contains("stratum check"));
        stalled.outcome = Some("stuck");
        assert!(next(&stalled).unwrap().contains("stratum show 2026"));
    }

    #[test]
    fn unknown_is_never_shown_as_well() {
        let (mark, role) = look("Unknown");
        assert_ne!((mark, role), look("Ready"));
        assert_ne!(role, Role::Good);
    }
}
