//! The files of an environment together: addresses defined twice, references that lead nowhere,
//! circles, two resources in one place.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use stratum_core::finding::{Finding, codes};
use stratum_core::graph::Graph;
use stratum_core::ids::Address;
use stratum_core::place::Place;
use stratum_core::resource::Resource;
use stratum_core::source::Source;
use stratum_core::value::{Path, Value};

use super::resource::Types;

/// Adds the resources of one file to those of the others.
pub(crate) fn add(
    read: Vec<Resource>,
    resources: &mut BTreeMap<Address, Resource>,
    findings: &mut Vec<Finding>,
) {
    for resource in read {
        match resources.entry(resource.address.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(resource);
            }
            Entry::Occupied(entry) => {
                let message = format!(
                    "`{}` is defined twice: here and at {}",
                    resource.address.local,
                    place(entry.get(), &Path::default())
                        .map_or_else(String::new, |s| s.to_string())
                );
                let mut finding = Finding::error(&codes::DUPLICATE, message)
                    .hint("files of an environment are not layered: rename one, or take one away");
                finding.source = place(&resource, &Path::default());
                findings.push(finding);
            }
        }
    }
}

/// What can be said only when all resources are known; `root` is where the settings say that relative
/// paths lie.
pub(crate) fn cross_check(
    resources: &BTreeMap<Address, Resource>,
    types: &Types<'_>,
    root: Option<&str>,
) -> Vec<Finding> {
    let (_, mut findings) = Graph::build(resources);
    let root = Place::of(root.unwrap_or_default());
    let mut places: BTreeMap<(&str, &str, Place), &Resource> = BTreeMap::new();
    for resource in resources.values() {
        let Some((attribute, occupied)) = occupied(resource, types) else {
            continue;
        };
        let occupied = occupied.seen_from(&root);
        let key = (resource.provider.as_str(), attribute, occupied);
        if let Some(other) = places.get(&key) {
            let message = format!(
                "`{}` and `{}` (at {}) both manage `{}`",
                resource.address.local,
                other.address.local,
                place(other, &Path::of(attribute)).map_or_else(String::new, |s| s.to_string()),
                key.2
            );
            let mut finding =
                Finding::error(&codes::SAME_PLACE, message).hint("give one of them another place");
            finding.source = place(resource, &Path::of(attribute));
            findings.push(finding);
        } else {
            places.insert(key, resource);
        }
    }
    findings.extend(below_others(&places));
    for resource in resources.values() {
        findings.extend(moves_from_nothing(resource, resources));
        findings.extend(adopts_another(resource, types, &root));
    }
    findings
}

/// A finding for a resource that says it moved, and could not have.
fn moves_from_nothing(
    resource: &Resource,
    resources: &BTreeMap<Address, Resource>,
) -> Option<Finding> {
    let from = resource.meta.moved_from.as_ref()?;
    let old = Address {
        environment: resource.address.environment.clone(),
        local: from.clone(),
    };
    let why = if old.r#type() != resource.address.r#type() {
        "which is of another type"
    } else if resources.contains_key(&old) {
        "which is still there"
    } else {
        return None;
    };
    let message = format!("`{}` moved from `{from}`, {why}", resource.address.local);
    let finding = Finding::error(&codes::META, message).hint("take `meta.moved_from` away");
    Some(set_in(resource, "moved_from", finding))
}

/// A finding for a resource that adopts what lies elsewhere than it should itself.
fn adopts_another(resource: &Resource, types: &Types<'_>, root: &Place) -> Option<Finding> {
    let id = resource.meta.adopt.as_deref()?;
    let (_, own) = occupied(resource, types)?;
    if Place::of(id).seen_from(root) == own.seen_from(root) {
        return None;
    }
    let message = format!("`meta.adopt` is `{id}`, which is not the place of the resource");
    let finding = Finding::error(&codes::META, message);
    let finding = finding.hint("write the same place there: what lies elsewhere cannot be adopted");
    Some(set_in(resource, "adopt", finding))
}

/// The finding, at a setting of a resource.
fn set_in(resource: &Resource, name: &str, mut finding: Finding) -> Finding {
    finding.source = place(resource, &Path::of("meta").key(name));
    finding
}

/// A finding for each place that lies below one that can hold nothing: a file, or a link.
fn below_others(places: &BTreeMap<(&str, &str, Place), &Resource>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ((provider, attribute, occupied), resource) in places {
        let holder = occupied
            .around()
            .filter_map(|outer| places.get(&(*provider, *attribute, outer)))
            .find(|holder| !holder.address.r#type().as_str().ends_with(FOLDER));
        if let Some(holder) = holder {
            let message = format!(
                "`{}` lies below `{}` (at {}), which is no folder",
                resource.address.local,
                holder.address.local,
                place(holder, &Path::of(attribute)).map_or_else(String::new, |s| s.to_string()),
            );
            let mut finding = Finding::error(&codes::SAME_PLACE, message)
                .hint("give one of them another place, or make the outer one a folder");
            finding.source = place(resource, &Path::of(attribute));
            findings.push(finding);
        }
    }
    findings
}

/// How the types are named whose resources hold others.
const FOLDER: &str = "_directory";

/// The attribute that says which place in the world a resource occupies, and the place.
fn occupied<'a>(resource: &Resource, types: &Types<'a>) -> Option<(&'a str, Place)> {
    let (_, schema) = types.get(resource.address.r#type().as_str())?;
    let attribute = schema.place.as_deref()?;
    let Some(Value::Text(text)) = resource.attributes.get(attribute) else {
        return None;
    };
    Some((attribute, Place::of(text)))
}

fn place(resource: &Resource, path: &Path) -> Option<Source> {
    resource.source(path).cloned()
}
