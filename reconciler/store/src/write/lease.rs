//! Leases and their fencing numbers.

use jiff::Timestamp;
use sqlx::SqliteConnection;
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Lease, StoreError};

use crate::error::Failure;
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

/// Say that the holder lives.
pub(crate) struct Renew {
    /// The lease.
    pub(crate) lease: Lease,
    /// When (nanoseconds).
    pub(crate) at: i64,
}

/// Give a lease back.
pub(crate) struct Release {
    /// The lease.
    pub(crate) lease: Lease,
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

/// Writes the time, when the lease is still held.
pub(crate) async fn renew(
    connection: &mut SqliteConnection,
    renew: &Renew,
) -> Result<bool, Failure> {
    let environment = &renew.lease.environment;
    fence(connection, &renew.lease, environment).await?;
    sqlx::query("UPDATE leases SET renewed_at = ? WHERE environment = ?")
        .bind(renew.at)
        .bind(environment.as_str())
        .execute(connection)
        .await?;
    Ok(true)
}

/// Frees the lease and leaves its number; does nothing when it was lost.
pub(crate) async fn release(
    connection: &mut SqliteConnection,
    release: &Release,
) -> Result<bool, Failure> {
    sqlx::query("UPDATE leases SET holder = NULL WHERE environment = ? AND number = ?")
        .bind(release.lease.environment.as_str())
        .bind(stored(release.lease.number))
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
