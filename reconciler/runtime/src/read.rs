//! Reading the revision that an environment is to be brought to.

use std::sync::Arc;

use stratum_core::condition::Hold;
use stratum_core::desired::{Desired, Revision};
use stratum_core::finding::{any_error, first_reason};
use stratum_core::ports::{EnvironmentRow, Loaded, Retry, Site, Tree};
use stratum_core::record;
use stratum_core::run::Trigger;
use stratum_core::schedule::{Cause, Causes};
use stratum_core::settings::Settings;
use stratum_core::signed::Refused;

use crate::admission::PolicyInput;
use crate::error::RuntimeError;
use crate::head::{Target, own_settings};
use crate::look::{Look, drift_every};
use crate::ports::Ports;
use crate::progress::EnvironmentReport;
use crate::reconcile::Reconciler;
use crate::site::{site_of, wanted};

/// What a Revision is read with.
pub(crate) struct Read {
    pub(crate) tree: Arc<dyn Tree>,
    pub(crate) trigger: Trigger,
    pub(crate) causes: Causes,
    /// The settings that it brings: to be compared with, and not to be obeyed.
    pub(crate) brought: Arc<Settings>,
}

impl Reconciler {
    /// Loads the revision; the report says why when it cannot be used.
    pub(crate) async fn read(
        self: &Arc<Self>,
        target: &Target,
        mut row: EnvironmentRow,
        read: Read,
        input: PolicyInput,
    ) -> Result<Result<Look, EnvironmentReport>, RuntimeError> {
        let Read {
            tree,
            trigger,
            causes,
            brought,
        } = read;
        let (revision, loaded) = self.load(target, &tree).await?;
        row.desired_revision = Some(target.commit.clone());
        let Loaded {
            value,
            mut findings,
        } = loaded;
        let Some(desired) = value.filter(|_| !any_error(&findings)) else {
            return Ok(Err(self
                .stalled(row, first_reason(&findings), findings)
                .await?));
        };
        let (target, desired) = (target.clone(), Arc::new(desired));
        let (verified, found) = self.verify(&target, &input, tree, &desired).await?;
        findings.extend(found);
        if any_error(&findings) {
            let reason = first_reason(&findings);
            return Ok(Err(self.stalled(row, reason, findings).await?));
        }
        let site = match self.site(&target, &brought, &row).await? {
            Ok(site) => Arc::new(site),
            Err(reason) => return Ok(Err(self.stalled(row, reason, findings).await?)),
        };
        row.root = Some(site.root.to_string_lossy().into_owned());
        let hold = row
            .hold
            .clone()
            .filter(|hold| hold.inputs == desired.inputs)
            .filter(|hold| hold.passes.is_none() || !causes.has(Cause::RetryDue));
        let (hold, void) = match hold {
            Some(hold) => {
                let heard = self.retried(&input, &hold).await?;
                (heard.said.is_none().then_some(hold), heard.void)
            }
            None => (None, Vec::new()),
        };
        let look = Look {
            target,
            row,
            revision,
            desired,
            findings,
            site,
            input,
            trigger,
            verified,
            concern: None,
        };
        match hold {
            Some(hold) => Ok(Err(self.keep_held(look, &hold, &void, causes).await?)),
            None => Ok(Ok(look)),
        }
    }

    /// Evaluates the files of the environment.
    async fn load(
        self: &Arc<Self>,
        target: &Target,
        tree: &Arc<dyn Tree>,
    ) -> Result<(Revision, Loaded<Desired>), RuntimeError> {
        let (own, target, tree) = (Arc::clone(self), target.clone(), Arc::clone(tree));
        self.blocking(move || {
            let Ports {
                repository, loader, ..
            } = &own.ports;
            let revision = repository.revision(&target.commit)?;
            let (settings, environment) = (&target.settings, &target.environment);
            let loaded = loader.load(tree.as_ref(), &revision, settings, environment)?;
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
            let base = self.ports.store.base(&look.target.environment).await?;
            self.observe_all(&mut look, &base).await?;
        }
        let void = void.iter().map(|tag| format!("; {tag}"));
        let reason = record::held(hold) + &void.collect::<String>();
        let mut report = self.stalled(look.row, reason, look.findings).await?;
        report.failed = hold.passes.map(Retry::Later);
        Ok(report)
    }

    /// Where local resources lie; a root that would move away from resources is refused.
    async fn site(
        &self,
        target: &Target,
        brought: &Settings,
        row: &EnvironmentRow,
    ) -> Result<Result<Site, String>, RuntimeError> {
        // Where it would lie is checked with what the Revision says; where it lies is as admitted.
        let (roots, own) = (
            &self.options.roots,
            own_settings(brought, &target.environment),
        );
        let fresh = match (&roots.trial, &own.root) {
            (Some(_), _) | (None, None) => {
                site_of(roots, &target.environment, &own, row.root.as_deref())
            }
            (None, Some(_)) => {
                let root = wanted(&roots.state_folder, &target.environment, &own);
                Site {
                    root,
                    ..site_of(roots, &target.environment, &own, None)
                }
            }
        };
        let moved = row
            .root
            .as_deref()
            .is_some_and(|old| fresh.root.to_string_lossy() != old);
        if moved
            && !self
                .ports
                .store
                .base(&target.environment)
                .await?
                .resources
                .is_empty()
        {
            let old = row.root.as_deref().unwrap_or_default();
            return Ok(Err(format!(
                "its root would move from `{old}` to `{}`, away from what was made there; set the \
                 root back, or take the resources away first",
                fresh.root.display()
            )));
        }
        let held = target.own();
        // An empty environment moves, once what was admitted says so too.
        let remembered = row
            .root
            .as_deref()
            .filter(|_| !moved || held.root != own.root);
        Ok(Ok(site_of(roots, &target.environment, &held, remembered)))
    }
}
