//! What is registered by digest: sealed values, pipelines, forms, knowledge.

mod repository;
#[cfg(test)]
mod tests;

pub(crate) use repository::{has_repository, load_repository};

use std::collections::BTreeMap;

use stratum_core::desired::Closure;
use stratum_core::finding::{Finding, codes};
use stratum_core::ids::{
    Address, EnvironmentName, IdError, LocalAddress, ProviderName, ResourceName, TypeName,
};
use stratum_core::kinds::Kind;
use stratum_core::resource::{Meta, Resource};
use stratum_core::source::Source;
use stratum_core::value::{Path, Record};

use crate::reading::Reading;

/// Resources read from files, what they were read from, and what was noticed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registered {
    /// The resources by address.
    pub(crate) resources: BTreeMap<Address, Resource>,
    /// Every path that was looked at, folders included.
    pub(crate) closure: Closure,
    /// What was noticed.
    pub(crate) findings: Vec<Finding>,
}

/// Something that is registered by its digest.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its type.
    pub(crate) r#type: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// What is registered.
    pub(crate) attributes: Record,
    /// Where it stands.
    pub(crate) source: Source,
}

impl Registered {
    /// The entries as resources of `environment`. Two of one address are a finding.
    pub(crate) fn of(
        environment: &EnvironmentName,
        entries: Vec<Entry>,
        reading: Reading<'_>,
    ) -> Self {
        let Reading {
            closure, findings, ..
        } = reading;
        let mut registered = Self {
            resources: BTreeMap::new(),
            closure,
            findings,
        };
        for entry in entries {
            registered.add(environment, entry);
        }
        registered
    }

    fn add(&mut self, environment: &EnvironmentName, entry: Entry) {
        let source = entry.source.clone();
        let resource = match resource(environment, entry) {
            Ok(resource) => resource,
            Err(error) => {
                let finding = Finding::error(&codes::INVALID, error.to_string()).at(source);
                self.findings
                    .push(finding.hint("choose a shorter or plainer name"));
                return;
            }
        };
        if let Some(first) = self.resources.get(&resource.address) {
            let place = first
                .source(&Path::default())
                .map(ToString::to_string)
                .unwrap_or_default();
            let message = format!("`{}` is defined twice", resource.address);
            let finding = Finding::error(&codes::DUPLICATE, message).at(source);
            self.findings
                .push(finding.hint(format!("the other one stands at {place}: rename one")));
            return;
        }
        self.resources.insert(resource.address.clone(), resource);
    }
}

fn resource(environment: &EnvironmentName, entry: Entry) -> Result<Resource, IdError> {
    let local = LocalAddress {
        r#type: TypeName::new(entry.r#type)?,
        name: ResourceName::new(entry.name)?,
    };
    Ok(Resource {
        address: Address {
            environment: environment.clone(),
            local,
        },
        kind: entry.kind,
        provider: ProviderName::new("registry")?,
        attributes: entry.attributes,
        meta: Meta::default(),
        sources: BTreeMap::from([(Path::default(), entry.source)]),
    })
}
