//! What a look works with once its revision is read: what the stages that follow hand on.

use std::collections::BTreeMap;
use std::sync::Arc;

use stratum_core::desired::{Desired, Revision};
use stratum_core::finding::Finding;
use stratum_core::ports::{EnvironmentRow, KeptSecret, SecretKey, Site};
use stratum_core::run::Trigger;

use crate::head::Target;
use crate::policy::PolicyInput;

/// What a look works with, once the revision is read.
#[derive(Clone)]
pub(crate) struct Look {
    pub(crate) target: Target,
    pub(crate) row: EnvironmentRow,
    pub(crate) revision: Revision,
    pub(crate) desired: Arc<Desired>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) site: Arc<Site>,
    pub(crate) input: PolicyInput,
    pub(crate) trigger: Trigger,
    /// Its sealed values, verified.
    pub(crate) verified: Verified,
    /// Why the environment is not Ready even when nothing is left to do.
    pub(crate) concern: Option<String>,
}

/// The sealed values of a revision, verified.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verified {
    /// The values that the environment's resources use.
    pub(crate) used: Vec<KeptSecret>,
    /// The version of every value.
    pub(crate) versions: BTreeMap<SecretKey, u64>,
}
