//! Noticing other processes.

use std::time::Duration;

use super::{Kept, Stage, done, environment, same};
use crate::store::sample;

/// Longer than any store takes to notice.
const LONG: Duration = Duration::from_secs(20);
/// Longer than a store takes to see that nothing happened.
const SHORT: Duration = Duration::from_millis(100);

pub(super) async fn tells_of_others_only(stage: Stage) -> Kept {
    let (one, other) = (stage.one, stage.other);
    let name = environment("a")?;
    let entry = |inputs| done("sample", sample::queued(&name, inputs, 1));
    let woken = async |within| tokio::time::timeout(within, one.changed()).await.is_ok();
    // What was before the first question may be told or not.
    woken(SHORT).await;
    done("pushing", one.push(&entry("own")?).await)?;
    same("own commits wake nobody", woken(SHORT).await, false)?;
    done("pushing", other.push(&entry("one")?).await)?;
    same("a commit of another wakes", woken(LONG).await, true)?;
    same("it is told once", woken(SHORT).await, false)?;
    done("pushing", other.push(&entry("two")?).await)?;
    done("pushing", one.push(&entry("own again")?).await)?;
    let rule = "what was committed while nobody waited is told";
    same(rule, woken(LONG).await, true)
}
