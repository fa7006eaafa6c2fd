//! `stratum events`

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use stratum_core::ids::{Address, EnvironmentName, RunId};
use stratum_core::journal::Event;
use stratum_core::plan::Step;
use stratum_core::ports::{Journals as _, RunOutcome, Unfinished};
use stratum_core::run::RunSummary;
use stratum_store::SqliteStore;

use crate::commands::plan::known_environments;
use crate::commands::watch::EVERY;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show::json::VERSION;
use crate::show::run::event_role;
use crate::style::{Role, Theme, harmless, one_line};

/// Runs that are looked through.
const RUNS: u32 = 200;

/// Prints what happened, one event a line, oldest first
///
/// With `--json` each line is one object, for programs and logs.
#[derive(Debug, clap::Args)]
pub(crate) struct EventsArguments {
    /// Of this environment only
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    /// Begin with the last COUNT events
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,

    /// Go on with new ones, until told to stop
    #[arg(short, long)]
    follow: bool,
}

/// One line of `events --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct EventView {
    version: u32,
    at: Timestamp,
    environment: EnvironmentName,
    run: RunId,
    event: String,
    address: Option<Address>,
    action: Option<&'static str>,
    /// An error, a reason, what is left; never a value of a resource.
    detail: Option<String>,
    #[serde(skip)]
    look: Option<(Role, &'static str)>,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &EventsArguments) -> Result<Exit, CommandError> {
    let place = context.known_place()?;
    context.block_on(async {
        let store = place.known_state().await?;
        known_environments(&store, arguments.env.as_ref()).await?;
        let mut reader = Reader::default();
        let mut found = reader.news(&store, arguments.env.as_ref()).await?;
        let first = found.len().saturating_sub(arguments.limit);
        print(context, found.split_off(first))?;
        while arguments.follow && !context.ui.is_closed() {
            tokio::time::sleep(EVERY).await;
            let found = reader.news(&store, arguments.env.as_ref()).await?;
            print(context, found)?;
        }
        Ok(Exit::Done)
    })
}

fn print(context: &Context, events: Vec<EventView>) -> Result<(), CommandError> {
    for event in events {
        match context.global.json {
            true => context.ui.answer_json_line(&event)?,
            false => context.ui.answer(&line(context.ui.theme(), &event)),
        }
    }
    Ok(())
}

/// Remembers what was read, so that each event is given once.
#[derive(Debug, Default)]
struct Reader {
    /// How many events of a run were given.
    given: BTreeMap<RunId, usize>,
    /// Runs to which nothing is added any more.
    over: BTreeSet<RunId>,
}

impl Reader {
    /// The events since the last call, by time.
    async fn news(
        &mut self,
        store: &SqliteStore,
        environment: Option<&EnvironmentName>,
    ) -> Result<Vec<EventView>, CommandError> {
        let mut found = Vec::new();
        for summary in store.history(environment, RUNS).await? {
            if self.over.contains(&summary.id) {
                continue;
            }
            match store.run(&summary.id).await? {
                Some(run) => {
                    let given = self.given.entry(summary.id.clone()).or_default();
                    found.extend(run.events.iter().skip(*given).map(|e| view(&run, e)));
                    *given = run.events.len();
                    if summary.record.is_some() {
                        self.over.insert(summary.id);
                    }
                }
                None => {
                    found.extend(noted(&summary));
                    self.over.insert(summary.id);
                }
            }
        }
        found.sort_by_key(|event| event.at);
        Ok(found)
    }
}

/// The event of a run that has no journal.
fn noted(summary: &RunSummary) -> Option<EventView> {
    let outcome = summary.outcome?;
    let role = match outcome {
        RunOutcome::Denied | RunOutcome::Stuck => Role::Bad,
        RunOutcome::Applied | RunOutcome::RolledBack | RunOutcome::Nothing => Role::Quiet,
    };
    Some(EventView {
        version: VERSION,
        at: summary.started_at,
        environment: summary.environment.clone(),
        run: summary.id.clone(),
        event: outcome.as_str().to_owned(),
        address: None,
        action: None,
        detail: (!summary.reason.is_empty()).then(|| one_line(&summary.reason)),
        look: Some((role, "")),
    })
}

