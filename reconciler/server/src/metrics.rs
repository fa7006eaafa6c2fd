//! `/metrics`: numbers for Prometheus. The table of names is in the README of the forge.
//!
//! *Guarantees*: labels are bounded. Environments beyond a number are counted together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use stratum_core::condition::Condition;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{States as _, StoreError, Work as _};
use stratum_runtime::Progress;
use stratum_store::SqliteStore;

/// Environments that have numbers of their own; the rest is one.
const ENVIRONMENTS: usize = 200;

/// What stands for the environments beyond that.
const REST: &str = "(others)";

/// Upper bounds of durations, in seconds.
const SECONDS: [f64; 11] = [
    0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14_400.0,
];

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
struct OfVersion {
    version: &'static str,
}

/// All numbers.
pub(crate) struct Metrics {
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
    begun: Mutex<BTreeMap<EnvironmentName, Instant>>,
    named: Mutex<BTreeSet<EnvironmentName>>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
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
            begun: Mutex::default(),
            named: Mutex::default(),
        }
    }

    /// Names all numbers.
    pub(crate) fn register(&self, registry: &mut Registry) {
        self.register_environments(registry);
        self.register_loop(registry);
    }

    /// Names all numbers, with one of each label.
    pub(crate) fn sample(&self, registry: &mut Registry) {
        self.register(registry);
        let environment = || "production".to_owned();
        let of = OfEnvironment {
            environment: environment(),
        };
        drop(self.conditions.get_or_create(&OfCondition {
            environment: environment(),
            condition: Condition::Ready.as_str(),
        }));
        drop(self.resources.get_or_create(&of));
        drop(self.drifted.get_or_create(&of));
        drop(self.observed.get_or_create(&of));
        drop(self.runs.get_or_create(&OfOutcome {
            environment: environment(),
            outcome: "applied",
        }));
    }

    fn register_environments(&self, registry: &mut Registry) {
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

    fn register_loop(&self, registry: &mut Registry) {
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

    /// Takes in what the loop says.
    pub(crate) fn take(&self, progress: &Progress) {
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

    /// Brings all numbers up to date with the state.
    pub(crate) async fn look(&self, store: &SqliteStore, state: &Path) -> Result<(), StoreError> {
        let rows = store.environments().await?;
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
            let counts = store.counts(&row.name).await?;
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
        self.queue.set(store.queue().await?.len() as i64);
        self.state.set(bytes(state));
        self.audit.set(entries(&stratum_store::log_folder(state)));
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
fn entries(folder: &Path) -> i64 {
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
fn bytes(state: &Path) -> i64 {
    let log = std::path::PathBuf::from(format!("{}-wal", state.display()));
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    i64::try_from(size(state) + size(&log)).unwrap_or(i64::MAX)
}
