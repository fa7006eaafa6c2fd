//! What holds before anything is applied: schema, validate, plan.

use stratum_core::ports::Provider;
use stratum_core::value::Record;

use super::driver::{Driver, Outcome};
use super::{Case, Failure, scenario};

pub(super) async fn check(provider: &dyn Provider, case: &Case, failures: &mut Vec<Failure>) {
    scenario!(provider, case, failures, "schema", schema);
    scenario!(provider, case, failures, "validate", validate);
    scenario!(provider, case, failures, "plan is pure", plan_is_pure);
}

fn wanted(case: &Case) -> impl Iterator<Item = &Record> {
    std::iter::once(&case.create)
        .chain(&case.update)
        .chain(&case.replace)
}

async fn schema(driver: &Driver<'_>) -> Outcome {
    let schema = driver.schema()?;
    if schema.version == 0 || schema.doc.is_empty() {
        return Err("the type has no version or no sentence".to_owned());
    }
    if let Some(place) = &schema.place
        && !schema.attributes.contains_key(place)
    {
        return Err(format!("the place `{place}` is no attribute"));
    }
    for (name, attribute) in &schema.attributes {
        let required = !attribute.computed && attribute.settable && attribute.default.is_none();
        let contradicts = if attribute.required {
            !required
        } else {
            !attribute.settable && !attribute.computed
        };
        if contradicts || attribute.doc.is_empty() {
            return Err(format!(
                "the attribute `{name}` contradicts itself or has no sentence"
            ));
        }
    }
    for record in wanted(driver.case) {
        let unknown = record
            .keys()
            .find(|name| !schema.attributes.get(*name).is_some_and(|a| a.settable));
        if let Some(name) = unknown {
            return Err(format!("the case gives `{name}`, which cannot be given"));
        }
    }
    Ok(())
}

async fn validate(driver: &Driver<'_>) -> Outcome {
    let r#type = driver.case.address.r#type();
    for record in wanted(driver.case) {
        let complaints = driver.provider.validate(r#type, record);
        if !complaints.is_empty() {
            return Err(format!("what is right is refused: {complaints:?}"));
        }
    }
    for record in &driver.case.invalid {
        let complaints = driver.provider.validate(r#type, record);
        if complaints.is_empty() {
            return Err(format!("what is wrong is accepted: {record:?}"));
        }
        if complaints != driver.provider.validate(r#type, record) {
            return Err("asked twice, it complains about different things".to_owned());
        }
        let ends_well = |message: &str| !message.is_empty() && !message.ends_with('.');
        if let Some(bad) = complaints.iter().find(|c| !ends_well(&c.message)) {
            return Err(format!(
                "not a sentence without full stop: `{}`",
                bad.message
            ));
        }
    }
    Ok(())
}

async fn plan_is_pure(driver: &Driver<'_>) -> Outcome {
    let world = driver.world();
    let (desired, schema) = (&driver.case.create, driver.schema()?);
    let once = driver.plan(None, Some(desired)).await?;
    if once != driver.plan(None, Some(desired)).await? {
        return Err("planned twice, it plans different things".to_owned());
    }
    if !once.replace.is_empty() {
        return Err("a create replaces".to_owned());
    }
    for (name, value) in desired {
        if once.planned.get(name) != Some(value) {
            return Err(format!("`{name}` is not planned as it was given"));
        }
    }
    for (name, attribute) in &schema.attributes {
        if attribute.computed && !once.planned.contains_key(name) {
            return Err(format!("the computed `{name}` is not in the plan"));
        }
    }
    driver.world_is(&world)
}
