//! The life of a resource: create, read, update, replace, delete, each put back again.

use stratum_core::plan::Reversibility;
use stratum_core::ports::{Located, Provider};
use stratum_core::resource::Instance;
use stratum_core::value::Record;

use super::driver::{Driver, Outcome, Prepared};
use super::{Case, Failure, scenario};

pub(super) async fn check(provider: &dyn Provider, case: &Case, failures: &mut Vec<Failure>) {
    scenario!(provider, case, failures, "create", create);
    scenario!(
        provider,
        case,
        failures,
        "create, restored",
        create_restored
    );
    scenario!(
        provider,
        case,
        failures,
        "create, never ran",
        create_never_ran
    );
    scenario!(provider, case, failures, "delete", delete);
    scenario!(
        provider,
        case,
        failures,
        "delete, never ran",
        delete_never_ran
    );
    if case.update.is_some() {
        scenario!(provider, case, failures, "update", update);
        scenario!(
            provider,
            case,
            failures,
            "update, never ran",
            update_never_ran
        );
    }
    if case.replace.is_some() {
        scenario!(provider, case, failures, "replace", replace);
    }
    scenario!(provider, case, failures, "import", import);
    scenario!(provider, case, failures, "list", list);
}

/// It is there, reads as it was made, and a plan finds nothing to do.
async fn stands(driver: &Driver<'_>, made: &Instance, desired: &Record) -> Outcome {
    let read = driver
        .read(made)
        .await?
        .ok_or("read does not see what was made")?;
    super::driver::equal(&made.attributes, &read.attributes)?;
    let again = driver.plan(Some(&read), Some(desired)).await?;
    if !again.replace.is_empty() {
        return Err(format!(
            "planned again, it replaces because of {:?}",
            again.replace
        ));
    }
    super::driver::equal(&read.attributes, &again.planned)
        .map_err(|difference| format!("planned again, there is something to do: {difference}"))
}

/// `locate` finds what was done.
async fn is_found(driver: &Driver<'_>, step: &Prepared, made: Option<&Instance>) -> Outcome {
    match (driver.locate(step).await?, made) {
        (Located::Done(None), None) => Ok(()),
        (Located::Done(Some(found)), Some(made)) => driver.same(made, &found),
        (other, _) => Err(format!("locate does not find what was done: {other:?}")),
    }
}

/// `locate` and `restore` of a step that never ran change nothing.
async fn never_ran(driver: &Driver<'_>, step: &Prepared, world: &str) -> Outcome {
    if driver.touches_world() && driver.locate(step).await? != Located::NotDone {
        return Err("locate finds what never ran".to_owned());
    }
    driver.world_is(world)?;
    if step.reversibility != Reversibility::Irreversible {
        driver.restore_twice(step, None, world).await?;
    }
    Ok(())
}

async fn create(driver: &Driver<'_>) -> Outcome {
    let desired = &driver.case.create;
    let step = driver.prepare(None, Some(desired)).await?;
    let made = driver.apply(&step).await?.ok_or("nothing was made")?;
    stands(driver, &made, desired).await?;
    is_found(driver, &step, Some(&made)).await?;
    stands(driver, &made, desired).await
}

async fn create_restored(driver: &Driver<'_>) -> Outcome {
    let world = driver.world();
    let step = driver.prepare(None, Some(&driver.case.create)).await?;
    if step.reversibility == Reversibility::Irreversible {
        return Ok(());
    }
    let made = driver.apply(&step).await?;
    driver.restore_twice(&step, made.as_ref(), &world).await
}

async fn create_never_ran(driver: &Driver<'_>) -> Outcome {
    let world = driver.world();
    let step = driver.prepare(None, Some(&driver.case.create)).await?;
    never_ran(driver, &step, &world).await
}

async fn update(driver: &Driver<'_>) -> Outcome {
    let Some(desired) = &driver.case.update else {
        return Ok(());
    };
    let first = driver.make(None, &driver.case.create).await?;
    let world = driver.world();
    let step = driver.prepare(Some(&first), Some(desired)).await?;
    if !driver
        .plan(Some(&first), Some(desired))
        .await?
        .replace
        .is_empty()
    {
        return Err("what should change in place replaces".to_owned());
    }
    let made = driver.apply(&step).await?.ok_or("nothing was made")?;
    stands(driver, &made, desired).await?;
    is_found(driver, &step, Some(&made)).await?;
    driver.restore_twice(&step, Some(&made), &world).await
}

