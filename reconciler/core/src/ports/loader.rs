//! Bytes of a tree become Settings and Desired.

use thiserror::Error;

use crate::desired::{Closure, Desired, Revision};
use crate::finding::Finding;
use crate::ids::EnvironmentName;
use crate::ports::{Retry, Tree, TreeError};
use crate::settings::Settings;
use crate::trust::Trust;

/// What loading gave: a value when it could be read, and everything noticed on the way.
///
/// *Guarantees*: when `value` is `None`, at least one finding is an error.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The value.
    pub value: Option<T>,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

/// Why nothing could be loaded, where it is not the fault of the files.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The tree could not be read.
    #[error("could not read the tree")]
    Tree(#[from] TreeError),
    /// The evaluating child could not be started or spoken to.
    #[error("could not run the evaluator: {doing}")]
    Evaluator {
        /// What was being done.
        doing: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl LoadError {
    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Tree(error) => error.retry(),
            Self::Evaluator { .. } => Retry::Later(std::time::Duration::from_secs(10)),
        }
    }
}

/// Reads what a repository says. Blocking: the runtime calls it off the event loop.
///
/// *Guarantees*: the same tree gives the same answer; nothing outside the tree is read.
pub trait Loader: Send + Sync {
    /// `stratum.ncl`.
    fn settings(&self, tree: &dyn Tree) -> Result<Loaded<Settings>, LoadError>;

    /// The environments of a revision: those of the settings, and `repository` as soon as the tree
    /// has a pipeline, a form or a knowledge node.
    fn environments(
        &self,
        tree: &dyn Tree,
        settings: &Settings,
    ) -> Result<Vec<EnvironmentName>, LoadError>;

    /// The content of one environment. All findings of its files, not only the first.
    fn load(
        &self,
        tree: &dyn Tree,
        revision: &Revision,
        settings: &Settings,
        environment: &EnvironmentName,
    ) -> Result<Loaded<Desired>, LoadError>;

    /// What stands under `trust/`; an empty one where nothing does.
    fn trust(&self, tree: &dyn Tree, settings: &Settings) -> Result<Loaded<Trust>, LoadError>;

    /// Findings that belong to no single environment: stray files, plaintext under `secrets/`.
    fn strays(&self, tree: &dyn Tree, settings: &Settings) -> Result<Vec<Finding>, LoadError>;

    /// Whether `closure` still names the same objects in `tree`: then a load would give what it
    /// gave, and need not be done. Microseconds for each path.
    fn unchanged(&self, tree: &dyn Tree, closure: &Closure) -> Result<bool, LoadError>;

    /// The version of the contracts and readers; part of every digest of inputs.
    fn version(&self) -> &str;

    /// Ends what is being read, and reads nothing more: the program ends.
    fn stop(&self) {}
}

/// Results of evaluation, kept by the digest of what they were made from.
///
/// *Guarantees*: a cache may forget; it never answers with another key's value. Blocking.
pub trait EvaluationCache: Send + Sync {
    /// The value kept under `key`.
    fn get(&self, key: &str) -> Option<Vec<u8>>;

    /// Keeps `value` under `key`; a failure is logged by the cache and otherwise without effect.
    fn put(&self, key: &str, value: &[u8]);
}
