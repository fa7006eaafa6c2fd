//! The git repository that stratum keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use crate::desired::Revision;
use crate::ids::{BranchName, CommitId, RunId};
use crate::ports::{NoteError, Retry, Tree};
use crate::signed::{SignedCommit, SignedTag};

/// Where the branches stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tips {
    /// The branch that HEAD names; `None` when HEAD is detached.
    pub head: Option<BranchName>,
    /// Every branch and its commit.
    pub branches: BTreeMap<BranchName, CommitId>,
}

/// Files to add to a branch as one commit, with a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The run it is about; published once however often it is asked for.
    pub run: RunId,
    /// The branch; when it is not there it is begun as an orphan, or at `from`.
    pub branch: BranchName,
    /// Where the branch begins that is not there, and goes on that is behind this. Then it is not
    /// about a run, and each call adds a commit.
    pub from: Option<CommitId>,
    /// Path and bytes.
    pub files: Vec<(String, Vec<u8>)>,
    /// The commit message.
    pub message: String,
    /// When it is committed (UTC).
    pub at: jiff::Timestamp,
    /// The commit that gets a note under `refs/notes/stratum`, and its one line.
    pub note: Option<(CommitId, String)>,
}

/// What differs between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The paths whose entries differ, the folders around them included. Records are no change.
    Paths(BTreeSet<String>),
    /// Too much, or nobody can tell: everything may differ.
    Everything,
}

/// Why the repository did not do as asked.
#[derive(Debug, Error)]
pub enum RepositoryError {
    /// There is no repository at the path.
    #[error("there is no git repository at `{path}`")]
    Missing {
        /// The path.
        path: String,
    },
    /// The repository has a form that cannot be read.
    #[error("the repository at `{path}` {reason}")]
    Unsupported {
        /// The path.
        path: String,
        /// For example "keeps its refs in reftable".
        reason: String,
    },
    /// It has no commit yet.
    #[error("the repository at `{path}` has no commit yet")]
    Empty {
        /// The path.
        path: String,
    },
    /// There is no such branch, tag or commit.
    #[error("the repository has no `{name}`")]
    NoSuchRevision {
        /// As it was asked for.
        name: String,
    },
    /// A remote could not be reached or refused.
    #[error("the remote could not be reached: {doing}: {reason}")]
    Remote {
        /// What was being done: "fetch", "push".
        doing: String,
        /// What git said, without credentials.
        reason: String,
    },
    /// Others moved the ref too often while it was being moved here.
    #[error("`{name}` was moved by others each of {tries} times")]
    Race {
        /// The ref.
        name: String,
        /// How often it was tried.
        tries: u32,
    },
    /// An object, or a history, is larger than is read.
    #[error("{what} has {bytes} bytes; the most that is read is {most}")]
    TooLarge {
        /// What it is: "the commit `1234`".
        what: String,
        /// Its size.
        bytes: u64,
        /// The most that is read.
        most: u64,
    },
    /// Git objects or refs could not be read or written.
    #[error("could not {doing}")]
    Git {
        /// What was being done, as an infinitive.
        doing: String,
        /// What gix said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RepositoryError {
    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Missing { .. } | Self::Unsupported { .. } => Retry::NeedsPerson,
            Self::Empty { .. } | Self::NoSuchRevision { .. } | Self::TooLarge { .. } => {
                Retry::WhenInputChanges
            }
            Self::Remote { .. } => Retry::Later(Duration::from_secs(15)),
            Self::Race { .. } => Retry::Later(Duration::from_secs(1)),
            Self::Git { .. } => Retry::Later(Duration::from_secs(10)),
        }
    }
}

/// Reads commits and writes records. Blocking: the runtime calls it off the event loop.
pub trait Repository: Send + Sync {
    /// Where the branches stand; a mirror of a remote is fetched first.
    ///
    /// *Errors*: [`RepositoryError::Remote`] when the fetch fails.
    fn tips(&self) -> Result<Tips, RepositoryError>;

