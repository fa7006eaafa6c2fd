//! The format of the file and its migrations.

use sqlx::SqliteConnection;

use crate::error::Failure;

/// One script for each format, in order: the script at place n leads from format n to n + 1.
const SCRIPTS: &[&str] = &[
    include_str!("../schema/1.sql"),
    include_str!("../schema/2.sql"),
    include_str!("../schema/3.sql"),
    include_str!("../schema/4.sql"),
    include_str!("../schema/5.sql"),
    include_str!("../schema/6.sql"),
    include_str!("../schema/7.sql"),
    include_str!("../schema/8.sql"),
    include_str!("../schema/9.sql"),
];

/// The newest format this version knows.
pub(crate) const KNOWN: i64 = SCRIPTS.len() as i64;

/// Marks the file as ours: `Stra`, read as a number.
pub(crate) const APPLICATION: i64 = 0x5374_7261;

/// What the header of a file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whose file it is.
    pub(crate) application: i64,
    /// Its format.
    pub(crate) format: i64,
}

impl Header {
    /// Whether the file must be brought to the newest format first.
    pub(crate) fn is_old(self) -> bool {
        self.format < KNOWN
    }
}

/// Reads the header, and the schema with it.
pub(crate) async fn header(connection: &mut SqliteConnection) -> Result<Header, Failure> {
    let sql = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) \
               FROM pragma_application_id, pragma_user_version";
    let (application, format, _tables): (i64, i64, i64) =
        sqlx::query_as(sql).fetch_one(connection).await?;
    Ok(Header {
        application,
        format,
    })
}

/// Whether the file has a table. One of an older format, which only a reader meets, lacks those
/// that came later, and knows nothing of what stands in them.
pub(crate) async fn has(connection: &mut SqliteConnection, table: &str) -> Result<bool, Failure> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?";
    let tables: i64 = sqlx::query_scalar(sql)
        .bind(table)
        .fetch_one(connection)
        .await?;
    Ok(tables > 0)
}

/// Brings the file to the newest format, in one transaction; nothing happens when it is there.
pub(crate) async fn migrate(connection: &mut SqliteConnection) -> Result<(), Failure> {
    let missing = |header: Header| {
        let known = usize::try_from(header.format).unwrap_or(usize::MAX);
        SCRIPTS.get(known..).unwrap_or_default()
    };
    if missing(header(connection).await?).is_empty() {
        return Ok(());
    }
    run(connection, "BEGIN IMMEDIATE").await?;
    // Another process may have done it meanwhile: look again, now that nobody else can write.
    for script in missing(header(connection).await?) {
        run(connection, script).await?;
    }
    let mark = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {KNOWN};");
    sqlx::raw_sql(sqlx::AssertSqlSafe(mark))
        .execute(&mut *connection)
        .await?;
    run(connection, "COMMIT").await
}

async fn run(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), Failure> {
    sqlx::raw_sql(sql).execute(connection).await?;
    Ok(())
}
