//! What the reconciler is doing, while it does it: lines that stay, and a tree that is redrawn.

use std::collections::BTreeMap;

use stratum_core::condition::Condition;
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::plan::Action;
use stratum_runtime::{EnvironmentReport, Progress, StepProgress};

use crate::show::plan::role;
use crate::show::status::look;
use crate::style::{Mark, Role, Theme, fit, harmless, one_line};

/// Steps in flight that the tree shows; the rest is counted.
const SHOWN: usize = 8;

/// A run with more steps than this does not get a line for each.
const MANY: usize = 50;

/// Everything that is being done now.
#[derive(Debug, Default)]
pub(crate) struct Board {
    runs: BTreeMap<EnvironmentName, RunBoard>,
    every_step: bool,
}

#[derive(Debug, Default)]
struct RunBoard {
    steps: usize,
    done: usize,
    open: BTreeMap<Address, (Action, StepProgress)>,
}

impl Board {
    /// An empty board. With `every_step` each step gets a line of its own, however many there are.
    pub(crate) fn new(every_step: bool) -> Self {
        Self {
            every_step,
            ..Self::default()
        }
    }

    /// Takes in what happened, and gives the lines that stay.
    pub(crate) fn take(&mut self, theme: &Theme, progress: &Progress) -> Vec<String> {
        match progress {
            Progress::Looking {
                environment,
                commit,
            } => vec![format!("{environment}: looking at {}", commit.short())],
            Progress::Planned { plan, findings, .. } => {
                let mut lines: Vec<String> = findings
                    .iter()
                    .map(|finding| {
                        let message = one_line(&finding.message);
                        format!("{}: {message} [{}]", plan.environment, finding.code)
                    })
                    .collect();
                lines.push(format!("{}: {}", plan.environment, plan.summary()));
                lines
            }
            Progress::Started {
                environment,
                run,
                steps,
                resumed,
            } => {
                let board = RunBoard {
                    steps: *steps,
                    ..RunBoard::default()
                };
                self.runs.insert(environment.clone(), board);
                let how = if *resumed { "goes on" } else { "begins" };
                vec![format!("{environment}: run {run} {how}")]
            }
            Progress::Step {
                address,
                action,
                status,
            } => self.step(theme, address, *action, status),
            Progress::Ended(report) => {
                self.runs.remove(&report.environment);
                vec![ended(theme, report)]
            }
            Progress::Recorded { run, commit } => {
                vec![format!("run {run} is recorded in {}", commit.short())]
            }
            Progress::RecordsWait(None) => vec!["no record waits any more".to_owned()],
            Progress::RecordsWait(Some(waits)) => {
                let head = theme.paint(Role::Warning, "trouble");
                let (count, reason) = (waits.count, one_line(&waits.reason));
                vec![format!(
                    "{head}: {count} records wait to be written to git: {reason}"
                )]
            }
            Progress::CommitsUnkept(None) => vec!["the applied commits are kept alive".to_owned()],
            Progress::CommitsUnkept(Some(unkept)) => {
                let head = theme.paint(Role::Warning, "trouble");
                vec![format!("{head}: {}", one_line(&unkept.sentence()))]
            }
            Progress::Turned => Vec::new(),
            Progress::News(news) => vec![one_line(news)],
            Progress::Trouble(reason) => {
                let head = theme.paint(Role::Warning, "trouble");
                vec![format!("{head}: {}", one_line(reason))]
            }
        }
    }

    fn step(
        &mut self,
        theme: &Theme,
        address: &Address,
        action: Action,
        status: &StepProgress,
    ) -> Vec<String> {
        let board = self.runs.entry(address.environment.clone()).or_default();
        let few = self.every_step || board.steps <= MANY;
        match status {
            StepProgress::Begun | StepProgress::Restoring => {
                board.open.insert(address.clone(), (action, status.clone()));
                Vec::new()
            }
            StepProgress::Done | StepProgress::Restored => {
                board.open.remove(address);
                if *status == StepProgress::Done {
                    board.done += 1;
                }
                let quiet = !few && *status == StepProgress::Done;
                let line = (!quiet).then(|| step_line(theme, address, action, status));
                line.into_iter().collect()
            }
            StepProgress::Failed(_) | StepProgress::Unknown(_) | StepProgress::RestoreFailed(_) => {
                board.open.remove(address);
                vec![step_line(theme, address, action, status)]
            }
        }
    }

