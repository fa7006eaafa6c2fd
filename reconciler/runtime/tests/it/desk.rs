//! Everything a reconciler needs, in memory, and a process that can be killed and started again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::ids::{Address, EnvironmentName, TypeName};
use stratum_core::ports::{
    ApplyCall, ApplyError, Capabilities, CheckpointCall, Clock, Complaint, EnvironmentRow,
    ImportCall, LocateCall, Located, NoProposals, PlanCall, Probe, ProbeError, Proposal, Provider,
    ProviderError, ProviderSchema, Randomness, ReadCall, Reading, RestoreCall, States as _,
};
use stratum_core::resource::{HealthCheck, Instance, Opaque};
use stratum_core::value::Record;
use stratum_runtime::{
    EnvironmentReport, Options, Ports, Progress, Providers, Reconciler, Roots, RuntimeError, Stop,
};
use stratum_testkit::audit::MemoryAudit;
use stratum_testkit::clock::SeededRandomness;
use stratum_testkit::cloud::{Cloud, CloudProvider};
use stratum_testkit::gate::{NobodySigns, ReversibleOnly};
use stratum_testkit::script::{Script, environment};
use stratum_testkit::sealing::{MemorySealCheck, MemorySecrets, MemoryVault};
use stratum_testkit::store::MemoryStore;
use stratum_testkit::world::{MemoryProvider, World};

use crate::killing::{Kill, KillingStore};

/// The world outside a process: what survives when it is killed.
pub struct Desk {
    pub script: Script,
    pub world: World,
    pub cloud: Cloud,
    pub secrets: Arc<MemorySecrets>,
    pub store: Arc<MemoryStore>,
    pub audit: Arc<MemoryAudit>,
    pub clock: Arc<SimulatedClock>,
    pub randomness: Arc<SeededRandomness>,
    /// How many processes were started.
    pub processes: AtomicU64,
    /// The environment whose provider panics when it is asked to plan.
    pub panics: Arc<std::sync::Mutex<Option<EnvironmentName>>>,
    /// The store of the process that was started last: it is dead when the next one starts.
    last: std::sync::Mutex<Option<Arc<MemoryStore>>>,
    /// Things that should run and do not; `None`: nothing is said to run.
    pub stopped: Stopped,
    /// No health check passes.
    pub ill: Arc<AtomicBool>,
    /// How many calls the provider takes at once.
    pub at_once: Arc<std::sync::Mutex<Option<usize>>>,
    /// How many calls that change the world were in flight at most.
    pub busiest: Arc<AtomicU64>,
    busy: Arc<AtomicU64>,
}

/// See [`Desk::stopped`].
pub type Stopped = Arc<std::sync::Mutex<Option<std::collections::BTreeSet<Address>>>>;

impl Desk {
    pub fn new(seed: u64) -> Self {
        let clock = Arc::new(SimulatedClock::default());
        Self {
            script: Script::new(),
            world: World::new(),
            cloud: Cloud::default(),
            secrets: Arc::new(
                MemorySecrets::default()
                    .with("cloud", "eu", Some(1), b"key-of-eu")
                    .with("cloud", "us", Some(1), b"key-of-us"),
            ),
            store: Arc::new(MemoryStore::new().timed_by(clock.clone())),
            audit: Arc::new(MemoryAudit::new()),
            clock,
            randomness: Arc::new(SeededRandomness::new(seed)),
            processes: AtomicU64::new(0),
            panics: Arc::default(),
            last: std::sync::Mutex::default(),
            stopped: Arc::default(),
            ill: Arc::default(),
            at_once: Arc::default(),
            busiest: Arc::default(),
            busy: Arc::default(),
        }
    }

    /// How many calls that change the world are in flight.
    pub fn in_flight(&self) -> u64 {
        self.busy.load(Ordering::SeqCst)
    }

    /// Starts a process; the one before is dead.
    pub fn start(&self) -> Process {
        self.start_killed_at(None)
    }

