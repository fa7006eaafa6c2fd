//! References to sealed values get the version and the digest of what they name.

use std::collections::BTreeMap;
use std::sync::Arc;

use stratum_core::digest::Digest;
use stratum_core::finding::{Finding, codes};
use stratum_core::ids::Address;
use stratum_core::resource::Resource;
use stratum_core::suggest;
use stratum_core::value::{Path, SecretReference, Value};

/// What a sealed value says about itself: its version and its digest.
type Known = BTreeMap<String, (Option<u64>, Option<Digest>)>;

/// Fills in every secret of `resources` from the sealed values; a finding for each that is not
/// there.
pub(crate) fn fill(
    resources: &mut BTreeMap<Address, Resource>,
    sealed: &BTreeMap<Address, Resource>,
) -> Vec<Finding> {
    let known: Known = sealed
        .values()
        .map(|value| (value.address.name().to_string(), facts(value)))
        .collect();
    let mut findings = Vec::new();
    for resource in resources.values_mut() {
        let mut lost = Vec::new();
        for (attribute, value) in &mut resource.attributes {
            visit(value, &mut |secret| match known.get(&name(secret)) {
                Some((version, digest)) => (secret.version, secret.digest) = (*version, *digest),
                None => lost.push((attribute.clone(), secret.clone())),
            });
        }
        for (attribute, secret) in lost {
            findings.push(dangling(resource, &attribute, &secret, &known));
        }
    }
    findings
}

fn name(secret: &SecretReference) -> String {
    format!("{}#{}", secret.path, secret.key)
}

fn facts(sealed: &Resource) -> (Option<u64>, Option<Digest>) {
    let version = match sealed.attributes.get("version") {
        Some(Value::Number(number)) => number.as_u64(),
        _ => None,
    };
    let digest = sealed.attributes.get("digest").and_then(Value::as_text);
    (
        version,
        digest.and_then(|text| Digest::try_from(text.to_owned()).ok()),
    )
}

fn visit(value: &mut Value, each: &mut impl FnMut(&mut SecretReference)) {
    match value {
        Value::Secret(secret) => each(secret),
        Value::List(items) | Value::Set(items) | Value::Join(items) => {
            Arc::make_mut(items)
                .iter_mut()
                .for_each(|item| visit(item, each));
        }
        Value::Record(record) => {
            Arc::make_mut(record)
                .values_mut()
                .for_each(|value| visit(value, each));
        }
        Value::Typed(typed) => visit(&mut typed.value, each),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Text(_)
        | Value::Unknown
        | Value::Reference(_) => {}
    }
}

fn dangling(
    resource: &Resource,
    attribute: &str,
    secret: &SecretReference,
    known: &Known,
) -> Finding {
    let environment = &resource.address.environment;
    let message = format!(
        "`{attribute}` names the secret `{}` of `secrets/{environment}/{}.sealed.yaml`, which is not there",
        secret.key, secret.path
    );
    let mut finding = Finding::error(&codes::DANGLING, message);
    finding.source = resource.source(&Path::of(attribute)).cloned();
    finding.hint = suggest::suggest(&name(secret), known.keys().map(String::as_str))
        .map(|near| format!("did you mean `{near}`?"));
    finding
}
