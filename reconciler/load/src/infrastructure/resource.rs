//! From the value of one file to resources.

use std::collections::{BTreeMap, HashMap};

use stratum_core::finding::{Finding, codes};
use stratum_core::ids::{
    Address, EnvironmentName, LocalAddress, ProviderName, ResourceName, TypeName,
};
use stratum_core::kinds::Kind;
use stratum_core::ports::{ProviderSchema, TypeSchema};
use stratum_core::resource::{Meta, Resource};
use stratum_core::source::Source;
use stratum_core::suggest;
use stratum_core::value::{Path, Record};

use super::Validate;
use super::attributes::Attributes;
use crate::evaluate::node::{Datum, Field, Node, Place, Places};
use crate::generated;
use crate::outline::{Check, Outline, key};

/// The types there are, by name.
pub(crate) type Types<'a> = HashMap<&'a str, (&'a ProviderName, &'a TypeSchema)>;

/// The types of `schemas`.
pub(crate) fn types(schemas: &[ProviderSchema]) -> Types<'_> {
    schemas
        .iter()
        .flat_map(|schema| {
            schema
                .types
                .iter()
                .map(|(name, r#type)| (name.as_str(), (&schema.provider, r#type)))
        })
        .collect()
}

const META: Outline = Outline::Object(&[
    key("protect", Outline::Bool),
    key("depends_on", Outline::List(&Outline::Accepted(is_resource))),
    key(
        "on_failure",
        Outline::Choice(&["rollback", "halt", "continue"]),
    ),
    key(
        "drift",
        Outline::Object(&[
            key("mode", DRIFT_MODE),
            key("fields", Outline::Map(&DRIFT_MODE)),
        ]),
    ),
    key("labels", Outline::Map(&Outline::Text)),
    key("health", Outline::Object(HEALTH)),
    key("adopt", Outline::Text),
    key("moved_from", Outline::Accepted(is_resource)),
    key("create_first", Outline::Bool),
    key("timeouts", Outline::Object(TIMEOUTS)),
]);

const TIMEOUTS: &[crate::outline::Key] = &[
    key("read", Outline::Duration),
    key("create", Outline::Duration),
    key("update", Outline::Duration),
    key("delete", Outline::Duration),
];

const DRIFT_MODE: Outline = Outline::Choice(&["correct", "report", "ignore"]);

const HEALTH: &[crate::outline::Key] = &[
    key("http", Outline::Text),
    key("tcp", Outline::Text),
    key("command", Outline::List(&Outline::Text)),
    key("every", Outline::Duration),
    key("timeout", Outline::Duration),
    key("within", Outline::Duration),
];

fn is_resource(json: &serde_json::Value) -> Result<(), String> {
    match json.as_str().map(str::parse::<LocalAddress>) {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("must name a resource in quotes: \"type.name\"".to_owned()),
    }
}

/// Reads the resources of one file.
pub(crate) struct Reader<'a> {
    pub(crate) types: &'a Types<'a>,
    pub(crate) places: Places<'a>,
    pub(crate) validate: &'a Validate,
    pub(crate) environment: &'a EnvironmentName,
    pub(crate) path: &'a str,
    /// Nothing of the file failed: the provider may be asked.
    pub(crate) sound: bool,
}

/// The resources of one file and what was noticed.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) resources: Vec<Resource>,
    pub(crate) findings: Vec<Finding>,
}

