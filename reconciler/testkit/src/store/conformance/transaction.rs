//! Changes that belong together.

use stratum_core::ports::{AuditError, Store, StoreError, Transaction};

use super::{Broken, Kept, done, environment, lease, same};
use crate::store::sample;

pub(super) async fn is_whole_or_nothing(store: &dyn Store) -> Kept {
    let (a, b) = (environment("a")?, environment("b")?);
    let (old, lease_b) = (lease(store, &a).await?, lease(store, &b).await?);
    let new = lease(store, &a).await?;
    let row = |name, reason| done("sample", sample::row(name, reason));
    let queued = done("sample", sample::queued(&b, "one", 1))?;
    let both = |lease_a, reason| {
        Ok::<_, Broken>(
            Transaction::new()
                .put_environment(&lease_b, &row(&b, reason)?)
                .push(&queued)
                .put_environment(lease_a, &row(&a, reason)?),
        )
    };
    let rule = "when one change is refused, none of the others happens";
    match store.commit(both(&old, "one")?).await {
        Err(AuditError::Store(StoreError::Fenced { .. })) => {}
        other => return Err(Broken::new(rule, format!("{other:?}"))),
    }
    let rows = done("reading", store.environments().await)?;
    let waiting = done("reading", store.queue().await)?;
    same(rule, (rows.len(), waiting.len()), (0, 0))?;
    let rule = "otherwise all of them happen";
    done(rule, store.commit(both(&new, "two")?).await)?;
    let rows = done("reading", store.environments().await)?;
    same(rule, rows, vec![row(&a, "two")?, row(&b, "two")?])?;
    let waiting = done("reading", store.queue().await)?;
    same(rule, waiting, vec![queued.clone()])?;
    done(rule, store.commit(Transaction::new().ack(&queued)).await)?;
    let waiting = done("reading", store.queue().await)?;
    same(rule, waiting.len(), 0)
}
