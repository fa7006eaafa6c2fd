//! The few fields of GitHub's answers that are read.

use serde::Deserialize;

/// A comment on an issue or pull request.
#[derive(Debug, Deserialize)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    #[serde(default)]
    pub(crate) body: Option<String>,
    #[serde(default)]
    pub(crate) html_url: Option<String>,
    /// Nobody: the account is gone.
    #[serde(default)]
    pub(crate) user: Option<User>,
}

/// An account.
#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) login: String,
}

/// A pull request, as it is listed for a commit.
#[derive(Debug, Deserialize)]
pub(crate) struct PullRequest {
    pub(crate) number: u64,
    #[serde(default)]
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) merged_at: Option<String>,
    pub(crate) head: Branch,
}

/// One side of a pull request.
#[derive(Debug, Deserialize)]
pub(crate) struct Branch {
    pub(crate) sha: String,
}

/// What stands in the body of a refusal.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Refusal {
    #[serde(default)]
    pub(crate) message: String,
}
