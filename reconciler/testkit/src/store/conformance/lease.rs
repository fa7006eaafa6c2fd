//! Leases and fencing.

use std::time::Duration;

use stratum_core::ids::EnvironmentName;
use stratum_core::ports::{Break, Lease, LeaseError, Life, Store};

use super::{Broken, Kept, Stage, done, environment, fenced, lease, same, start};
use crate::store::sample;

const TTL: Duration = Duration::from_secs(30);

async fn take(store: &dyn Store) -> Result<Lease, LeaseError> {
    let name = EnvironmentName::repository();
    store.acquire(&name, TTL).await
}

async fn held(rule: &str, result: Result<Lease, LeaseError>, by: &Lease) -> Kept {
    match result {
        Err(LeaseError::Held { holder, .. }) if holder == by.holder => Ok(()),
        other => Err(Broken::new(rule, format!("{other:?}"))),
    }
}

pub(super) async fn is_taken_over(stage: Stage) -> Kept {
    let Stage {
        one,
        other,
        stranger,
        clock,
    } = stage;
    let pass = |seconds| clock.advance(Duration::from_secs(seconds));
    let first = done("a new lease", take(&*other).await)?;
    pass(1_000);
    let rule = "a lease of a living holder is not given away, however long it was silent";
    held(rule, take(&*one).await, &first).await?;
    let rule = "a holder takes its own lease anew, and what it had is fenced off";
    let anew = done(rule, take(&*other).await)?;
    same(rule, renewed(&*other, &first).await?, false)?;
    drop(other);
    let rule = "a lease of a dead holder is taken over at once";
    let second = done(rule, take(&*one).await)?;
    done(
        "giving back",
        one.release(std::slice::from_ref(&second)).await,
    )?;
    let rule = "a lease that was given back is free";
    let third = done(rule, take(&*stranger).await)?;
    pass(29);
    let rule = "a fresh lease of a holder nobody can tell about is not given away";
    held(rule, take(&*one).await, &third).await?;
    same("renewing", renewed(&*stranger, &third).await?, true)?;
    pass(29);
    held(rule, take(&*one).await, &third).await?;
    pass(1);
    let rule = "a lease not renewed for its time is taken over";
    let fourth = done(rule, take(&*one).await)?;
    same(
        "the old holder has nothing then",
        renewed(&*stranger, &third).await?,
        false,
    )?;
    let numbers = [&first, &anew, &second, &third, &fourth].map(|lease| lease.number);
    let grow = numbers.windows(2).all(|pair| pair.first() < pair.last());
    same("fencing numbers grow", grow, true)
}

async fn renewed(store: &dyn Store, lease: &Lease) -> Result<bool, Broken> {
    let lost = store.renew(std::slice::from_ref(lease)).await;
    Ok(done("renewing", lost)?.is_empty())
}

pub(super) async fn ages_when_a_clock_ran_ahead(stage: Stage) -> Kept {
    let Stage {
        one,
        stranger,
        clock,
        ..
    } = stage;
    let year = Duration::from_secs(365 * 24 * 3600);
    clock.advance(year * 9);
    let first = done("a new lease", take(&*stranger).await)?;
    clock.set_back(year * 9);
    let rule = "a lease from the future is still a lease";
    held(rule, take(&*one).await, &first).await?;
    clock.advance(TTL);
    let rule = "a lease from the future ages from when it was seen, and locks for one ttl at most";
    done(rule, take(&*one).await).map(drop)
}

pub(super) async fn is_renewed_with_others(stage: Stage) -> Kept {
    let (store, other) = (stage.one, stage.stranger);
    let (a, b) = (environment("a")?, environment("b")?);
    let (first, second) = (lease(&*store, &a).await?, lease(&*store, &b).await?);
    let own = [first.clone(), second.clone()];
    let lost = done("renewing", store.renew(&own).await)?;
    same("all leases are renewed together", lost, Vec::new())?;
    stage.clock.advance(TTL);
    done(
        "giving back",
        store.release(std::slice::from_ref(&first)).await,
    )?;
    let taken = done("a free lease", other.acquire(&a, TTL).await)?;
    let lost = done("renewing", store.renew(&own).await)?;
    let rule = "the ones that were lost are told";
    same(rule, lost, vec![first])?;
    let held = done("reading", store.leases().await)?;
    let held: Vec<_> = held
        .into_iter()
        .map(|held| (held.lease, held.renewed_at, held.life))
        .collect();
    let now = sample::at(30);
    let wanted = vec![(taken, now, Life::Unknown), (second, now, Life::Alive)];
    same("leases are told by environment", held, wanted)
}

pub(super) async fn is_broken_by_a_person(stage: Stage) -> Kept {
    let (one, other, stranger) = (stage.one, stage.other, stage.stranger);
    let name = EnvironmentName::repository();
    let mut how = Break {
        reason: "the machine burnt down".to_owned(),
        people: Vec::new(),
        force: false,
    };
    let rule = "a lease that nobody holds cannot be broken";
    match one.break_lease(&name, &how).await {
        Err(LeaseError::Free { .. }) => {}
        other => return Err(Broken::new(rule, format!("{other:?}"))),
    }
    let first = done("a new lease", take(&*stranger).await)?;
    let rule = "a lease of a holder nobody can tell about is broken at once";
    let broken = done(rule, one.break_lease(&name, &how).await)?;
    same(rule, broken, first.clone())?;
    let row = done("sample", sample::row(&name, ""))?;
    fenced(rule, stranger.put_environment(&first, &row).await)?;
    let second = done("a broken lease is free", take(&*other).await)?;
    let rule = "a lease of a living holder is broken by force only";
    held(rule, one.break_lease(&name, &how).await, &second).await?;
    how.force = true;
    done(rule, one.break_lease(&name, &how).await)?;
    fenced(rule, other.put_environment(&second, &row).await)
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
    same(rule, renewed(store, &old).await?, false)?;
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
    done(rule, store.release(std::slice::from_ref(&old)).await)?;
    done(rule, store.append(&new, &run.id, entries).await)?;
    done(
        "giving back",
        store.release(std::slice::from_ref(&new)).await,
    )?;
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
