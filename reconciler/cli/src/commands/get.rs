//! `stratum get`

use std::collections::BTreeMap;

use jiff::Timestamp;
use stratum_core::condition::Condition;
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::journal::Event;
use stratum_core::ports::{
    EnvironmentRow, Journals as _, Observation, Observations as _, States as _,
};
use stratum_core::resource::ResourceState;
use stratum_store::SqliteStore;

use crate::commands::plan::known_environments;
use crate::commands::watch::{self, Answer, WatchArguments};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::CommandError;
use crate::show::json::{GetView, ResourceView, VERSION};
use crate::show::status::look;
use crate::show::table::{Cell, Table};
use crate::show::when;
use crate::style::{Theme, harmless};

/// Runs that are read to find when a resource last changed.
const RUNS: u32 = 200;

/// Lists resources as they were last applied and observed
#[derive(Debug, clap::Args)]
pub(crate) struct GetArguments {
    /// Only these: a type, an address, or the beginning of one
    filter: Option<String>,

    /// Of this environment only
    #[arg(long, value_name = "NAME")]
    env: Option<EnvironmentName>,

    #[command(flatten)]
    watch: WatchArguments,
}

/// Carries out the command.
pub(crate) fn run(context: &Context, arguments: &GetArguments) -> Result<Exit, CommandError> {
    let place = context.known_place()?;
    context.block_on(async {
        let store = place.known_state().await?;
        watch::answer(context, arguments.watch, async || {
            let mut resources = all(&store, arguments.env.as_ref()).await?;
            if let Some(filter) = &arguments.filter {
                resources.retain(|resource| matches(&resource.address, filter));
            }
            let text = match resources.is_empty() {
                true => "no such resources\n".to_owned(),
                false => table(context.ui.theme(), &resources, Timestamp::now()),
            };
            let json = serde_json::to_value(GetView {
                version: VERSION,
                resources,
            })?;
            Ok(Answer { json, text })
        })
        .await
    })
}

/// The resources of one environment, or of all.
async fn all(
    store: &SqliteStore,
    environment: Option<&EnvironmentName>,
) -> Result<Vec<ResourceView>, CommandError> {
    let mut resources = Vec::new();
    for row in known_environments(store, environment).await? {
        let name = &row.name;
        let observed = store.observed(name).await?;
        let observed: BTreeMap<&Address, &Observation> =
            observed.iter().map(|seen| (&seen.address, seen)).collect();
        let changed = changes(store, name).await?;
        let base = store.base(name).await?;
        for (address, state) in base.resources {
            let seen = observed.get(&address).copied();
            let mut view = view(&state, seen, changed.get(&address).copied());
            if let Some(why) = stopped(seen, &row) {
                (view.condition, view.because) = ("Stalled", Some(why));
            }
            view.closed = base.sealed.contains(&address);
            resources.push(view);
        }
    }
    Ok(resources)
}

/// When a step last changed each address, as far back as the last runs go.
async fn changes(
    store: &SqliteStore,
    environment: &EnvironmentName,
) -> Result<BTreeMap<Address, Timestamp>, CommandError> {
    let mut changed = BTreeMap::new();
    for summary in store.history(Some(environment), RUNS).await? {
        let Some(run) = store.run(&summary.id).await? else {
            continue;
        };
        for (at, event) in run.events.iter().rev() {
            let (Event::Done { step, .. } | Event::Restored { step, .. }) = event else {
                continue;
            };
            if let Some(step) = run.run.plan().step(*step) {
                changed.entry(step.address.clone()).or_insert(*at);
            }
        }
    }
    Ok(changed)
}

fn view(
    state: &ResourceState,
    seen: Option<&Observation>,
    changed_at: Option<Timestamp>,
) -> ResourceView {
    let environment = &state.address.environment;
    let depends_on = state.depends_on.iter().map(|local| Address {
        environment: environment.clone(),
        local: local.clone(),
    });
    ResourceView {
        address: state.address.clone(),
        kind: state.kind,
        r#type: state.address.r#type().to_string(),
        provider: state.provider.clone(),
        condition: condition(state),
        because: state.unknown.clone(),
        sealed: sealed_of(state),
        closed: false,
        drifted: seen.map(|seen| seen.drifted.clone()).unwrap_or_default(),
        changed_at,
        observed_at: seen.map(|seen| seen.at),
        depends_on: depends_on.collect(),
    }
}

/// The attributes that hold a secret, or text with one in it.
pub(crate) fn sealed_of(state: &ResourceState) -> Vec<String> {
    let attributes = state.instance.attributes.iter();
    let secret = attributes.filter(|(_, value)| value.holds_secret());
    secret.map(|(name, _)| name.clone()).collect()
}

/// Why what should run does not, as it was last seen; nothing where the environment was found well
/// since.
pub(crate) fn stopped(seen: Option<&Observation>, of: &EnvironmentRow) -> Option<String> {
    let why = seen.and_then(|seen| seen.report.stopped());
    why.filter(|_| of.condition != Condition::Ready)
        .map(str::to_owned)
}

/// The condition of one resource.
pub(crate) fn condition(state: &ResourceState) -> &'static str {
    if state.unknown.is_some() {
        "Unknown"
    } else if state.tainted {
        "Stalled"
    } else {
        "Ready"
    }
}

fn matches(address: &Address, filter: &str) -> bool {
    let (whole, local) = (address.to_string(), address.local.to_string());
    address.r#type().as_str() == filter || whole.starts_with(filter) || local.starts_with(filter)
}

fn table(theme: &Theme, resources: &[ResourceView], now: Timestamp) -> String {
    let mut table = Table::new(&["ADDRESS", "CONDITION", "CHANGED", "DRIFTED", "SEALED"]);
    for resource in resources {
        let (_, role) = look(resource.condition);
        let changed = resource.changed_at.map(|at| when::ago(now, at));
        let drifted = match resource.drifted.as_slice() {
            [] => "-".to_owned(),
            paths => harmless(&paths.join(", ")),
        };
        let sealed = match resource.sealed.as_slice() {
            _ if resource.closed => "all, until it is unsealed".to_owned(),
            [] => "-".to_owned(),
            names => harmless(&names.join(", ")),
        };
        table.row(vec![
            harmless(&resource.address.to_string()).into(),
            Cell::painted(role, resource.condition),
            changed.unwrap_or_else(|| "-".to_owned()).into(),
            drifted.into(),
            sealed.into(),
        ]);
    }
    table.render(theme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_types_addresses_or_beginnings() {
        let address: Address = "staging/local_file.index".parse().unwrap();
        for filter in [
            "local_file",
            "staging/",
            "local_file.ind",
            "staging/local_file.index",
        ] {
            assert!(matches(&address, filter), "{filter}");
        }
        assert!(!matches(&address, "local_directory"));
        assert!(!matches(&address, "index"));
    }
}
