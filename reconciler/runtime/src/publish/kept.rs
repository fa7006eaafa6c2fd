//! Records of refusals: no journal could make them again, so they are kept until they are in git.

use stratum_core::ids::{BranchName, CommitId, RunId};
use stratum_core::ports::{Publication, StoreError};
use stratum_core::run::{Denial, RunSummary};
use stratum_core::waiting::{KEPT, Kept};

use super::Records;
use crate::error::RuntimeError;

impl Records {
    /// Remembers a refusal, with its record, which is written to git later.
    pub(crate) async fn keep_refusal(&self, denial: &Denial) -> Result<(), RuntimeError> {
        let (kept, run) = (Kept::of(denial), &denial.outset.id);
        let lease = self.leases.of(&denial.outset.environment).await?;
        let change = (Kept::name(run), Some(to_bytes(&kept)?));
        self.store.put_facts(vec![change]).await?;
        self.store.note_run(&lease, &kept.summary).await?;
        self.note(run);
        Ok(())
    }

    /// The refused runs whose records are kept.
    pub(super) async fn kept_refusals(&self) -> Result<Vec<RunId>, RuntimeError> {
        let facts = self.store.facts(KEPT).await?;
        let names = facts.iter().filter_map(|(name, _)| name.strip_prefix(KEPT));
        Ok(names.filter_map(|name| RunId::new(name).ok()).collect())
    }

    pub(super) async fn kept_refusal(
        &self,
        run: &RunId,
        branch: &BranchName,
    ) -> Result<Option<Publication>, RuntimeError> {
        let kept = self.kept(run).await?;
        Ok(kept.map(|kept| kept.publication(branch.clone())))
    }

    /// Writes the commit of its record down and forgets what was kept; `false` when the run is no
    /// refusal.
    pub(super) async fn refusal_is_recorded(
        &self,
        run: &RunId,
        commit: &CommitId,
    ) -> Result<bool, RuntimeError> {
        let Some(kept) = self.kept(run).await? else {
            return Ok(false);
        };
        let lease = self.leases.of(kept.environment()).await?;
        let summary = RunSummary {
            record: Some(commit.clone()),
            ..kept.summary
        };
        self.leases
            .fenced(self.store.note_run(&lease, &summary).await)?;
        let forgotten = vec![(Kept::name(run), None)];
        self.store.put_facts(forgotten).await?;
        Ok(true)
    }

    async fn kept(&self, run: &RunId) -> Result<Option<Kept>, RuntimeError> {
        let name = Kept::name(run);
        let facts = self.store.facts(&name).await?;
        let found = facts.into_iter().find(|(fact, _)| *fact == name);
        // What cannot be read is of another version, and is left as it is.
        Ok(found.and_then(|(_, value)| serde_json::from_slice(&value).ok()))
    }
}

pub(super) fn to_bytes<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Database {
        doing: "writing what is remembered of a record",
        source: error.into(),
    })
}
