//! The loop over all environments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Lease, Retry};

use crate::elsewhere::Elsewhere;
use crate::error::RuntimeError;
use crate::grounds::Words;
use crate::head::Head;
use crate::ports::Ports;
use crate::progress::{EnvironmentReport, Progress, ProgressSink};
use crate::site::Roots;
use crate::stop::Stop;
use crate::work::Crew;

/// How a reconciler works.
#[derive(Clone)]
pub struct Options {
    /// Where local resources lie.
    pub roots: Roots,
    /// The longest time between two looks at the refs.
    pub poll: Duration,
    /// How long a lease lives when nobody can tell whether its holder does.
    pub lease_ttl: Duration,
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
    pub(crate) elsewhere: Mutex<Vec<Elsewhere>>,
    /// What the monotonic clock said when the time of day was last read for upkeep.
    pub(crate) clock_read: Mutex<Option<Duration>>,
}

impl Reconciler {
    /// A reconciler over these ports.
    pub fn new(ports: Ports, options: Options, progress: ProgressSink, stop: Stop) -> Arc<Self> {
        let (leases, read, words, elsewhere, clock_read) = Default::default();
        Arc::new(Self {
            ports,
            options,
            progress,
            stop,
            leases,
            read,
            words,
            elsewhere,
            clock_read,
        })
    }

    /// Finishes what was begun, looks at every environment once, and ends.
    ///
    /// *Errors*: what kept all environments from being looked at. What went wrong with one is in
    /// its report.
    pub async fn run_once(self: &Arc<Self>) -> Result<Vec<EnvironmentReport>, RuntimeError> {
        let result = tokio::select! {
            biased;
            result = self.once() => result,
            never = self.keep_leases() => match never {},
        };
        self.release_all().await;
        result
    }

    async fn once(self: &Arc<Self>) -> Result<Vec<EnvironmentReport>, RuntimeError> {
        let mut crew = Crew::default();
        self.resume_unfinished(&mut crew, true).await?;
        let resumed = crew.finish(self).await;
        let mut reports = self.look_around(&mut crew, true).await?;
        reports.extend(crew.finish(self).await);
        // Where a run could not come to its end, nothing else was looked at.
        let looked: BTreeSet<_> = reports.iter().map(|r| r.environment.clone()).collect();
        let left = resumed.into_iter();
        reports.extend(left.filter(|report| !looked.contains(&report.environment)));
        self.publish_waiting().await;
        self.upkeep(false).await;
        reports.sort_by(|a, b| a.environment.cmp(&b.environment));
        Ok(reports)
    }

    /// Watches until it is told to stop; what is in flight then comes to its end.
    ///
    /// *Errors*: only what a person must see to; everything else is said and tried again.
    pub async fn run(self: &Arc<Self>) -> Result<(), RuntimeError> {
        let mut crew = Crew::default();
        let working = async {
            let result = self.watch(&mut crew).await;
            crew.finish(self).await;
            result
        };
        let result = tokio::select! {
            biased;
            result = working => result,
            never = self.keep_leases() => match never {},
        };
        self.release_all().await;
        result
    }

    async fn watch(self: &Arc<Self>, crew: &mut Crew) -> Result<(), RuntimeError> {
        let mut first = true;
        let mut standing = self.ports.secrets.standing();
        while !self.stop.is_stopped() {
            let wait = match self.turn(crew, first).await {
                Ok(wait) => {
                    first = false;
                    wait
                }
                Err(error) => self.trouble(error)?,
            };
            tokio::select! {
                biased;
                () = self.stop.stopped() => {}
                true = crew.one(self) => {}
                () = self.ports.secrets.changed(&standing) => {
                    standing = self.ports.secrets.standing();
                    first = true;
                }
                () = self.ports.wake.wait(wait.min(self.options.poll)) => {}
            }
        }
        Ok(())
    }

    /// One turn of the loop; answers how long nothing is due.
    async fn turn(
        self: &Arc<Self>,
        crew: &mut Crew,
        first: bool,
    ) -> Result<Duration, RuntimeError> {
        self.resume_unfinished(crew, first).await?;
        for report in self.look_around(crew, first).await? {
            (self.progress)(&Progress::Ended(report));
        }
        if crew.is_idle() {
            self.publish_waiting().await;
            self.upkeep(true).await;
        }
        let wait = self.next_due().await?;
        (self.progress)(&Progress::Turned);
        Ok(wait)
    }

    /// Says what went wrong, and how long to wait before the next try.
    fn trouble(&self, error: RuntimeError) -> Result<Duration, RuntimeError> {
        let wait = match error.retry() {
            Retry::Later(wait) => wait,
            Retry::WhenInputChanges => self.options.poll,
            Retry::NeedsPerson => return Err(error),
        };
        let sentence = error.sentence();
        tracing::warn!(error = %sentence, "will be tried again");
        (self.progress)(&Progress::Trouble(sentence));
        Ok(wait)
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
