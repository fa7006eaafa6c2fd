//! Knowledge nodes: what their frontmatter says, and what can be checked of it without a parser.

mod graph;
mod keys;

pub use graph::{PlacedNode, graph};
pub use keys::{keys, mandatory};

use serde::{Deserialize, Serialize};

/// The frontmatter of a knowledge node.
///
/// *Source*: design page kinds.md, "Knowledge".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its id, unique in the repository; the file may move.
    pub id: String,
    /// What it is.
    pub r#type: NodeType,
    /// Its title.
    pub title: String,
    /// How far a decision is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The day it is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<jiff::civil::Date>,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whom a guideline binds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Whether an organisation's guideline can be overridden by a project's.
    #[serde(default)]
    pub mandatory: bool,
    /// Which of two guidelines of one scope wins: the higher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u64>,
    /// The files a guideline or pattern is about, as globs.
    #[serde(default)]
    pub applies_to: Vec<String>,
    /// Other nodes it names.
    #[serde(default)]
    pub relations: Vec<Relation>,
}

/// Reads a day, written as `2026-11-24` and no other way.
pub fn day(text: &str) -> Option<jiff::civil::Date> {
    let date: jiff::civil::Date = text.parse().ok()?;
    (date.to_string() == text).then_some(date)
}

/// What a knowledge node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeType {
    /// Something worth keeping.
    Note,
    /// What was decided, and why.
    Decision,
    /// What holds for work in this repository.
    Guideline,
    /// How something is done well.
    Pattern,
    /// What happened on a day.
    Journal,
    /// What stratum did; written by stratum alone.
    Execution,
}

impl NodeType {
    /// The names of all types, in the order of the design.
    pub const NAMES: [&'static str; 6] = [
        "note",
        "decision",
        "guideline",
        "pattern",
        "journal",
        "execution",
    ];

    /// The name in files and addresses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Decision => "decision",
            Self::Guideline => "guideline",
            Self::Pattern => "pattern",
            Self::Journal => "journal",
            Self::Execution => "execution",
        }
    }
}

/// How far a decision is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Under discussion.
    Proposed,
    /// It holds.
    Accepted,
    /// It was turned down.
    Rejected,
    /// It holds no longer, and nothing took its place.
    Deprecated,
    /// Another decision took its place.
    Superseded,
}

impl Status {
    /// The names of all statuses, in the order of the design.
    pub const NAMES: [&'static str; 5] = [
        "proposed",
        "accepted",
        "rejected",
        "deprecated",
        "superseded",
    ];

    /// Whether a decision with this status holds, or once held.
    pub fn has_held(self) -> bool {
        match self {
            Self::Accepted | Self::Deprecated | Self::Superseded => true,
            Self::Proposed | Self::Rejected => false,
        }
    }
}

/// Whom a guideline binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The whole organisation.
    Org,
    /// This repository.
    Project,
}

impl Scope {
    /// The names of all scopes.
    pub const NAMES: [&'static str; 2] = ["org", "project"];
}

/// Another node that a node names. Inverses are computed, never written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// What the other is to this one.
    pub r#type: RelationType,
    /// The id of the other.
    pub to: String,
}

/// What another node is to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(
    missing_docs,
    reason = "the names are sentences: this node NAME the other"
)]
pub enum RelationType {
    Supersedes,
    DependsOn,
    Implements,
    EvidencedBy,
    CausedBy,
    Resolves,
    RelatesTo,
}

impl RelationType {
    /// The names of all relations, in the order of the design.
    pub const NAMES: [&'static str; 7] = [
        "supersedes",
        "depends_on",
        "implements",
        "evidenced_by",
        "caused_by",
        "resolves",
        "relates_to",
    ];
}
