//! The reading half of the port: tips, resolve, revision, tree, between.

use std::sync::Arc;

use gix::bstr::ByteSlice;
use gix::objs::Kind;
use gix::{Commit, Repository};
use jiff::Timestamp;
use stratum_core::desired::Revision;
use stratum_core::ids::{BranchName, CommitId, ObjectId};
use stratum_core::ports::{RepositoryError, Tips, Tree};
use stratum_core::text::short;

use crate::compare;
use crate::failure::git as failed;
use crate::inputs::inputs;
use crate::open::GitRepository;
use crate::tree::GitTree;
use crate::weighed::Weighed;

const BRANCHES: &str = "refs/heads/";
/// How many tags of tags are followed.
const TAGS_OF_TAGS: usize = 8;

impl GitRepository {
    /// Fails where there is no commit on any branch.
    ///
    /// *Errors*: [`RepositoryError::Empty`].
    pub fn require_commit(&self) -> Result<(), RepositoryError> {
        let tips = self.pool.with(|repository| self.branches(repository))?;
        match tips.branches.is_empty() {
            true => Err(RepositoryError::Empty {
                path: self.location.clone(),
            }),
            false => Ok(()),
        }
    }

    pub(crate) fn branches(&self, repository: &Repository) -> Result<Tips, RepositoryError> {
        let failure = || failed("list the branches");
        crate::lock::refresh(repository)?;
        let mut tips = Tips {
            head: head(repository)?,
            ..Tips::default()
        };
        for reference in repository
            .references()
            .map_err(failure())?
            .local_branches()
            .map_err(failure())?
        {
            let followed = reference.map_err(failure()).and_then(|mut reference| {
                let id = reference.follow_to_object().map_err(failure())?.detach();
                Ok((reference.name().as_bstr().to_string(), id))
            });
            match followed.and_then(|(name, id)| Ok((branch(&name)?, commit_id(id)?))) {
                Ok((name, id)) => drop(tips.branches.insert(name, id)),
                // One that is damaged, deleted meanwhile, or oddly named must not hide the others.
                Err(error) => tracing::warn!(%error, "a branch was left out"),
            }
        }
        Ok(tips)
    }

    /// The branch that HEAD names, as far as is known here; `None` when it is detached.
    pub fn head_branch(&self) -> Option<BranchName> {
        self.pool.with(head).ok()?
    }

    pub(crate) fn read_tips(&self) -> Result<Tips, RepositoryError> {
        if let Some(mirror) = &self.mirror {
            self.asked.fetch(mirror)?;
        }
        self.pool.with(|repository| self.branches(repository))
    }

    pub(crate) fn resolve_name(&self, name: &str) -> Result<CommitId, RepositoryError> {
        let found = self.pool.with(|repository| {
            let id = repository
                .rev_parse_single(name.as_bytes().as_bstr())
                .ok()?;
            peel(repository, id.detach())
        });
        match found {
            Some(id) => commit_id(id),
            None => {
                self.require_commit()?;
                Err(self.why_missing(name)?)
            }
        }
    }

    /// Why a name leads to no commit, in a repository that has some.
    fn why_missing(&self, name: &str) -> Result<RepositoryError, RepositoryError> {
        let tips = self.pool.with(|repository| self.branches(repository))?;
        if let Some(branch) = tips.head.as_ref().filter(|_| name == "HEAD")
            && let Err(error) = tips.tip(branch)
        {
            return Ok(error);
        }
        // Only what is counted back from a commit can be beyond where the history was cut off.
        let counted = name.contains(['~', '^']);
        let name = name.to_owned();
        let shallow = counted
            && self
                .pool
                .with(|repository| repository.is_shallow())
                .map_err(failed("read where the history is cut off"))?;
        match shallow {
            true => Ok(RepositoryError::Shallow { name }),
            false => Ok(RepositoryError::NoSuchRevision { name }),
        }
    }

    pub(crate) fn read_revision(&self, id: &CommitId) -> Result<Revision, RepositoryError> {
        self.pool
            .with(|repository| revision(repository, &find(repository, id)?))
    }

    pub(crate) fn read_tree(&self, id: &CommitId) -> Result<Arc<dyn Tree>, RepositoryError> {
        let root = self.root_of(id)?;
        Ok(Arc::new(GitTree::new(Arc::clone(&self.folders), root)))
    }

