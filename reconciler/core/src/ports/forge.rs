//! The forge: where people meet a commit and a pull request.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::{CommitId, RunId};
use crate::ports::{Retry, StoreError};
use crate::run::RunSummary;

/// The number of a pull request within its repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PullNumber(pub u64);

impl fmt::Display for PullNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A pull request that a commit belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// Its number.
    pub number: PullNumber,
    /// Its newest commit.
    pub head: CommitId,
    /// Whether it is merged.
    pub merged: bool,
    /// Its title.
    pub title: String,
}

/// How a commit stands, in the words of the forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommitState {
    /// Something is still to come.
    Pending,
    /// All is well.
    Success,
    /// It was refused, or did not hold.
    Failure,
    /// Something went wrong that is not the commit's fault, or a person must act.
    Error,
}

/// A status at a commit; a newer one with the same context replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// The commit.
    pub commit: CommitId,
    /// What it is about, for example `stratum/production`.
    pub context: String,
    /// How it stands.
    pub state: CommitState,
    /// One sentence; what does not fit the forge is cut at a word.
    pub description: String,
    /// Where a click leads.
    pub target: Option<String>,
}

/// What became of a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It said this already.
    Kept,
    /// It was edited.
    Edited,
    /// It was not there, or not any more.
    Created,
}

/// What a comment says now, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentPlace {
    /// What was done.
    pub written: Written,
    /// Its address, for people.
    pub url: Option<String>,
}

/// Why the forge did not do as asked. None of them holds the token.
#[derive(Debug, Error)]
pub enum ForgeError {
    /// The settings of the client cannot be used.
    #[error("the forge cannot be used: {reason}")]
    Settings {
        /// One clause.
        reason: String,
    },
    /// It could not be reached.
    #[error("the forge could not be reached to {doing}: {reason}")]
    Unreachable {
        /// What was being done, as an infinitive.
        doing: String,
        /// What the network said.
        reason: String,
    },
    /// It took too long.
    #[error("the forge did not answer within {} s to {doing}", .after.as_secs())]
    Slow {
        /// What was being done.
        doing: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// It knows the token no more, or never did.
    #[error("the forge does not accept the token, to {doing}")]
    Unknown {
        /// What was being done.
        doing: String,
    },
    /// The token may not do this.
    #[error("the token may not {doing}: {reason}")]
    Forbidden {
        /// What was being done.
        doing: String,
        /// What the forge said.
        reason: String,
    },
    /// There is no such repository, commit or pull request, or the token may not see it.
    #[error("the forge has nothing there to {doing}, or hides it from this token")]
    Missing {
        /// What was being done.
        doing: String,
    },
    /// Too many requests; nothing was done.
    #[error("the forge asks to wait {} s before one may {doing}", .wait.as_secs())]
    Limited {
        /// What was being done.
        doing: String,
        /// How long to wait.
        wait: Duration,
    },
    /// It is in trouble itself.
    #[error("the forge is in trouble (status {status}), to {doing}")]
    Trouble {
        /// What was being done.
        doing: String,
        /// The HTTP status.
        status: u16,
    },
    /// It refuses what it was given.
    #[error("the forge refuses to {doing} (status {status}): {reason}")]
    Refused {
        /// What was being done.
        doing: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        reason: String,
    },
    /// Its answer is not what it should be, for example cut short.
    #[error("the answer of the forge cannot be read, to {doing}: {reason}")]
    Unreadable {
        /// What was being done.
        doing: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ForgeError {
    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Settings { .. } | Self::Unknown { .. } | Self::Forbidden { .. } => {
                Retry::NeedsPerson
            }
            Self::Missing { .. } | Self::Refused { .. } => Retry::WhenInputChanges,
            Self::Limited { wait, .. } => Retry::Later(*wait),
            Self::Unreachable { .. } | Self::Slow { .. } | Self::Trouble { .. } => {
                Retry::Later(Duration::from_secs(15))
            }
            Self::Unreadable { .. } => Retry::Later(Duration::from_secs(15)),
        }
    }

    /// A word for metrics: one of ten.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Settings { .. } => "settings",
            Self::Unreachable { .. } => "unreachable",
            Self::Slow { .. } => "slow",
            Self::Unknown { .. } => "token",
            Self::Forbidden { .. } => "forbidden",
            Self::Missing { .. } => "missing",
            Self::Limited { .. } => "limited",
            Self::Trouble { .. } => "trouble",
            Self::Refused { .. } => "refused",
            Self::Unreadable { .. } => "unreadable",
        }
    }
}

/// Makes the text of a comment from what it says now; `None` when there is none.
pub type Wording<'a> = &'a (dyn for<'b> Fn(Option<&'b str>) -> String + Send + Sync);

/// Shows people what stratum would do and did, where they look at commits.
///
/// *Guarantees*: every method may be called again; what was said already is not said twice. No
/// method is part of a decision: whoever calls goes on when it fails.
#[async_trait]
pub trait Forge: Send + Sync {
    /// Keeps the one comment of this program on a pull request that begins with `marker`.
    ///
    /// It is found by marker and author, edited only when `wording` gives other text, and made
    /// again when someone deleted it. `wording` may be called more than once.
    async fn comment(
        &self,
        pull: PullNumber,
        marker: &str,
        wording: Wording<'_>,
    ) -> Result<CommentPlace, ForgeError>;

    /// Sets a status at a commit.
    async fn status(&self, status: &CommitStatus) -> Result<(), ForgeError>;

    /// The pull requests that brought or would bring this commit.
    async fn pulls(&self, commit: &CommitId) -> Result<Vec<Pull>, ForgeError>;

    /// Where people read a file of a commit.
    fn file_url(&self, commit: &CommitId, path: &str) -> String;
}

/// Why the forge is not told how commits fare, while it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeTrouble {
    /// When it was first refused or not heard (UTC).
    pub since: Timestamp,
    /// The word of [`ForgeError::kind`] for it.
    pub kind: String,
    /// One sentence, without the token.
    pub reason: String,
    /// How many runs have an outcome that the forge was not told.
    pub waiting: u64,
}

/// What the forge was not told yet, kept with the state so that a restart forgets nothing.
#[async_trait]
pub trait Announcements: Send + Sync {
    /// Runs that ended at or after `since` and were not announced, oldest first, at most `limit`.
    async fn unannounced(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<RunSummary>, StoreError>;

    /// The run was announced. Durable when it returns; saying it twice is harmless.
    async fn announced(&self, run: &RunId, at: Timestamp) -> Result<(), StoreError>;

    /// What keeps the forge from being told, as it was noted last; `None` when nothing does.
    async fn trouble(&self) -> Result<Option<ForgeTrouble>, StoreError>;

    /// Notes it for whoever looks; `None` when it is over.
    async fn note_trouble(&self, trouble: Option<&ForgeTrouble>) -> Result<(), StoreError>;
}