/// All events of a run.
pub(crate) fn views(run: &Unfinished) -> Vec<EventView> {
    run.events.iter().map(|event| view(run, event)).collect()
}

fn view(run: &Unfinished, (at, event): &(Timestamp, Event)) -> EventView {
    let step: Option<&Step> = event.step().and_then(|step| run.run.plan().step(step));
    let symbol = step.map_or("", |step| step.action.symbol());
    EventView {
        version: VERSION,
        at: *at,
        environment: run.run.environment.clone(),
        run: run.run.id.clone(),
        event: event.name().to_owned(),
        address: step.map(|step| step.address.clone()),
        action: step.map(|step| step.action.as_str()),
        detail: detail(event),
        look: Some((event_role(event), symbol)),
    }
}

/// What an event says besides its step, without any value of a resource.
fn detail(event: &Event) -> Option<String> {
    match event {
        Event::Failed { error, .. } | Event::RestoreFailed { error, .. } => Some(one_line(error)),
        Event::Unknown { reason, .. } => Some(one_line(reason)),
        Event::Started { revision, .. } => Some(revision.to_string()),
        Event::Recorded { commit } => Some(commit.to_string()),
        Event::Stuck { left } => {
            let left: Vec<String> = left.iter().map(|left| left.address.to_string()).collect();
            Some(format!("left: {}", left.join(", ")))
        }
        Event::Done { notes, .. } if !notes.is_empty() => Some(one_line(&notes.join("; "))),
        Event::Begun { .. }
        | Event::Done { .. }
        | Event::RestoreBegun { .. }
        | Event::Restored { .. }
        | Event::Applied
        | Event::RolledBack => None,
    }
}

fn line(theme: &Theme, event: &EventView) -> String {
    let (role, symbol) = event.look.unwrap_or((Role::Quiet, ""));
    let narrow = theme.columns() < 80;
    let time = match narrow {
        true => event.at.strftime("%H:%M:%S"),
        false => event.at.strftime("%Y-%m-%d %H:%M:%S%.3fZ"),
    };
    let time = theme.paint(Role::Quiet, time);
    let name = theme.paint(role, format!("{:<14}", event.event));
    let about = event.address.as_ref().map_or_else(
        || event.environment.to_string(),
        |address| format!("{symbol} {address}"),
    );
    let run = if narrow {
        String::new()
    } else {
        format!("{} ", event.run.short())
    };
    let detail = event.detail.as_deref().map(|text| format!(": {text}"));
    let detail = detail.unwrap_or_default();
    format!(
        "{time} {run}{name} {}{}\n",
        harmless(&about),
        harmless(&detail)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_and_one_object() {
        let event = EventView {
            version: 1,
            at: Timestamp::from_millisecond(1_500).unwrap(),
            environment: EnvironmentName::new("e").unwrap(),
            run: RunId::new("20261124T031500Z-1f9c2a").unwrap(),
            event: "failed".to_owned(),
            address: Some("e/local_file.a".parse().unwrap()),
            action: Some("update"),
            detail: Some("the disk is full".to_owned()),
            look: Some((Role::Bad, "~")),
        };
        let expected =
            "1970-01-01 00:00:01.500Z 1f9c2a failed         ~ e/local_file.a: the disk is full\n";
        assert_eq!(line(&Theme::PLAIN, &event), expected);
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["address"], "e/local_file.a");
        assert_eq!(json["at"], "1970-01-01T00:00:01.5Z");
        assert!(json.get("look").is_none());
    }

    #[test]
    fn a_checkpoint_is_in_no_event() {
        let event: Event = serde_json::from_value(serde_json::json!({
            "event": "begun", "step": 0, "token": "t", "checkpoint": { "before": null },
        }))
        .unwrap();
        assert_eq!(detail(&event), None);
    }
}
