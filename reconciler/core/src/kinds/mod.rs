//! The five kinds of things a repository holds.
//!
//! A sixth is one file here, one in `load`, one contract in `schemas/`, and a provider.

pub mod agents;
pub mod circle;
pub mod form;
pub mod knowledge;
pub mod pipeline;
pub mod problem;
pub mod sealed_place;
pub mod secret;

pub use circle::circles;
pub use problem::Problem;

use serde::{Deserialize, Serialize};

/// What sort of thing a Resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Something a provider makes in the world.
    Infrastructure,
    /// A sealed value.
    Secret,
    /// An agent pipeline.
    Pipeline,
    /// A form.
    Form,
    /// A knowledge node.
    Knowledge,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Infrastructure => "infrastructure",
            Self::Secret => "secret",
            Self::Pipeline => "pipeline",
            Self::Form => "form",
            Self::Knowledge => "knowledge",
        })
    }
}
