//! Reads commits, watches and mirrors repositories, writes records.
//!
//! [`GitRepository`] implements the port `Repository`, [`RefWatcher`] the port `Wake`. Everything in
//! a repository on disk is read and written in process by `gix`, opened without any configuration
//! but the repository's own, and with no part of it that can name a program. The `git` command is
//! used for what `gix` cannot do (fetch, push, pack), through the trait [`GitCommand`].
//!
//! ```text
//! location --open--> a local repository ------------+--> tips, resolve, revision, tree, between
//!                \-> a remote --mirror--> its mirror /    publish: build, compare-and-swap, again
//! ```

mod asked;
mod changed;
mod compare;
mod durable;
mod encoding;
mod failure;
mod folder;
mod git;
mod inputs;
mod keep;
mod location;
mod lock;
mod maintain;
mod mirror;
mod note;
mod open;
mod pool;
mod publish;
mod read;
mod record;
mod redact;
mod shadow;
mod signed;
mod system;
mod tree;
mod turn;
mod watch;
mod weighed;
mod write;

pub use git::{GitCall, GitCommand, GitError, GitOutput};
pub use open::{Committer, Fresh, GitRepository, Options};
pub use system::SystemGit;
pub use watch::RefWatcher;

use std::collections::BTreeSet;
use std::sync::Arc;

use stratum_core::desired::Revision;
use stratum_core::ids::CommitId;
use stratum_core::ports::{Changed, Publication, Repository, RepositoryError, Tips, Tree};
use stratum_core::signed::{SignedCommit, SignedTag};

impl Repository for GitRepository {
    fn tips(&self) -> Result<Tips, RepositoryError> {
        self.read_tips()
    }

    fn resolve(&self, name: &str) -> Result<CommitId, RepositoryError> {
        self.resolve_name(name)
    }

    fn revision(&self, commit: &CommitId) -> Result<Revision, RepositoryError> {
        self.read_revision(commit)
    }

    fn tree(&self, commit: &CommitId) -> Result<Arc<dyn Tree>, RepositoryError> {
        self.read_tree(commit)
    }

    fn between(
        &self,
        old: Option<&CommitId>,
        new: &CommitId,
        limit: usize,
    ) -> Result<Vec<Revision>, RepositoryError> {
        self.read_between(old, new, limit)
    }

    fn signed(&self, commit: &CommitId) -> Result<SignedCommit, RepositoryError> {
        self.read_signed(commit)
    }

    fn signed_between(
        &self,
        old: &CommitId,
        new: &CommitId,
    ) -> Result<Vec<SignedCommit>, RepositoryError> {
        self.read_signed_between(old, new)
    }

    fn follows(&self, new: &CommitId, old: &CommitId) -> Result<bool, RepositoryError> {
        self.read_follows(new, old)
    }

    fn words(&self) -> Result<Vec<SignedTag>, RepositoryError> {
        self.read_words()
    }

    fn changed(&self, old: &CommitId, new: &CommitId) -> Result<Changed, RepositoryError> {
        self.read_changed(old, new)
    }

    fn keep(&self, commits: &BTreeSet<CommitId>) -> Result<(), RepositoryError> {
        self.keep_commits(commits)
    }

    fn tidy(&self) -> Result<usize, RepositoryError> {
        self.maintain()
    }

    fn publish(&self, publication: &Publication) -> Result<CommitId, RepositoryError> {
        self.publish_record(publication)
    }

    fn publish_many(&self, publications: &[Publication]) -> Result<Vec<CommitId>, RepositoryError> {
        self.publish_all(publications)
    }
}
