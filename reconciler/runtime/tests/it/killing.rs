//! A store whose process is killed at a write, and one that works beside simulated time.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use stratum_core::audit::AuditEntry;
use stratum_core::ids::{Address, BranchName, CommitId, EnvironmentName, RunId};
use stratum_core::ports::{
    Advance, Audit, AuditError, Base, Break, Clock, ClockReading, Dropped, Entry, EnvironmentRow,
    FactChange, Facts, Fronts, HeldLease, Journals, Keep, Lease, LeaseError, Leases, Observation,
    Observations, OpenRun, PartSize, QueueEntry, Retention, States, Store, StoreError, Unfinished,
    Work,
};
use stratum_core::run::{Run, RunSummary};
use stratum_testkit::store::MemoryStore;
use tokio::sync::Notify;

use crate::desk::SimulatedClock;

/// When a process is killed: at its nth write, from 0, before or after it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kill {
    Before(u64),
    After(u64),
}

/// A store whose process is killed at a write: whoever calls it then never gets an answer.
pub struct KillingStore<S = MemoryStore> {
    pub inner: Arc<S>,
    writes: AtomicU64,
    /// How often the row of one environment was read.
    rows: AtomicU64,
    /// How often the rows of all environments were read.
    all: AtomicU64,
    /// How often all resources of an environment were read.
    bases: AtomicU64,
    /// Dropping what is old never comes to an end.
    pub drops_for_ever: AtomicBool,
    kill: Option<Kill>,
    dead: AtomicBool,
    pub died: Notify,
    beside: Option<Beside>,
    failures: Mutex<VecDeque<StoreError>>,
    /// Until when the process does not get on, as one that the machine put to sleep.
    asleep: Mutex<Option<tokio::time::Instant>>,
}

/// A runtime with real time beside the simulated one, on which a real store works.
///
/// *Guarantees*: a call is over before anything else happens in the simulation, so that simulated
/// time does not pass meanwhile and a seed gives the same life.
#[derive(Clone)]
pub struct Beside {
    pub runtime: tokio::runtime::Handle,
    pub clock: Arc<SimulatedClock>,
    /// What the store sees of the clock.
    pub shown: Arc<ShownClock>,
}

impl Beside {
    pub fn call<T>(&self, call: impl Future<Output = T>) -> T {
        *self.shown.0.lock().unwrap() = self.clock.now();
        let _inside = self.runtime.enter();
        let waker = Arc::new(Caller(std::thread::current())).into();
        let mut context = Context::from_waker(&waker);
        let mut call = pin!(tokio::task::unconstrained(call));
        loop {
            if let Poll::Ready(answer) = call.as_mut().poll(&mut context) {
                return answer;
            }
            std::thread::park();
        }
    }
}

/// The thread of the simulation, which waits for an answer.
struct Caller(std::thread::Thread);

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The time of day of a simulation, as it was when the store was last called.
pub struct ShownClock(Mutex<Timestamp>);

impl Default for ShownClock {
    fn default() -> Self {
        Self(Mutex::new(Timestamp::UNIX_EPOCH))
    }
}

#[async_trait]
impl Clock for ShownClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl<S> KillingStore<S> {
    pub fn new(inner: Arc<S>, kill: Option<Kill>, beside: Option<Beside>) -> Self {
        Self {
            inner,
            writes: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            all: AtomicU64::new(0),
            bases: AtomicU64::new(0),
            drops_for_ever: AtomicBool::new(false),
            kill,
            dead: AtomicBool::new(false),
            died: Notify::new(),
            beside,
            failures: Mutex::default(),
            asleep: Mutex::default(),
        }
    }

    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::SeqCst)
    }

    pub fn all(&self) -> u64 {
        self.all.load(Ordering::SeqCst)
    }

    pub fn bases(&self) -> u64 {
        self.bases.load(Ordering::SeqCst)
    }

    /// Lets the next write fail and change nothing.
    pub fn fail_next(&self, error: StoreError) {
        self.failures.lock().unwrap().push_back(error);
    }

    /// No write gets through for so long.
    pub fn sleep(&self, time: Duration) {
        *self.asleep.lock().unwrap() = Some(tokio::time::Instant::now() + time);
    }

    async fn die<T>(&self) -> T {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_one();
        std::future::pending().await
    }

    async fn ask<T: Send>(&self, call: impl Future<Output = T> + Send) -> T {
        match &self.beside {
            Some(beside) => beside.call(call),
            None => call.await,
        }
    }

    async fn write<T: Send, E: From<StoreError> + Send>(
        &self,
        write: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let asleep = *self.asleep.lock().unwrap();
        if let Some(until) = asleep {
            tokio::time::sleep_until(until).await;
        }
        if self.dead.load(Ordering::SeqCst) {
            return self.die().await;
        }
        let number = self.writes.fetch_add(1, Ordering::SeqCst);
        if self.kill == Some(Kill::Before(number)) {
            return self.die().await;
        }
        let failure = self.failures.lock().unwrap().pop_front();
        if let Some(error) = failure {
            return Err(error.into());
        }
        let result = self.ask(write).await;
        if self.kill == Some(Kill::After(number)) {
            return self.die().await;
        }
        result
    }
}

