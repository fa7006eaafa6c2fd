//! One suite that runs against every provider, for every type it has.
//!
//! ```ignore
//! let failures = conformance::check(&provider, &[Case::new("a file", address, create, sites)]).await;
//! assert!(failures.is_empty(), "{failures:#?}");
//! ```

mod driver;
mod interrupted;
mod life;
mod statics;

use std::fmt;
use std::sync::Arc;

use stratum_core::ids::Address;
use stratum_core::ports::{NoSecrets, Provider, Secrets, Site};
use stratum_core::value::Record;

/// Gives a new, empty place for the scenario of this name.
pub type Sites = Arc<dyn Fn(&str) -> Site + Send + Sync>;

/// Describes the part of the world that a case touches; equal texts are equal worlds.
pub type Witness = Arc<dyn Fn(&Site) -> String + Send + Sync>;

/// Gives new secrets for a scenario.
pub type Keepers = Arc<dyn Fn() -> Arc<dyn Secrets> + Send + Sync>;

/// One resource to try.
#[derive(Clone)]
pub struct Case {
    /// What it is, for the report.
    pub name: String,
    /// Its address; the type is the one that is tried.
    pub address: Address,
    /// What is wanted first.
    pub create: Record,
    /// What can be changed in place.
    pub update: Option<Record>,
    /// What replaces.
    pub replace: Option<Record>,
    /// What `validate` must refuse.
    pub invalid: Vec<Record>,
    /// The id under which it can be adopted.
    pub import: Option<String>,
    /// What there is of the type can be listed.
    pub lists: bool,
    /// Computed attributes that are others when the resource is put back, such as a start time.
    pub volatile: Vec<String>,
    /// Where it may lie.
    pub sites: Sites,
    /// What the world looks like; without one, only `read` is asked.
    pub world: Option<Witness>,
    /// What opens and keeps secrets, new for each scenario.
    pub secrets: Keepers,
}

impl Case {
    /// A case with nothing but a create.
    pub fn new(name: &str, address: Address, create: Record, sites: Sites) -> Self {
        Self {
            name: name.to_owned(),
            address,
            create,
            update: None,
            replace: None,
            invalid: Vec::new(),
            import: None,
            lists: false,
            volatile: Vec::new(),
            sites,
            world: None,
            secrets: Arc::new(|| Arc::new(NoSecrets)),
        }
    }
}

/// Where a provider does not keep to its contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The case.
    pub case: String,
    /// The scenario.
    pub scenario: String,
    /// What went wrong.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {}", self.case, self.scenario, self.message)
    }
}

/// Runs every scenario for every case; each scenario starts in a place of its own.
///
/// *Guarantees*: an empty answer means that every promise of the port that can be seen from
/// outside was kept; one failing scenario does not stop the others.
pub async fn check(provider: &dyn Provider, cases: &[Case]) -> Vec<Failure> {
    let mut failures = Vec::new();
    for case in cases {
        statics::check(provider, case, &mut failures).await;
        life::check(provider, case, &mut failures).await;
        interrupted::check(provider, case, &mut failures).await;
    }
    failures
}

/// Runs one scenario and notes its failure.
macro_rules! scenario {
    ($provider:expr, $case:expr, $failures:expr, $name:expr, $scenario:expr) => {{
        let driver = Driver::new($provider, $case, $name);
        if let Err(message) = $scenario(&driver).await {
            $failures.push(Failure {
                case: $case.name.clone(),
                scenario: $name.to_string(),
                message,
            });
        }
        if let Err(message) = driver.clean_up().await {
            $failures.push(Failure {
                case: $case.name.clone(),
                scenario: format!("{} (cleaning up)", $name),
                message,
            });
        }
    }};
}
pub(crate) use scenario;
