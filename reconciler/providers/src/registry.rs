//! The `registry` provider: what a repository registers by digest, and nothing acts on yet.
//!
//! Secrets, pipelines, forms and knowledge nodes have an address and appear in plans. Until the
//! rooms that act on them are built, an apply only remembers their attributes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use stratum_core::ids::{IdError, ProviderName, TypeName};
use stratum_core::plan::Reversibility;
use stratum_core::ports::{
    ApplyCall, ApplyError, AttributeSchema, CheckpointCall, Complaint, Effect, ImportCall,
    LocateCall, Located, PlanCall, Proposal, Provider, ProviderError, ProviderSchema, ReadCall,
    Reading, RestoreCall, TypeSchema, ValueType,
};
use stratum_core::resource::{Instance, Opaque};
use stratum_core::value::Record;

use crate::schema::{attributes, optional, required};

/// The types and what each is.
const TYPES: [(&str, &str); 8] = [
    ("secret", "A sealed value, by the version that is in force."),
    ("pipeline", "An agent pipeline, registered by its digest."),
    ("form", "A form, registered by its digest."),
    ("note", "A knowledge node: a note."),
    ("decision", "A knowledge node: a decision."),
    ("guideline", "A knowledge node: a guideline."),
    ("pattern", "A knowledge node: a pattern."),
    ("journal", "A knowledge node: a journal."),
];

/// Remembers attributes as they are given.
///
/// *Guarantees*: touches nothing outside the state; every call may be repeated.
#[derive(Debug)]
pub struct RegistryProvider {
    schema: ProviderSchema,
}

impl RegistryProvider {
    /// Makes the provider.
    pub fn new() -> Result<Self, IdError> {
        let types = TYPES
            .iter()
            .map(|(name, doc)| Ok((TypeName::new(*name)?, registered(doc))))
            .collect::<Result<_, IdError>>()?;
        Ok(Self {
            schema: ProviderSchema {
                provider: ProviderName::new("registry")?,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                types,
            },
        })
    }
}

fn registered(doc: &str) -> TypeSchema {
    TypeSchema {
        doc: doc.to_owned(),
        version: 1,
        effect: Effect::StateOnly,
        place: None,
        attributes: registered_attributes(),
    }
}

fn registered_attributes() -> BTreeMap<String, AttributeSchema> {
    attributes([
        (
            "digest",
            required("The digest of the content.", ValueType::Any),
        ),
        ("path", optional("The file.", ValueType::Any)),
        ("title", optional("The title.", ValueType::Any)),
        ("version", optional("The version.", ValueType::Any)),
        ("id", optional("The id in the file.", ValueType::Any)),
        ("key", optional("The key within the file.", ValueType::Any)),
        ("name", optional("The name in the file.", ValueType::Any)),
        ("type", optional("The type in the file.", ValueType::Any)),
        ("status", optional("The status.", ValueType::Any)),
        ("date", optional("The date.", ValueType::Any)),
        ("tags", optional("The tags.", ValueType::Any)),
        ("intent", optional("What it is for.", ValueType::Any)),
        ("description", optional("What it is.", ValueType::Any)),
        ("relations", optional("What it relates to.", ValueType::Any)),
    ])
}

fn instance(attributes: Option<&Record>) -> Option<Instance> {
    attributes.map(|attributes| Instance {
        attributes: attributes.clone(),
        private: Opaque::default(),
    })
}

#[async_trait]
impl Provider for RegistryProvider {
    fn schema(&self) -> &ProviderSchema {
        &self.schema
    }

    fn validate(&self, _: &TypeName, _: &Record) -> Vec<Complaint> {
        Vec::new()
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        Ok(Reading::There(call.known.clone()))
    }

    async fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        Ok(Proposal {
            planned: call.desired.cloned().unwrap_or_default(),
            replace: Vec::new(),
            reversibility: Reversibility::Reversible,
            ..Proposal::default()
        })
    }

    async fn checkpoint(&self, _: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        Ok(Opaque::default())
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        Ok(instance(call.planned))
    }

    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let before = call.checkpoint.before.as_ref();
        Ok(before.map(|before| before.instance.clone()))
    }

    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        Ok(Located::Done(instance(call.planned)))
    }

    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        Err(ProviderError::input(format!(
            "`{}` lives in the repository, so there is nothing to adopt as `{}`",
            call.call.address, call.id
        )))
    }
}
