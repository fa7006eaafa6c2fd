//! Everything a reconciler needs, in memory, and a process that can be killed and started again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::ids::{Address, BranchName, CommitId, EnvironmentName, RunId, TypeName};
use stratum_core::ports::{
    Advance, ApplyCall, ApplyError, AuditError, Base, Break, Changes, CheckpointCall, Clock,
    ClockReading, Complaint, Dropped, Entry, EnvironmentRow, FactChange, Facts, Fronts, HeldLease,
    ImportCall, Journals, Keep, Lease, LeaseError, Leases, LocateCall, Located, NoProposals,
    Observation, Observations, OpenRun, PartSize, PlanCall, Probe, ProbeError, Proposal, Provider,
    ProviderError, ProviderSchema, QueueEntry, Randomness, ReadCall, Reading, RestoreCall,
    Retention, States, StoreError, Transaction, Transactions, Unfinished, Work,
};
use stratum_core::resource::{HealthCheck, Instance, Opaque};
use stratum_core::run::{Run, RunSummary};
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
use tokio::sync::Notify;

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
        }
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
        let store = Arc::new(KillingStore {
            inner,
            writes: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            kill,
            dead: AtomicBool::new(false),
            died: Notify::new(),
        });
        let provider: Arc<dyn Provider> = Arc::new(Slow {
            inner: MemoryProvider::new(self.world.clone()).unwrap(),
            randomness: self.randomness.clone(),
            panics: Arc::clone(&self.panics),
            stopped: Arc::clone(&self.stopped),
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
            probe: Arc::new(NoProbe),
            clock: self.clock.clone(),
            randomness: self.randomness.clone(),
            wake: Arc::new(self.script.clone()),
        };
        let options = Options {
            roots: Roots {
                state_folder: "/simulated".into(),
                own: "/simulated/own".into(),
                trial: None,
                named: Vec::new(),
                file: "/simulated/roots".into(),
            },
            poll: Duration::from_secs(30),
            lease_ttl: Duration::from_secs(60),
            most: stratum_core::settings::Limits {
                memory: 1 << 20,
                time: Duration::from_secs(3600),
                ..Default::default()
            },
            inline: true,
            without_policies: Default::default(),
        };
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

/// When a process is killed: at its nth write, from 0, before or after it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    Before(u64),
    After(u64),
}

/// A store whose process is killed at a write: whoever calls it then never gets an answer.
pub struct KillingStore {
    pub inner: Arc<MemoryStore>,
    writes: AtomicU64,
    /// How often the row of one environment was read.
    rows: AtomicU64,
    kill: Option<Kill>,
    dead: AtomicBool,
    died: Notify,
}

impl KillingStore {
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::SeqCst)
    }

    async fn die<T>(&self) -> T {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_one();
        std::future::pending().await
    }

    async fn write<T>(&self, write: impl Future<Output = T>) -> T {
        if self.dead.load(Ordering::SeqCst) {
            return self.die().await;
        }
        let number = self.writes.fetch_add(1, Ordering::SeqCst);
        if self.kill == Some(Kill::Before(number)) {
            return self.die().await;
        }
        let result = write.await;
        if self.kill == Some(Kill::After(number)) {
            return self.die().await;
        }
        result
    }
}

#[async_trait]
impl Facts for KillingStore {
    async fn facts(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.inner.facts(prefix).await
    }
    async fn put_facts(&self, changes: Vec<FactChange>) -> Result<(), StoreError> {
        self.write(self.inner.put_facts(changes)).await
    }
}

#[async_trait]
impl Fronts for KillingStore {
    async fn fronts(&self) -> Result<Vec<(BranchName, CommitId)>, StoreError> {
        self.inner.fronts().await
    }
    async fn advance(&self, advance: &Advance) -> Result<bool, StoreError> {
        self.write(self.inner.advance(advance)).await
    }
}

#[async_trait]
impl Leases for KillingStore {
    async fn holder(&self) -> Result<String, StoreError> {
        self.inner.holder().await
    }
    async fn acquire(
        &self,
        environment: &EnvironmentName,
        ttl: Duration,
    ) -> Result<Lease, LeaseError> {
        self.write(self.inner.acquire(environment, ttl)).await
    }
    async fn renew(&self, leases: &[Lease]) -> Result<Vec<Lease>, StoreError> {
        self.write(self.inner.renew(leases)).await
    }
    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        self.write(self.inner.release(leases)).await
    }
    async fn leases(&self) -> Result<Vec<HeldLease>, StoreError> {
        self.inner.leases().await
    }
    async fn break_lease(
        &self,
        environment: &EnvironmentName,
        how: &Break,
    ) -> Result<Lease, LeaseError> {
        self.write(self.inner.break_lease(environment, how)).await
    }
}

