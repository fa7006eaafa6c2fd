//! Leases and their fencing numbers.

use jiff::Timestamp;
use sqlx::SqliteConnection;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Lease, StoreError};

use crate::error::{Failure, to_json};
use crate::lease::Held;
use crate::read;
use crate::time::to_nanoseconds;
use crate::write::audit::Ledger;

/// Take the lease, if it is still as it was when that was decided.
pub(crate) struct Take {
    /// The lease as it will be.
    pub(crate) lease: Lease,
    /// As it was.
    pub(crate) before: Option<Held>,
    /// When (UTC).
    pub(crate) at: Timestamp,
}

/// Say that the holder of these leases lives.
pub(crate) struct Renew {
    /// Environment and number of each, as JSON.
    leases: String,
    count: u64,
    /// When (nanoseconds).
    at: i64,
}

impl Renew {
    /// Takes the JSON form, in the task of the caller.
    pub(crate) fn new(leases: &[Lease], at: Timestamp) -> Result<Self, Failure> {
        Ok(Self {
            leases: pairs(leases)?,
            count: leases.len() as u64,
            at: to_nanoseconds(at),
        })
    }
}

/// Put the time of a lease down to now, unless its holder renewed it meanwhile.
pub(crate) struct Clamp {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// The lease as it was.
    pub(crate) before: Held,
    /// When (nanoseconds).
    pub(crate) at: i64,
}

/// Take a lease away from its holder, if it is still as it was when that was decided.
pub(crate) struct Taken {
    /// The lease.
    pub(crate) lease: Lease,
    /// As it was.
    pub(crate) before: Held,
}

/// Give leases back.
pub(crate) struct Release {
    /// Environment and number of each, as JSON.
    leases: String,
}

impl Release {
    /// Takes the JSON form, in the task of the caller.
    pub(crate) fn new(leases: &[Lease]) -> Result<Self, Failure> {
        let leases = pairs(leases)?;
        Ok(Self { leases })
    }
}

/// Environment and number of each lease, as JSON.
fn pairs(leases: &[Lease]) -> Result<String, Failure> {
    let pairs = leases.iter();
    let pairs: Vec<_> = pairs.map(|one| (&one.environment, one.number)).collect();
    to_json(&pairs)
}

/// Refuses whoever lost the lease on `environment`, or never had one on it.
pub(crate) async fn fence(
    connection: &mut SqliteConnection,
    lease: &Lease,
    environment: &EnvironmentName,
) -> Result<(), Failure> {
    let held = read::environment::lease(connection, environment).await?;
    let has = held.is_some_and(|held| held.number == lease.number && held.holder.is_some());
    if has && lease.environment == *environment {
        return Ok(());
    }
    Err(fenced(environment))
}

/// The refusal of whoever lost the lease.
pub(crate) fn fenced(environment: &EnvironmentName) -> Failure {
    Failure::Refused(StoreError::Fenced {
        environment: environment.clone(),
    })
}

/// `false` when somebody else came first.
pub(crate) async fn take(
    connection: &mut SqliteConnection,
    take: &Take,
    ledger: &mut Ledger,
) -> Result<bool, Failure> {
    let held = read::environment::lease(connection, &take.lease.environment).await?;
    if held != take.before {
        return Ok(false);
    }
    let sql = "INSERT INTO leases (environment, number, holder, renewed_at) VALUES (?, ?, ?, ?) \
               ON CONFLICT (environment) DO UPDATE SET number = excluded.number, \
               holder = excluded.holder, renewed_at = excluded.renewed_at";
    sqlx::query(sql)
        .bind(take.lease.environment.as_str())
        .bind(stored(take.lease.number))
        .bind(&take.lease.holder)
        .bind(to_nanoseconds(take.at))
        .execute(connection)
        .await?;
    ledger.lease(&take.lease, take.at)?;
    Ok(true)
}

/// Writes the time of those that are still held; `false` when not all of them are.
pub(crate) async fn renew(
    connection: &mut SqliteConnection,
    renew: &Renew,
) -> Result<bool, Failure> {
    let sql = "UPDATE leases SET renewed_at = ?1 FROM json_each(?2) AS own \
               WHERE leases.environment = own.value ->> 0 AND leases.number = own.value ->> 1 \
                 AND leases.holder IS NOT NULL";
    let renewed = sqlx::query(sql)
        .bind(renew.at)
        .bind(&renew.leases)
        .execute(connection)
        .await?;
    Ok(renewed.rows_affected() == renew.count)
}

/// Puts the time down, when the lease is still as it was.
pub(crate) async fn clamp(
    connection: &mut SqliteConnection,
    clamp: &Clamp,
) -> Result<bool, Failure> {
    let held = read::environment::lease(connection, &clamp.environment).await?;
    if held.as_ref() != Some(&clamp.before) {
        return Ok(false);
    }
    sqlx::query("UPDATE leases SET renewed_at = ? WHERE environment = ?")
        .bind(clamp.at)
        .bind(clamp.environment.as_str())
        .execute(connection)
        .await?;
    Ok(true)
}

/// Frees the lease and leaves its number; `false` when it is no longer as it was.
pub(crate) async fn take_away(
    connection: &mut SqliteConnection,
    taken: &Taken,
) -> Result<bool, Failure> {
    let environment = &taken.lease.environment;
    let held = read::environment::lease(connection, environment).await?;
    if held.as_ref() != Some(&taken.before) {
        return Ok(false);
    }
    sqlx::query("UPDATE leases SET holder = NULL WHERE environment = ?")
        .bind(environment.as_str())
        .execute(connection)
        .await?;
    Ok(true)
}

/// Frees the leases and leaves their numbers; does nothing with those that were lost.
pub(crate) async fn release(
    connection: &mut SqliteConnection,
    release: &Release,
) -> Result<bool, Failure> {
    let sql = "UPDATE leases SET holder = NULL FROM json_each(?) AS own \
               WHERE leases.environment = own.value ->> 0 AND leases.number = own.value ->> 1";
    sqlx::query(sql)
        .bind(&release.leases)
        .execute(connection)
        .await?;
    Ok(true)
}

/// A number as SQLite holds it. They count from 1: none comes near the end.
pub(crate) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_are_themselves() {
        assert_eq!((stored(0), stored(7)), (0, 7));
        assert_eq!(stored(u64::MAX), i64::MAX);
    }
}
