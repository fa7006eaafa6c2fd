//! The files of an environment together: addresses defined twice, references that lead nowhere,
//! circles, two resources in one place.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use stratum_core::finding::{Finding, codes};
use stratum_core::graph::Graph;
use stratum_core::ids::Address;
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

/// What can be said only when all resources are known.
pub(crate) fn cross_check(
    resources: &BTreeMap<Address, Resource>,
    types: &Types<'_>,
) -> Vec<Finding> {
    let (_, mut findings) = Graph::build(resources);
    let mut places: BTreeMap<(&str, &str, String), &Resource> = BTreeMap::new();
    for resource in resources.values() {
        let Some((attribute, text)) = occupied(resource, types) else {
            continue;
        };
        let key = (resource.provider.as_str(), attribute, text);
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
    findings
}

/// A finding for each place that lies below one that can hold nothing: a file, or a link.
fn below_others(places: &BTreeMap<(&str, &str, String), &Resource>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ((provider, attribute, text), resource) in places {
        let outer = text.match_indices('/').filter_map(|(at, _)| text.get(..at));
        let holder = outer
            .filter_map(|outer| places.get(&(*provider, *attribute, outer.to_owned())))
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
fn occupied<'a>(resource: &Resource, types: &Types<'a>) -> Option<(&'a str, String)> {
    let (_, schema) = types.get(resource.address.r#type().as_str())?;
    let attribute = schema.place.as_deref()?;
    let Some(Value::Text(text)) = resource.attributes.get(attribute) else {
        return None;
    };
    let absolute = if text.starts_with('/') { "/" } else { "" };
    let parts: Vec<&str> = text
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    Some((attribute, format!("{absolute}{}", parts.join("/"))))
}

fn place(resource: &Resource, path: &Path) -> Option<Source> {
    resource.source(path).cloned()
}