    /// The tree of a commit.
    pub(crate) fn root_of(&self, id: &CommitId) -> Result<ObjectId, RepositoryError> {
        let root = self.pool.with(|repository| {
            let commit = find(repository, id)?;
            commit
                .tree_id()
                .map(|tree| tree.detach())
                .map_err(failed(format!("read the commit `{id}`")))
        })?;
        object_id(root)
    }

    pub(crate) fn read_between(
        &self,
        old: Option<&CommitId>,
        new: &CommitId,
        limit: usize,
    ) -> Result<Vec<Revision>, RepositoryError> {
        self.pool.with(|repository| {
            let new = find(repository, new)?.id;
            let old = old.and_then(|old| gix::ObjectId::from_hex(old.as_str().as_bytes()).ok());
            let ids = compare::between(repository, old, new, limit)
                .map_err(failed("walk the history"))?;
            let commits = ids.into_iter().map(|id| {
                let commit = Weighed(repository).commit(id);
                revision(
                    repository,
                    &commit.map_err(failed(format!("read the commit `{id}`")))?,
                )
            });
            commits.collect()
        })
    }
}

/// The commit that an object is, or that a tag leads to.
fn peel(repository: &Repository, mut id: gix::ObjectId) -> Option<gix::ObjectId> {
    for _ in 0..TAGS_OF_TAGS {
        let object = Weighed(repository).object(id).ok()?;
        match object.kind {
            Kind::Commit => return Some(id),
            Kind::Tag => id = object.try_to_tag_ref().ok()?.target(),
            Kind::Blob | Kind::Tree => return None,
        }
    }
    None
}

/// The branch that HEAD names, whether or not it has a commit; `None` when HEAD is detached.
fn head(repository: &Repository) -> Result<Option<BranchName>, RepositoryError> {
    let name = repository.head_name().map_err(failed("read `HEAD`"))?;
    let name = name.map(|name| name.as_bstr().to_string());
    match name.filter(|name| name.starts_with(BRANCHES)) {
        Some(name) => branch(&name).map(Some),
        None => Ok(None),
    }
}

fn branch(name: &str) -> Result<BranchName, RepositoryError> {
    let short = name.strip_prefix(BRANCHES).unwrap_or(name);
    BranchName::new(short).map_err(failed(format!("use the ref `{name}`")))
}

pub(crate) fn commit_id(id: gix::ObjectId) -> Result<CommitId, RepositoryError> {
    CommitId::new(id.to_string()).map_err(failed("read an id"))
}

fn object_id(id: gix::ObjectId) -> Result<ObjectId, RepositoryError> {
    ObjectId::new(id.to_string()).map_err(failed("read an id"))
}

pub(crate) fn find<'a>(
    repository: &'a Repository,
    id: &CommitId,
) -> Result<Commit<'a>, RepositoryError> {
    let missing = || RepositoryError::NoSuchRevision {
        name: id.to_string(),
    };
    let object = gix::ObjectId::from_hex(id.as_str().as_bytes()).map_err(|_| missing())?;
    if object.kind() != repository.object_hash() {
        return Err(missing());
    }
    Weighed(repository)
        .commit(object)
        .map_err(|error| match error.is_not_found() {
            true => missing(),
            false => failed(format!("read the commit `{id}`"))(error),
        })
}

fn revision(repository: &Repository, commit: &Commit<'_>) -> Result<Revision, RepositoryError> {
    let failure = || failed(format!("read the commit `{}`", commit.id));
    let author = commit.author().map_err(failure())?;
    let message = commit.message_raw().map_err(failure())?;
    let encoding = commit.decode().ok().and_then(|decoded| decoded.encoding);
    let text = |bytes: &[u8]| crate::encoding::text(bytes, encoding.map(|name| name.as_bytes()));
    let message = text(message);
    let tree = commit.tree_id().map_err(failure())?.detach();
    Ok(Revision {
        commit: commit_id(commit.id)?,
        inputs: object_id(inputs(repository, tree).map_err(failure())?)?,
        author: short(&format!("{} <{}>", text(author.name), text(author.email))),
        committed_at: committed_at(commit),
        subject: short(message.lines().next().unwrap_or_default().trim()),
        message,
    })
}

/// The time of the committer; 1970 where the commit says something that is no time.
fn committed_at(commit: &Commit<'_>) -> Timestamp {
    let time = commit.time().ok();
    time.and_then(|time| Timestamp::from_second(time.seconds).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}
