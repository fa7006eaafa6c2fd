//! Dropping what is over. What stood there is overwritten in the file.

use sqlx::SqliteConnection;
use stratum_core::ids::EnvironmentName;

use crate::error::{Failure, to_json};
use crate::read;

/// Drop what of these runs is over.
pub(crate) struct Drop {
    /// Keys, as JSON.
    keys: String,
    /// What is dropped.
    what: What,
}

/// What of a run is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// What puts its addresses back.
    Checkpoints,
    /// Its plan and its events.
    Journal,
    /// All of it.
    Run,
}

impl Drop {
    /// Takes the JSON form, in the task of the caller.
    pub(crate) fn new(what: What, keys: &[i64]) -> Result<Self, Failure> {
        Ok(Self {
            keys: to_json(&keys)?,
            what,
        })
    }
}

/// Drop observations of one environment.
pub(crate) struct Forget {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// How many of each resource are kept.
    pub(crate) count: u32,
    /// Older ones go (nanoseconds).
    pub(crate) before: i64,
    /// Those of a resource that is gone go when it was last seen before this (nanoseconds).
    pub(crate) gone_before: i64,
    /// At most so many go.
    pub(crate) limit: u32,
}

/// Say that upkeep was done.
pub(crate) struct Done {
    /// When (nanoseconds).
    pub(crate) at: i64,
    /// Copies of older formats that are gone.
    pub(crate) copies: Vec<String>,
}

/// Say how much time the state has lived through.
pub(crate) struct Lived {
    /// The time (nanoseconds).
    pub(crate) at: i64,
}

/// A run that was opened again meanwhile cannot be: a settled one stays settled.
pub(crate) async fn drop(connection: &mut SqliteConnection, drop: &Drop) -> Result<bool, Failure> {
    let steps: &[&'static str] = match drop.what {
        What::Checkpoints => &[
            "UPDATE events SET event = json_set(event, '$.checkpoint', json('{\"before\":null}')) \
             WHERE id IN (SELECT e.id FROM json_each(?1) AS old CROSS JOIN events e \
                          ON e.id >= old.value * 4294967296 \
                             AND e.id < (old.value + 1) * 4294967296 \
                          WHERE e.event ->> '$.event' = 'begun' \
                            AND e.event -> '$.checkpoint' <> '{\"before\":null}')",
            "UPDATE runs SET kept = 1 WHERE key IN (SELECT value FROM json_each(?1)) AND kept = 2",
        ],
        What::Journal => &[PLANS, EVENTS, KEPT],
        What::Run => &[PLANS, EVENTS, RUNS],
    };
    for sql in steps {
        sqlx::query(*sql)
            .bind(&drop.keys)
            .execute(&mut *connection)
            .await?;
    }
    Ok(true)
}

const PLANS: &str = "DELETE FROM plans WHERE run IN (SELECT value FROM json_each(?1))";
const EVENTS: &str = "DELETE FROM events WHERE id IN (SELECT e.id FROM json_each(?1) AS old \
                      CROSS JOIN events e ON e.id >= old.value * 4294967296 \
                         AND e.id < (old.value + 1) * 4294967296)";
const KEPT: &str = "UPDATE runs SET kept = 0 WHERE key IN (SELECT value FROM json_each(?1))";
const RUNS: &str = "DELETE FROM runs WHERE key IN (SELECT value FROM json_each(?1))";

/// Drops observations that are too many or too old, but for the newest of a resource that is there;
/// `false` when nothing was dropped.
pub(crate) async fn forget(
    connection: &mut SqliteConnection,
    forget: &Forget,
) -> Result<bool, Failure> {
    let old = to_json(&read::retain::old_observations(connection, forget).await?)?;
    let dropped = "DELETE FROM observations WHERE id IN (SELECT value FROM json_each(?))";
    let dropped = sqlx::query(dropped)
        .bind(old)
        .execute(&mut *connection)
        .await?;
    let gone = read::retain::gone(connection, forget).await?;
    if gone.is_empty() {
        return Ok(dropped.rows_affected() > 0);
    }
    let gone = to_json(&gone)?;
    for sql in [
        "DELETE FROM sightings WHERE address IN (SELECT value FROM json_each(?))",
        "DELETE FROM observations WHERE address IN (SELECT value FROM json_each(?))",
        "DELETE FROM addresses WHERE id IN (SELECT value FROM json_each(?))",
    ] {
        sqlx::query(sql)
            .bind(&gone)
            .execute(&mut *connection)
            .await?;
    }
    Ok(true)
}

/// Writes when upkeep was done, and gives some of the room back that nothing needs.
pub(crate) async fn done(connection: &mut SqliteConnection, done: &Done) -> Result<bool, Failure> {
    sqlx::query("UPDATE upkeep SET at = ?, run = coalesce((SELECT max(key) FROM runs), 0)")
        .bind(done.at)
        .execute(&mut *connection)
        .await?;
    for path in &done.copies {
        sqlx::query("DELETE FROM copies WHERE path = ?")
            .bind(path)
            .execute(&mut *connection)
            .await?;
    }
    Ok(true)
}

/// Writes the time that was lived through.
pub(crate) async fn lived(
    connection: &mut SqliteConnection,
    lived: &Lived,
) -> Result<bool, Failure> {
    sqlx::query("UPDATE upkeep SET lived = ?")
        .bind(lived.at)
        .execute(connection)
        .await?;
    Ok(true)
}
