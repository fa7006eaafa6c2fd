//! The script as a repository.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stratum_core::desired::Revision;
use stratum_core::ids::{BranchName, CommitId, ObjectId};
use stratum_core::ports::{
    Changed, Publication, Repository, RepositoryError, Tips, Tree, TreeEntry, TreeError, TreeKind,
    Wake,
};
use stratum_core::signed::{Signed, SignedCommit, SignedTag};

use super::loader::closure;
use super::{Content, Script, main, object_id};

/// The "files" of a commit: the loader only asks which commit it is.
struct CommitTree(CommitId);

impl Tree for CommitTree {
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, TreeError> {
        let id = ObjectId::new(self.0.as_str()).ok();
        let name = path.to_owned();
        Ok(id.filter(|_| path.is_empty()).map(|id| TreeEntry {
            name,
            kind: TreeKind::Folder,
            id,
        }))
    }

    fn list(&self, _path: &str) -> Result<Vec<TreeEntry>, TreeError> {
        Ok(Vec::new())
    }

    fn blob(&self, _id: &ObjectId, _path: &str) -> Result<Vec<u8>, TreeError> {
        Ok(Vec::new())
    }
}

impl Repository for Script {
    fn tips(&self) -> Result<Tips, RepositoryError> {
        let mut inner = self.lock();
        inner.fetches += 1;
        if inner.remote_down {
            let (doing, reason) = ("fetch".to_owned(), "the remote is down".to_owned());
            return Err(RepositoryError::Remote { doing, reason });
        }
        Ok(Tips {
            head: Some(main()),
            branches: inner.branches.clone(),
        })
    }

    fn resolve(&self, name: &str) -> Result<CommitId, RepositoryError> {
        let missing = || RepositoryError::NoSuchRevision {
            name: name.to_owned(),
        };
        let inner = self.lock();
        let branch = name.strip_prefix("refs/heads/").map(BranchName::new);
        let branch = branch.and_then(Result::ok).unwrap_or_else(main);
        inner.branches.get(&branch).cloned().ok_or_else(missing)
    }

    fn revision(&self, commit: &CommitId) -> Result<Revision, RepositoryError> {
        let inner = self.lock();
        let missing = || RepositoryError::NoSuchRevision {
            name: commit.to_string(),
        };
        let (content, _) = inner.commits.get(commit).ok_or_else(missing)?;
        Ok(Revision {
            commit: commit.clone(),
            inputs: object_id(&format!("{:?}", content.resources)),
            author: "Ada <ada@example.org>".to_owned(),
            committed_at: jiff::Timestamp::UNIX_EPOCH,
            subject: "a change".to_owned(),
            message: "a change\n".to_owned(),
        })
    }

    fn tree(&self, commit: &CommitId) -> Result<Arc<dyn Tree>, RepositoryError> {
        Ok(Arc::new(CommitTree(commit.clone())))
    }

    fn between(
        &self,
        old: Option<&CommitId>,
        new: &CommitId,
        limit: usize,
    ) -> Result<Vec<Revision>, RepositoryError> {
        let mut found = Vec::new();
        let mut current = Some(new.clone());
        while let Some(commit) = current.filter(|commit| Some(commit) != old) {
            if found.len() == limit {
                break;
            }
            found.push(self.revision(&commit)?);
            current = self
                .lock()
                .commits
                .get(&commit)
                .and_then(|(_, parent)| parent.clone());
        }
        Ok(found)
    }

    fn signed(&self, commit: &CommitId) -> Result<SignedCommit, RepositoryError> {
        let revision = self.revision(commit)?;
        Ok(SignedCommit {
            commit: revision.commit,
            author: revision.author,
            committer_mail: "ada@example.org".to_owned(),
            committed_at: revision.committed_at,
            message: revision.message,
            signed: Signed::default(),
        })
    }

    fn signed_between(
        &self,
        old: &CommitId,
        new: &CommitId,
    ) -> Result<Vec<SignedCommit>, RepositoryError> {
        self.revision(old)?;
        let revisions = self.between(Some(old), new, usize::MAX)?;
        let signed = revisions.iter().map(|found| self.signed(&found.commit));
        signed.collect()
    }

    fn follows(&self, new: &CommitId, old: &CommitId) -> Result<bool, RepositoryError> {
        let before = self.between(None, new, usize::MAX)?;
        Ok(before.iter().any(|revision| revision.commit == *old))
    }

    fn words(&self) -> Result<Vec<SignedTag>, RepositoryError> {
        Ok(self.lock().words.clone())
    }

    fn changed(&self, old: &CommitId, new: &CommitId) -> Result<Changed, RepositoryError> {
        let inner = self.lock();
        let content = |commit| {
            inner
                .commits
                .get(commit)
                .map(|(content, _)| content.clone())
        };
        let (Some(old), Some(new)) = (content(old), content(new)) else {
            return Ok(Changed::Everything);
        };
        let mut paths = BTreeSet::new();
        for name in old.resources.keys().chain(new.resources.keys()) {
            if closure(&old, name) != closure(&new, name) {
                paths.extend(closure(&new, name).0.into_keys());
            }
        }
        if old.settings != new.settings {
            paths.insert("stratum.ncl".to_owned());
        }
        Ok(Changed::Paths(paths))
    }

    fn publish(&self, publication: &Publication) -> Result<CommitId, RepositoryError> {
        let mut inner = self.lock();
        inner.offers += 1;
        if inner.remote_down {
            let (doing, reason) = ("push".to_owned(), "the remote is down".to_owned());
            return Err(RepositoryError::Remote { doing, reason });
        }
        if inner.races > 0 {
            inner.races -= 1;
            let name = publication.branch.to_string();
            return Err(RepositoryError::Race { name, tries: 1 });
        }
        let id = object_id(publication.run.as_str()).to_string();
        let id = CommitId::new(id).map_err(|error| RepositoryError::NoSuchRevision {
            name: error.to_string(),
        })?;
        let mut published = inner.published.iter();
        if !published.any(|before| before.run == publication.run) {
            inner.published.push(publication.clone());
            let branch = publication.branch.clone();
            let before = inner.branches.insert(branch, id.clone());
            let record = (Content::of(Vec::new()), before);
            inner.commits.insert(id.clone(), record);
        }
        Ok(id)
    }
}

#[async_trait]
impl Wake for Script {
    async fn wait(&self, at_most: Duration) {
        // A push that came before is remembered by the notification.
        let _either_is_a_reason = tokio::time::timeout(at_most, self.woken.notified()).await;
    }
}
