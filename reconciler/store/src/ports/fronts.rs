//! The port of the fronts of branches.

use async_trait::async_trait;
use stratum_core::ids::{BranchName, CommitId};
use stratum_core::ports::{Advance, FRONT, Facts as _, Fronts, StoreError};

use crate::store::SqliteStore;
use crate::write::Write;

#[async_trait]
impl Fronts for SqliteStore {
    async fn fronts(&self) -> Result<Vec<(BranchName, CommitId)>, StoreError> {
        let facts = self.facts(FRONT).await?;
        let front = |(name, value): (String, Vec<u8>)| {
            let branch = BranchName::new(name.strip_prefix(FRONT)?).ok()?;
            let commit = CommitId::new(String::from_utf8(value).ok()?).ok()?;
            Some((branch, commit))
        };
        Ok(facts.into_iter().filter_map(front).collect())
    }

    async fn advance(&self, advance: &Advance) -> Result<bool, StoreError> {
        self.write(Write::Advance(advance.clone())).await
    }
}
