//! What the store costs: `cargo run --release -p stratum-store --example journal [steps] [callers]`.
//!
//! Applies a plan of `steps` steps: `callers` tasks each append `Begun` and then `Done`, as the
//! runtime does, so that about `callers` entries share a transaction. Then opens the state again
//! as a reconcile with nothing to do would.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Journals, Lease, Leases, States, Work};
use stratum_core::run::Run;
use stratum_store::{Access, SqliteStore};
use stratum_testkit::store::sample;

type Measured = Result<(), Box<dyn Error + Send + Sync>>;

/// CPU time of the process, bytes it had written, and the clock.
struct Meter {
    cpu: Duration,
    written: u64,
    clock: Instant,
}

impl Meter {
    fn read() -> Self {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
        Self {
            cpu: Duration::new(seconds, nanoseconds),
            written: written(),
            clock: Instant::now(),
        }
    }

    fn tell(&self, what: &str) -> Measured {
        let now = Self::read();
        let cpu = now.cpu.saturating_sub(self.cpu);
        let kilobytes = now.written.saturating_sub(self.written) / 1000;
        writeln!(
            std::io::stdout(),
            "{what:<42} {:>9.2} ms CPU {:>9.2} ms {kilobytes:>7} kB written",
            cpu.as_secs_f64() * 1e3,
            self.clock.elapsed().as_secs_f64() * 1e3,
        )?;
        Ok(())
    }
}

fn written() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("write_bytes: "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[tokio::main]
async fn main() -> Measured {
    let mut arguments = std::env::args().skip(1);
    let steps: u32 = arguments.next().map_or(Ok(5_000), |text| text.parse())?;
    let callers: u32 = arguments.next().map_or(Ok(30), |text| text.parse())?;
    // Not in a temporary folder of the system: that may be held in memory.
    let folder = tempfile::tempdir_in(std::env::current_dir()?)?;
    let path = folder.path().join("state.db");

    let meter = Meter::read();
    let store = Arc::new(SqliteStore::open(&path, Access::ReadWrite).await?);
    meter.tell("create and open")?;
    let (lease, run) = start(&store, steps).await?;
    let meter = Meter::read();
    let transactions = store.transactions();
    append(&store, &lease, &run, callers).await?;
    meter.tell("append all steps")?;
    let transactions = store.transactions() - transactions;
    let close = Meter::read();
    store.close().await;
    close.tell("close: fold the log into the file")?;
    meter.tell("append and close")?;
    let bytes = std::fs::metadata(&path)?.len();
    writeln!(
        std::io::stdout(),
        "{transactions} transactions; file {bytes} bytes, {} a step",
        bytes / u64::from(steps.max(1))
    )?;
    drop(store);
    reopen(&path).await
}

async fn start(
    store: &SqliteStore,
    steps: u32,
) -> Result<(Arc<Lease>, Arc<Run>), Box<dyn Error + Send + Sync>> {
    let name = EnvironmentName::new("bench")?;
    let ttl = Duration::from_secs(30);
    let lease = store.acquire(&name, ttl).await?;
    let run = sample::run(&name, "r-1", 0, steps)?;
    let plan = serde_json::to_string(&run)?.len();
    let meter = Meter::read();
    store.start(&lease, &run, &sample::started(&run)).await?;
    meter.tell(&format!("start with a plan of {plan} bytes"))?;
    store
        .put_environment(&lease, &sample::row(&name, "")?)
        .await?;
    Ok((Arc::new(lease), Arc::new(run)))
}

async fn append(
    store: &Arc<SqliteStore>,
    lease: &Arc<Lease>,
    run: &Arc<Run>,
    callers: u32,
) -> Measured {
    let next = Arc::new(AtomicU32::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let (store, lease) = (Arc::clone(store), Arc::clone(lease));
        let (run, next) = (Arc::clone(run), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let step = next.fetch_add(1, Ordering::Relaxed);
                if step as usize >= run.plan().steps.len() {
                    return Measured::Ok(());
                }
                let state = sample::state(&run.environment, step, &format!("value {step}"))?;
                let begun = vec![sample::begun(&run.id, step)];
                store.append(&lease, &run.id, begun).await?;
                let done = vec![sample::done(step, state)];
                store.append(&lease, &run.id, done).await?;
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn reopen(path: &std::path::Path) -> Measured {
    for (access, name) in [
        (Access::ReadOnly, "read-only"),
        (Access::ReadWrite, "read-write"),
    ] {
        let meter = Meter::read();
        let store = SqliteStore::open(path, access).await?;
        meter.tell(&format!("open {name}"))?;
        store.environments().await?;
        store.queue().await?;
        meter.tell(&format!("open {name}, environments and queue"))?;
        let meter = Meter::read();
        store.base(&EnvironmentName::new("bench")?).await?;
        meter.tell("base")?;
        let meter = Meter::read();
        store.unfinished().await?;
        meter.tell("unfinished: the whole run")?;
        let meter = Meter::read();
        store.close().await;
        meter.tell("close")?;
    }
    Ok(())
}
