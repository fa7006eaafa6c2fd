//! What the repository's HEAD says, and which commit each environment should come to.

use std::sync::Arc;

use stratum_core::ids::{BranchName, CommitId, EnvironmentName};
use stratum_core::ports::{Loaded, Tips};
use stratum_core::remembered::Charter;
use stratum_core::settings::{DriftMode, EnvironmentSettings, Settings};

/// Where HEAD stands, and what the last HEAD says that was admitted.
pub(crate) struct Head {
    /// The tip.
    pub(crate) commit: CommitId,
    /// The commit whose settings hold.
    pub(crate) charter: Charter,
    pub(crate) settings: Loaded<Arc<Settings>>,
    pub(crate) environments: Vec<EnvironmentName>,
    /// The branch that HEAD names.
    pub(crate) branch: Option<BranchName>,
    /// Why the settings of the tip do not hold, if they do not.
    pub(crate) refused: Option<String>,
}

/// One environment, and the commit it should come to.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) environment: EnvironmentName,
    pub(crate) settings: Arc<Settings>,
    pub(crate) commit: CommitId,
    pub(crate) branch: Option<BranchName>,
    /// It is read from the branch that HEAD names.
    pub(crate) on_head: bool,
}

impl Target {
    /// Whether another target is the same but for the commit. Settings that say the same are the same:
    /// `head` sees to that.
    pub(crate) fn differs_in_commit(&self, other: &Self) -> bool {
        self.commit != other.commit
            && self.branch == other.branch
            && Arc::ptr_eq(&self.settings, &other.settings)
    }

    /// What is done about drift there.
    pub(crate) fn drift_mode(&self) -> DriftMode {
        self.settings.drift_of(&self.own()).mode
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
    /// A commit whose settings hold.
    pub(crate) fn of(
        commit: &CommitId,
        settings: Loaded<Arc<Settings>>,
        environments: Vec<EnvironmentName>,
    ) -> Self {
        Self {
            commit: commit.clone(),
            charter: Charter {
                commit: commit.clone(),
                spent: Vec::new(),
            },
            settings,
            environments,
            branch: None,
            refused: None,
        }
    }

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
            on_head: own.is_none() || own == tips.head.as_ref(),
        })
    }

    /// The branch that records go to; never one that is read from, so that no record wakes the
    /// reconciler.
    pub(crate) fn record_branch(&self) -> BranchName {
        let Some(settings) = &self.settings.value else {
            return BranchName::records();
        };
        let wanted = &settings.records.branch;
        let branches = settings.environments.values();
        let mut read = branches
            .filter_map(|own| own.branch.as_ref())
            .chain(&self.branch);
        let name = wanted.as_str();
        let odd = name == "HEAD" || name.starts_with('-') || name.starts_with("refs/");
        match odd || read.any(|branch| branch == wanted) {
            true => BranchName::records(),
            false => wanted.clone(),
        }
    }
}