    /// The tree of what is in flight.
    pub(crate) fn tree(&self, theme: &Theme) -> Vec<String> {
        let mut lines = Vec::new();
        for (environment, board) in &self.runs {
            let count = format!("{}/{} steps", board.done, board.steps);
            let mark = theme.marked(Mark::Busy, Role::Name);
            lines.push(format!("{mark} {environment}  {count}"));
            for (address, (action, status)) in board.open.iter().take(SHOWN) {
                let word = match status {
                    StepProgress::Restoring => "putting back",
                    _ => "in work",
                };
                let symbol = theme.paint(role(*action), format!("{:>3}", action.symbol()));
                let name = fit(
                    &harmless(&address.local.to_string()),
                    theme.width.saturating_sub(24),
                );
                lines.push(format!(
                    "  {symbol} {name}  {}",
                    theme.paint(Role::Quiet, word)
                ));
            }
            if board.open.len() > SHOWN {
                lines.push(format!("      and {} more", board.open.len() - SHOWN));
            }
        }
        lines
    }
}

fn step_line(theme: &Theme, address: &Address, action: Action, status: &StepProgress) -> String {
    let (mark, look, words) = match status {
        StepProgress::Begun => (Mark::Busy, Role::Name, String::new()),
        StepProgress::Restoring => (Mark::Busy, Role::Warning, "putting back".to_owned()),
        StepProgress::Done => (Mark::Good, Role::Good, String::new()),
        StepProgress::Failed(error) => {
            (Mark::Bad, Role::Bad, format!("failed: {}", one_line(error)))
        }
        StepProgress::Unknown(reason) => (
            Mark::Unknown,
            Role::Bad,
            format!("unknown: {}", one_line(reason)),
        ),
        StepProgress::Restored => (Mark::Back, Role::Warning, "is as it was before".to_owned()),
        StepProgress::RestoreFailed(error) => (
            Mark::Bad,
            Role::Bad,
            format!("could not be put back: {}", one_line(error)),
        ),
    };
    let symbol = theme.paint(role(action), format!("{:>3}", action.symbol()));
    let line = format!(
        "{} {symbol} {} {words}",
        theme.marked(mark, look),
        harmless(&address.to_string())
    );
    line.trim_end().to_owned()
}

fn ended(theme: &Theme, report: &EnvironmentReport) -> String {
    let (mark, role) = look(report.condition.as_str());
    let commit = report
        .commit
        .as_ref()
        .map(|commit| format!(" at {}", commit.short()))
        .unwrap_or_default();
    let reason = match (report.condition, report.reason.as_str()) {
        (_, "") => String::new(),
        (Condition::Ready, reason) => format!(" ({})", one_line(reason)),
        (_, reason) => format!(": {}", one_line(reason)),
    };
    format!(
        "{} {} is {}{commit}{reason}",
        theme.marked(mark, role),
        report.environment,
        theme.paint(role, report.condition.as_str()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_core::ids::RunId;

    fn step(name: &str, status: StepProgress) -> Progress {
        Progress::Step {
            address: format!("staging/local_file.{name}").parse().unwrap(),
            action: Action::Create,
            status,
        }
    }

    fn started(steps: usize) -> Progress {
        Progress::Started {
            environment: EnvironmentName::new("staging").unwrap(),
            run: RunId::new("r1").unwrap(),
            steps,
            resumed: false,
        }
    }

    #[test]
    fn the_tree_shows_what_is_in_flight_and_lines_what_is_over() {
        let (theme, mut board) = (Theme::PLAIN, Board::default());
        assert_eq!(board.take(&theme, &started(2)), ["staging: run r1 begins"]);
        assert!(
            board
                .take(&theme, &step("a", StepProgress::Begun))
                .is_empty()
        );
        let tree = [".. staging  0/2 steps", "    + local_file.a  in work"];
        assert_eq!(board.tree(&theme), tree);
        let line = board.take(&theme, &step("a", StepProgress::Done));
        assert_eq!(line, ["ok   + staging/local_file.a"]);
        assert_eq!(board.tree(&theme), [".. staging  1/2 steps"]);
        let line = board.take(
            &theme,
            &step("b", StepProgress::Failed("no\nroom".to_owned())),
        );
        assert_eq!(line, ["!!   + staging/local_file.b failed: no room"]);
    }

    #[test]
    fn a_large_run_has_lines_for_failures_only() {
        let (theme, mut board) = (Theme::PLAIN, Board::default());
        board.take(&theme, &started(1_000));
        assert!(
            board
                .take(&theme, &step("a", StepProgress::Done))
                .is_empty()
        );
        let failed = step("b", StepProgress::Failed("x".to_owned()));
        assert_eq!(board.take(&theme, &failed).len(), 1);
        board.every_step = true;
        assert_eq!(board.take(&theme, &step("c", StepProgress::Done)).len(), 1);
    }
}
