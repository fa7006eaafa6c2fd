//! Keeping observations.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;
use stratum_core::ids::{Address, EnvironmentName};
use stratum_core::ports::{Lease, Observation};

use crate::error::{Failure, to_json};
use crate::read::observation::Seen;
use crate::rest::{Rest, Table};
use crate::time::to_nanoseconds;
use crate::write::lease::{fence, fenced};
use crate::write::mark;
use crate::write::run::number_addresses;

/// How many differing observations of one address are kept.
const KEPT: u32 = 1_000;

/// Keep observations.
pub(crate) struct Observe {
    /// Who asks.
    pub(crate) lease: Lease,
    /// An environment that was looked at and that the lease is not for.
    pub(crate) stranger: Option<EnvironmentName>,
    /// Rounds, one after the other; in each, every address stands once.
    pub(crate) rounds: Vec<Round>,
    /// The key that they are wrapped under, if there is one.
    pub(crate) under: Option<String>,
}

/// Addresses, and what was seen of them, each a list in JSON.
pub(crate) struct Round {
    addresses: String,
    seen: String,
}

impl Observe {
    /// Takes the JSON forms, in the task of the caller.
    pub(crate) fn new(lease: &Lease, seen: &[Observation], rest: &Rest) -> Result<Self, Failure> {
        let mut addresses = seen.iter().map(|one| &one.address.environment);
        let stranger = addresses.find(|name| **name != lease.environment).cloned();
        Ok(Self {
            lease: lease.clone(),
            stranger,
            rounds: rounds(seen, rest)?,
            under: None,
        })
    }
}

fn rounds(seen: &[Observation], rest: &Rest) -> Result<Vec<Round>, Failure> {
    let mut times: BTreeMap<&Address, usize> = BTreeMap::new();
    let mut rounds: Vec<Vec<(&Address, i64, String)>> = Vec::new();
    for one in seen {
        let time = times.entry(&one.address).or_default();
        let kept = Seen {
            drifted: one.drifted.clone(),
            report: one.report.clone(),
        };
        let text = rest.seen(&one.address, &kept)?;
        let row = (&one.address, to_nanoseconds(one.at), text);
        match rounds.get_mut(*time) {
            Some(round) => round.push(row),
            None => rounds.push(vec![row]),
        }
        *time += 1;
    }
    let round = |rows: &Vec<(&Address, i64, String)>| {
        let addresses: Vec<_> = rows.iter().map(|row| row.0).collect();
        Ok(Round {
            addresses: to_json(&addresses)?,
            seen: to_json(rows)?,
        })
    };
    rounds.iter().map(round).collect()
}

/// Keeps the newest look at each address, and those that differ from the one before.
pub(crate) async fn observe(
    connection: &mut SqliteConnection,
    observe: &Observe,
) -> Result<bool, Failure> {
    if let Some(stranger) = &observe.stranger {
        return Err(fenced(stranger));
    }
    fence(connection, &observe.lease, &observe.lease.environment).await?;
    let newest = "SELECT coalesce(max(id), 0) FROM observations";
    let newest: i64 = sqlx::query_scalar(newest)
        .fetch_one(&mut *connection)
        .await?;
    let under = observe.under.as_deref();
    mark::lower(
        connection,
        Table::Observations,
        newest.saturating_add(1),
        under,
    )
    .await?;
    for round in &observe.rounds {
        number_addresses(connection, &round.addresses).await?;
        keep(connection, round).await?;
        forget(connection, round).await?;
    }
    Ok(true)
}

async fn keep(connection: &mut SqliteConnection, round: &Round) -> Result<(), Failure> {
    let differing = "INSERT INTO observations (address, at, seen) \
                     SELECT a.id, new.value ->> 1, new.value ->> 2 FROM json_each(?) AS new \
                     CROSS JOIN addresses a ON a.address = new.value ->> 0 \
                     LEFT JOIN sightings s ON s.address = a.id \
                     LEFT JOIN observations o ON o.id = s.observation \
                     WHERE coalesce(o.seen ->> '$.same', o.seen) IS NOT \
                           coalesce(new.value ->> 2 ->> '$.same', new.value ->> 2)";
    sqlx::query(differing)
        .bind(&round.seen)
        .execute(&mut *connection)
        .await?;
    let newest = "INSERT INTO sightings (address, observation, at) \
                  SELECT a.id, (SELECT max(o.id) FROM observations o WHERE o.address = a.id), \
                         new.value ->> 1 \
                  FROM json_each(?) AS new \
                  CROSS JOIN addresses a ON a.address = new.value ->> 0 WHERE true \
                  ON CONFLICT (address) DO UPDATE SET \
                  observation = excluded.observation, at = excluded.at";
    sqlx::query(newest)
        .bind(&round.seen)
        .execute(connection)
        .await?;
    Ok(())
}

/// A round adds at most one observation to each address, so one each is all there can be too many.
async fn forget(connection: &mut SqliteConnection, round: &Round) -> Result<(), Failure> {
    let sql = "DELETE FROM observations WHERE id IN ( \
                 SELECT (SELECT o.id FROM observations o WHERE o.address = a.id \
                         ORDER BY o.id DESC LIMIT 1 OFFSET ?1) \
                 FROM json_each(?2) AS seen CROSS JOIN addresses a ON a.address = seen.value)";
    sqlx::query(sql)
        .bind(KEPT)
        .bind(&round.addresses)
        .execute(connection)
        .await?;
    Ok(())
}
