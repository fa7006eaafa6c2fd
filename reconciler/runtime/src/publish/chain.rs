//! Each record follows the one before: where that is no longer so, someone else moved the branch.

use std::sync::Arc;

use stratum_core::ids::{BranchName, CommitId};
use stratum_core::ports::RepositoryError;
use stratum_core::waiting::{LAST, LOST, Last, Lost};

use super::Records;
use super::kept::to_bytes;
use crate::error::RuntimeError;
use crate::progress::Progress;

impl Records {
    /// Remembers the commit of the last record.
    pub(super) async fn remember_last(
        &self,
        branch: &BranchName,
        commit: &CommitId,
    ) -> Result<(), RuntimeError> {
        let last = Last {
            branch: branch.clone(),
            commit: commit.clone(),
        };
        let change = (LAST.to_owned(), Some(to_bytes(&last)?));
        Ok(self.store.put_facts(vec![change]).await?)
    }

    /// Looks whether the last record is still on its branch, before another is put there; and
    /// whether one that was lost is back.
    pub(super) async fn look_at_chain(&self, branch: &BranchName) -> Result<(), RuntimeError> {
        let last: Option<Last> = self.fact(LAST).await?;
        let lost: Option<Lost> = self.fact(LOST).await?;
        if let Some(lost) = &lost
            && self.has(&lost.branch, &lost.commit).await?.is_ok()
        {
            tracing::info!(commit = %lost.commit, "records that were lost are back");
            self.store.put_facts(vec![(LOST.to_owned(), None)]).await?;
        }
        let Some(last) = last.filter(|last| last.branch == *branch) else {
            return Ok(());
        };
        let Err(found) = self.has(branch, &last.commit).await? else {
            return Ok(());
        };
        if lost.is_some_and(|lost| lost.found == found) {
            return Ok(());
        }
        let lost = Lost {
            branch: last.branch,
            commit: last.commit,
            found,
            since: self.clock.now(),
        };
        tracing::error!("{}", lost.sentence());
        (self.progress)(&Progress::Trouble(lost.sentence()));
        let change = (LOST.to_owned(), Some(to_bytes(&lost)?));
        Ok(self.store.put_facts(vec![change]).await?)
    }

    /// Whether a commit is on a branch; where that stands otherwise.
    async fn has(
        &self,
        branch: &BranchName,
        commit: &CommitId,
    ) -> Result<Result<(), Option<CommitId>>, RuntimeError> {
        let (branch, commit) = (branch.clone(), commit.clone());
        let repository = Arc::clone(&self.repository);
        self.blocking
            .run(move || {
                let tip = match repository.resolve(&format!("refs/heads/{branch}")) {
                    Ok(tip) => tip,
                    Err(RepositoryError::NoSuchRevision { .. }) => return Ok(Err(None)),
                    Err(error) => return Err(error.into()),
                };
                if tip == commit {
                    return Ok(Ok(()));
                }
                match repository.follows(&tip, &commit) {
                    Ok(true) => Ok(Ok(())),
                    Ok(false) | Err(RepositoryError::NoSuchRevision { .. }) => Ok(Err(Some(tip))),
                    Err(error) => Err(error.into()),
                }
            })
            .await
    }

    async fn fact<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<T>, RuntimeError> {
        let facts = self.store.facts(name).await?;
        let found = facts.into_iter().find(|(fact, _)| fact == name);
        Ok(found.and_then(|(_, value)| serde_json::from_slice(&value).ok()))
    }
}