impl Reader<'_> {
    /// Reads `{ type.name = {...}, ... }`.
    pub(crate) fn read(&self, node: &Node) -> Read {
        let mut read = Read::default();
        if !matches!(node.1, Datum::Record(_)) {
            let message = format!(
                "the file must be a record of resources, not {}",
                node.kind()
            );
            read.findings
                .push(self.finding(&codes::WRONG_TYPE, message, node.0));
        }
        for Field(r#type, at, names) in node.fields() {
            let Some((provider, schema)) = self.types.get(r#type.as_str()) else {
                read.findings
                    .push(self.unknown_type(r#type, at.or(names.0)));
                continue;
            };
            if !matches!(names.1, Datum::Record(_) | Datum::Hole) {
                let message = format!(
                    "`{type}` must be a record of resources by name, not {}",
                    names.kind()
                );
                read.findings
                    .push(self.finding(&codes::WRONG_TYPE, message, at.or(names.0)));
            }
            for field in names.fields() {
                self.resource(r#type, provider, schema, field, &mut read);
            }
        }
        read
    }

    fn resource(
        &self,
        r#type: &str,
        provider: &ProviderName,
        schema: &TypeSchema,
        Field(name, at, node): &Field,
        read: &mut Read,
    ) {
        let place = at.or(node.0);
        let ids = TypeName::new(r#type).and_then(|t| Ok((t, ResourceName::new(name.clone())?)));
        let (type_name, resource_name) = match ids {
            Ok(ids) if !name.contains(['.', '/', '#', '"']) => ids,
            _ => {
                let message =
                    format!("`{name}` cannot name a resource: use letters, digits, `_` and `-`");
                read.findings
                    .push(self.finding(&codes::WRONG_TYPE, message, place));
                return;
            }
        };
        if node.1 == Datum::Hole {
            return;
        }
        if !matches!(node.1, Datum::Record(_)) {
            let message = format!(
                "`{type}.{name}` must be a record of attributes, not {}",
                node.kind()
            );
            read.findings
                .push(self.finding(&codes::WRONG_TYPE, message, place));
            return;
        }
        let mut sources = BTreeMap::new();
        self.places
            .collect(node, place, &Path::default(), &mut sources);
        let meta = self.meta(node, &mut read.findings);
        let mut check = Attributes {
            types: self.types,
            places: self.places,
            resource: format!("{type}.{name}"),
            findings: Vec::new(),
        };
        let attributes = check.record(&schema.attributes, node, place, &Path::default());
        let sound = self.sound && check.findings.is_empty();
        read.findings.extend(check.findings);
        let address = Address::new(self.environment.clone(), type_name, resource_name);
        let resource = Resource {
            address,
            kind: Kind::Infrastructure,
            provider: provider.clone(),
            attributes,
            meta,
            sources,
        };
        if sound {
            self.complaints(&resource, &resource.attributes, &mut read.findings);
        }
        read.resources.push(resource);
    }

    fn meta(&self, node: &Node, findings: &mut Vec<Finding>) -> Meta {
        let Some(Field(_, at, meta)) = node.field("meta") else {
            return Meta::default();
        };
        let mut check = Check {
            unknown: &codes::META,
            invalid: &codes::META,
            places: self.places,
            findings: Vec::new(),
        };
        check.value(META, meta, at.or(node.0), "meta");
        if let Some(Field(_, at, health)) = meta.field("health") {
            let ways = ["http", "tcp", "command"]
                .iter()
                .filter(|way| health.field(way).is_some());
            if ways.count() != 1 {
                let message = "`meta.health` must have exactly one of `http`, `tcp` and `command`";
                check.findings.push(self.finding(
                    &codes::META,
                    message.to_owned(),
                    at.or(health.0),
                ));
            }
        }
        if !check.findings.is_empty() {
            findings.extend(check.findings);
            return Meta::default();
        }
        serde_json::from_value(meta.to_json()).unwrap_or_else(|error| {
            findings.push(self.finding(&codes::META, error.to_string(), at.or(meta.0)));
            Meta::default()
        })
    }

    fn complaints(&self, resource: &Resource, attributes: &Record, findings: &mut Vec<Finding>) {
        let attributes = generated::with_secrets(attributes, self.types);
        let r#type = resource.address.r#type();
        for complaint in (self.validate)(r#type, &attributes, &resource.meta) {
            let message = if complaint.path.0.is_empty() {
                complaint.message
            } else {
                format!("`{}`: {}", complaint.path, complaint.message)
            };
            let mut finding = Finding::error(&codes::INVALID, message);
            finding.source = resource.source(&complaint.path).cloned();
            finding.hint = complaint.hint;
            findings.push(finding);
        }
    }

    fn unknown_type(&self, r#type: &str, place: Place) -> Finding {
        let message = format!("there is no resource type `{type}`");
        let mut names: Vec<&str> = self.types.keys().copied().collect();
        names.sort_unstable();
        let mut finding = self.finding(&codes::UNKNOWN_TYPE, message, place);
        finding.hint = suggest::hint(r#type, names);
        finding
    }

    fn finding(&self, code: &codes::Explained, message: String, place: Place) -> Finding {
        let mut finding = Finding::error(code, message);
        finding.source = self
            .places
            .source(place)
            .or_else(|| Some(Source::start_of(self.path)));
        finding
    }
}
