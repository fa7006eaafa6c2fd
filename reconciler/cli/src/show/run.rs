//! One run with all its events.

use std::fmt::Write as _;

use jiff::Timestamp;
use stratum_core::journal::Event;
use stratum_core::plan::Plan;
use stratum_core::ports::RunOutcome;
use stratum_core::run::Run;

use crate::show::when;
use crate::style::{Role, Theme, harmless, one_line};

/// The look of an outcome.
pub(crate) fn outcome_role(outcome: RunOutcome) -> Role {
    match outcome {
        RunOutcome::Applied => Role::Good,
        RunOutcome::RolledBack => Role::Warning,
        RunOutcome::Stuck | RunOutcome::Denied => Role::Bad,
        RunOutcome::Nothing => Role::Quiet,
    }
}

/// What a run set out to do, above its plan and events.
pub(crate) fn head(theme: &Theme, run: &Run) -> String {
    let commit = &run.revision;
    let rows = [
        ("run", run.id.to_string()),
        ("environment", run.environment.to_string()),
        ("trigger", run.trigger.as_str().to_owned()),
        ("revision", commit.commit.to_string()),
        ("subject", one_line(&commit.subject)),
        ("author", one_line(&commit.author)),
        ("plan", run.plan().digest.to_string()),
        ("started", when::at(run.started_at)),
    ];
    rows.iter().fold(String::new(), |mut text, (name, value)| {
        let name = theme.paint(Role::Quiet, format!("{name:<12}"));
        let _infallible = writeln!(text, "{name} {value}");
        text
    })
}

/// The events of a run, one line each, with the time since its beginning.
pub(crate) fn events(theme: &Theme, plan: &Plan, events: &[(Timestamp, Event)]) -> String {
    let Some((began, _)) = events.first() else {
        return String::new();
    };
    events.iter().fold(String::new(), |mut text, (at, event)| {
        let since = format!("{:>9}", when::took(*began, *at));
        let since = theme.paint(Role::Quiet, since);
        let name = theme.paint(event_role(event), format!("{:<14}", event.name()));
        let about = about(plan, event);
        let line = format!("{since}  {name} {about}");
        let _infallible = writeln!(text, "{}", line.trim_end());
        text
    })
}

/// The look of an event.
pub(crate) fn event_role(event: &Event) -> Role {
    match event {
        Event::Done { .. } | Event::Applied | Event::Recorded { .. } => Role::Good,
        Event::Failed { .. }
        | Event::Unknown { .. }
        | Event::RestoreFailed { .. }
        | Event::Stuck { .. } => Role::Bad,
        Event::RestoreBegun { .. } | Event::Restored { .. } | Event::RolledBack => Role::Warning,
        Event::Started { .. } | Event::Begun { .. } => Role::Quiet,
    }
}

fn about(plan: &Plan, event: &Event) -> String {
    let address = event
        .step()
        .and_then(|step| plan.step(step))
        .map(|step| {
            format!(
                "{} {}",
                step.action.symbol(),
                harmless(&step.address.local.to_string())
            )
        })
        .unwrap_or_default();
    match event {
        Event::Failed { error, .. } | Event::RestoreFailed { error, .. } => {
            format!("{address}: {}", one_line(error))
        }
        Event::Unknown { reason, .. } => format!("{address}: {}", one_line(reason)),
        Event::Stuck { left } => {
            let left: Vec<String> = left
                .iter()
                .map(|left| left.address.local.to_string())
                .collect();
            format!("left: {}", harmless(&left.join(", ")))
        }
        Event::Recorded { commit } => commit.short().to_owned(),
        Event::Done { notes, .. } if !notes.is_empty() => {
            format!("{address}: {}", one_line(&notes.join("; ")))
        }
        Event::Started { .. }
        | Event::Begun { .. }
        | Event::Done { .. }
        | Event::RestoreBegun { .. }
        | Event::Restored { .. }
        | Event::Applied
        | Event::RolledBack => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::sample;
    use stratum_core::ids::StepId;
    use stratum_core::ports::Certainty;

    #[test]
    fn events_show_their_address_and_error() {
        let at = |millisecond: i64| Timestamp::from_millisecond(1_000_000 + millisecond).unwrap();
        let list = [
            (
                at(0),
                Event::Done {
                    step: StepId(0),
                    outcome: None,
                    notes: Vec::new(),
                },
            ),
            (
                at(40),
                Event::Failed {
                    step: StepId(1),
                    error: "the disk\nis full".to_owned(),
                    certainty: Certainty::Unknown,
                    retry: None,
                },
            ),
            (at(1_500), Event::RolledBack),
        ];
        let expected = [
            "     0 ms  done           + local_directory.site\n",
            "    40 ms  failed         ~ local_file.index: the disk is full\n",
            "    1.5 s  rolled-back\n",
        ];
        assert_eq!(
            events(&Theme::PLAIN, &sample::plan(), &list),
            expected.concat()
        );
    }
}
