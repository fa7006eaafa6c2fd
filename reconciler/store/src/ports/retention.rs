//! The port of retention.

use std::fs;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use stratum_core::audit::{AuditEntry, Principal, What as Said};
use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{
    Audit as _, AuditError, ClockReading, Dropped, Keep, PartSize, Retention, StoreError,
};
use stratum_core::retention::days_before;

use crate::read;
use crate::read::retain::Old;
use crate::store::{SqliteStore, look};
use crate::time::to_nanoseconds;
use crate::write::Write;
use crate::write::retain::{Done, Drop, Forget, Lived, What};

/// How many runs are dropped in one transaction, and how many of each kind in one call.
const AT_ONCE: usize = 100;
const IN_ONE_CALL: u32 = 1_000;
/// How many observations of one environment are dropped in one transaction.
const OBSERVATIONS: u32 = 500;
/// Observations of a resource that is gone are kept for so many days after it was last seen.
const GONE_DAYS: u32 = 7;
/// Time that was lived through is written when it grew by this much.
const WORTH_WRITING: SignedDuration = SignedDuration::from_mins(1);

#[async_trait]
impl Retention for SqliteStore {
    async fn is_upkeep_due(&self) -> Result<bool, StoreError> {
        let now = to_nanoseconds(self.now());
        look!(
            self.reader,
            "looking whether upkeep is due",
            read::retain::is_due,
            now
        )
    }

    async fn retain(&self, keep: &Keep) -> Result<Dropped, StoreError> {
        let old: Old = look!(
            self.reader,
            "looking for what is old",
            read::retain::old,
            keep,
            IN_ONE_CALL
        )?;
        let mut dropped = Dropped {
            checkpoints: self.drop(What::Checkpoints, &old.checkpoints).await?,
            journals: self.drop(What::Journal, &old.journals).await?,
            runs: self.drop(What::Run, &old.runs).await?,
            more: old.more,
            ..Dropped::default()
        };
        self.forget(keep, &mut dropped).await?;
        if !dropped.more {
            let copies = self.drop_copies().await?;
            let at = to_nanoseconds(self.now());
            self.write(Write::Upkept(Done { at, copies })).await?;
        }
        if let Some(writer) = self.shared_writer().filter(|_| !dropped.is_empty()) {
            let given = writer.give_room_back().await;
            self.ready(given, "giving room back")?;
        }
        Ok(dropped)
    }

    async fn lived(&self, reading: ClockReading) -> Result<Timestamp, StoreError> {
        let before: Option<Timestamp> = look!(
            self.reader,
            "reading the time that was lived through",
            read::retain::lived
        )?;
        let grown = before.map_or(reading.now, |before| later(before, reading.passed));
        let lived = grown.min(reading.now);
        let change = before.map(|before| lived.duration_since(before));
        if change.is_none_or(|change| change.is_negative() || change >= WORTH_WRITING) {
            let at = to_nanoseconds(lived);
            self.write(Write::Lived(Lived { at })).await?;
        }
        Ok(lived)
    }

    async fn sizes(&self) -> Result<Vec<PartSize>, StoreError> {
        look!(self.reader, "measuring the state", read::retain::sizes)
    }

    async fn has_old_entries(&self, now: Timestamp) -> Result<bool, AuditError> {
        match &self.log {
            Some(log) => Ok(!log.overdue(now, 1).await?.is_empty()),
            None => Ok(false),
        }
    }

    async fn prune_log(&self, now: Timestamp, months: u32) -> Result<Vec<String>, AuditError> {
        let Some(log) = &self.log else {
            return Ok(Vec::new());
        };
        let overdue = log.overdue(now, months).await?;
        if overdue.is_empty() {
            return Ok(Vec::new());
        }
        let at = self.now();
        let entry = |what: &Said| AuditEntry {
            at,
            environment: None,
            run: None,
            principal: Principal::Reconciler,
            what: what.clone(),
            people: Vec::new(),
        };
        let entries: Vec<_> = overdue.iter().map(|(_, what)| entry(what)).collect();
        self.log(&entries).await?;
        self.bring_in().await?;
        let mut pruned = Vec::new();
        for (part, _) in overdue {
            log.prune(part.clone()).await?;
            pruned.push(part);
        }
        Ok(pruned)
    }
}

impl SqliteStore {
    /// Drops this of these runs, some at a time, so that others come in between.
    async fn drop(&self, what: What, keys: &[i64]) -> Result<u64, StoreError> {
        for some in keys.chunks(AT_ONCE) {
            let drop = self.ready(Drop::new(what, some), "dropping what is old")?;
            self.write(Write::Drop(drop)).await?;
        }
        Ok(keys.len() as u64)
    }

    async fn forget(&self, keep: &Keep, dropped: &mut Dropped) -> Result<(), StoreError> {
        let environments: Vec<EnvironmentName> = look!(
            self.reader,
            "looking for what is old",
            read::retain::observed
        )?;
        for environment in environments {
            if !self.has_old_observations(&environment, keep).await? {
                continue;
            }
            let forgotten = self.write(Write::Unsee(forget(&environment, keep))).await?;
            dropped.observations += u64::from(forgotten);
            dropped.more |= forgotten;
        }
        Ok(())
    }

    async fn has_old_observations(
        &self,
        environment: &EnvironmentName,
        keep: &Keep,
    ) -> Result<bool, StoreError> {
        let forget = forget(environment, keep);
        look!(
            self.reader,
            "looking for old observations",
            read::retain::has_old_observations,
            &forget
        )
    }

    /// Takes copies of older formats away that are no longer needed.
    async fn drop_copies(&self) -> Result<Vec<String>, StoreError> {
        let copies: Vec<String> = look!(
            self.reader,
            "looking for copies of older formats",
            read::retain::surplus_copies
        )?;
        let gone = copies.into_iter().filter(|path| is_gone(path));
        Ok(gone.collect())
    }
}

fn forget(environment: &EnvironmentName, keep: &Keep) -> Forget {
    let before = |days| to_nanoseconds(days_before(keep.now, days));
    Forget {
        environment: environment.clone(),
        count: keep.settings.observations,
        before: before(keep.settings.observation_days),
        gone_before: before(GONE_DAYS),
        limit: OBSERVATIONS,
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Takes a file away; whether it is not there any more.
fn is_gone(path: &str) -> bool {
    match fs::remove_file(path) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}
