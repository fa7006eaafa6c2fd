//! Reading the revision that an environment is to be brought to.

use std::sync::Arc;

use stratum_core::condition::Hold;
use stratum_core::desired::{Desired, Revision};
use stratum_core::finding::{Finding, any_error, first_reason};
use stratum_core::ids::CommitId;
use stratum_core::ports::{EnvironmentRow, Loaded, Retry, States, Tree};
use stratum_core::record;
use stratum_core::run::Trigger;
use stratum_core::schedule::{Cause, Causes};
use stratum_core::signed::Refused;

use crate::admission::Admitted;
use crate::blocking::Blocking;
use crate::error::RuntimeError;
use crate::head::Target;
use crate::hearing::Hearing;
use crate::look::Look;
use crate::places::Places;
use crate::policy::Policy;
use crate::ports::Ports;
use crate::progress::EnvironmentReport;
use crate::rows::{Rows, drift_every};
use crate::sealing::Verifying;
use crate::site::Roots;
use crate::world::World;

/// What a Revision is read with.
pub(crate) struct Read {
    pub(crate) tree: Arc<dyn Tree>,
    pub(crate) trigger: Trigger,
    pub(crate) causes: Causes,
}

/// Reads revisions.
pub(crate) struct Reading {
    states: Arc<dyn States>,
    places: Places,
    blocking: Blocking,
    policy: Arc<Policy>,
    hearing: Arc<Hearing>,
    verifying: Verifying,
    world: Arc<World>,
    rows: Arc<Rows>,
}

impl Reading {
    pub(crate) fn new(
        (ports, roots): (&Ports, &Roots),
        blocking: Blocking,
        (policy, hearing): (&Arc<Policy>, &Arc<Hearing>),
        verifying: Verifying,
        (world, rows): (&Arc<World>, &Arc<Rows>),
    ) -> Self {
        Self {
            states: ports.store.clone(),
            places: Places::new(ports, roots),
            blocking,
            policy: Arc::clone(policy),
            hearing: Arc::clone(hearing),
            verifying,
            world: Arc::clone(world),
            rows: Arc::clone(rows),
        }
    }

    /// The files of a commit.
    pub(crate) async fn tree(&self, commit: &CommitId) -> Result<Arc<dyn Tree>, RuntimeError> {
        let (policy, commit) = (Arc::clone(&self.policy), commit.clone());
        let opening = move || Ok(policy.repository.tree(&commit)?);
        self.blocking.run(opening).await
    }

    /// Whether everything that an environment was made from is as it was.
    pub(crate) async fn is_unchanged(
        &self,
        row: &EnvironmentRow,
        tree: &Arc<dyn Tree>,
    ) -> Result<bool, RuntimeError> {
        if row.inputs.is_none() {
            return Ok(false);
        }
        let (policy, tree) = (Arc::clone(&self.policy), Arc::clone(tree));
        let closure = row.closure.clone();
        let comparing = move || Ok(policy.loader.unchanged(tree.as_ref(), &closure)?);
        self.blocking.run(comparing).await
    }

    /// Loads the revision and verifies it; the report says why when it cannot be used.
    pub(crate) async fn read(
        &self,
        admitted: Admitted,
        mut row: EnvironmentRow,
        read: Read,
    ) -> Result<Result<Look, EnvironmentReport>, RuntimeError> {
        let Admitted {
            input,
            target,
            brought,
        } = admitted;
        row.desired_revision = Some(target.commit.clone());
        let (revision, loaded) = self.load(&target, &read.tree).await?;
        let mut findings = loaded.findings;
        let Some(desired) = loaded.value.filter(|_| !any_error(&findings)) else {
            return self.unusable(row, findings).await.map(Err);
        };
        let desired = Arc::new(desired);
        let verifying = self.verifying.verify(&target, &input, read.tree, &desired);
        let (verified, found) = verifying.await?;
        findings.extend(found);
        if any_error(&findings) {
            return self.unusable(row, findings).await.map(Err);
        }
        let site = match self.places.site(&target, &brought, &row).await? {
            Ok(site) => Arc::new(site),
            Err(reason) => return self.rows.stalled(row, reason, findings).await.map(Err),
        };
        row.root = Some(site.root.to_string_lossy().into_owned());
        let look = Look {
            target,
            row,
            revision,
            desired,
            findings,
            site,
            input,
            trigger: read.trigger,
            verified,
            concern: None,
        };
        self.unless_held(look, read.causes).await
    }

    async fn unusable(
        &self,
        row: EnvironmentRow,
        findings: Vec<Finding>,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let reason = first_reason(&findings);
        self.rows.stalled(row, reason, findings).await
    }

    /// Nothing follows from a look at inputs that are held, unless somebody said that they are to be
    /// tried again, or what failed may have passed.
    async fn unless_held(
        &self,
        look: Look,
        causes: Causes,
    ) -> Result<Result<Look, EnvironmentReport>, RuntimeError> {
        let hold = look.row.hold.clone();
        let hold = hold
            .filter(|hold| hold.inputs == look.desired.inputs)
            .filter(|hold| hold.passes.is_none() || !causes.has(Cause::RetryDue));
        let Some(hold) = hold else {
            return Ok(Ok(look));
        };
        let heard = self.hearing.retried(&look.input, &hold).await?;
        match heard.said {
            Some(_) => Ok(Ok(look)),
            None => self
                .keep_held(look, &hold, &heard.void, causes)
                .await
                .map(Err),
        }
    }

    /// Evaluates the files of the environment.
    async fn load(
        &self,
        target: &Target,
        tree: &Arc<dyn Tree>,
    ) -> Result<(Revision, Loaded<Desired>), RuntimeError> {
        let (policy, target, tree) = (Arc::clone(&self.policy), target.clone(), Arc::clone(tree));
        self.blocking
            .run(move || {
                let revision = policy.repository.revision(&target.commit)?;
                let (settings, environment) = (&target.settings, &target.environment);
                let loaded = policy
                    .loader
                    .load(tree.as_ref(), &revision, settings, environment)?;
                Ok((revision, loaded))
            })
            .await
    }

    /// The revision is held: nothing is applied, but the world is still looked at on schedule.
    async fn keep_held(
        &self,
        mut look: Look,
        hold: &Hold,
        void: &[Refused],
        causes: Causes,
    ) -> Result<EnvironmentReport, RuntimeError> {
        let due = drift_every(&look.target.settings, &look.row).is_some();
        if due && causes.has(Cause::DriftDue) {
            let base = self.states.base(&look.target.environment).await?;
            self.world.observe_all(&mut look, &base).await?;
        }
        let void = void.iter().map(|tag| format!("; {tag}"));
        let reason = record::held(hold) + &void.collect::<String>();
        let mut report = self.rows.stalled(look.row, reason, look.findings).await?;
        report.failed = hold.passes.map(Retry::Later);
        Ok(report)
    }
}