    /// Starts a process that is killed at a write.
    pub fn start_killed_at(&self, kill: Option<Kill>) -> Process {
        self.processes.fetch_add(1, Ordering::SeqCst);
        let inner = Arc::new(self.store.another());
        let mut last = self.last.lock().unwrap();
        if let Some(before) = last.replace(Arc::clone(&inner)) {
            before.dies();
        }
        let store = Arc::new(KillingStore::new(inner, kill, None));
        let provider: Arc<dyn Provider> = Arc::new(Slow {
            panics: Arc::clone(&self.panics),
            stopped: Arc::clone(&self.stopped),
            at_once: *self.at_once.lock().unwrap(),
            busiest: Arc::clone(&self.busiest),
            busy: Arc::clone(&self.busy),
            ..Slow::of(&self.world, &self.randomness)
        });
        let cloud: Arc<dyn Provider> = Arc::new(CloudProvider::new(self.cloud.clone()).unwrap());
        let ports = Ports {
            store: store.clone(),
            audit: self.audit.clone(),
            repository: Arc::new(self.script.clone()),
            loader: Arc::new(self.script.clone()),
            gate: Arc::new(ReversibleOnly),
            signatures: Arc::new(NobodySigns),
            providers: Providers::new([provider, cloud]),
            sealing: Arc::new(MemorySealCheck::default()),
            vault: Arc::new(MemoryVault::default()),
            secrets: self.secrets.clone(),
            proposals: Arc::new(NoProposals),
            probe: Arc::new(Patient(Arc::clone(&self.ill))),
            clock: self.clock.clone(),
            randomness: self.randomness.clone(),
            wake: Arc::new(self.script.clone()),
        };
        let options = options();
        let stop = Stop::default();
        let plans = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = Arc::clone(&plans);
        let progress = Arc::new(move |progress: &Progress| {
            if let Progress::Planned { plan, .. } = progress {
                seen.lock().unwrap().push(Arc::clone(plan));
            }
        });
        let reconciler = Reconciler::new(ports, options, progress, stop.clone());
        Process {
            reconciler,
            store,
            stop,
            plans,
        }
    }

    /// One look by a new process, to its end.
    pub async fn once(&self) -> Vec<EnvironmentReport> {
        self.start().reconciler.run_once().await.unwrap()
    }

    /// One look at `e`.
    pub async fn look(&self) -> EnvironmentReport {
        self.once()
            .await
            .into_iter()
            .find(|r| r.environment == environment())
            .unwrap()
    }

    pub async fn row(&self) -> EnvironmentRow {
        let rows = self.store.environments().await.unwrap();
        rows.into_iter()
            .find(|row| row.name == environment())
            .unwrap()
    }

    /// The attributes in the state, by address.
    pub async fn state(&self) -> BTreeMap<Address, Record> {
        let base = self.store.base(&environment()).await.unwrap();
        base.resources
            .into_iter()
            .map(|(a, s)| (a, s.instance.attributes))
            .collect()
    }

    /// What must hold whenever nothing is being done: the state says what is there.
    pub async fn assert_state_is_world(&self) {
        assert_eq!(self.state().await, self.world.things());
    }

    /// The `value` of everything that is there.
    pub fn values(&self) -> BTreeMap<String, String> {
        let things = self.world.things().into_iter();
        things
            .map(|(address, record)| {
                let value = record
                    .get("value")
                    .and_then(|v| v.as_text())
                    .unwrap_or_default();
                (address.name().to_string(), value.to_owned())
            })
            .collect()
    }
}

/// How simulated processes work: one thread, a poll of 30 s, leases of a minute.
pub fn options() -> Options {
    Options {
        roots: Roots {
            state_folder: "/simulated".into(),
            own: "/simulated/own".into(),
            trial: None,
            named: Vec::new(),
            hidden: Vec::new(),
            file: "/simulated/roots".into(),
        },
        poll: Duration::from_secs(30),
        lease_ttl: Duration::from_secs(60),
        inline: true,
        without_policies: Default::default(),
    }
}

/// One process.
pub struct Process {
    pub reconciler: Arc<Reconciler>,
    pub store: Arc<KillingStore>,
    pub stop: Stop,
    pub plans: Arc<std::sync::Mutex<Vec<Arc<stratum_core::plan::Plan>>>>,
}

impl Process {
    /// One look, unless the process is killed before its end.
    pub async fn once(self) -> Option<Result<Vec<EnvironmentReport>, RuntimeError>> {
        tokio::select! {
            biased;
            () = self.store.died.notified() => None,
            reports = self.reconciler.run_once() => Some(reports),
        }
    }
}

