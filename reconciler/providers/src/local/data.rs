//! `local_data`: keeps what it is given; nothing outside the state.

use async_trait::async_trait;
use stratum_core::ids::Token;
use stratum_core::plan::Reversibility;
use stratum_core::ports::{
    ApplyCall, ApplyError, CheckpointCall, Complaint, Effect, ImportCall, LocateCall, Located,
    PlanCall, Proposal, ProviderError, ReadCall, Reading, RestoreCall, TypeSchema, ValueType,
};
use stratum_core::resource::{Instance, Opaque};
use stratum_core::value::{Path, Record, Value};

use super::attributes::{before, instance};
use crate::schema::{attributes, computed, optional, replacing, same};
use crate::types::ResourceType;

/// The type.
pub(crate) struct Data {
    schema: TypeSchema,
}

impl Data {
    pub(crate) fn new() -> Self {
        let triggers = optional("A change of it replaces the resource.", ValueType::Any);
        Self {
            schema: TypeSchema {
                doc: "Keeps a value in the state, for other resources to refer to.".to_owned(),
                version: 1,
                effect: Effect::StateOnly,
                place: None,
                attributes: attributes([
                    ("input", optional("The value.", ValueType::Any)),
                    ("triggers", replacing(triggers)),
                    ("output", computed("The value of `input`.", ValueType::Any)),
                    (
                        "id",
                        computed("An id, new for each create.", ValueType::Text),
                    ),
                ]),
            },
        }
    }
}

/// An id that is the same when the step is carried out again after a crash.
fn id(token: &Token) -> String {
    let digits = token.as_str();
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default().to_owned();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

fn made(planned: &Record, prior: Option<&Instance>, token: &Token) -> Instance {
    let mut record = planned.clone();
    let input = planned.get("input").cloned().unwrap_or_default();
    record.insert("output".to_owned(), input);
    let kept = prior.and_then(|prior| prior.attributes.get("id")).cloned();
    let id = kept.unwrap_or_else(|| Value::text(id(token)));
    record.insert("id".to_owned(), id);
    instance(record)
}

#[async_trait]
impl ResourceType for Data {
    fn schema(&self) -> &TypeSchema {
        &self.schema
    }

    fn validate(&self, _: &Record) -> Vec<Complaint> {
        Vec::new()
    }

    fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        let mut planned = call.desired.cloned().unwrap_or_default();
        let mut replace = Vec::new();
        if call.desired.is_some() {
            let input = planned.get("input").cloned().unwrap_or_default();
            planned.insert("output".to_owned(), input);
            let prior = call.prior.map(|prior| &prior.attributes);
            if prior.is_some_and(|prior| !same(prior, &planned, "triggers")) {
                replace.push(Path::of("triggers"));
            }
            let kept = prior.and_then(|prior| prior.get("id")).cloned();
            planned.insert("id".to_owned(), kept.unwrap_or(Value::Unknown));
        }
        Ok(Proposal {
            planned,
            replace,
            reversibility: Reversibility::Reversible,
            ..Proposal::default()
        })
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        Ok(Reading::There(call.known.clone()))
    }

    async fn checkpoint(&self, _: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        Ok(Opaque::default())
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        Ok(call
            .planned
            .map(|planned| made(planned, call.prior, call.token)))
    }

    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        Ok(before(call.checkpoint).cloned())
    }

    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        let made = call
            .planned
            .map(|planned| made(planned, call.prior, call.token));
        Ok(Located::Done(made))
    }

    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        Err(ProviderError::input(format!(
            "`{}` is kept in the state alone, so there is nothing to adopt",
            call.call.address
        )))
    }
}
