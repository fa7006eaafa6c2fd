//! `stratum show`

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::json;
use stratum_assembly::adapters;
use stratum_core::ids::{Address, RunId};
use stratum_core::journal::Event;
use stratum_core::plan::Step;
use stratum_core::ports::{Journals as _, Observations as _, States as _, Unfinished};
use stratum_core::resource::ResourceState;
use stratum_core::run::RunSummary;
use stratum_core::suggest;
use stratum_core::value::{Path, Value, shown};
use stratum_runtime::Providers;
use stratum_store::SqliteStore;

use crate::commands::events;
use crate::commands::get::{condition, sealed_of, stopped};
use crate::context::{Context, Place};
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::git;
use crate::show;
use crate::show::json::{HistoryView, PlanView, VERSION};
use crate::show::status::look;
use crate::show::{value, when};
use crate::style::{Role, Theme, harmless, one_line};

/// Runs that are searched.
pub(crate) const RUNS: u32 = 500;

/// Shows one resource or one run: what it is, where it comes from, what happened to it
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArguments {
    /// An address (`staging/local_file.index`), or a run, its end, or its commit
    what: String,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &ShowArguments) -> Result<Exit, CommandError> {
    let place = context.known_place()?;
    context.block_on(async {
        let store = place.known_state().await?;
        match arguments.what.parse::<Address>() {
            Ok(address) => show_resource(context, &store, &address).await,
            Err(_) => show_run(context, &place, &store, &arguments.what).await,
        }
    })
}

async fn show_resource(
    context: &Context,
    store: &SqliteStore,
    address: &Address,
) -> Result<Exit, CommandError> {
    let base = store.base(&address.environment).await?;
    let Some(state) = base.resources.get(address) else {
        let names: Vec<String> = base.resources.keys().map(ToString::to_string).collect();
        let near = suggest::suggest(&address.to_string(), names.iter().map(String::as_str));
        let hint = match near {
            Some(name) => format!("did you mean `stratum show {name}`?"),
            None => "`stratum get` lists the resources there are".to_owned(),
        };
        let message = format!("there is no resource `{address}` in the state");
        return Err(CommandError::given(message).hint(hint));
    };
    let last = last_run(store, address).await?;
    let condition = seen_condition(store, state).await?;
    let providers = adapters::providers()?;
    let hidden = |name: &str| {
        state.sensitive.touches(&Path::of(name)) || is_sensitive(&providers, state, name)
    };
    let closed = base.sealed.contains(address);
    if context.global.json {
        context.ui.answer_json(&resource_json(
            state,
            &condition,
            last.as_ref(),
            &hidden,
            closed,
        ))?;
    } else {
        let text = resource_text(
            context.ui.theme(),
            state,
            &condition,
            last.as_ref(),
            &hidden,
        );
        context.ui.answer(&text);
    }
    if closed {
        context.ui.say("its attributes are sealed in the state");
        context
            .ui
            .hint("name an identity that opens it: `STRATUM_IDENTITY=FILE stratum show ...`");
    }
    Ok(Exit::Done)
}

/// How a resource is, and why: what should run and does not is not Ready.
type Seen = (&'static str, Option<String>);

async fn seen_condition(store: &SqliteStore, state: &ResourceState) -> Result<Seen, CommandError> {
    let address = &state.address;
    let row = store.environment(&address.environment).await?;
    let seen = store.observations(address, 1).await?;
    let why = row.and_then(|row| stopped(seen.first(), &row));
    Ok(match why {
        Some(why) => ("Stalled", Some(why)),
        None => (condition(state), state.unknown.clone()),
    })
}

/// The newest run that had a step on the address.
async fn last_run(
    store: &SqliteStore,
    address: &Address,
) -> Result<Option<Unfinished>, CommandError> {
    for summary in store.history(Some(&address.environment), RUNS).await? {
        if let Some(run) = store.run(&summary.id).await?
            && step_on(&run, address).is_some()
        {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// The step of a run on an address.
pub(crate) fn step_on<'a>(run: &'a Unfinished, address: &Address) -> Option<&'a Step> {
    run.run.plan().shown().find(|step| step.address == *address)
}

/// The events of a run on an address.
pub(crate) fn events_on<'a>(
    run: &'a Unfinished,
    address: &'a Address,
) -> impl Iterator<Item = &'a (Timestamp, Event)> {
    run.events.iter().filter(move |(_, event)| {
        let step = event.step().and_then(|step| run.run.plan().step(step));
        step.is_some_and(|step| step.address == *address)
    })
}

