//! What Cedar is told about: principals, groups, environments, resources.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use cedar_policy::{
    Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression as Value, Schema,
};
use stratum_core::ids::EnvironmentName;
use stratum_core::plan::Step;
use stratum_core::ports::{Act, Principal};
use stratum_core::resource::Meta;
use stratum_core::trust::Trust;

use crate::place::one_line;

/// The id of something of a type.
pub(crate) fn uid(kind: &'static str, id: &str) -> Result<EntityUid, String> {
    Ok(EntityUid::from_type_name_and_id(
        type_name(kind)?,
        EntityId::new(id),
    ))
}

/// The types of the schema, each parsed once: Cedar's parser takes longer than most decisions.
fn type_name(kind: &'static str) -> Result<EntityTypeName, String> {
    static KNOWN: Mutex<BTreeMap<&'static str, EntityTypeName>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = known.get(kind) {
        return Ok(name.clone());
    }
    let name = EntityTypeName::from_str(kind).map_err(|error| error.to_string())?;
    known.insert(kind, name.clone());
    Ok(name)
}

pub(crate) fn text(text: impl Into<String>) -> Value {
    Value::new_string(text.into())
}

/// The id of a principal.
pub(crate) fn principal(principal: &Principal) -> Result<EntityUid, String> {
    match principal {
        Principal::Person { name, .. } => uid("Author", name),
        // The colon keeps it apart from every name in trust.
        Principal::Unverified { author } => uid("Author", &format!("unverified:{author}")),
        Principal::Sealer { name } => uid("Sealer", name),
        Principal::Agent { role } => uid("Agent", role),
        Principal::Reconciler => uid("Reconciler", "reconciler"),
    }
}

/// Gathers entities, each once.
pub(crate) struct World<'a> {
    trust: &'a Trust,
    known: BTreeSet<String>,
    entities: Vec<Entity>,
}

impl<'a> World<'a> {
    pub(crate) fn new(trust: &'a Trust) -> Self {
        Self {
            trust,
            known: BTreeSet::new(),
            entities: Vec::new(),
        }
    }

    /// All of it, checked against the schema.
    pub(crate) fn checked(self, schema: &Schema) -> Result<Entities, String> {
        Entities::from_entities(self.entities, Some(schema))
            .map_err(|error| one_line(&error.to_string()))
    }

    fn add(
        &mut self,
        uid: EntityUid,
        attributes: Vec<(&str, Value)>,
        parents: Vec<EntityUid>,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        if !self.known.insert(uid.to_string()) {
            return Ok(());
        }
        let attributes = attributes
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        let tags = tags
            .iter()
            .map(|(name, value)| (name.clone(), text(value.as_str())));
        let entity = Entity::new_with_tags(uid, attributes, parents, tags);
        self.entities
            .push(entity.map_err(|error| error.to_string())?);
        Ok(())
    }

    /// A principal, with its groups.
    pub(crate) fn principal(&mut self, who: &Principal) -> Result<EntityUid, String> {
        let own = principal(who)?;
        let nothing = BTreeMap::new();
        match who {
            Principal::Person { name, key } => {
                let attributes = author(name, true, key.as_str());
                let groups = self.groups(name)?;
                self.add(own.clone(), attributes, groups, &nothing)?;
            }
            Principal::Unverified { author: claimed } => {
                let attributes = author(claimed, false, "none");
                self.add(own.clone(), attributes, Vec::new(), &nothing)?;
            }
            Principal::Sealer { name } => {
                let groups = self.groups(name)?;
                let attributes = vec![("name", text(name.as_str()))];
                self.add(own.clone(), attributes, groups, &nothing)?;
            }
            Principal::Agent { role } => {
                let attributes = vec![("role", text(role.as_str()))];
                self.add(own.clone(), attributes, Vec::new(), &nothing)?;
            }
            Principal::Reconciler => {
                self.add(own.clone(), Vec::new(), Vec::new(), &nothing)?;
            }
        }
        Ok(own)
    }

    fn groups(&mut self, person: &str) -> Result<Vec<EntityUid>, String> {
        let names: Vec<&str> = self.trust.groups_of(person).collect();
        let mut groups = Vec::new();
        for name in names {
            let group = uid("Group", name)?;
            self.add(group.clone(), Vec::new(), Vec::new(), &BTreeMap::new())?;
            groups.push(group);
        }
        Ok(groups)
    }

    /// The environment.
    pub(crate) fn environment(
        &mut self,
        name: &EnvironmentName,
        protected: bool,
        labels: &BTreeMap<String, String>,
    ) -> Result<EntityUid, String> {
        let own = uid("Environment", name.as_str())?;
        let attributes = vec![
            ("name", text(name.as_str())),
            ("protected", Value::new_bool(protected)),
        ];
        self.add(own.clone(), attributes, Vec::new(), labels)?;
        Ok(own)
    }

    /// What a step is about, with these settings.
    pub(crate) fn resource(
        &mut self,
        step: &Step,
        meta: &Meta,
        environment: &EntityUid,
    ) -> Result<EntityUid, String> {
        let own = uid("Resource", &step.address.to_string())?;
        let attributes = vec![
            ("address", text(step.address.to_string())),
            ("environment", Value::new_entity_uid(environment.clone())),
            ("kind", text(step.kind.to_string())),
            ("name", text(step.address.name().as_str())),
            ("protected", Value::new_bool(meta.protect)),
            ("provider", text(step.provider.as_str())),
            ("type", text(step.address.r#type().as_str())),
        ];
        let parents = vec![environment.clone()];
        self.add(own.clone(), attributes, parents, &meta.labels)?;
        Ok(own)
    }

    /// What an act is about.
    pub(crate) fn object(
        &mut self,
        act: &Act,
        environment: &EntityUid,
        name: &EnvironmentName,
    ) -> Result<EntityUid, String> {
        let inside = ("environment", Value::new_entity_uid(environment.clone()));
        let (own, attributes) = match act {
            Act::Seal { path } | Act::ReadSecret { path } | Act::AllowRollback { path } => (
                uid("Secret", &format!("{name}/{path}"))?,
                vec![inside, ("path", text(path.as_str()))],
            ),
            Act::Approve { ballot, .. } => (uid("Plan", &ballot.to_string())?, vec![inside]),
            Act::Retry { run } => (uid("Run", run.as_str())?, vec![inside]),
            Act::Suspend | Act::Resume => return Ok(environment.clone()),
            Act::RunPipeline { pipeline } | Act::Propose { pipeline } => (
                uid("Pipeline", pipeline)?,
                vec![inside, ("name", text(pipeline.as_str()))],
            ),
            Act::SubmitForm { form } => (
                uid("Form", form)?,
                vec![inside, ("name", text(form.as_str()))],
            ),
        };
        let parents = vec![environment.clone()];
        self.add(own.clone(), attributes, parents, &BTreeMap::new())?;
        Ok(own)
    }
}

fn author(name: &str, verified: bool, key: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("name", text(name)),
        ("verified", Value::new_bool(verified)),
        ("key", text(key)),
    ]
}