#[async_trait]
impl<S: Audit + 'static> Audit for KillingStore<S> {
    async fn log(&self, entries: &[AuditEntry]) -> Result<(), AuditError> {
        self.write(self.inner.log(entries)).await
    }
}

#[async_trait]
impl<S: Store + 'static> Facts for KillingStore<S> {
    async fn facts(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.ask(self.inner.facts(prefix)).await
    }
    async fn put_facts(&self, changes: Vec<FactChange>) -> Result<(), StoreError> {
        self.write(self.inner.put_facts(changes)).await
    }
}

#[async_trait]
impl<S: Store + 'static> Fronts for KillingStore<S> {
    async fn fronts(&self) -> Result<Vec<(BranchName, CommitId)>, StoreError> {
        self.ask(self.inner.fronts()).await
    }
    async fn advance(&self, advance: &Advance) -> Result<bool, StoreError> {
        self.write(self.inner.advance(advance)).await
    }
}

#[async_trait]
impl<S: Store + 'static> Leases for KillingStore<S> {
    async fn holder(&self) -> Result<String, StoreError> {
        self.ask(self.inner.holder()).await
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
        self.ask(self.inner.leases()).await
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
impl<S: Store + 'static> States for KillingStore<S> {
    async fn environments(&self) -> Result<Vec<EnvironmentRow>, StoreError> {
        self.all.fetch_add(1, Ordering::SeqCst);
        self.ask(self.inner.environments()).await
    }
    async fn environment(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Option<EnvironmentRow>, StoreError> {
        self.rows.fetch_add(1, Ordering::SeqCst);
        self.ask(self.inner.environment(environment)).await
    }
    async fn put_environment(&self, lease: &Lease, row: &EnvironmentRow) -> Result<(), StoreError> {
        self.write(self.inner.put_environment(lease, row)).await
    }
    async fn base(&self, environment: &EnvironmentName) -> Result<Base, StoreError> {
        self.bases.fetch_add(1, Ordering::SeqCst);
        self.ask(self.inner.base(environment)).await
    }
}

#[async_trait]
impl<S: Store + 'static> Journals for KillingStore<S> {
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
        self.ask(self.inner.open_runs(after, limit)).await
    }
    async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        panic!("no plan is read but that of a run that is taken up")
    }
    async fn journal(&self, run: &RunId) -> Result<Option<Unfinished>, StoreError> {
        self.ask(self.inner.journal(run)).await
    }
    async fn run(&self, run: &RunId) -> Result<Option<Unfinished>, StoreError> {
        self.ask(self.inner.run(run)).await
    }
    async fn history(
        &self,
        environment: Option<&EnvironmentName>,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError> {
        self.ask(self.inner.history(environment, limit)).await
    }
}

#[async_trait]
impl<S: Store + 'static> Observations for KillingStore<S> {
    async fn observe(&self, lease: &Lease, seen: &[Observation]) -> Result<(), StoreError> {
        self.write(self.inner.observe(lease, seen)).await
    }
    async fn observed(
        &self,
        environment: &EnvironmentName,
    ) -> Result<Vec<Observation>, StoreError> {
        self.ask(self.inner.observed(environment)).await
    }
    async fn drifted(&self, environment: &EnvironmentName) -> Result<Vec<Observation>, StoreError> {
        self.ask(self.inner.drifted(environment)).await
    }
    async fn observations(
        &self,
        address: &Address,
        limit: u32,
    ) -> Result<Vec<Observation>, StoreError> {
        self.ask(self.inner.observations(address, limit)).await
    }
}

#[async_trait]
impl<S: Store + 'static> Work for KillingStore<S> {
    async fn push(&self, entry: &QueueEntry) -> Result<(), StoreError> {
        self.write(self.inner.push(entry)).await
    }
    async fn queue(&self) -> Result<Vec<QueueEntry>, StoreError> {
        self.ask(self.inner.queue()).await
    }
    async fn ack(&self, entry: &QueueEntry) -> Result<(), StoreError> {
        self.write(self.inner.ack(entry)).await
    }
}

#[async_trait]
impl<S: Store + 'static> Retention for KillingStore<S> {
    async fn is_upkeep_due(&self) -> Result<bool, StoreError> {
        self.ask(self.inner.is_upkeep_due()).await
    }
    async fn retain(&self, keep: &Keep) -> Result<Dropped, StoreError> {
        if self.drops_for_ever.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        self.write(self.inner.retain(keep)).await
    }
    async fn lived(&self, reading: ClockReading) -> Result<Timestamp, StoreError> {
        self.write(self.inner.lived(reading)).await
    }
    async fn sizes(&self) -> Result<Vec<PartSize>, StoreError> {
        self.ask(self.inner.sizes()).await
    }
    async fn has_old_entries(&self, now: Timestamp) -> Result<bool, AuditError> {
        self.ask(self.inner.has_old_entries(now)).await
    }
    async fn prune_log(&self, now: Timestamp, months: u32) -> Result<Vec<String>, AuditError> {
        self.write(self.inner.prune_log(now, months)).await
    }
}
