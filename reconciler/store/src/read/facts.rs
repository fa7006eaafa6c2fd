//! Small facts by name.

use sqlx::SqliteConnection;

use crate::error::Failure;
use crate::schema;

/// Those whose names begin with `prefix`, by name.
pub(crate) async fn facts(
    connection: &mut SqliteConnection,
    prefix: &str,
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    if !schema::has(connection, "facts").await? {
        return Ok(Vec::new());
    }
    // Names are ASCII: `~` and above end the range.
    let sql = "SELECT name, value FROM facts WHERE name >= ?1 AND name < ?1 || '~~' ORDER BY name";
    let facts = sqlx::query_as(sql).bind(prefix);
    Ok(facts.fetch_all(connection).await?)
}
