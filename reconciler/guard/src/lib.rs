//! Plan -> Verdict by Cedar; who signed a commit or a tag.
//!
//! ```text
//! shipped policies + policies/*.cedar of the base --parse, validate, once a blob--> Law
//! PlanRequest --entities, contexts, checked against the schema--> questions --Law--> Verdict
//! ```
//!
//! Cedar skips a policy that errors, so that a `forbid` which errors would allow. Here any error in
//! a decision is a denial.

pub mod format;
#[doc(hidden)]
pub mod fuzzing;

mod bounds;
mod cases;
mod check;
mod context;
mod entities;
mod imagined;
mod judge;
#[cfg(test)]
mod judge_tests;
mod law;
mod lockout;
mod place;
mod roomy;
mod screen;
mod signatures;
mod words;

use std::sync::{Arc, LazyLock};

use cedar_policy::{Schema, ValidationMode, Validator};
use stratum_core::finding::Finding;
use stratum_core::finding::codes::POLICY_SYNTAX;
use stratum_core::ports::{Confined, Gate, GateError, PlanRequest, Question, Tree, TreeError};
use stratum_core::settings::Settings;
use stratum_core::trust::Trust;
use stratum_core::verdict::{Judgement, Verdict};
use thiserror::Error;

pub use law::{Shipped, shipped};
pub use signatures::InProcess;

use crate::law::Laws;

/// The schema that ships.
pub const SCHEMA: &str = include_str!("../../../policies/schema.cedarschema");

/// The policies that ship, as a file.
pub const DEFAULTS: &str = include_str!("../../../policies/default.cedar");

/// What ships is broken: a defect of this program.
#[derive(Debug, Error)]
#[error("the policies that ship cannot be used: {0}")]
pub struct Defect(String);

/// Judges by Cedar policies.
///
/// What ships is read at the first question: a look that finds nothing to do asks none.
pub struct CedarGate {
    court: LazyLock<Result<Court, Defect>, Opening>,
}

/// Reads what ships, once.
type Opening = Box<dyn FnOnce() -> Result<Court, Defect> + Send>;

/// What ships, parsed, and every law that was met.
pub(crate) struct Court {
    pub(crate) schema: Arc<Schema>,
    pub(crate) laws: Laws,
}

impl Default for CedarGate {
    /// Reads policies in this process alone.
    fn default() -> Self {
        Self::new(None)
    }
}

/// The name of the confined reader of policies.
pub const POLICIES_TASK: &str = "policies";

/// The confined reader of policies: reads and validates a file as this room does, and forgets it.
/// What it shows is that this ends, and how soon.
pub fn read_policies(text: &str) -> String {
    match Schema::from_cedarschema_str(SCHEMA) {
        Ok((schema, _warnings)) => law::read_in_vain(&schema, text),
        Err(error) => error.to_string(),
    }
}

impl CedarGate {
    /// Judges; every file of policies is read by `confined` first, where there is one.
    pub fn new(confined: Option<Arc<dyn Confined>>) -> Self {
        let opening: Opening = Box::new(|| Court::new(confined));
        Self {
            court: LazyLock::new(opening),
        }
    }

    /// What ships.
    ///
    /// *Errors*: [`Defect`], which no repository can cause.
    pub(crate) fn court(&self) -> Result<&Court, &Defect> {
        self.court.as_ref()
    }

    fn sitting(&self) -> Result<&Court, GateError> {
        self.court().map_err(|defect| undecided(defect.to_string()))
    }
}

impl Court {
    fn new(confined: Option<Arc<dyn Confined>>) -> Result<Self, Defect> {
        let (schema, _warnings) = Schema::from_cedarschema_str(SCHEMA)
            .map_err(|error| Defect(format!("the schema: {error}")))?;
        let schema = Arc::new(schema);
        let laws = Laws::new(Arc::clone(&schema), confined).map_err(Defect)?;
        Ok(Self { schema, laws })
    }
}

impl Gate for CedarGate {
    fn judge(&self, request: &PlanRequest) -> Result<Verdict, GateError> {
        let court = self.sitting()?;
        let law = court.laws.law(&request.rules.policies).map_err(undecided)?;
        judge::judge(&court.schema, &law, request).map_err(undecided)
    }

    fn ask(&self, question: &Question) -> Result<Judgement, GateError> {
        let court = self.sitting()?;
        let law = court
            .laws
            .law(&question.rules.policies)
            .map_err(undecided)?;
        judge::ask(&court.schema, &law, question).map_err(undecided)
    }

    fn check(
        &self,
        tree: &dyn Tree,
        trust: &Trust,
        settings: &Settings,
    ) -> Result<Vec<Finding>, TreeError> {
        match self.court() {
            Ok(court) => check::check(court, tree, trust, settings),
            Err(defect) => Ok(vec![Finding::error(&POLICY_SYNTAX, defect.to_string())]),
        }
    }
}

fn undecided(reason: String) -> GateError {
    GateError::Undecided { reason }
}

fn validate(schema: &Schema, set: &cedar_policy::PolicySet) -> cedar_policy::ValidationResult {
    Validator::new(schema.clone()).validate(set, ValidationMode::Strict)
}
