//! Looking at the world on a schedule: what differs is kept, and corrected where that is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stratum_core::condition::Condition;
use stratum_core::duration;
use stratum_core::ids::Address;
use stratum_core::observed::{Observed, Report};
use stratum_core::planning::{DriftRule, decisive, is_settable};
use stratum_core::ports::{Base, EnvironmentRow, Observation, Retry, RunOutcome, TypeSchema};
use stratum_core::resource::ResourceState;
use stratum_core::schedule::{Cause, Causes};
use stratum_core::settings::DriftMode;

use crate::error::RuntimeError;
use crate::health::Doctor;
use crate::look::Look;
use crate::progress::EnvironmentReport;
use crate::reconcile::Reconciler;
use crate::settle::Failure;

/// So many corrections of an attribute within one [`window`] make the next change of it a fight: it
/// is left alone until one of them is older than that.
const FIGHT: usize = 3;

/// The shortest time within which corrections count together.
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// So many observations are read back for each correction that counts.
const OBSERVATIONS: u32 = 12;

/// The shortest time before a correction is tried again that failed.
const AGAIN: Duration = Duration::from_secs(60);

/// So many corrections follow at most in one look, each without what was in the way of the last.
const AT_MOST: usize = 4;

impl Reconciler {
    /// Looks at the whole world, and corrects what is to be corrected. What cannot be corrected is
    /// left out then, so that it is in the way of nothing else, until it is tried again.
    pub(crate) async fn drift(
        self: &Arc<Self>,
        mut look: Look,
        causes: Causes,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let environment = look.target.environment.clone();
        if causes.iter().any(is_another_try) {
            look.row.remembered.obstacles.clear();
        }
        let mut report = self.correct(look.clone()).await?;
        for _ in 0..AT_MOST {
            let failed = matches!(
                report.outcome,
                Some(RunOutcome::RolledBack | RunOutcome::Stuck)
            );
            if !failed || self.stop.is_stopped() {
                break;
            }
            let row = self.ports.store.environment(&environment).await?;
            let row = row.unwrap_or_else(|| look.row.clone());
            let again = self
                .correct(Look {
                    row,
                    ..look.clone()
                })
                .await?;
            // What was left out is in the report all the same.
            report = EnvironmentReport {
                run: again.run.or(report.run),
                outcome: again.outcome,
                ..again
            };
        }
        Ok(report)
    }

    async fn correct(self: &Arc<Self>, mut look: Look) -> Result<EnvironmentReport, RuntimeError> {
        let base = self.ports.store.base(&look.target.environment).await?;
        let (observed, seen) = self.observe_all(&mut look, &base).await?;
        let fights = self.fights(&look, &base, &seen).await?;
        let doctor = Doctor {
            probe: self.ports.probe.as_ref(),
            clock: self.ports.clock.as_ref(),
            root: &look.site.root,
        };
        let secrets = self.ports.secrets.as_ref();
        let mut ill = doctor.ill(secrets, &base, &observed).await;
        // What is as it should be by now is in the way of nothing.
        let troubled: BTreeSet<&Address> = seen
            .iter()
            .filter(|one| is_troubled(one))
            .map(|one| &one.address)
            .collect();
        let obstacles = &mut look.row.remembered.obstacles;
        obstacles.retain(|address, _| troubled.contains(address));
        let obstacles = obstacles.clone();
        let rule = DriftRule {
            mode: self.mode(&look.target),
            fought: fights.keys().cloned().collect(),
            left: obstacles.keys().cloned().collect(),
        };
        let judged = match self.judge(&mut look, &rule, Some(observed)).await? {
            Ok(judged) => judged,
            Err(error) => return self.unplannable(look, error).await,
        };
        let fought = fights.iter().next();
        let window = self.window(&look);
        let fought = fought.map(|(address, names)| fought_over(address, names, window));
        // What is changed now is waited for until it is healthy.
        let changed = judged.plan.steps.iter().map(|step| &step.address);
        changed.for_each(|address| drop(ill.remove(address)));
        let mut concerns = obstacles.values().chain(ill.values());
        look.concern = fought.or(concerns.next().cloned());
        let mut report = self.carry_out(look, judged).await?;
        if !obstacles.is_empty() {
            report.failed = report.failed.or(Some(Retry::Later(AGAIN)));
        }
        Ok(report)
    }