/// Tokio's paused time as the clock; its time of day can jump.
pub struct SimulatedClock {
    started: tokio::time::Instant,
    jump_seconds: std::sync::atomic::AtomicI64,
}

impl Default for SimulatedClock {
    fn default() -> Self {
        let jump_seconds = std::sync::atomic::AtomicI64::new(0);
        Self {
            started: tokio::time::Instant::now(),
            jump_seconds,
        }
    }
}

impl SimulatedClock {
    pub fn jump(&self, seconds: i64) {
        self.jump_seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let jump = jiff::SignedDuration::from_secs(self.jump_seconds.load(Ordering::SeqCst));
        start
            .checked_add(self.started.elapsed())
            .unwrap()
            .checked_add(jump)
            .unwrap()
    }
    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Every health check passes, or none while it is ill.
pub struct Patient(pub Arc<AtomicBool>);

#[async_trait]
impl Probe for Patient {
    async fn probe(&self, _: &HealthCheck, _: &std::path::Path) -> Result<(), ProbeError> {
        match self.0.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(ProbeError {
                what: "the doctor".to_owned(),
                reason: "is not content".to_owned(),
            }),
        }
    }
}

/// A number below `bound` from the desk's seed.
pub fn below(randomness: &SeededRandomness, bound: u64) -> u64 {
    randomness.next() % bound.max(1)
}

/// A provider whose answers come in any order: each call takes a random time.
pub struct Slow {
    inner: MemoryProvider,
    randomness: Arc<SeededRandomness>,
    pub panics: Arc<std::sync::Mutex<Option<EnvironmentName>>>,
    pub stopped: Stopped,
    /// How many calls that change the world are in flight.
    pub busy: Arc<AtomicU64>,
    busiest: Arc<AtomicU64>,
    at_once: Option<usize>,
}

/// A call is in flight while this lives.
struct Busy(Arc<AtomicU64>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Slow {
    /// A provider of this world.
    pub fn of(world: &World, randomness: &Arc<SeededRandomness>) -> Self {
        Self {
            inner: MemoryProvider::new(world.clone()).unwrap(),
            randomness: Arc::clone(randomness),
            panics: Arc::default(),
            stopped: Arc::default(),
            busy: Arc::default(),
            busiest: Arc::default(),
            at_once: None,
        }
    }

    fn begins(&self) -> Busy {
        let busy = self.busy.fetch_add(1, Ordering::SeqCst) + 1;
        self.busiest.fetch_max(busy, Ordering::SeqCst);
        Busy(Arc::clone(&self.busy))
    }

    async fn wait(&self) {
        tokio::time::sleep(Duration::from_millis(below(&self.randomness, 20))).await;
    }
}

#[async_trait]
impl Provider for Slow {
    fn schema(&self) -> &ProviderSchema {
        self.inner.schema()
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            at_once: self.at_once,
            ..self.inner.capabilities()
        }
    }
    fn runs(&self, _: &TypeName) -> bool {
        self.stopped.lock().unwrap().is_some()
    }
    fn validate(&self, r#type: &TypeName, desired: &Record) -> Vec<Complaint> {
        self.inner.validate(r#type, desired)
    }
    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        let stopped = self.stopped.lock().unwrap().clone().unwrap_or_default();
        let stopped = stopped.contains(call.call.address);
        match self.inner.read(call).await? {
            Reading::There(instance) if stopped => Ok(Reading::Stopped {
                instance,
                why: "its process is gone".to_owned(),
            }),
            reading => Ok(reading),
        }
    }
    async fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        let panics = self.panics.lock().unwrap().clone();
        if panics.as_ref() == Some(&call.call.address.environment) {
            std::panic::resume_unwind(Box::new("a defect, on order"));
        }
        self.inner.plan(call).await
    }
    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        self.wait().await;
        self.inner.checkpoint(call).await
    }
    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let _busy = self.begins();
        self.wait().await;
        let address = call.call.address.clone();
        let done = self.inner.apply(call).await;
        if let (Ok(_), Some(stopped)) = (&done, self.stopped.lock().unwrap().as_mut()) {
            stopped.remove(&address);
        }
        self.wait().await;
        done
    }
    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let _busy = self.begins();
        self.wait().await;
        let done = self.inner.restore(call).await;
        self.wait().await;
        done
    }
    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        self.wait().await;
        self.inner.locate(call).await
    }
    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        self.inner.import(call).await
    }
}
