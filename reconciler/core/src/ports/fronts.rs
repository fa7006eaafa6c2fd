//! Where the environments stand that nothing of the last pushes touched: one row for a branch, not
//! one for each of them.

use async_trait::async_trait;

use crate::ids::{BranchName, CommitId, EnvironmentName};
use crate::ports::StoreError;

/// What the names of the facts begin with that are fronts.
pub const FRONT: &str = "front/";

/// One move of a front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The branch.
    pub branch: BranchName,
    /// Where the front stands; `None` when there is none.
    pub from: Option<CommitId>,
    /// Where it goes.
    pub to: CommitId,
    /// How many environments follow it.
    pub followers: usize,
    /// Those of them that the change touches: they stay where they are, and follow no longer.
    pub touched: Vec<EnvironmentName>,
}

/// Fronts of branches, which environments follow; see
/// [`EnvironmentRow::follows`](crate::ports::EnvironmentRow::follows).
#[async_trait]
pub trait Fronts: Send + Sync {
    /// Where the fronts stand.
    async fn fronts(&self) -> Result<Vec<(BranchName, CommitId)>, StoreError>;

    /// Moves a front, and with it all that follow it and are not touched; `false` when it does not
    /// stand there, or others follow it than whoever asks knows of: nothing was moved then.
    ///
    /// *Guarantees*: one transaction, and durable when it returns.
    async fn advance(&self, advance: &Advance) -> Result<bool, StoreError>;
}