    /// A correction failed: what was applied stays applied, and the rest is corrected without what
    /// is in the way. Answers when that is tried again.
    pub(crate) fn correction_failed(row: &mut EnvironmentRow, failure: Failure) -> Retry {
        let reason = format!(
            "its drift could not be corrected ({}); what was applied stays, and it is tried again",
            failure.why
        );
        let at = failure.at.into_iter();
        let at = at.map(|address| (address, reason.clone()));
        row.remembered.obstacles.extend(at);
        row.condition = Condition::Stalled;
        row.reason = reason;
        Retry::Later(AGAIN)
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
        let now = self.ports.clock.now();
        let mode = self.mode(&look.target);
        let reports = observed.reports.iter();
        let seen: Vec<Observation> = reports
            .map(|(address, report)| {
                let state = base.resources.get(address);
                let providers = &self.ports.providers;
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
        let lease = self.lease(&look.target.environment).await?;
        self.fenced(self.ports.store.observe(&lease, &seen).await)?;
        look.row.observed_at = Some(now);
        Ok((observed, seen))
    }

    /// The time within which corrections count together: some looks at least.
    fn window(&self, look: &Look) -> Duration {
        let every = look.target.settings.drift_of(&look.target.own()).every;
        WINDOW.max(every.saturating_mul(2 * FIGHT as u32))
    }

    /// The attributes that someone else keeps changing back, by resource.
    async fn fights(
        &self,
        look: &Look,
        base: &Base,
        seen: &[Observation],
    ) -> Result<BTreeMap<Address, BTreeSet<String>>, RuntimeError> {
        let mode = self.mode(&look.target);
        let window = self.window(look);
        let mut fights = BTreeMap::new();
        for now in seen {
            let Some(state) = base.resources.get(&now.address) else {
                continue;
            };
            // What is left as it is, is not fought over.
            let names = now.drifted.iter().map(String::as_str);
            let providers = &self.ports.providers;
            let schema = providers.type_schema(&state.provider, now.address.r#type());
            let (mut drifted, _) = decisive(schema.as_deref(), names);
            drifted.retain(|name| state.meta.drift_mode(Some(name), mode) == DriftMode::Correct);
            if drifted.is_empty() {
                continue;
            }
            let history = self
                .ports
                .store
                .observations(&now.address, OBSERVATIONS * FIGHT as u32)
                .await?;
            let recent = |old: &&Observation| {
                Duration::try_from(now.at.duration_since(old.at)).is_ok_and(|age| age <= window)
            };
            let recent: Vec<_> = history.iter().filter(recent).collect();
            let again = |name: &&str| corrections(&recent, name) >= FIGHT;
            let attributes = drifted.into_iter().filter(again).map(str::to_owned);
            let attributes: BTreeSet<String> = attributes.collect();
            if !attributes.is_empty() {
                fights.insert(now.address.clone(), attributes);
            }
        }
        Ok(fights)
    }
}

/// Whether anything of a resource is not as it should be.
fn is_troubled(seen: &Observation) -> bool {
    let due = seen.report.instance().and_then(|there| there.due);
    let is_due = due.and_then(|due| due.first());
    let is_well = matches!(seen.report, Report::Present(_)) && seen.drifted.is_empty();
    !is_well || is_due.is_some_and(|due| due <= seen.at)
}

/// Whether what was in the way of a correction is tried again: neither a look at the world nor a
/// restart is a reason for it.
fn is_another_try(cause: Cause) -> bool {
    !matches!(cause, Cause::DriftDue | Cause::Start)
}

/// How often an attribute was put right: it differed, and at the next observation it did not.
///
/// `observations`: the newest first. That it merely differs at every look, because it is reported
/// only, is no correction.
fn corrections(observations: &[&Observation], name: &str) -> usize {
    let differs = |seen: &Observation| seen.drifted.iter().any(|one| one == name);
    let pairs = observations.windows(2);
    let put_right = pairs.filter(|pair| match pair {
        [newer, older] => differs(older) && !differs(newer),
        _ => false,
    });
    put_right.count()
}

fn fought_over(address: &Address, attributes: &BTreeSet<String>, window: Duration) -> String {
    let names: Vec<String> = attributes.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "someone else keeps changing {} of `{address}` back: it was put right {FIGHT} times within \
         {}, and is left alone until that is over; find the other writer, and push a change of the \
         resource to have it put right at once, or set its `meta.drift.mode` to 'report",
        names.join(", "),
        duration::format(window)
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(drifted: &[&str]) -> Observation {
        Observation {
            address: "e/local_file.a".parse().unwrap(),
            at: jiff::Timestamp::UNIX_EPOCH,
            drifted: drifted.iter().map(|name| (*name).to_owned()).collect(),
            report: Report::Gone,
        }
    }

    #[test]
    fn what_is_reported_only_is_no_correction() {
        let reported = [
            &["mode"][..],
            &["mode"],
            &["content", "mode"],
            &["mode"],
            &[],
        ];
        let corrected = [&["mode"][..], &[], &["mode"], &[], &["mode"], &[]];
        for (observations, expected) in [(&reported[..], 0), (&corrected[..], 2)] {
            let all: Vec<Observation> = observations.iter().map(|names| seen(names)).collect();
            let all: Vec<&Observation> = all.iter().collect();
            assert_eq!(corrections(&all, "mode"), expected);
        }
    }
}