fn is_sensitive(providers: &Providers, state: &ResourceState, name: &str) -> bool {
    // Where nobody can say, nothing is shown.
    let r#type = providers.type_schema(&state.provider, state.address.r#type());
    r#type.is_none_or(|r#type| {
        let known = r#type.attributes.contains_key(name);
        !known
            || r#type
                .sensitive(&state.instance.attributes)
                .touches(&Path::of(name))
    })
}

fn resource_json(
    state: &ResourceState,
    (condition, because): &Seen,
    last: Option<&Unfinished>,
    hidden: &dyn Fn(&str) -> bool,
    closed: bool,
) -> serde_json::Value {
    let attributes: serde_json::Map<_, _> = state
        .instance
        .attributes
        .iter()
        .map(|(name, value)| match hidden(name) {
            true => (name.clone(), json!({ "sensitive": true })),
            false => (name.clone(), shown(value)),
        })
        .collect();
    let events: Vec<_> = last
        .into_iter()
        .flat_map(|run| events_on(run, &state.address))
        .map(|(at, event)| json!({ "at": at, "event": event.name() }))
        .collect();
    json!({
        "version": VERSION,
        "address": state.address,
        "kind": state.kind,
        "provider": state.provider,
        "condition": condition,
        "because": because,
        "unknown": state.unknown,
        "revision": state.revision,
        "source": last.and_then(|run| step_on(run, &state.address)).and_then(|step| step.source.clone()),
        "depends_on": state.depends_on,
        "attributes": attributes,
        "sealed": sealed_of(state),
        "closed": closed,
        "last_run": last.map(|run| &run.run.id),
        "events": events,
    })
}

fn resource_text(
    theme: &Theme,
    state: &ResourceState,
    (condition, because): &Seen,
    last: Option<&Unfinished>,
    hidden: &dyn Fn(&str) -> bool,
) -> String {
    let (mark, role) = look(condition);
    let name = theme.paint(Role::Strong, harmless(&state.address.to_string()));
    let mut text = format!(
        "{} {name}  {}\n",
        theme.marked(mark, role),
        theme.paint(role, condition)
    );
    let mut row = |name: &str, value: String| {
        let name = theme.paint(Role::Quiet, format!("{name:<10}"));
        let _infallible = writeln!(text, "  {name} {value}");
    };
    if let Some(reason) = because {
        row("because", one_line(reason));
    }
    row(
        "kind",
        format!("{}, by provider `{}`", state.kind, state.provider),
    );
    row("revision", state.revision.short().to_owned());
    let step = last.and_then(|run| step_on(run, &state.address));
    if let Some(source) = step.and_then(|step| step.source.as_ref()) {
        row("source", harmless(&source.to_string()));
    }
    if !state.depends_on.is_empty() {
        let names: Vec<String> = state.depends_on.iter().map(ToString::to_string).collect();
        row("depends on", harmless(&names.join(", ")));
    }
    text.push_str("  attributes\n");
    for (name, value) in &state.instance.attributes {
        write_attribute(&mut text, theme, name, value, hidden(name));
    }
    if let Some(run) = last {
        let events: Vec<_> = events_on(run, &state.address).cloned().collect();
        let _infallible = writeln!(text, "\nlast run {}", theme.paint(Role::Name, &run.run.id));
        text.push_str(&show::run::events(theme, run.run.plan(), &events));
    }
    text
}

fn write_attribute(text: &mut String, theme: &Theme, name: &str, value: &Value, hidden: bool) {
    let name = harmless(name);
    let line = match value {
        _ if hidden => value::SENSITIVE.to_owned(),
        Value::Text(lines) if lines.trim_end().contains('\n') => {
            let _infallible = writeln!(text, "    {name}:");
            for line in lines.lines() {
                let bar = theme.paint(Role::Quiet, "|");
                let _infallible = writeln!(text, "      {bar} {}", harmless(line));
            }
            return;
        }
        value => value::line(value),
    };
    let _infallible = writeln!(text, "    {name}: {line}");
}

async fn show_run(
    context: &Context,
    place: &Place,
    store: &SqliteStore,
    wanted: &str,
) -> Result<Exit, CommandError> {
    let runs = store.history(None, RUNS).await?;
    let found: Vec<&RunSummary> = runs.iter().filter(|run| is_meant(run, wanted)).collect();
    let Some(first) = found.first() else {
        let message = format!("there is no run or resource `{wanted}` in the state");
        return Err(CommandError::given(message)
            .hint("`stratum history` lists the runs, `stratum get` the resources")
            .hint_if(in_records(place, wanted)));
    };
    let mut first_one = true;
    if context.global.json {
        for summary in &found {
            context
                .ui
                .answer_json_line(&run_json(store, summary).await?)?;
        }
        return Ok(Exit::Done);
    }
    for summary in &found {
        if !std::mem::take(&mut first_one) {
            context.ui.answer("\n");
        }
        let text = run_text(context.ui.theme(), store, summary).await?;
        context.ui.answer(&text);
    }
    if let Some(record) = &first.record {
        let theme = context.ui.theme();
        let head = theme.paint(Role::Quiet, format!("{:<12}", "record"));
        let folder = place.repository.git_dir().display();
        context
            .ui
            .answer(&format!("{head} `git -C {folder} show {record}`\n"));
    }
    Ok(Exit::Done)
}

