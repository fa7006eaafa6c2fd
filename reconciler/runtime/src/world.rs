//! The world of an environment: who is asked about it, and what was seen is kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use stratum_core::ids::Address;
use stratum_core::observed::{Observed, Report};
use stratum_core::planning::{decisive, is_settable};
use stratum_core::ports::{Base, Clock, Observation, Observations, Secrets, TypeSchema};
use stratum_core::resource::ResourceState;
use stratum_core::settings::DriftMode;

use crate::calls::Calls;
use crate::error::RuntimeError;
use crate::lease::OwnLeases;
use crate::look::Look;
use crate::observe::Asker;
use crate::ports::{Ports, Providers};
use crate::stop::Stop;

/// Asks about the world.
pub(crate) struct World {
    observations: Arc<dyn Observations>,
    providers: Providers,
    secrets: Arc<dyn Secrets>,
    clock: Arc<dyn Clock>,
    stop: Stop,
    leases: Arc<OwnLeases>,
}

impl World {
    pub(crate) fn new(ports: &Ports, stop: &Stop, leases: &Arc<OwnLeases>) -> Self {
        Self {
            observations: ports.store.clone(),
            providers: ports.providers.clone(),
            secrets: Arc::clone(&ports.secrets),
            clock: Arc::clone(&ports.clock),
            stop: stop.clone(),
            leases: Arc::clone(leases),
        }
    }

    /// Asks the providers of the environment that is looked at.
    pub(crate) fn asker<'a>(&'a self, look: &'a Look) -> Asker<'a> {
        let calls = Calls {
            clock: self.clock.as_ref(),
            site: &look.site,
            timeout: look.target.settings.limits.call,
            secrets: self.secrets.as_ref(),
            stop: Some(&self.stop),
            turns: None,
            notes: None,
        };
        Asker {
            providers: &self.providers,
            calls,
            configurations: &look.desired.providers,
            waits: true,
        }
    }

    /// Reads every resource and keeps what was seen.
    pub(crate) async fn observe_all(
        &self,
        look: &mut Look,
        base: &Base,
    ) -> Result<(Observed, Vec<Observation>), RuntimeError> {
        let all: BTreeSet<Address> = base
            .resources
            .values()
            .filter(|s| s.unknown.is_none() && !base.sealed.contains(&s.address))
            .map(|s| s.address.clone())
            .collect();
        let observed = self.asker(look).observe(&all, base).await?;
        let now = self.clock.now();
        let mode = look.target.drift_mode();
        let reports = observed.reports.iter();
        let seen: Vec<Observation> = reports
            .map(|(address, report)| {
                let state = base.resources.get(address);
                let providers = &self.providers;
                let schema = state
                    .and_then(|state| providers.type_schema(&state.provider, address.r#type()));
                Observation {
                    address: address.clone(),
                    at: now,
                    drifted: drifted(state, report, schema.as_deref(), mode),
                    report: report.clone(),
                }
            })
            .collect();
        let lease = self.leases.of(&look.target.environment).await?;
        self.leases
            .fenced(self.observations.observe(&lease, &seen).await)?;
        look.row.observed_at = Some(now);
        Ok((observed, seen))
    }
}

/// The attributes that differ from what was applied, but for those that are ignored.
fn drifted(
    state: Option<&ResourceState>,
    report: &Report,
    schema: Option<&TypeSchema>,
    mode: DriftMode,
) -> Vec<String> {
    let Some(state) = state else {
        return Vec::new();
    };
    let told = |name: Option<&str>| state.meta.drift_mode(name, mode) != DriftMode::Ignore;
    let seen = match report {
        Report::Present(seen) | Report::Stopped { instance: seen, .. } => &seen.attributes,
        Report::Gone if told(None) => return vec!["(gone)".to_owned()],
        Report::Gone | Report::Unreadable(_) => return Vec::new(),
    };
    let applied = &state.instance.attributes;
    let names: BTreeSet<&str> = applied
        .keys()
        .chain(seen.keys())
        .filter(|name| applied.get(*name) != seen.get(*name))
        .map(String::as_str)
        .collect();
    let (mut names, derived) = decisive(schema, names);
    if report.stopped().is_some() {
        // What the provider computes follows from its being started again.
        names.retain(|name| is_settable(schema, name));
    }
    names.retain(|name| told(Some(name)));
    if !names.is_empty() {
        names.extend(derived);
    }
    names.sort_unstable();
    names.into_iter().map(str::to_owned).collect()
}
