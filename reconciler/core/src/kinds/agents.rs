//! `agents.ncl`: models, roles and their budgets, tool servers, groups.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kinds::pipeline::Role;

/// Tools that are always there. All of them read, and none leaves the machine.
pub const TOOLS: [&str; 11] = [
    "knowledge_search",
    "knowledge_get",
    "knowledge_list",
    "knowledge_related",
    "knowledge_guidelines",
    "knowledge_recent",
    "file_read",
    "state_read",
    "plan_read",
    "drift_read",
    "record_read",
];

/// Who agents are and what they may cost.
///
/// *Source*: design page kinds.md, "Pipelines".
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Agents {
    /// Models by the name that roles use.
    pub models: BTreeMap<String, Model>,
    /// What each role may use and spend.
    pub roles: BTreeMap<Role, RoleSettings>,
    /// Servers of tools, by name.
    pub servers: BTreeMap<String, Server>,
    /// Who may approve, by the name of the group; only where `trust/groups.toml` is not there.
    pub groups: BTreeMap<String, Vec<String>>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The form of its interface.
    pub provider: ModelProvider,
    /// The name the provider knows it by.
    pub model: String,
    /// Where it answers, unless it is the provider's own place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What it costs.
    pub price: Price,
    /// The secret with its key, as `path#key` below `secrets/repository/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// The form of a model's interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the companies'")]
pub enum ModelProvider {
    Anthropic,
    Openai,
    Gemini,
}

impl ModelProvider {
    /// The names of all forms.
    pub const NAMES: [&'static str; 3] = ["anthropic", "openai", "gemini"];
}

/// What a model costs.
///
/// *Units*: US dollars for a million tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Price {
    /// Of what it reads.
    pub input: f64,
    /// Of what it writes.
    pub output: f64,
    /// The day on which somebody looked.
    pub date: jiff::civil::Date,
}

/// What a role may use and spend.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleSettings {
    /// Models, the first choice first.
    pub models: Vec<String>,
    /// US dollars in a week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly: Option<f64>,
    /// US dollars in a month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<f64>,
}

/// A server of tools: a program or a URL, exactly one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// The program with its arguments, spoken to on standard input and output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Where it answers over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its tools that steps may name.
    pub tools: Vec<String>,
    /// The secret it asks for, as `path#key` below `secrets/repository/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}