async fn update_never_ran(driver: &Driver<'_>) -> Outcome {
    let first = driver.make(None, &driver.case.create).await?;
    let world = driver.world();
    let step = driver
        .prepare(Some(&first), driver.case.update.as_ref())
        .await?;
    never_ran(driver, &step, &world).await
}

async fn replace(driver: &Driver<'_>) -> Outcome {
    let Some(desired) = &driver.case.replace else {
        return Ok(());
    };
    let first = driver.make(None, &driver.case.create).await?;
    let world = driver.world();
    if driver
        .plan(Some(&first), Some(desired))
        .await?
        .replace
        .is_empty()
    {
        return Err("what should replace changes in place".to_owned());
    }
    let remove = driver.prepare(Some(&first), None).await?;
    driver.apply(&remove).await?;
    let make = driver.prepare(None, Some(desired)).await?;
    let between = driver.world();
    let made = driver.apply(&make).await?.ok_or("nothing was made")?;
    stands(driver, &made, desired).await?;
    if make.reversibility == Reversibility::Irreversible {
        return Ok(());
    }
    driver.restore_twice(&make, Some(&made), &between).await?;
    driver.restore_twice(&remove, None, &world).await
}

async fn delete(driver: &Driver<'_>) -> Outcome {
    let made = driver.make(None, &driver.case.create).await?;
    let world = driver.world();
    let step = driver.prepare(Some(&made), None).await?;
    driver.apply(&step).await?;
    if driver.touches_world()
        && step.reversibility != Reversibility::Irreversible
        && driver.world() != world
        && driver.read(&made).await?.is_some()
    {
        return Err("read still sees what was deleted".to_owned());
    }
    is_found(driver, &step, None).await?;
    let again = driver.prepare(Some(&made), None).await?;
    driver
        .apply(&again)
        .await
        .map_err(|error| format!("deleted a second time: {error}"))?;
    driver.restore_twice(&step, None, &world).await
}

async fn delete_never_ran(driver: &Driver<'_>) -> Outcome {
    let made = driver.make(None, &driver.case.create).await?;
    let world = driver.world();
    let step = driver.prepare(Some(&made), None).await?;
    never_ran(driver, &step, &world).await
}

async fn list(driver: &Driver<'_>) -> Outcome {
    let desired = &driver.case.create;
    if !driver.case.lists {
        return match driver.list(&[], 10).await {
            Err(_) => Ok(()),
            Ok(listed) => Err(format!("it lists after all: {listed:?}")),
        };
    }
    let address = &driver.case.address;
    let before = driver.list(&[], 1_000).await?;
    let made = driver.make(None, desired).await?;
    let world = driver.world();
    let state = [(address.clone(), made.clone())];
    let all = driver.list(&state, 1_000).await?;
    driver.world_is(&world)?;
    let own: Vec<_> = all.there.iter().filter(|one| one.known.is_some()).collect();
    let [own] = own.as_slice() else {
        return Err(format!("what was made is not listed once: {all:?}"));
    };
    let nobodys = driver.list(&[], 1_000).await?;
    let gained = nobodys.there.len().checked_sub(before.there.len());
    if gained.is_none_or(|gained| gained == 0) || nobodys.there.len() != all.there.len() {
        return Err(format!("of {before:?} came {nobodys:?}"));
    }
    let none = driver.list(&state, 0).await?;
    if !none.there.is_empty() || !none.more {
        return Err(format!("of none that were asked for came {none:?}"));
    }
    let found = driver.import(&own.id, desired).await?;
    driver.same(&made, &found)
}

async fn import(driver: &Driver<'_>) -> Outcome {
    let desired = &driver.case.create;
    let Some(id) = &driver.case.import else {
        return match driver.import("what-nobody-made", desired).await {
            Err(_) => Ok(()),
            Ok(_) => Err("what nobody made was adopted".to_owned()),
        };
    };
    if driver.import(id, desired).await.is_ok() {
        return Err("what is not there was adopted".to_owned());
    }
    let made = driver.make(None, desired).await?;
    let world = driver.world();
    let found = driver.import(id, desired).await?;
    driver.world_is(&world)?;
    driver.same(&made, &found)?;
    let again = driver.plan(Some(&found), Some(desired)).await?;
    super::driver::equal(&found.attributes, &again.planned)
        .map_err(|difference| format!("adopted, there is something to do: {difference}"))
}
