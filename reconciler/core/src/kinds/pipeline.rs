//! Pipelines: plans for agents, and what can be checked of them without a parser.

mod order;
mod taint;

pub use order::order;
pub use taint::taint;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration;
use crate::ids::EnvironmentName;
use crate::value::Path;

/// A pipeline: agents read and propose; they hold no credential that writes.
///
/// *Source*: design page kinds.md, "Pipelines".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// Its name, unique in the repository.
    pub name: String,
    /// What it is for, in a sentence.
    pub intent: String,
    /// What starts it.
    pub triggers: Vec<Trigger>,
    /// What happens when it is started while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// The time for all of it.
    #[serde(default, with = "duration::optional")]
    pub deadline: Option<Duration>,
    /// What one run may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Hosts that its steps may reach; none by default.
    #[serde(default)]
    pub network: Vec<String>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// What starts a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "lowercase")]
pub enum Trigger {
    /// The world differs from what was applied.
    Drift {
        /// In this environment only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment: Option<EnvironmentName>,
    },
    /// A time comes.
    Schedule {
        /// Minute, hour, day of month, month, day of week; UTC.
        cron: String,
    },
    /// A person asks.
    Manual,
}

/// What happens when a pipeline is started while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concurrency {
    /// Runs with the same value of this are not at the same time.
    pub key: ConcurrencyKey,
    /// What becomes of the later run.
    pub policy: ConcurrencyPolicy,
}

/// What tells runs apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConcurrencyKey {
    /// One run for each environment.
    Environment,
    /// One run of the pipeline.
    Pipeline,
}

/// What becomes of a run that is started while another runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConcurrencyPolicy {
    /// It waits.
    Queue,
    /// It is left out.
    Skip,
    /// It ends the earlier run.
    Replace,
}

/// What one run may cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<f64>,
    /// Tokens, in and out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Calls of a model in one step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
    /// What happens when it is used up.
    #[serde(default)]
    pub on_exceed: OnExceed,
}

/// What happens when a budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExceed {
    /// The run ends.
    #[default]
    Stop,
    /// The role's next model is tried, within what is left.
    Fallback,
}

/// The twelve roles of agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say what the roles are")]
pub enum Role {
    Architect,
    Developer,
    CodeReviewer,
    Tester,
    Documenter,
    Marketer,
    Presenter,
    DevOps,
    Monitor,
    Security,
    ProjectManager,
    DecisionMaker,
}

impl Role {
    /// The names of all roles, in the order of the design.
    pub const NAMES: [&'static str; 12] = [
        "Architect",
        "Developer",
        "CodeReviewer",
        "Tester",
        "Documenter",
        "Marketer",
        "Presenter",
        "DevOps",
        "Monitor",
        "Security",
        "ProjectManager",
        "DecisionMaker",
    ];
}

/// One step of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its id, unique in the pipeline; a name that expressions can use.
    pub id: String,
    /// Who carries it out.
    pub role: Role,
    /// The file with the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What it is given. A step without inputs is given the outputs of the steps it needs.
    #[serde(default)]
    pub inputs: BTreeMap<String, Input>,
    /// Tools it may call, all of them reading.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Steps that must be done before.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The step is left out when this is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// The form of its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// What happens when a model does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The time for one try.
    #[serde(default, with = "duration::optional")]
    pub timeout: Option<Duration>,
    /// What it may propose.
    #[serde(default)]
    pub propose: Vec<Proposal>,
    /// Who must agree before a proposal is carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Secrets that its tools may use, as `path#key`.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Hosts it may reach, instead of the pipeline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Vec<String>>,
}

/// Something a step is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// `trigger.<name>`, or `steps.<id>.output` with fields.
    pub from: String,
    /// Whether others than the team can have written it.
    #[serde(default)]
    pub untrusted: bool,
}

/// The form of a step's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The file with a JSON Schema.
    pub schema: String,
    /// The most bytes.
    #[serde(default = "max_bytes")]
    pub max_bytes: u64,
}

fn max_bytes() -> u64 {
    65536
}

/// What happens when a model does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// How often at most.
    pub limit: u64,
    /// After which failures.
    pub on: Vec<Failure>,
    /// How long between two tries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
}

/// A failure after which a step can be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Too many calls.
    RateLimit,
    /// The other side failed.
    Server,
    /// No answer in time.
    Timeout,
}

/// How long between two tries: doubled from the first to the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// The first wait.
    #[serde(with = "duration::text")]
    pub from: Duration,
    /// The longest wait.
    #[serde(with = "duration::text")]
    pub to: Duration,
}

/// What a step may propose, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The action.
    pub action: Action,
    /// How often in one run.
    #[serde(default = "one")]
    pub max: u64,
    /// Files that a change may touch, as globs.
    #[serde(default)]
    pub paths: Vec<String>,
    /// What takes it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
}

fn one() -> u64 {
    1
}

/// What can be proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A commit on a branch, with a pull request.
    OpenChange,
    /// A comment on a change.
    Comment,
}

/// What takes a proposal back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undo {
    /// Closes the change.
    CloseChange,
    /// Deletes the comment.
    DeleteComment,
}

/// Who must agree before a proposal is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// A group.
    pub by: String,
    /// How many of the group.
    #[serde(default = "one")]
    pub min: u64,
    /// How long the proposal waits for them.
    #[serde(default, with = "duration::optional")]
    pub expires: Option<Duration>,
    /// Whether the author of the change that started the run does not count.
    #[serde(default = "yes")]
    pub not_author: bool,
}

fn yes() -> bool {
    true
}

/// A value of an earlier step that a step reads, in `when` or as an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Where the step says so, within the pipeline.
    pub path: Path,
    /// The earlier step.
    pub step: String,
    /// The field of its output; empty for all of it.
    pub field: Vec<String>,
}

/// A step, with where it stands in the pipeline and what it reads.
#[derive(Debug, Clone)]
pub struct Placed {
    /// `steps[0]` and so on.
    pub path: Path,
    /// The step.
    pub step: Step,
    /// What it reads of earlier steps.
    pub reads: Vec<Read>,
}

/// Steps from JSON, placed in order, for the tests of the checks.
#[cfg(test)]
fn placed(steps: serde_json::Value) -> Vec<Placed> {
    let steps: Vec<Step> = serde_json::from_value(steps).unwrap();
    let place = |(index, step)| Placed {
        path: Path::of("steps").index(index),
        step,
        reads: Vec::new(),
    };
    steps.into_iter().enumerate().map(place).collect()
}
