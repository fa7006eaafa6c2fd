//! Leases and fencing.

use std::time::Duration;

use stratum_core::ports::{Lease, LeaseError, Store};

use super::{Broken, Kept, done, environment, fenced, lease, same, start};
use crate::store::sample;

const TTL: Duration = Duration::from_secs(30);

async fn take(
    store: &dyn Store,
    holder: &str,
    second: i64,
    alive: Option<bool>,
) -> Result<Lease, LeaseError> {
    let name = stratum_core::ids::EnvironmentName::repository();
    let test = move |_: &str| alive;
    let now = sample::at(second);
    store.acquire(&name, holder, now, TTL, &test).await
}

fn held(rule: &str, result: Result<Lease, LeaseError>, by: &str) -> Kept {
    match result {
        Err(LeaseError::Held { holder, .. }) if holder == by => Ok(()),
        other => Err(Broken::new(rule, format!("{other:?}"))),
    }
}

pub(super) async fn is_exclusive(store: &dyn Store) -> Kept {
    let first = done("a new lease", take(store, "a", 0, None).await)?;
    let rule = "a lease of a living holder is not given away";
    held(rule, take(store, "b", 1_000, Some(true)).await, "a")?;
    let rule = "a fresh lease is not given away";
    held(rule, take(store, "b", 29, None).await, "a")?;
    done("renewing", store.renew(&first, sample::at(20)).await)?;
    let rule = "a renewed lease is not given away";
    held(rule, take(store, "b", 49, None).await, "a")?;
    let rule = "a lease not renewed for its time is taken over";
    let second = done(rule, take(store, "b", 50, None).await)?;
    let rule = "a lease of a dead holder is taken over at once";
    let third = done(rule, take(store, "c", 51, Some(false)).await)?;
    done("giving back", store.release(&third).await)?;
    let rule = "a lease that was given back is free";
    let fourth = done(rule, take(store, "d", 52, Some(true)).await)?;
    let numbers = [first.number, second.number, third.number, fourth.number];
    let grow = numbers.windows(2).all(|pair| pair.first() < pair.last());
    same("fencing numbers grow", grow, true)
}

pub(super) async fn fences(store: &dyn Store) -> Kept {
    let name = environment("production")?;
    let old = lease(store, &name).await?;
    let run = start(store, &old, "r-1", 2).await?;
    let new = lease(store, &name).await?;
    let state = done("sample", sample::state(&name, 0, "x"))?;
    let entries = vec![sample::begun(&run.id, 0), sample::done(0, state)];
    let rule = "an old lease writes nothing";
    fenced(rule, store.append(&old, &run.id, entries.clone()).await)?;
    fenced(rule, store.renew(&old, sample::at(1)).await)?;
    let row = done("sample", sample::row(&name, ""))?;
    fenced(rule, store.put_environment(&old, &row).await)?;
    let seen = [done("sample", sample::observation(&name, 0, 1, "x"))?];
    fenced(rule, store.observe(&old, &seen).await)?;
    let other = done("sample", sample::run(&name, "r-2", 1, 1))?;
    fenced(
        rule,
        store.start(&old, &other, &sample::started(&other)).await,
    )?;
    let base = done("reading", store.base(&name).await)?;
    same(rule, (base.serial, base.resources.len()), (1, 0))?;
    let kept = done("reading", store.run(&run.id).await)?;
    same(rule, kept.map(|kept| kept.events.len()), Some(1))?;
    let rule = "giving back an old lease leaves the new one alone";
    done(rule, store.release(&old).await)?;
    done(rule, store.append(&new, &run.id, entries).await)?;
    done("giving back", store.release(&new).await)?;
    let rule = "a lease that was given back writes nothing";
    let again = vec![sample::begun(&run.id, 1)];
    fenced(rule, store.append(&new, &run.id, again).await)
}

pub(super) async fn is_for_one_environment(store: &dyn Store) -> Kept {
    let (a, b) = (environment("a")?, environment("b")?);
    let (lease_a, lease_b) = (lease(store, &a).await?, lease(store, &b).await?);
    let run = start(store, &lease_a, "r-1", 1).await?;
    let rule = "a lease of one environment writes nothing of another";
    let entries = vec![sample::begun(&run.id, 0)];
    fenced(rule, store.append(&lease_b, &run.id, entries).await)?;
    let row = done("sample", sample::row(&a, ""))?;
    fenced(rule, store.put_environment(&lease_b, &row).await)?;
    let seen = [done("sample", sample::observation(&a, 0, 1, "x"))?];
    fenced(rule, store.observe(&lease_b, &seen).await)
}
