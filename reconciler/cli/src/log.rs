//! The log: what goes on inside, on stderr, for those who ask.

use stratum_core::ids::Address;
use stratum_core::plan::Action;
use stratum_runtime::{Progress, StepProgress};
use tracing_subscriber::EnvFilter;

use crate::ui::{Loudness, Ui};

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Form {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line, for programs.
    Json,
}

/// Begins to log in JSON: everything that would be said to a person is in it too, so each line of
/// stderr is an object. `STRATUM_LOG` and `-v` choose how much, as for people; the least is what
/// happens to environments.
pub(crate) fn start_json(ui: &Ui, verbose: u8) {
    let level = match (ui.loudness(), verbose) {
        (Loudness::Quiet, _) => "error",
        (_, 0 | 1) => "info,sqlx=warn",
        (_, _) => "debug,sqlx=warn,notify=info",
    };
    let filter = EnvFilter::try_from_env("STRATUM_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let writer = ui.clone();
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter)
        .with_writer(move || writer.clone())
        .try_init();
    if started.is_err() {
        ui.complain("the log was started before");
    }
}

/// Logs what the loop says.
pub(crate) fn progress(progress: &Progress) {
    match progress {
        Progress::Looking {
            environment,
            commit,
        } => tracing::info!(%environment, revision = %commit, "looking"),
        Progress::Planned { plan, findings, .. } => {
            let summary = plan.summary();
            tracing::info!(
                environment = %plan.environment, revision = %plan.revision, digest = %plan.digest,
                create = summary.create, update = summary.update, replace = summary.replace,
                delete = summary.delete, adopt = summary.adopt, findings = findings.len(),
                "planned"
            );
        }
        Progress::Started {
            environment,
            run,
            steps,
            resumed,
        } => tracing::info!(%environment, %run, steps, resumed, "run begun"),
        Progress::Step {
            address,
            action,
            status,
        } => step(address, *action, status),
        Progress::Ended(report) => tracing::info!(
            environment = %report.environment,
            condition = report.condition.as_str(),
            reason = %report.reason,
            revision = report.commit.as_ref().map(ToString::to_string),
            run = report.run.as_ref().map(ToString::to_string),
            outcome = report.outcome.map(|outcome| outcome.as_str()),
            "looked at"
        ),
        Progress::Recorded { run, commit } => tracing::info!(%run, record = %commit, "recorded"),
        Progress::Trouble(reason) => tracing::warn!(%reason, "trouble"),
        Progress::News(news) => tracing::info!(%news, "news"),
        Progress::RecordsWait(Some(waits)) => tracing::warn!(
            count = waits.count,
            reason = %waits.reason,
            "records wait to be written to git"
        ),
        Progress::CommitsUnkept(Some(unkept)) => {
            tracing::warn!(reason = %unkept.reason, "the applied commits are not kept alive");
        }
        Progress::CommitsUnkept(None) => tracing::info!("the applied commits are kept alive"),
        Progress::RecordsWait(None) => tracing::info!("no record waits any more"),
        Progress::Turned => {}
    }
}

fn step(address: &Address, action: Action, status: &StepProgress) {
    let action = action.as_str();
    match status {
        StepProgress::Begun => tracing::debug!(%address, action, "step begun"),
        StepProgress::Done => tracing::info!(%address, action, "step done"),
        StepProgress::Failed(error) => tracing::warn!(%address, action, %error, "step failed"),
        StepProgress::Unknown(error) => {
            tracing::warn!(%address, action, %error, "outcome of step unknown");
        }
        StepProgress::Restoring => tracing::info!(%address, action, "step being put back"),
        StepProgress::Restored => tracing::info!(%address, action, "step put back"),
        StepProgress::RestoreFailed(error) => {
            tracing::error!(%address, action, %error, "step could not be put back");
        }
    }
}

/// Begins to log: warnings, with `-v` what happens, with `-vv` everything of stratum's own.
/// `STRATUM_LOG` wins; its form is that of `RUST_LOG`.
pub(crate) fn start(ui: &Ui, verbose: u8) {
    let level = match (ui.loudness(), verbose) {
        (Loudness::Quiet, _) => "off",
        (_, 0) => "error",
        (_, 1) => "info,sqlx=warn",
        (_, _) => "debug,sqlx=warn,notify=info",
    };
    let filter = EnvFilter::try_from_env("STRATUM_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let writer = ui.clone();
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(ui.side_theme().color)
        .with_target(verbose > 1)
        .with_writer(move || writer.clone())
        .try_init();
    if started.is_err() {
        ui.complain("the log was started before");
    }
}
