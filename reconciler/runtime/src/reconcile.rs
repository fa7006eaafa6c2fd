//! The loop over all environments, and the components that it is made of.

use std::sync::Arc;

use stratum_core::ports::{Clock, Secrets, Store, Wake};

use crate::admission::Admissions;
use crate::along::Along;
use crate::audit::AuditLog;
use crate::charter::Heads;
use crate::compose::{Acting, Ground};
use crate::driver::Driver;
use crate::error::RuntimeError;
use crate::front::KnownFronts;
use crate::lease::OwnLeases;
use crate::options::Options;
use crate::ports::Ports;
use crate::progress::{EnvironmentReport, ProgressSink};
use crate::publish::Records;
use crate::read::Reading;
use crate::recovery::Recovery;
use crate::rows::Rows;
use crate::runs::Runs;
use crate::stop::Stop;
use crate::tries::Tries;
use crate::upkeep::Upkeep;
use crate::walk::Walk;
use crate::words::Words;

/// Watches, plans, judges, applies, records.
///
/// It strings the components together; each of them holds only what it needs.
pub struct Reconciler {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) secrets: Arc<dyn Secrets>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wake: Arc<dyn Wake>,
    pub(crate) options: Options,
    pub(crate) progress: ProgressSink,
    pub(crate) stop: Stop,
    pub(crate) leases: Arc<OwnLeases>,
    pub(crate) rows: Arc<Rows>,
    pub(crate) words: Arc<Words>,
    pub(crate) heads: Arc<Heads>,
    pub(crate) fronts: Arc<KnownFronts>,
    pub(crate) along: Along,
    pub(crate) admissions: Arc<Admissions>,
    pub(crate) log: Arc<AuditLog>,
    pub(crate) reading: Arc<Reading>,
    pub(crate) runs: Arc<Runs>,
    pub(crate) recovery: Arc<Recovery>,
    pub(crate) records: Arc<Records>,
    pub(crate) tries: Tries,
    pub(crate) upkeep: Arc<Upkeep>,
    pub(crate) walk: Walk,
}

/// A task that ends with whoever started it.
struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn keep_publishing(records: Arc<Records>) {
    records.keep_publishing().await;
}

async fn keep_up(upkeep: Arc<Upkeep>) {
    upkeep.keep_up().await;
}

impl Reconciler {
    /// A reconciler over these ports.
    pub fn new(ports: Ports, options: Options, progress: ProgressSink, stop: Stop) -> Arc<Self> {
        let ground = Ground::new(&ports, &options, &progress, &stop);
        let acting = Acting::new(&ports, &options, &ground);
        Arc::new(Self {
            along: ground.along(&ports),
            tries: Tries::new(&ports),
            upkeep: Arc::new(Upkeep::new(&ports, ground.blocking, &stop)),
            walk: acting.walk(&ports, &ground),
            reading: acting.reading,
            recovery: acting.recovery,
            runs: acting.runs,
            leases: ground.leases,
            rows: ground.rows,
            words: ground.words,
            heads: ground.heads,
            fronts: ground.fronts,
            admissions: ground.admissions,
            log: ground.log,
            records: ground.records,
            store: ports.store,
            secrets: ports.secrets,
            clock: ports.clock,
            wake: ports.wake,
            options,
            progress,
            stop,
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
            never = self.leases.keep_renewing() => match never {},
        };
        self.leases.release_all().await;
        result
    }

    /// Watches until it is told to stop; what is in flight then comes to its end.
    ///
    /// *Errors*: only what keeps it from beginning and a person must see to; everything else is
    /// said and tried again.
    pub async fn run(self: &Arc<Self>) -> Result<(), RuntimeError> {
        let mut driver = Driver::new(Arc::clone(self));
        let publishing = Task(tokio::spawn(keep_publishing(Arc::clone(&self.records))));
        let upkeep = Task(tokio::spawn(keep_up(Arc::clone(&self.upkeep))));
        let work = async {
            let result = driver.watch().await;
            driver.finish().await;
            drop((publishing, upkeep));
            self.records.publish_once().await;
            result
        };
        let result = tokio::select! {
            biased;
            result = work => result,
            never = self.leases.keep_renewing() => match never {},
        };
        self.leases.release_all().await;
        result
    }
}
