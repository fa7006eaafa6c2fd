//! `stratum drift`

use jiff::Timestamp;
use serde::Serialize;
use stratum_assembly::adapters;
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::observed::Report;
use stratum_core::ports::{Journals as _, Observation, Observations as _, States as _};
use stratum_core::resource::ResourceState;
use stratum_core::value::{Path, Value, shown};
use stratum_store::SqliteStore;

use crate::commands::plan::known_environments;
use crate::commands::watch::{self, Answer, WatchArguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show::json::VERSION;
use crate::show::value::line;
use crate::show::when;
use crate::style::{Role, Theme, harmless};

/// What can be done about it.
const WAYS: &str = "
to have it put back: push a change of the resource, or `drift = { mode = 'correct }` for its
environment in `stratum.ncl`, or that as its `meta.drift`; to keep it: write it into its file
";

/// Observations that are read back to find since when something differs.
const HISTORY: u32 = 200;

/// Shows what differs from what was applied, and since when
///
/// It reads what the reconciler saw at its last look; `status` says when that was.
#[derive(Debug, clap::Args)]
pub(crate) struct DriftArguments {
    /// Of this environment only
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    #[command(flatten)]
    watch: WatchArguments,
}

#[derive(Debug, Serialize)]
struct DriftView {
    version: u32,
    resources: Vec<DriftedView>,
}

#[derive(Debug, Serialize)]
struct DriftedView {
    address: Address,
    since: Timestamp,
    seen_at: Timestamp,
    gone: bool,
    fields: Vec<FieldView>,
    /// The commit and the author of what was applied.
    revision: String,
    author: Option<String>,
}

#[derive(Debug, Serialize)]
struct FieldView {
    path: String,
    applied: serde_json::Value,
    seen: serde_json::Value,
    #[serde(skip)]
    lines: (String, String),
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &DriftArguments) -> Result<Exit, CommandError> {
    let place = context.known_place()?;
    let providers = adapters::providers()?;
    context.block_on(async {
        let store = place.known_state().await?;
        let sensitive = |address: &Address, attribute: &str| {
            let types = providers.schemas().into_iter();
            let schema = types.filter_map(|s| s.types.get(address.r#type())).next();
            schema
                .and_then(|s| s.attributes.get(attribute))
                .is_none_or(|found| found.is_sensitive())
        };
        watch::answer(context, arguments.watch, async || {
            let resources = drifted(&store, arguments.env.as_ref(), &sensitive).await?;
            let text = match resources.is_empty() {
                true => "nothing differs from what was applied, as far as was looked\n".to_owned(),
                false => text(context.ui.theme(), &resources, Timestamp::now()) + WAYS,
            };
            let json = serde_json::to_value(DriftView {
                version: VERSION,
                resources,
            })?;
            Ok(Answer { json, text })
        })
        .await
    })
}

async fn drifted(
    store: &SqliteStore,
    environment: Option<&EnvironmentName>,
    sensitive: &impl Fn(&Address, &str) -> bool,
) -> Result<Vec<DriftedView>, CommandError> {
    let mut found = Vec::new();
    for row in known_environments(store, environment).await? {
        let name = &row.name;
        let base = store.base(name).await?;
        for seen in store.drifted(name).await? {
            let Some(state) = base.resources.get(&seen.address) else {
                continue;
            };
            let history = store.observations(&seen.address, HISTORY).await?;
            found.push(DriftedView {
                since: since(&seen, &history),
                seen_at: seen.at,
                gone: seen.report == Report::Gone,
                fields: fields(&seen, state, sensitive),
                revision: state.revision.to_string(),
                author: author(store, name, &state.revision).await?,
                address: seen.address,
            });
        }
    }
    Ok(found)
}

/// When it was first seen to differ, without a look in between at which it did not.
fn since(seen: &Observation, history: &[Observation]) -> Timestamp {
    let unbroken = history.iter().take_while(|old| !old.drifted.is_empty());
    unbroken
        .map(|old| old.at)
        .min()
        .unwrap_or(seen.at)
        .min(seen.at)
}

fn fields(
    seen: &Observation,
    state: &ResourceState,
    sensitive: &impl Fn(&Address, &str) -> bool,
) -> Vec<FieldView> {
    let Some(instance) = seen.report.instance() else {
        return Vec::new();
    };
    let applied = &state.instance.attributes;
    let mut marks = state.sensitive.clone();
    marks.spread(applied);
    marks.spread(&instance.attributes);
    let field = |path: &String| {
        let (before, now) = (applied.get(path), instance.attributes.get(path));
        let hidden = marks.touches(&Path::of(path)) || sensitive(&seen.address, path);
        let json = |value: Option<&Value>| match value {
            Some(_) if hidden => serde_json::json!({ "sensitive": true }),
            Some(value) => shown(value),
            None => serde_json::Value::Null,
        };
        let words = |value: Option<&Value>| match value {
            Some(_) if hidden => crate::show::value::SENSITIVE.to_owned(),
            Some(value) => line(value),
            None => "(nothing)".to_owned(),
        };
        FieldView {
            path: path.clone(),
            applied: json(before),
            seen: json(now),
            lines: (words(before), words(now)),
        }
    };
    seen.drifted.iter().map(field).collect()
}

/// Who wrote the commit that was applied, as far as the last runs tell.
async fn author(
    store: &SqliteStore,
    environment: &EnvironmentName,
    revision: &stratum_core::ids::CommitId,
) -> Result<Option<String>, CommandError> {
    let runs = store.history(Some(environment), HISTORY).await?;
    let Some(summary) = runs.into_iter().find(|run| run.revision == *revision) else {
        return Ok(None);
    };
    let run = store.run(&summary.id).await?;
    Ok(run.map(|run| run.run.revision.author.clone()))
}

fn text(theme: &Theme, resources: &[DriftedView], now: Timestamp) -> String {
    let mut text = String::new();
    for resource in resources {
        let address = theme.paint(Role::Name, harmless(&resource.address.to_string()));
        let since = when::ago(now, resource.since);
        let by = resource
            .author
            .as_deref()
            .map(|name| format!(" by {}", harmless(name)));
        let short: String = resource.revision.chars().take(12).collect();
        text.push_str(&format!("{address}  differs since {since}\n"));
        text.push_str(&format!(
            "  applied with {short}{}\n",
            by.unwrap_or_default()
        ));
        if resource.gone {
            text.push_str("  someone else took it away\n");
        }
        for field in &resource.fields {
            let path = harmless(&field.path);
            let (applied, seen) = &field.lines;
            text.push_str(&format!(
                "  {path}: {applied}, changed by someone else to {seen}\n"
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(second: i64, drifted: &[&str]) -> Observation {
        Observation {
            address: "e/local_file.a".parse().unwrap(),
            at: Timestamp::from_second(second).unwrap(),
            drifted: drifted.iter().map(|name| (*name).to_owned()).collect(),
            report: Report::Gone,
        }
    }

    #[test]
    fn since_goes_back_to_the_last_look_without_drift() {
        let history = [
            seen(50, &["a"]),
            seen(40, &["a"]),
            seen(30, &[]),
            seen(20, &["a"]),
        ];
        assert_eq!(since(&seen(50, &["a"]), &history).as_second(), 40);
    }
}
