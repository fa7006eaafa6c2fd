//! Calls that are given up half way: the future is dropped, as when a call is told to stop.

use std::time::Duration;

use stratum_core::plan::Reversibility;
use stratum_core::ports::{Located, Provider};
use stratum_core::resource::Instance;
use stratum_core::value::Record;

use super::driver::{Driver, Outcome, Prepared};
use super::{Case, Failure, scenario};

/// After which times a call is given up, in microseconds.
const MOMENTS: [u64; 7] = [0, 50, 300, 2_000, 10_000, 40_000, 120_000];

pub(super) async fn check(provider: &dyn Provider, case: &Case, failures: &mut Vec<Failure>) {
    for micros in MOMENTS {
        let at = Duration::from_micros(micros);
        let name = |what| format!("{what}, given up after {micros} us");
        scenario!(
            provider,
            case,
            failures,
            name("create"),
            async |driver: &Driver<'_>| {
                restored(driver, None, Some(&driver.case.create), at).await
            }
        );
        scenario!(
            provider,
            case,
            failures,
            name("create located"),
            async |driver: &Driver<'_>| { located(driver, at).await }
        );
        scenario!(
            provider,
            case,
            failures,
            name("change"),
            async |driver: &Driver<'_>| {
                let first = driver.make(None, &driver.case.create).await?;
                restored(driver, Some(&first), driver.case.update.as_ref(), at).await
            }
        );
    }
}

/// Applies, and gives up after some time; the answer if it came earlier.
async fn give_up(driver: &Driver<'_>, step: &Prepared, at: Duration) -> Option<Instance> {
    let applied = tokio::time::timeout(at, driver.try_apply(step)).await;
    applied.ok().and_then(Result::ok).flatten()
}

/// A step (a delete when nothing is wanted) that is given up can be put back.
async fn restored(
    driver: &Driver<'_>,
    prior: Option<&Instance>,
    desired: Option<&Record>,
    at: Duration,
) -> Outcome {
    let world = driver.world();
    let step = driver.prepare(prior, desired).await?;
    if step.reversibility == Reversibility::Irreversible {
        return Ok(());
    }
    let after = give_up(driver, &step, at).await;
    driver.restore_twice(&step, after.as_ref(), &world).await
}

/// A create that is given up is done, or can be done again with the same token, or put back.
async fn located(driver: &Driver<'_>, at: Duration) -> Outcome {
    let world = driver.world();
    let desired = &driver.case.create;
    let step = driver.prepare(None, Some(desired)).await?;
    give_up(driver, &step, at).await;
    let made = match driver.locate(&step).await? {
        Located::Done(made) => made.ok_or("locate finds that nothing was made")?,
        Located::CannotTell(_) => return Ok(()),
        Located::NotDone => match driver.try_apply(&step).await {
            Ok(made) => made.ok_or("nothing was made")?,
            Err(_) if step.reversibility == Reversibility::Irreversible => return Ok(()),
            Err(_) => return driver.restore_twice(&step, None, &world).await,
        },
    };
    let again = driver.plan(Some(&made), Some(desired)).await?;
    super::driver::equal(&made.attributes, &again.planned)
        .map_err(|difference| format!("located, there is something to do: {difference}"))?;
    let step = driver.prepare(Some(&made), None).await?;
    driver.apply(&step).await.map(|_| ())
}
