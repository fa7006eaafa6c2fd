//! Observations.

use stratum_core::ports::{Lease, Observation, Store};

use super::{Broken, Kept, done, environment, lease, same};
use crate::store::sample;

pub(super) async fn keeps_what_differs(store: &dyn Store) -> Kept {
    let (a, b) = (environment("a")?, environment("a-b")?);
    let (lease_a, lease_b) = (lease(store, &a).await?, lease(store, &b).await?);
    let look = |number, second, value| {
        let seen = sample::observation(&a, number, second, value);
        done("sample", seen)
    };
    let looks = [
        look(0, 1, "x")?,
        look(1, 1, "y")?,
        look(0, 2, "x")?,
        look(0, 3, "x")?,
    ];
    done("observing", store.observe(&lease_a, &looks).await)?;
    let address = done("sample", sample::address(&a, 0))?;
    let kept = async || done("reading", store.observations(&address, 10).await);
    let rule = "the newest look and the first of its kind are kept";
    same(
        rule,
        kept().await?,
        vec![look(0, 3, "x")?, look(0, 1, "x")?],
    )?;
    let newer = [look(0, 4, "z")?];
    done("observing", store.observe(&lease_a, &newer).await)?;
    let rule = "a look that repeats the one before is forgotten when a newer one comes";
    same(
        rule,
        kept().await?,
        vec![look(0, 4, "z")?, look(0, 1, "x")?],
    )?;
    let back = [look(0, 5, "x")?, look(0, 6, "x")?];
    done("observing", store.observe(&lease_a, &back).await)?;
    let few = done("reading", store.observations(&address, 3).await)?;
    let wanted = vec![look(0, 6, "x")?, look(0, 5, "x")?, look(0, 4, "z")?];
    same("observations are newest first", few, wanted)?;
    let other = [done("sample", sample::observation(&b, 0, 1, "b"))?];
    done("observing", store.observe(&lease_b, &other).await)?;
    let newest = done("reading", store.observed(&a).await)?;
    let wanted = vec![look(0, 6, "x")?, look(1, 1, "y")?];
    same("the newest look at each resource", newest, wanted)?;
    tells_what_differs(store, &lease_a, look(0, 7, "x")?, look(1, 7, "z")?).await
}

async fn tells_what_differs(
    store: &dyn Store,
    lease: &Lease,
    level: Observation,
    found: Observation,
) -> Kept {
    let differing = Observation {
        drifted: vec!["content".to_owned()],
        ..found.clone()
    };
    let looks = [level, differing.clone()];
    done("observing", store.observe(lease, &looks).await)?;
    let drifted = async || done("reading", store.drifted(&lease.environment).await);
    let rule = "those that differ are told, and no others";
    same(rule, drifted().await?, vec![differing])?;
    done("observing", store.observe(lease, &[found]).await)?;
    let rule = "what no longer differs is not told";
    same(rule, drifted().await?, Vec::new())
}

pub(super) async fn is_bounded(store: &dyn Store) -> Kept {
    let name = environment("a")?;
    let lease = lease(store, &name).await?;
    let look = |second: i64| {
        let value = format!("v{second}");
        done("sample", sample::observation(&name, 0, second, &value))
    };
    let looks: Result<Vec<Observation>, Broken> = (0..1_003).map(look).collect();
    done("observing", store.observe(&lease, &looks?).await)?;
    let address = done("sample", sample::address(&name, 0))?;
    let kept = done("reading", store.observations(&address, 5_000).await)?;
    let ends = (kept.len(), kept.first().cloned(), kept.last().cloned());
    let wanted = (1_000, Some(look(1_002)?), Some(look(3)?));
    same("the oldest observations are forgotten", ends, wanted)
}
