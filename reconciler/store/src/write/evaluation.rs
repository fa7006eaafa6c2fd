//! Kept evaluations.

use sqlx::SqliteConnection;

use crate::error::Failure;

/// The oldest are forgotten when all together are larger than this.
const BOUND_BYTES: i64 = 64 * 1024 * 1024;

/// Keep an evaluation.
pub(crate) struct Keep {
    /// What it was made from.
    pub(crate) key: String,
    /// What it gave.
    pub(crate) value: Vec<u8>,
}

/// Keeps the value as the newest, and forgets the oldest when there are too many bytes.
pub(crate) async fn keep(connection: &mut SqliteConnection, keep: &Keep) -> Result<bool, Failure> {
    bounded(connection, keep, BOUND_BYTES).await
}

async fn bounded(
    connection: &mut SqliteConnection,
    keep: &Keep,
    bound: i64,
) -> Result<bool, Failure> {
    let bytes = i64::try_from(keep.value.len()).unwrap_or(i64::MAX);
    sqlx::query("INSERT OR REPLACE INTO evaluations (key, bytes, value) VALUES (?, ?, ?)")
        .bind(&keep.key)
        .bind(bytes)
        .bind(&keep.value)
        .execute(&mut *connection)
        .await?;
    let sql = "DELETE FROM evaluations WHERE id <= ( \
                 SELECT max(id) FROM ( \
                   SELECT id, sum(bytes) OVER (ORDER BY id DESC) AS total FROM evaluations \
                 ) WHERE total > ?)";
    sqlx::query(sql).bind(bound).execute(connection).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::evaluation::evaluation;
    use crate::schema;
    use sqlx::Connection;

    #[tokio::test]
    async fn the_oldest_are_forgotten_first() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        schema::migrate(&mut connection).await.unwrap();
        for key in ["a", "b", "a", "c"] {
            let keep = Keep {
                key: key.to_owned(),
                value: vec![0; 40],
            };
            bounded(&mut connection, &keep, 100).await.unwrap();
        }
        let mut kept = Vec::new();
        for key in ["a", "b", "c"] {
            kept.push(evaluation(&mut connection, key).await.unwrap().is_some());
        }
        assert_eq!(
            kept,
            [true, false, true],
            "`b` is older than the second `a`"
        );
    }
}
