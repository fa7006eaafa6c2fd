//! Entries that wait for the audit log, and how far it is.

use sqlx::SqliteConnection;

use crate::error::{Failure, unreadable};
use crate::log::Head;
use crate::schema;

/// What waits for the audit log.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// How far the log is.
    pub(crate) head: Option<Head>,
    /// The oldest rows.
    pub(crate) rows: Vec<(i64, Vec<u8>)>,
    /// The newest row of all.
    pub(crate) newest: Option<i64>,
}

/// What waits for the audit log: as many rows as `bytes` hold, and at least one.
pub(crate) async fn waiting(
    connection: &mut SqliteConnection,
    bytes: i64,
) -> Result<Waiting, Failure> {
    let head = head(connection).await?;
    let newest = sqlx::query_scalar("SELECT max(id) FROM audit_waiting");
    let newest = newest.fetch_one(&mut *connection).await?;
    let sql = "SELECT id, entries FROM ( \
                 SELECT id, entries, sum(length(entries)) OVER (ORDER BY id) - length(entries) \
                   AS before FROM audit_waiting LIMIT 4096 \
               ) WHERE before < ? ORDER BY id";
    let rows = sqlx::query_as(sql).bind(bytes).fetch_all(connection);
    let rows = rows.await?;
    Ok(Waiting { head, rows, newest })
}

/// How far the log is, as the state knows it.
pub(crate) async fn head(connection: &mut SqliteConnection) -> Result<Option<Head>, Failure> {
    let row: Option<(String, i64, Vec<u8>)> =
        sqlx::query_as("SELECT part, size, root FROM audit_head")
            .fetch_optional(connection)
            .await?;
    let wrong = |why: &str| unreadable("the head of the audit log".to_owned(), why.to_owned());
    row.map(|(part, size, root)| {
        Ok(Head {
            part,
            size: u64::try_from(size).map_err(|_| wrong("its size is negative"))?,
            root: root
                .try_into()
                .map_err(|_| wrong("its root has not 32 bytes"))?,
        })
    })
    .transpose()
}

/// How far the log is, and how many transactions wait. A state of an older format has no log.
pub(crate) async fn known(
    connection: &mut SqliteConnection,
) -> Result<(Option<Head>, u64), Failure> {
    if !schema::has(connection, "audit_waiting").await? {
        return Ok((None, 0));
    }
    let count = sqlx::query_scalar("SELECT count(*) FROM audit_waiting");
    let count: i64 = count.fetch_one(&mut *connection).await?;
    let head = head(connection).await?;
    Ok((head, u64::try_from(count).unwrap_or(0)))
}
