//! The loop over all environments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stratum_core::ids::EnvironmentName;
use stratum_core::ports::Lease;

use crate::driver::Driver;
use crate::error::RuntimeError;
use crate::front::Front;
use crate::guard::Known;
use crate::head::Head;
use crate::ports::Ports;
use crate::progress::{EnvironmentReport, ProgressSink};
use crate::publish::Records;
use crate::recovery::Runs;
use crate::site::Roots;
use crate::stop::Stop;
use crate::tags::Words;

/// How a reconciler works.
#[derive(Clone)]
pub struct Options {
    /// Where local resources lie.
    pub roots: Roots,
    /// The longest time between two looks at the refs.
    pub poll: Duration,
    /// How long a lease lives when nobody can tell whether its holder does.
    pub lease_ttl: Duration,
    /// Environments that are judged without the repository's own policies: the way back for whoever
    /// has the machine, where no push leads out.
    pub without_policies: BTreeSet<EnvironmentName>,
    /// Do blocking work on the event loop, so that a simulation in one thread is deterministic.
    pub inline: bool,
}

/// Watches, plans, judges, applies, records.
pub struct Reconciler {
    pub(crate) ports: Ports,
    pub(crate) options: Options,
    pub(crate) progress: ProgressSink,
    pub(crate) stop: Stop,
    pub(crate) leases: Mutex<BTreeMap<EnvironmentName, Lease>>,
    pub(crate) read: Mutex<Option<Arc<Head>>>,
    pub(crate) words: Mutex<Words>,
    pub(crate) runs: Mutex<Runs>,
    /// What the monotonic clock said when the time of day was last read for upkeep.
    pub(crate) clock_read: Mutex<Option<Duration>>,
    pub(crate) records: Records,
    pub(crate) front: Mutex<Front>,
    pub(crate) known: Known,
}

/// A task that ends with whoever started it.
struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Reconciler {
    /// A reconciler over these ports.
    pub fn new(ports: Ports, options: Options, progress: ProgressSink, stop: Stop) -> Arc<Self> {
        let (leases, read, words, runs, records) = Default::default();
        let (front, known) = Default::default();
        let clock_read = Default::default();
        Arc::new(Self {
            ports,
            options,
            progress,
            stop,
            leases,
            read,
            words,
            runs,
            clock_read,
            records,
            front,
            known,
        })
    }

    /// Finishes what was begun, looks at every environment once, and ends.
    ///
    /// *Errors*: what kept all environments from being looked at. What went wrong with one is in
    /// its report.
    pub async fn run_once(self: &Arc<Self>) -> Result<Vec<EnvironmentReport>, RuntimeError> {
        let mut driver = Driver::new(Arc::clone(self));
        let result = tokio::select! {
            biased;
            result = driver.once() => result,
            never = self.keep_renewing() => match never {},
        };
        self.release_all().await;
        result
    }

    /// Watches until it is told to stop; what is in flight then comes to its end.
    ///
    /// *Errors*: only what keeps it from beginning and a person must see to; everything else is
    /// said and tried again.
    pub async fn run(self: &Arc<Self>) -> Result<(), RuntimeError> {
        let mut driver = Driver::new(Arc::clone(self));
        let publishing = Task(tokio::spawn(Arc::clone(self).keep_publishing()));
        let upkeep = Task(tokio::spawn(Arc::clone(self).keep_up()));
        let work = async {
            let result = driver.watch().await;
            driver.finish().await;
            drop((publishing, upkeep));
            self.publish_once().await;
            result
        };
        let result = tokio::select! {
            biased;
            result = work => result,
            never = self.keep_renewing() => match never {},
        };
        self.release_all().await;
        result
    }

    /// Runs blocking work off the event loop.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        if self.options.inline {
            return work();
        }
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| RuntimeError::TaskEnded)?
    }
}
