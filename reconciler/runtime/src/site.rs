//! Where the local resources of an environment lie.

use std::path::{Path, PathBuf};

use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Isolation, Site};
use stratum_core::settings::EnvironmentSettings;

/// What decides where local resources lie, besides settings and state.
#[derive(Debug, Clone)]
pub struct Roots {
    /// The folder that holds the state; absolute.
    pub state_folder: PathBuf,
    /// Where providers write down what they must remember, in one folder for each environment;
    /// absolute. Two states never share it.
    pub own: PathBuf,
    /// `--root`: everything lies under it, for a trial; absolute.
    pub trial: Option<PathBuf>,
    /// The places that the operator of this machine gives to environments; absolute.
    pub named: Vec<PathBuf>,
    /// What isolated programs see nothing of: the state, keys, the home of this user; absolute.
    pub hidden: Vec<PathBuf>,
    /// The file in which more of them can be named, for people.
    pub file: PathBuf,
}

/// Where the local resources of an environment lie.
///
/// `--root` decides first, then what the state remembers, then the settings, then
/// `world/<environment>` beside the state. What is remembered goes before the settings, so that
/// reading commands look where the reconciler works.
pub fn site_of(
    roots: &Roots,
    environment: &EnvironmentName,
    settings: &EnvironmentSettings,
    remembered: Option<&str>,
) -> Site {
    let trial = roots
        .trial
        .as_ref()
        .map(|folder| folder.join(environment.as_str()));
    let root = trial
        .or(remembered.map(PathBuf::from))
        .unwrap_or_else(|| wanted(&roots.state_folder, environment, settings));
    Site {
        root,
        roots: settings.roots.iter().map(PathBuf::from).collect(),
        own: roots.own.join(environment.as_str()),
        user: settings.user.clone(),
        isolation: settings.isolated.then(|| Isolation {
            hidden: roots.hidden.clone(),
            network: settings.network,
        }),
    }
}

/// Where settings want an environment to lie.
pub(crate) fn wanted(
    state_folder: &Path,
    environment: &EnvironmentName,
    settings: &EnvironmentSettings,
) -> PathBuf {
    match &settings.root {
        Some(root) => state_folder.join(root),
        None => state_folder.join("world").join(environment.as_str()),
    }
}
