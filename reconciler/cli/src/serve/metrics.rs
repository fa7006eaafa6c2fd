//! `/metrics`: numbers for Prometheus. The table of names is in the README of the forge.
//!
//! *Guarantees*: labels are bounded. Environments beyond a number are counted together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use stratum_core::condition::Condition;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{States as _, StoreError, Work as _};
use stratum_runtime::Progress;

use crate::serve::Sources;

/// *Source*: OpenMetrics 1.0, section "Protocol Negotiation".
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Environments that have numbers of their own; the rest is one.
const ENVIRONMENTS: usize = 200;

/// What stands for the environments beyond that.
const REST: &str = "(others)";

/// Upper bounds of durations, in seconds.
const SECONDS: [f64; 11] = [
    0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14_400.0,
];

/// What became of a delivery of the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Delivery {
    /// The repository is looked at.
    Accepted,
    /// It is of no concern.
    Ignored,
    /// It was seen before.
    Repeated,
    /// It is not genuine or not readable.
    Refused,
    /// It is longer than any of GitHub's.
    TooLong,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEnvironment {
    environment: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCondition {
    environment: String,
    condition: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    environment: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResult {
    result: Delivery,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfVersion {
    version: &'static str,
}

/// All numbers.
pub(super) struct Metrics {
    registry: Registry,
    conditions: Family<OfCondition, Gauge>,
    resources: Family<OfEnvironment, Gauge>,
    drifted: Family<OfEnvironment, Gauge>,
    observed: Family<OfEnvironment, Gauge<f64, AtomicU64>>,
    runs: Family<OfOutcome, Counter>,
    durations: Histogram,
    turns: Counter,
    troubles: Counter,
    records: Counter,
    records_waiting: Gauge,
    commits_unkept: Gauge,
    queue: Gauge,
    state: Gauge,
    audit: Gauge,
    deliveries: Family<OfResult, Counter>,
    forge_requests: Gauge,
    forge_failures: Family<OfKind, Gauge>,
    forge_remaining: Gauge,
    waiting: Gauge,
    begun: Mutex<BTreeMap<EnvironmentName, Instant>>,
    named: Mutex<BTreeSet<EnvironmentName>>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("stratum"),
            conditions: Family::default(),
            resources: Family::default(),
            drifted: Family::default(),
            observed: Family::default(),
            runs: Family::default(),
            durations: Histogram::new(SECONDS),
            turns: Counter::default(),
            troubles: Counter::default(),
            records: Counter::default(),
            records_waiting: Gauge::default(),
            commits_unkept: Gauge::default(),
            queue: Gauge::default(),
            state: Gauge::default(),
            audit: Gauge::default(),
            deliveries: Family::default(),
            forge_requests: Gauge::default(),
            forge_failures: Family::default(),
            forge_remaining: Gauge::default(),
            waiting: Gauge::default(),
            begun: Mutex::default(),
            named: Mutex::default(),
        };
        metrics.register_environments();
        metrics.register_loop();
        metrics.register_forge();
        metrics
    }

    /// All numbers with one of each label, for the reference page.
    pub(super) fn sample() -> String {
        let metrics = Self::new();
        let environment = || "production".to_owned();
        let of = OfEnvironment {
            environment: environment(),
        };
        drop(metrics.conditions.get_or_create(&OfCondition {
            environment: environment(),
            condition: Condition::Ready.as_str(),
        }));
        drop(metrics.resources.get_or_create(&of));
        drop(metrics.drifted.get_or_create(&of));
        drop(metrics.observed.get_or_create(&of));
        drop(metrics.runs.get_or_create(&OfOutcome {
            environment: environment(),
            outcome: "applied",
        }));
        let result = Delivery::Accepted;
        drop(metrics.deliveries.get_or_create(&OfResult { result }));
        drop(
            metrics
                .forge_failures
                .get_or_create(&OfKind { kind: "server" }),
        );
        let mut text = String::new();
        let _infallible = encode(&mut text, &metrics.registry);
        text
    }

    fn register_environments(&mut self) {
        let registry = &mut self.registry;
        let build: Family<OfVersion, Gauge> = Family::default();
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&OfVersion { version }).set(1);
        registry.register("build_info", "The version that runs", build);
        registry.register(
            "environment_condition",
            "1 for the condition an environment is in, 0 for the others",
            self.conditions.clone(),
        );
        registry.register(
            "environment_resources",
            "Resources in the state of an environment",
            self.resources.clone(),
        );
        registry.register(
            "environment_drifted",
            "Resources that differ from what was applied",
            self.drifted.clone(),
        );
        registry.register(
            "environment_observed_timestamp_seconds",
            "When the world was last looked at (Unix time)",
            self.observed.clone(),
        );
    }

    fn register_loop(&mut self) {
        let registry = &mut self.registry;
        registry.register("runs", "Runs that ended, by outcome", self.runs.clone());
        registry.register(
            "run_duration_seconds",
            "Time from the beginning of a run to its end",
            self.durations.clone(),
        );
        registry.register(
            "turns",
            "Turns of the loop that went well",
            self.turns.clone(),
        );
        registry.register(
            "troubles",
            "Times that something outside the environments went wrong",
            self.troubles.clone(),
        );
        registry.register("records", "Records written to git", self.records.clone());
        registry.register(
            "records_waiting",
            "Records that could not be written to git yet",
            self.records_waiting.clone(),
        );
        registry.register(
            "commits_unkept",
            "1 while the applied commits cannot be kept alive by refs",
            self.commits_unkept.clone(),
        );
        registry.register(
            "queue_entries",
            "Environments that wait for another try",
            self.queue.clone(),
        );
        registry.register(
            "state_bytes",
            "Size of the state on disk, its log included",
            self.state.clone(),
        );
        registry.register(
            "audit_entries",
            "Entries under the signed checkpoints of the audit log",
            self.audit.clone(),
        );
    }

    fn register_forge(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "webhook_deliveries",
            "Deliveries to the webhook, by what became of them",
            self.deliveries.clone(),
        );
        registry.register(
            "forge_requests",
            "Requests to the forge since the start, tries included",
            self.forge_requests.clone(),
        );
        registry.register(
            "forge_failures",
            "Requests to the forge that failed since the start, by kind",
            self.forge_failures.clone(),
        );
        registry.register(
            "forge_limit_remaining",
            "Requests that the forge still allows; -1 until it said",
            self.forge_remaining.clone(),
        );
        registry.register(
            "forge_waiting_runs",
            "Runs whose outcome the forge was not told yet",
            self.waiting.clone(),
        );
        self.forge_remaining.set(-1);
    }

    /// Takes in what the loop says.
    pub(super) fn take(&self, progress: &Progress) {
        match progress {
            Progress::Turned => {
                self.turns.inc();
            }
            Progress::Started { environment, .. } => {
                self.begun().insert(environment.clone(), Instant::now());
            }
            Progress::Ended(report) => {
                let begun = self.begun().remove(&report.environment);
                if let Some(begun) = begun {
                    self.durations.observe(begun.elapsed().as_secs_f64());
                }
                if let (Some(outcome), Some(_)) = (report.outcome, &report.run) {
                    let of = OfOutcome {
                        environment: self.label(&report.environment),
                        outcome: outcome.as_str(),
                    };
                    self.runs.get_or_create(&of).inc();
                }
            }
            Progress::Recorded { .. } => {
                self.records.inc();
            }
            Progress::RecordsWait(waits) => {
                let count = waits.as_ref().map_or(0, |waits| waits.count.max(1));
                self.records_waiting
                    .set(i64::try_from(count).unwrap_or(i64::MAX));
            }
            Progress::CommitsUnkept(unkept) => {
                self.commits_unkept.set(i64::from(unkept.is_some()));
            }
            Progress::Trouble(_) => {
                self.troubles.inc();
            }
            Progress::Looking { .. }
            | Progress::Planned { .. }
            | Progress::Step { .. }
            | Progress::News(_) => {}
        }
    }

    /// Counts a delivery.
    pub(super) fn delivery(&self, result: Delivery) {
        self.deliveries.get_or_create(&OfResult { result }).inc();
    }

    /// All numbers as they are now.
    pub(super) async fn text(&self, sources: &Sources) -> Result<String, StoreError> {
        self.look(sources).await?;
        let mut text = String::new();
        let _infallible = encode(&mut text, &self.registry);
        Ok(text)
    }

    async fn look(&self, sources: &Sources) -> Result<(), StoreError> {
        let rows = sources.store.environments().await?;
        self.conditions.clear();
        self.resources.clear();
        self.drifted.clear();
        self.observed.clear();
        for row in rows {
            let environment = self.label(&row.name);
            for condition in CONDITIONS {
                let of = OfCondition {
                    environment: environment.clone(),
                    condition: condition.as_str(),
                };
                let one = i64::from(row.condition == condition);
                self.conditions.get_or_create(&of).inc_by(one);
            }
            let counts = sources.store.counts(&row.name).await?;
            let of = OfEnvironment { environment };
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            self.resources
                .get_or_create(&of)
                .inc_by(number(counts.resources));
            self.drifted
                .get_or_create(&of)
                .inc_by(number(counts.drifted));
            if let Some(at) = row.observed_at {
                self.observed.get_or_create(&of).set(at.as_second() as f64);
            }
        }
        self.queue.set(sources.store.queue().await?.len() as i64);
        self.state.set(bytes(&sources.state));
        self.audit
            .set(entries(&stratum_store::log_folder(&sources.state)));
        if let Some((forge, announcer)) = &sources.forge {
            let counts = forge.counts();
            self.forge_requests.set(counts.requests as i64);
            for (kind, count) in counts.failures {
                let of = OfKind { kind };
                self.forge_failures.get_or_create(&of).set(count as i64);
            }
            let remaining = counts.remaining.map_or(-1, |left| left as i64);
            self.forge_remaining.set(remaining);
            self.waiting.set(announcer.waiting() as i64);
        }
        Ok(())
    }

    /// The name of an environment as long as there are few, then one name for all others.
    fn label(&self, environment: &EnvironmentName) -> String {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.contains(environment) || named.len() < ENVIRONMENTS {
            named.insert(environment.clone());
            return environment.to_string();
        }
        REST.to_owned()
    }

    fn begun(&self) -> std::sync::MutexGuard<'_, BTreeMap<EnvironmentName, Instant>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const CONDITIONS: [Condition; 5] = [
    Condition::Ready,
    Condition::Reconciling,
    Condition::Stalled,
    Condition::Suspended,
    Condition::Unknown,
];

/// The entries of all parts of the audit log: the second line of each checkpoint.
///
/// *Source*: C2SP tlog-checkpoint.
fn entries(folder: &std::path::Path) -> i64 {
    let Ok(parts) = std::fs::read_dir(folder) else {
        return 0;
    };
    let size = |part: std::fs::DirEntry| -> Option<i64> {
        let text = std::fs::read_to_string(part.path().join("checkpoint")).ok()?;
        text.lines().nth(1)?.parse().ok()
    };
    parts.filter_map(|part| size(part.ok()?)).sum()
}

/// The size of the state and its log.
fn bytes(state: &std::path::Path) -> i64 {
    let log = std::path::PathBuf::from(format!("{}-wal", state.display()));
    let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |data| data.len());
    i64::try_from(size(state) + size(&log)).unwrap_or(i64::MAX)
}
