//! What is remembered of an environment.

use sqlx::SqliteConnection;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{EnvironmentRow, Lease};

use crate::error::{Failure, to_json};
use crate::write::fronts;
use crate::write::lease::fence;

/// Write what is remembered of an environment.
pub(crate) struct Put {
    /// Who asks.
    lease: Lease,
    /// The environment.
    environment: EnvironmentName,
    /// Its row, as JSON.
    row: String,
    /// The front it follows and where that must stand, with the row as it is otherwise.
    following: Option<Following>,
}

/// What a row says that follows a front.
struct Following {
    /// The branch.
    branch: String,
    /// The commit that the front must be at.
    commit: String,
    /// The row where it is elsewhere.
    otherwise: String,
}

impl Put {
    /// Takes the JSON form, in the task of the caller.
    pub(crate) fn new(lease: &Lease, row: &EnvironmentRow) -> Result<Self, Failure> {
        Ok(Self {
            lease: lease.clone(),
            environment: row.name.clone(),
            row: to_json(row)?,
            following: following(row)?,
        })
    }
}

/// The row as it is written where the front that it follows is elsewhere.
fn following(row: &EnvironmentRow) -> Result<Option<Following>, Failure> {
    let (Some(branch), Some(commit)) = (&row.follows, &row.revision) else {
        return Ok(None);
    };
    let otherwise = EnvironmentRow {
        follows: None,
        ..row.clone()
    };
    Ok(Some(Following {
        branch: branch.to_string(),
        commit: commit.to_string(),
        otherwise: to_json(&otherwise)?,
    }))
}

/// Writes the row; its serial stays.
pub(crate) async fn put(connection: &mut SqliteConnection, put: &Put) -> Result<bool, Failure> {
    fence(connection, &put.lease, &put.environment).await?;
    let mut row = &put.row;
    if let Some(following) = &put.following {
        let front = fronts::front(connection, &following.branch).await?;
        if front.as_deref() != Some(following.commit.as_bytes()) {
            row = &following.otherwise;
        }
    }
    let sql = "INSERT INTO environments (name, row) VALUES (?, ?) \
               ON CONFLICT (name) DO UPDATE SET row = excluded.row";
    sqlx::query(sql)
        .bind(put.environment.as_str())
        .bind(row)
        .execute(connection)
        .await?;
    Ok(true)
}
