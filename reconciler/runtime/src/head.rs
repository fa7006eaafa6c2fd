//! What the repository's HEAD says, and which commit each environment should come to.

use std::sync::{Arc, PoisonError};

use stratum_core::ids::{BranchName, CommitId, EnvironmentName};
use stratum_core::ports::{Loaded, RepositoryError, Tips};
use stratum_core::settings::{EnvironmentSettings, Settings};

use crate::error::RuntimeError;
use crate::reconcile::Reconciler;

/// What the repository's HEAD says.
pub(crate) struct Head {
    pub(crate) commit: CommitId,
    pub(crate) settings: Loaded<Arc<Settings>>,
    pub(crate) environments: Vec<EnvironmentName>,
}

/// One environment, and the commit it should come to.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) environment: EnvironmentName,
    pub(crate) settings: Arc<Settings>,
    pub(crate) commit: CommitId,
    pub(crate) branch: Option<BranchName>,
}

impl Target {
    /// Whether another target is the same but for the commit.
    pub(crate) fn differs_in_commit(&self, other: &Self) -> bool {
        self.commit != other.commit
            && self.branch == other.branch
            && (Arc::ptr_eq(&self.settings, &other.settings) || self.settings == other.settings)
    }

    /// The settings of the environment; `repository` has the defaults.
    pub(crate) fn own(&self) -> EnvironmentSettings {
        own_settings(&self.settings, &self.environment)
    }
}

/// The settings of one environment; the defaults where it is not named.
pub(crate) fn own_settings(
    settings: &Settings,
    environment: &EnvironmentName,
) -> EnvironmentSettings {
    settings
        .environments
        .get(environment)
        .cloned()
        .unwrap_or_default()
}

impl Head {
    /// The commit an environment should come to, or the reason why there is none.
    pub(crate) fn target(
        &self,
        environment: &EnvironmentName,
        settings: &Arc<Settings>,
        tips: &Tips,
    ) -> Result<Target, String> {
        let own = settings
            .environments
            .get(environment)
            .and_then(|own| own.branch.as_ref());
        let commit = match own {
            None => self.commit.clone(),
            Some(branch) => tips.branches.get(branch).cloned().ok_or_else(|| {
                format!("its branch `{branch}` is not in the repository; push it, or name another")
            })?,
        };
        Ok(Target {
            environment: environment.clone(),
            settings: Arc::clone(settings),
            commit,
            branch: own.cloned().or_else(|| tips.head.clone()),
        })
    }
}

impl Reconciler {
    /// What HEAD says; read again only when HEAD moved.
    pub(crate) async fn head(self: &Arc<Self>) -> Result<(Arc<Head>, Tips), RuntimeError> {
        let own = Arc::clone(self);
        self.blocking(move || own.read_head()).await
    }

    fn read_head(&self) -> Result<(Arc<Head>, Tips), RuntimeError> {
        let repository = &self.ports.repository;
        let tips = repository.tips()?;
        self.hear(repository.words()?);
        let commit = match &tips.head {
            Some(branch) => tips.branches.get(branch).cloned().ok_or_else(|| {
                RepositoryError::NoSuchRevision {
                    name: branch.to_string(),
                }
            })?,
            None => repository.resolve("HEAD")?,
        };
        if let Some(head) = self.cached().filter(|head| head.commit == commit) {
            return Ok((head, tips));
        }
        let tree = repository.tree(&commit)?;
        let loaded = self.ports.loader.settings(tree.as_ref())?;
        let settings = Loaded {
            value: loaded.value.map(Arc::new),
            findings: loaded.findings,
        };
        let environments = match &settings.value {
            Some(settings) => self.ports.loader.environments(tree.as_ref(), settings)?,
            None => Vec::new(),
        };
        let head = Arc::new(Head {
            commit,
            settings,
            environments,
        });
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&head));
        Ok((head, tips))
    }

    /// What HEAD said when it was last read.
    pub(crate) fn cached(&self) -> Option<Arc<Head>> {
        self.read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The branch that records go to.
    pub(crate) fn record_branch(&self) -> BranchName {
        let settings = self.cached().and_then(|head| head.settings.value.clone());
        settings.map_or_else(BranchName::records, |settings| {
            settings.records.branch.clone()
        })
    }
}