/// Where a run is that the state forgot, because its time was over: its record stays in git.
fn in_records(place: &Place, wanted: &str) -> Option<String> {
    let run = RunId::new(wanted).ok()?;
    let folder = place.repository.git_dir();
    let trailer = format!("--grep=^Stratum-Run: {run}$");
    let found = ["log", "--all", "-1", "--format=%H", &trailer];
    let commit = git::text(folder, &found)
        .ok()
        .filter(|text| !text.is_empty())?;
    Some(format!(
        "its time in the state was over (`retention.history`), and its record is in git: `git -C {} \
         show {commit}`",
        folder.display()
    ))
}

/// A run is meant by its id, its random end, or its commit.
fn is_meant(run: &RunSummary, wanted: &str) -> bool {
    let is = |id: &RunId| id.as_str() == wanted || id.short() == wanted;
    is(&run.id) || (wanted.len() >= 7 && run.revision.as_str().starts_with(wanted))
}

async fn run_json(
    store: &SqliteStore,
    summary: &RunSummary,
) -> Result<serde_json::Value, CommandError> {
    let full = store.run(&summary.id).await?;
    let head = serde_json::to_value(HistoryView::new(std::slice::from_ref(summary)))?;
    let plan = full
        .as_ref()
        .map(|run| PlanView::new(run.run.plan(), run.run.verdict(), run.run.findings()));
    // Not the events themselves: a checkpoint in them holds values that are not shown.
    let events = full.as_ref().map(events::views).unwrap_or_default();
    Ok(json!({
        "version": VERSION,
        "run": head.pointer("/runs/0"),
        "plan": plan,
        "events": events,
    }))
}

async fn run_text(
    theme: &Theme,
    store: &SqliteStore,
    summary: &RunSummary,
) -> Result<String, CommandError> {
    let outcome = match summary.outcome {
        Some(outcome) => theme.paint(show::run::outcome_role(outcome), outcome.as_str()),
        None => theme.paint(Role::Name, "running"),
    };
    let label = |name: &str| theme.paint(Role::Quiet, format!("{name:<12}"));
    let mut text = String::new();
    let full = store.run(&summary.id).await?;
    match &full {
        Some(full) => text.push_str(&show::run::head(theme, &full.run)),
        None => {
            let started = when::at(summary.started_at);
            let _infallible = writeln!(
                text,
                "{} {}\n{} {}\n{} {}\n{} {started}",
                label("run"),
                summary.id,
                label("environment"),
                summary.environment,
                label("revision"),
                summary.revision,
                label("started"),
            );
        }
    }
    let _infallible = writeln!(text, "{} {outcome}", label("outcome"));
    if !summary.reason.is_empty() {
        let _infallible = writeln!(text, "{} {}", label("because"), one_line(&summary.reason));
    }
    if let Some(full) = &full {
        text.push('\n');
        text.push_str(&show::plan::plan(
            theme,
            full.run.plan(),
            full.run.verdict(),
        ));
        text.push('\n');
        text.push_str(&show::run::events(theme, full.run.plan(), &full.events));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> ResourceState {
        serde_json::from_value(json!({
            "address": "staging/local_file.index",
            "kind": "infrastructure",
            "provider": "local",
            "instance": { "attributes": { "content": "a\nb\n", "key": "s3cret", "mode": "0644" } },
            "schema_version": 1,
            "depends_on": ["local_directory.site"],
            "revision": "a".repeat(40),
        }))
        .unwrap()
    }

    #[test]
    fn a_resource_reads_like_this() {
        let expected = "\
ok staging/local_file.index  Ready
  kind       infrastructure, by provider `local`
  revision   aaaaaaaaaaaa
  depends on local_directory.site
  attributes
    content:
      | a
      | b
    key: (sensitive)
    mode: \"0644\"
";
        let text = resource_text(&Theme::PLAIN, &state(), &("Ready", None), None, &|name| {
            name == "key"
        });
        assert_eq!(text, expected);
    }

    #[test]
    fn hidden_attributes_are_hidden_in_json_too() {
        let json = resource_json(
            &state(),
            &("Ready", None),
            None,
            &|name| name == "key",
            false,
        );
        assert_eq!(json["attributes"]["key"], json!({ "sensitive": true }));
        assert_eq!(json["attributes"]["mode"], "0644");
    }
}
