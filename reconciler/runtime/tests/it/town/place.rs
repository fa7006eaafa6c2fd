//! The world that the processes share, and the processes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::plan::Plan;
use stratum_core::ports::{Base, Break, Leases as _, NoProposals, States as _};
use stratum_runtime::{Ports, Progress, Providers, Reconciler, Stop};
use stratum_store::{LogReader, SqliteStore, log_folder};
use stratum_testkit::audit::TwinSigner;
use stratum_testkit::clock::SeededRandomness;
use stratum_testkit::gate::{NobodySigns, ReversibleOnly};
use stratum_testkit::script::Script;
use stratum_testkit::sealing::{MemorySealCheck, MemorySecrets, MemoryVault};
use stratum_testkit::world::World;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::desk::{Patient, SimulatedClock, Slow, options};
use crate::killing::{Beside, Kill, KillingStore};

/// The environments.
pub const NAMES: [&str; 3] = ["e", "f", "g"];

/// What survives every process.
pub struct Place {
    pub script: Script,
    pub world: World,
    pub clock: Arc<SimulatedClock>,
    pub randomness: Arc<SeededRandomness>,
    pub beside: Beside,
    /// The state as a person has it open, who looks and breaks leases.
    pub person: SqliteStore,
    /// No health check passes.
    pub ill: Arc<AtomicBool>,
    /// Calls in flight that change the world.
    pub busy: Arc<AtomicU64>,
    /// The environment whose provider panics when it is asked to plan.
    pub panics: Arc<Mutex<Option<EnvironmentName>>>,
    /// Every plan that was made.
    pub plans: Arc<Mutex<Vec<Arc<Plan>>>>,
    signer: Arc<TwinSigner>,
    folder: tempfile::TempDir,
    /// The processes are on machines of their own: nobody can tell whether another lives.
    far: bool,
    started: AtomicU64,
}

/// A process that lives.
pub struct Living {
    pub store: Arc<KillingStore<SqliteStore>>,
    pub stop: Stop,
    task: JoinHandle<()>,
}

pub fn names() -> impl Iterator<Item = EnvironmentName> {
    NAMES.into_iter().map(|name| name.parse().unwrap())
}

impl Place {
    pub fn new(seed: u64, runtime: &Handle) -> Self {
        let clock = Arc::new(SimulatedClock::default());
        let beside = Beside {
            runtime: runtime.clone(),
            clock: clock.clone(),
            shown: Arc::default(),
        };
        // In memory where there is such a place: what is durable there is not what is tested here.
        let memory = PathBuf::from("/dev/shm");
        let parent = match memory.is_dir() {
            true => memory,
            false => std::env::temp_dir(),
        };
        let folder = tempfile::tempdir_in(parent).unwrap();
        let signer = Arc::new(TwinSigner::new());
        let path = folder.path().join("state.db");
        let person = beside.call(SqliteStore::open_logged(&path, signer.clone()));
        Self {
            script: Script::new(),
            world: World::new(),
            person: person.unwrap().timed_by(beside.shown.clone()),
            clock,
            randomness: Arc::new(SeededRandomness::new(seed)),
            beside,
            ill: Arc::default(),
            busy: Arc::default(),
            panics: Arc::default(),
            plans: Arc::default(),
            signer,
            folder,
            far: seed % 2 == 1,
            started: AtomicU64::new(0),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    pub fn log(&self) -> LogReader {
        LogReader::new(log_folder(&self.path()), self.signer.clone())
    }

    /// Opens the state as another process does.
    pub fn open(&self) -> SqliteStore {
        let path = self.path();
        let opened = SqliteStore::open_logged(&path, self.signer.clone());
        let store = self.beside.call(opened).unwrap();
        let store = store.timed_by(self.beside.shown.clone());
        let number = self.started.fetch_add(1, Ordering::SeqCst);
        match self.far {
            true => store.known_as(&format!("far boot 7 {number}")),
            false => store,
        }
    }

    /// Starts a process that goes on until it is stopped or killed.
    pub fn start(&self, kill: Option<Kill>) -> Living {
        let inner = Arc::new(self.open());
        let store = KillingStore::new(inner, kill, Some(self.beside.clone()));
        let store = Arc::new(store);
        let stop = Stop::default();
        let seen = Arc::clone(&self.plans);
        let progress = Arc::new(move |progress: &Progress| {
            if let Progress::Planned { plan, .. } = progress {
                seen.lock().unwrap().push(Arc::clone(plan));
            }
        });
        let ports = self.ports(&store);
        let reconciler = Reconciler::new(ports, options(), progress, stop.clone());
        let own = Arc::clone(&store);
        let task = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = own.died.notified() => {}
                // What it could not begin with is over at the next start.
                _ended = reconciler.run() => {}
            }
        });
        Living { store, stop, task }
    }

    fn ports(&self, store: &Arc<KillingStore<SqliteStore>>) -> Ports {
        let mut provider = Slow::of(&self.world, &self.randomness);
        provider.panics = Arc::clone(&self.panics);
        provider.busy = Arc::clone(&self.busy);
        Ports {
            store: store.clone(),
            audit: store.clone(),
            repository: Arc::new(self.script.clone()),
            loader: Arc::new(self.script.clone()),
            gate: Arc::new(ReversibleOnly),
            signatures: Arc::new(NobodySigns),
            providers: Providers::new([Arc::new(provider) as Arc<_>]),
            sealing: Arc::new(MemorySealCheck::default()),
            vault: Arc::new(MemoryVault::default()),
            secrets: Arc::new(MemorySecrets::default()),
            proposals: Arc::new(NoProposals),
            probe: Arc::new(Patient(Arc::clone(&self.ill))),
            clock: self.clock.clone(),
            randomness: self.randomness.clone(),
            wake: Arc::new(self.script.clone()),
        }
    }

    pub fn bases(&self) -> BTreeMap<EnvironmentName, Base> {
        let base = |name| {
            let base = self.beside.call(self.person.base(&name)).unwrap();
            (name, base)
        };
        names().map(base).collect()
    }

    /// The resources of which nobody knows what became of them.
    pub fn unknown(&self) -> Vec<Address> {
        let bases = self.bases().into_values();
        let states = bases.flat_map(|base| base.resources.into_values());
        let unknown = states.filter(|state| state.unknown.is_some());
        unknown.map(|state| state.address).collect()
    }

    /// A person takes a lease away from whoever has it.
    pub fn break_lease(&self, environment: &EnvironmentName) {
        let how = Break {
            reason: "a person wants it".to_owned(),
            people: Vec::new(),
            force: true,
        };
        // Nobody may have it.
        let _broken = self.beside.call(self.person.break_lease(environment, &how));
    }
}

impl Living {
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    /// Tells it to stop, and waits for its end.
    pub async fn stop(self, place: &Place) {
        self.stop.stop();
        let Self { store, task, .. } = self;
        task.await.unwrap();
        gone(store, place).await;
    }

    /// As SIGKILL does.
    pub async fn kill(self, place: &Place) {
        let Self { store, task, .. } = self;
        task.abort();
        let _aborted_or_over = task.await;
        gone(store, place).await;
    }
}

/// Nothing of a process outlives it.
async fn gone(store: Arc<KillingStore<SqliteStore>>, place: &Place) {
    for _ in 0..1000 {
        if Arc::strong_count(&store) == 1 {
            let _inside = place.beside.runtime.enter();
            return drop(store);
        }
        tokio::task::yield_now().await;
    }
    panic!("something of a process goes on after its end");
}

/// So long at most is a lease in the way of others when its holder is gone.
pub const LEASE: Duration = Duration::from_secs(60);
