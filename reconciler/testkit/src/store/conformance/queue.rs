//! The queue.

use stratum_core::ports::{QueueEntry, Store};

use super::{Kept, done, environment, same};
use crate::store::sample;

pub(super) async fn holds_one_entry_for_each_environment(store: &dyn Store) -> Kept {
    let (a, b) = (environment("a")?, environment("b")?);
    let entry = |name, inputs, second| done("sample", sample::queued(name, inputs, second));
    let push = async |entry: QueueEntry| done("pushing", store.push(&entry).await);
    push(entry(&a, "one", 10)?).await?;
    push(entry(&b, "one", 5)?).await?;
    push(entry(&a, "one", 20)?).await?;
    let all = done("reading", store.queue().await)?;
    let rule = "the same inputs keep the earlier time, and the oldest comes first";
    same(rule, all, vec![entry(&b, "one", 5)?, entry(&a, "one", 10)?])?;
    push(entry(&a, "one", 8)?).await?;
    push(entry(&b, "two", 30)?).await?;
    let all = done("reading", store.queue().await)?;
    let rule = "other inputs take the place and the time";
    same(rule, all, vec![entry(&a, "one", 8)?, entry(&b, "two", 30)?])
}

pub(super) async fn keeps_what_was_replaced(store: &dyn Store) -> Kept {
    let name = environment("a")?;
    let entry = |inputs| done("sample", sample::queued(&name, inputs, 1));
    done("pushing", store.push(&entry("one")?).await)?;
    done("pushing", store.push(&entry("two")?).await)?;
    done("taking out", store.ack(&entry("one")?).await)?;
    let all = done("reading", store.queue().await)?;
    let rule = "an entry that was replaced meanwhile stays";
    same(rule, all, vec![entry("two")?])?;
    let mut later = entry("two")?;
    later.not_before = sample::at(99);
    done("taking out", store.ack(&later).await)?;
    let all = done("reading", store.queue().await)?;
    same("an entry is known by its inputs", all.len(), 0)
}