    /// The commit that `name` (a branch, tag, id or `HEAD~1`) means.
    fn resolve(&self, name: &str) -> Result<CommitId, RepositoryError>;

    /// The revision of a commit. `records` is the branch of the records: where it is the watched
    /// branch itself, `knowledge/executions/` is left out of the inputs.
    fn revision(&self, commit: &CommitId) -> Result<Revision, RepositoryError>;

    /// The files of a commit.
    fn tree(&self, commit: &CommitId) -> Result<Arc<dyn Tree>, RepositoryError>;

    /// The commits that `new` has and `old` has not, newest first, at most `limit`.
    fn between(
        &self,
        old: Option<&CommitId>,
        new: &CommitId,
        limit: usize,
    ) -> Result<Vec<Revision>, RepositoryError>;

    /// A commit with its signature.
    fn signed(&self, commit: &CommitId) -> Result<SignedCommit, RepositoryError>;

    /// Every commit that `new` has and `old` has not, with its signature, newest first.
    ///
    /// *Errors*: [`RepositoryError::NoSuchRevision`] also when `old` is not there: nobody could
    /// say then what is new.
    fn signed_between(
        &self,
        old: &CommitId,
        new: &CommitId,
    ) -> Result<Vec<SignedCommit>, RepositoryError>;

    /// Whether `old` is `new` or one of its ancestors.
    fn follows(&self, new: &CommitId, old: &CommitId) -> Result<bool, RepositoryError>;

    /// The tags under `refs/tags/stratum/`, by name; read from the refs as they are now, without a
    /// fetch. One that cannot be read is left out, and logged.
    fn words(&self) -> Result<Vec<SignedTag>, RepositoryError>;

    /// What differs between two commits: one walk over their trees, no file is read.
    fn changed(&self, _old: &CommitId, _new: &CommitId) -> Result<Changed, RepositoryError> {
        Ok(Changed::Everything)
    }

    /// Keeps these commits from being collected, whatever becomes of the branches, and lets go of
    /// those that were kept before.
    fn keep(&self, _commits: &BTreeSet<CommitId>) -> Result<(), RepositoryError> {
        Ok(())
    }

    /// Packs what lies about, where that is worth it; answers how many objects were packed. May run
    /// while others read and write.
    fn tidy(&self) -> Result<usize, RepositoryError> {
        Ok(0)
    }

    /// Adds the files to the branch as one commit, by compare-and-swap, and pushes it where there
    /// is a remote.
    ///
    /// *Guarantees*: durable when it returns; never forced; once for a run (a second call finds
    /// the first commit and returns it). If the process dies inside, either nothing or all of it
    /// is on the branch.
    ///
    /// *Errors*: [`RepositoryError::Race`] after several lost races; nothing is on the branch.
    fn publish(&self, publication: &Publication) -> Result<CommitId, RepositoryError>;

    /// The same for several at once: those for one branch become one commit there, and their notes
    /// one commit of notes. Answers the commit of each, in order.
    ///
    /// *Guarantees*: as [`Repository::publish`], for all of them together. The cost is that of a
    /// few git operations, however many they are.
    fn publish_many(&self, publications: &[Publication]) -> Result<Vec<CommitId>, RepositoryError> {
        let each = publications.iter().map(|one| self.publish(one));
        each.collect()
    }
}

/// Signs what the reconciler commits. Blocking; a call takes well under a millisecond.
pub trait CommitSigner: Send + Sync {
    /// The signature of a commit's bytes, as it stands in its header: see [`crate::sshsig`].
    fn sign(&self, payload: &[u8]) -> Result<String, NoteError>;
}

/// Waits for something to look at.
#[async_trait]
pub trait Wake: Send + Sync {
    /// Returns when refs may have changed, and at the latest after `at_most`.
    ///
    /// *Guarantees*: a change between two calls is not lost. Dropping the future is harmless.
    async fn wait(&self, at_most: Duration);
}
