//! Looking at the world on a schedule: what differs is kept, and corrected where that is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stratum_core::duration;
use stratum_core::ids::Address;
use stratum_core::observed::{Observed, Report};
use stratum_core::planning::{DriftRule, decisive};
use stratum_core::ports::{Base, Clock, Observation, Probe, Retry, RunOutcome, Secrets, Store};
use stratum_core::schedule::{Cause, Causes};
use stratum_core::settings::DriftMode;

use crate::bring::Bringing;
use crate::error::RuntimeError;
use crate::health::Doctor;
use crate::judge::Judging;
use crate::look::Look;
use crate::ports::{Ports, Providers};
use crate::progress::EnvironmentReport;
use crate::settle::AGAIN;
use crate::stop::Stop;
use crate::world::World;

/// So many corrections of an attribute within one [`window`] make the next change of it a fight: it
/// is left alone until one of them is older than that.
const FIGHT: usize = 3;

/// The shortest time within which corrections count together.
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// So many observations are read back for each correction that counts.
const OBSERVATIONS: u32 = 12;

/// So many corrections follow at most in one look, each without what was in the way of the last.
const AT_MOST: usize = 4;

/// Corrects the world where it differs and that is wanted.
pub(crate) struct Correcting {
    store: Arc<dyn Store>,
    providers: Providers,
    secrets: Arc<dyn Secrets>,
    probe: Arc<dyn Probe>,
    clock: Arc<dyn Clock>,
    stop: Stop,
    world: Arc<World>,
    judging: Arc<Judging>,
    bringing: Arc<Bringing>,
}

impl Correcting {
    pub(crate) fn new(
        ports: &Ports,
        stop: &Stop,
        (world, judging): (&Arc<World>, &Arc<Judging>),
        bringing: &Arc<Bringing>,
    ) -> Self {
        Self {
            store: Arc::clone(&ports.store),
            providers: ports.providers.clone(),
            secrets: Arc::clone(&ports.secrets),
            probe: Arc::clone(&ports.probe),
            clock: Arc::clone(&ports.clock),
            stop: stop.clone(),
            world: Arc::clone(world),
            judging: Arc::clone(judging),
            bringing: Arc::clone(bringing),
        }
    }

    /// Looks at the whole world, and corrects what is to be corrected. What cannot be corrected is
    /// left out then, so that it is in the way of nothing else, until it is tried again.
    pub(crate) async fn drift(
        &self,
        mut look: Look,
        causes: Causes,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let environment = look.target.environment.clone();
        if causes.iter().any(is_another_try) {
            look.row.remembered.obstacles.clear();
        }
        // What failed in this look stays left out for the whole of it: what crashes again and again
        // runs for a moment after each try.
        let mut failed_now = BTreeSet::new();
        let mut report = self.correct(look.clone(), &failed_now).await?;
        for _ in 0..AT_MOST {
            let failed = matches!(
                report.outcome,
                Some(RunOutcome::RolledBack | RunOutcome::Stuck)
            );
            if !failed || self.stop.is_stopped() {
                break;
            }
            let row = self.store.environment(&environment).await?;
            let row = row.unwrap_or_else(|| look.row.clone());
            failed_now.extend(row.remembered.obstacles.keys().cloned());
            let next = Look {
                row,
                ..look.clone()
            };
            let again = self.correct(next, &failed_now).await?;
            // What was left out is in the report all the same.
            report = EnvironmentReport {
                run: again.run.or(report.run),
                outcome: again.outcome,
                ..again
            };
        }
        Ok(report)
    }

    /// Corrects once, without what failed in this look.
    async fn correct(
        &self,
        mut look: Look,
        failed_now: &BTreeSet<Address>,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let base = self.store.base(&look.target.environment).await?;
        let (observed, seen) = self.world.observe_all(&mut look, &base).await?;
        let fights = self.fights(&look, &base, &seen).await?;
        let mut ill = self.ill(&look, &base, &observed).await;
        let obstacles = still_in_the_way(&mut look, &seen, failed_now);
        let rule = DriftRule {
            mode: look.target.drift_mode(),
            fought: fights.keys().cloned().collect(),
            left: obstacles.keys().cloned().collect(),
        };
        let judged = match self.judging.judge(&mut look, &rule, Some(observed)).await? {
            Ok(judged) => judged,
            Err(error) => return self.bringing.unplannable(look, error).await,
        };
        let window = window(&look);
        let fought = fights.iter().next();
        let fought = fought.map(|(address, names)| fought_over(address, names, window));
        // What is changed now is waited for until it is healthy.
        let changed = judged.plan.steps.iter().map(|step| &step.address);
        changed.for_each(|address| drop(ill.remove(address)));
        let mut concerns = obstacles.values().chain(ill.values());
        look.concern = fought.or(concerns.next().cloned());
        let mut report = self.bringing.carry_out(look, judged).await?;
        if !obstacles.is_empty() {
            report.failed = report.failed.or(Some(Retry::Later(AGAIN)));
        }
        Ok(report)
    }

    /// What is not healthy, and why.
    async fn ill(
        &self,
        look: &Look,
        base: &Base,
        observed: &Observed,
    ) -> BTreeMap<Address, String> {
        let doctor = Doctor {
            probe: self.probe.as_ref(),
            clock: self.clock.as_ref(),
            root: &look.site.root,
        };
        let secrets = self.secrets.as_ref();
        doctor.ill(secrets, base, observed).await
    }

    /// The attributes that someone else keeps changing back, by resource.
    async fn fights(
        &self,
        look: &Look,
        base: &Base,
        seen: &[Observation],
    ) -> Result<BTreeMap<Address, BTreeSet<String>>, RuntimeError> {
        let mode = look.target.drift_mode();
        let window = window(look);
        let mut fights = BTreeMap::new();
        for now in seen {
            let Some(state) = base.resources.get(&now.address) else {
                continue;
            };
            // What is left as it is, is not fought over.
            let names = now.drifted.iter().map(String::as_str);
            let providers = &self.providers;
            let schema = providers.type_schema(&state.provider, now.address.r#type());
            let (mut drifted, _) = decisive(schema.as_deref(), names);
            drifted.retain(|name| state.meta.drift_mode(Some(name), mode) == DriftMode::Correct);
            if drifted.is_empty() {
                continue;
            }
            let history = self
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

/// The time within which corrections count together: some looks at least.
fn window(look: &Look) -> Duration {
    let every = look.target.settings.drift_of(&look.target.own()).every;
    WINDOW.max(every.saturating_mul(2 * FIGHT as u32))
}

/// What was in the way of a correction and still is: what is as it should be by now is in the way of
/// nothing, unless it failed in this very look.
fn still_in_the_way(
    look: &mut Look,
    seen: &[Observation],
    failed_now: &BTreeSet<Address>,
) -> BTreeMap<Address, String> {
    let troubled = seen.iter().filter(|one| is_troubled(one));
    let troubled: BTreeSet<&Address> = troubled.map(|one| &one.address).collect();
    let obstacles = &mut look.row.remembered.obstacles;
    obstacles.retain(|address, _| troubled.contains(address) || failed_now.contains(address));
    obstacles.clone()
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
