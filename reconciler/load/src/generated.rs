//! Secrets that stratum makes itself: where each is kept, and what the repository has of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use stratum_core::desired::Closure;
use stratum_core::ids::Address;
use stratum_core::ports::{ProviderSchema, Tree, TreeError, TypeSchema, generated_path};
use stratum_core::resource::Resource;
use stratum_core::settings::Settings;
use stratum_core::value::{Record, Reference, SecretReference, Value};

use crate::infrastructure::Types;
use crate::settings::FILE;

/// The attribute that says where a secret is kept.
const KEEP: &str = "keep";

fn schema_of<'a>(schemas: &'a [ProviderSchema], resource: &Resource) -> Option<&'a TypeSchema> {
    let mut mine = schemas
        .iter()
        .filter(|one| one.provider == resource.provider);
    mine.find_map(|schema| schema.types.get(resource.address.r#type()))
        .filter(|schema| schema.makes_secrets())
}

/// Says of each resource that makes a secret where it is kept, and names the sealed value that the
/// repository has of it, if it is kept there.
///
/// *Shape*: the file is `secrets/<environment>/generated/<type>.<name>.sealed.yaml`, and the key is
/// the name of the attribute. The settings become a part of what the environment was read from.
pub(crate) fn place(
    resources: &mut BTreeMap<Address, Resource>,
    sealed: &BTreeMap<Address, Resource>,
    schemas: &[ProviderSchema],
    settings: &Settings,
    tree: &dyn Tree,
) -> Result<Closure, TreeError> {
    let mut closure = Closure::default();
    for resource in resources.values_mut() {
        let Some(schema) = schema_of(schemas, resource) else {
            continue;
        };
        if closure.0.is_empty() {
            let id = tree.entry(FILE)?.map(|entry| entry.id);
            closure.0.insert(FILE.to_owned(), id);
        }
        let usual = Value::text(settings.secrets.generated.as_str());
        let keep = resource.attributes.entry(KEEP.to_owned()).or_insert(usual);
        if keep.as_text() != Some("branch") {
            continue;
        }
        let own = generated_path(&resource.address.local);
        for (key, attribute) in &schema.attributes {
            let name = format!("{own}#{key}");
            let mut sealed = sealed.values();
            if attribute.sealed && sealed.any(|value| value.address.name().as_str() == name) {
                let secret = named(own.clone(), key.clone());
                resource.attributes.insert(key.clone(), secret);
            }
        }
    }
    Ok(closure)
}

/// A secret by its name; its version and digest are filled in later, where they are known.
fn named(path: String, key: String) -> Value {
    Value::secret(SecretReference {
        path,
        key,
        version: None,
        digest: None,
    })
}

/// The attributes with a secret in place of each reference to one that is made: so a provider says
/// before anything is made whether a secret may stand there.
pub(crate) fn with_secrets(attributes: &Record, types: &Types<'_>) -> Record {
    let makes = |to: &Reference| {
        let schema = types.get(to.resource.r#type.as_str());
        let attribute = schema.and_then(|(_, schema)| schema.attributes.get(to.path.attribute()));
        attribute.is_some_and(|attribute| attribute.sealed)
    };
    let filled = attributes.iter().map(|(name, value)| {
        let mut value = value.clone();
        fill(&mut value, &makes);
        (name.clone(), value)
    });
    filled.collect()
}

fn fill(value: &mut Value, makes: &impl Fn(&Reference) -> bool) {
    match value {
        Value::Reference(to) if makes(to) => {
            *value = named(generated_path(&to.resource), to.path.to_string());
        }
        Value::List(items) | Value::Set(items) | Value::Join(items) => {
            Arc::make_mut(items)
                .iter_mut()
                .for_each(|item| fill(item, makes));
        }
        Value::Record(record) => {
            Arc::make_mut(record)
                .values_mut()
                .for_each(|value| fill(value, makes));
        }
        Value::Typed(typed) => fill(&mut typed.value, makes),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Text(_)
        | Value::Unknown
        | Value::Reference(_)
        | Value::Secret(_) => {}
    }
}