#[async_trait]
impl States for KillingStore {
    async fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError> {
        self.inner.environments().await
    }
    async fn environment(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<EnvironmentRow>, StoreError> {
        self.rows.fetch_add(1, Ordering::SeqCst);
        self.inner.environment(environment).await
    }
    async fn put_environment(&self, lease: &Lease, row: &EnvironmentRow) -> Result<(), StoreError> {
        self.write(self.inner.put_environment(lease, row)).await
    }
    async fn base(&self, environment: &EnvironmentName) -> Result<Base, StoreError> {
        self.inner.base(environment).await
    }
}

#[async_trait]
impl Journals for KillingStore {
    async fn start(&self, lease: &Lease, run: &Run, started: &Entry) -> Result<(), StoreError> {
        self.write(self.inner.start(lease, run, started)).await
    }
    async fn append(
        &self,
        lease: &Lease,
        run: &RunId,
        entries: Vec<Entry>,
    ) -> Result<(), StoreError> {
        self.write(self.inner.append(lease, run, entries)).await
    }
    async fn note_run(&self, lease: &Lease, summary: &RunSummary) -> Result<(), StoreError> {
        self.write(self.inner.note_run(lease, summary)).await
    }
    async fn open_runs(
        &self,
        after: Option<&RunId>,
        limit: u32,
    ) -> Result<Vec<OpenRun>, StoreError> {
        self.inner.open_runs(after, limit).await
    }
    async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        panic!("no plan is read but that of a run that is taken up")
    }
    async fn journal(&self, run: &RunId) -> Result<Option<Unfinished>, StoreError> {
        self.inner.journal(run).await
    }
    async fn run(&self, run: &RunId) -> Result<Option<Unfinished>, StoreError> {
        self.inner.run(run).await
    }
    async fn history(
        &self,
        environment: Option<&EnvironmentName>,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError> {
        self.inner.history(environment, limit).await
    }
}

#[async_trait]
impl Observations for KillingStore {
    async fn observe(&self, lease: &Lease, seen: &[Observation]) -> Result<(), StoreError> {
        self.write(self.inner.observe(lease, seen)).await
    }
    async fn observed(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Vec<Observation>, StoreError> {
        self.inner.observed(environment).await
    }
    async fn drifted(&self, environment: &EnvironmentName) -> Result<Vec<Observation>, StoreError> {
        self.inner.drifted(environment).await
    }
    async fn observations(
        &self,
        address: &Address,
        limit: u32,
    ) -> Result<Vec<Observation>, StoreError> {
        self.inner.observations(address, limit).await
    }
}

#[async_trait]
impl Work for KillingStore {
    async fn push(&self, entry: &QueueEntry) -> Result<(), StoreError> {
        self.write(self.inner.push(entry)).await
    }
    async fn queue(&self) -> Result<Vec<QueueEntry>, StoreError> {
        self.inner.queue().await
    }
    async fn ack(&self, entry: &QueueEntry) -> Result<(), StoreError> {
        self.write(self.inner.ack(entry)).await
    }
}

#[async_trait]
impl Transactions for KillingStore {
    async fn commit(&self, transaction: Transaction) -> Result<(), AuditError> {
        self.write(self.inner.commit(transaction)).await
    }
}

#[async_trait]
impl Retention for KillingStore {
    async fn is_upkeep_due(&self) -> Result<bool, StoreError> {
        self.inner.is_upkeep_due().await
    }
    async fn retain(&self, keep: &Keep) -> Result<Dropped, StoreError> {
        self.write(self.inner.retain(keep)).await
    }
    async fn lived(&self, reading: ClockReading) -> Result<Timestamp, StoreError> {
        self.write(self.inner.lived(reading)).await
    }
    async fn sizes(&self) -> Result<Vec<PartSize>, StoreError> {
        self.inner.sizes().await
    }
    async fn has_old_entries(&self, now: Timestamp) -> Result<bool, AuditError> {
        self.inner.has_old_entries(now).await
    }
    async fn prune_log(&self, now: Timestamp, months: u32) -> Result<Vec<String>, AuditError> {
        self.write(self.inner.prune_log(now, months)).await
    }
}

#[async_trait]
impl Changes for KillingStore {
    async fn changed(&self) -> Result<(), StoreError> {
        self.inner.changed().await
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

struct NoProbe;

#[async_trait]
impl Probe for NoProbe {
    async fn probe(&self, _: &HealthCheck, _: &std::path::Path) -> Result<(), ProbeError> {
        Ok(())
    }
}

/// A number below `bound` from the desk's seed.
pub fn below(randomness: &SeededRandomness, bound: u64) -> u64 {
    randomness.next() % bound.max(1)
}

/// A provider whose answers come in any order: each call takes a random time.
struct Slow {
    inner: MemoryProvider,
    randomness: Arc<SeededRandomness>,
    panics: Arc<std::sync::Mutex<Option<EnvironmentName>>>,
    stopped: Stopped,
}

impl Slow {
    async fn wait(&self) {
        tokio::time::sleep(Duration::from_millis(below(&self.randomness, 20))).await;
    }
}

#[async_trait]
impl Provider for Slow {
    fn schema(&self) -> &ProviderSchema {
        self.inner.schema()
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
