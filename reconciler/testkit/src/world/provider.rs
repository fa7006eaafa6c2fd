//! The provider of a [`World`](super::World).

use std::collections::BTreeMap;

use async_trait::async_trait;
use stratum_core::ids::{IdError, ProviderName, Token, TypeName};
use stratum_core::plan::Reversibility;
use stratum_core::ports::{
    ApplyCall, ApplyError, AttributeSchema, Call, CheckpointCall, Diagnostic, Effect, Found,
    ImportCall, ListCall, Listed, LocateCall, Located, PlanCall, Proposal, Provider, ProviderError,
    ProviderSchema, ReadCall, Reading, RestoreCall, Severity, TypeSchema, ValueType,
};
use stratum_core::resource::{Instance, Opaque};
use stratum_core::value::{Path, Record, Value};

use super::{Fault, Lie, Operation, World};

/// The provider `memory` with the type `memory_thing`: `value` (anything), `fixed` (replaces),
/// and the computed `id`.
#[derive(Debug)]
pub struct MemoryProvider {
    schema: ProviderSchema,
    world: World,
}

impl MemoryProvider {
    /// A provider of this world.
    pub fn new(world: World) -> Result<Self, IdError> {
        let thing = TypeSchema {
            doc: "A thing in memory.".to_owned(),
            version: 1,
            effect: Effect::World,
            place: None,
            twice: false,
            reads: false,
            timeouts: Default::default(),
            attributes: attributes(),
        };
        let schema = ProviderSchema {
            provider: ProviderName::new("memory")?,
            version: "1".to_owned(),
            types: BTreeMap::from([(TypeName::new("memory_thing")?, thing)]),
        };
        Ok(Self { schema, world })
    }

    /// Its world.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Meets what goes wrong in a call that changes nothing; answers the lie it is to tell.
    async fn ask(
        &self,
        call: Call<'_>,
        operation: Operation,
    ) -> Result<Option<Lie>, ProviderError> {
        match self.world.meet(call.address, operation) {
            None | Some(Fault::CannotTell | Fault::Fine) => Ok(None),
            Some(Fault::Lie(lie)) => Ok(Some(lie)),
            Some(Fault::FailBefore | Fault::FailUnknown | Fault::FailAfter) => Err(
                ProviderError::later(format!("{operation:?} was ordered to fail")),
            ),
            Some(Fault::Hang | Fault::LoseAnswer) => std::future::pending().await,
            Some(Fault::Panic) => breaks_off(),
        }
    }

    /// Changes the world, unless something goes wrong; answers the lie it is to tell.
    async fn change(
        &self,
        call: Call<'_>,
        operation: Operation,
        token: &Token,
        after: Option<Record>,
    ) -> Result<Option<Lie>, ApplyError> {
        let failed = || ApplyError::unknown(format!("{operation:?} was ordered to fail"));
        let fault = self.world.meet(call.address, operation);
        match &fault {
            Some(Fault::FailBefore) => {
                return Err(ApplyError::nothing_happened("it was ordered to fail"));
            }
            Some(Fault::FailUnknown) => return Err(failed()),
            Some(Fault::Hang) => return std::future::pending().await,
            Some(Fault::Panic) => breaks_off(),
            None
            | Some(
                Fault::FailAfter
                | Fault::LoseAnswer
                | Fault::CannotTell
                | Fault::Fine
                | Fault::Lie(_),
            ) => {}
        }
        self.world.make(call.address, operation, token, after);
        match fault {
            Some(Fault::FailAfter) => Err(failed()),
            Some(Fault::LoseAnswer) => std::future::pending().await,
            Some(Fault::Lie(Lie::FailsWithSecret)) => Err(ApplyError {
                known: Lie::FailsWithSecret.instead_of(Some(Instance::default())),
                ..failed()
            }),
            Some(Fault::Lie(lie)) => Ok(Some(lie)),
            _ => Ok(None),
        }
    }
}

/// Panics, without a word on the terminal: it is wanted.
fn breaks_off() -> ! {
    std::panic::resume_unwind(Box::new("a defect, on order"))
}

fn attributes() -> BTreeMap<String, AttributeSchema> {
    let attribute = |doc: &str, computed, replaces| AttributeSchema {
        doc: doc.to_owned(),
        r#type: ValueType::Any,
        required: false,
        computed,
        settable: !computed,
        sensitive: false,
        sealed: false,
        write_only: false,
        replaces,
        default: None,
    };
    BTreeMap::from([
        ("value".to_owned(), attribute("Anything.", false, false)),
        (
            "fixed".to_owned(),
            attribute("Anything; replaces.", false, true),
        ),
        (
            "id".to_owned(),
            attribute("An id, new for each create.", true, false),
        ),
    ])
}

fn instance(attributes: Record) -> Instance {
    Instance {
        attributes,
        private: Opaque::default(),
        due: None,
    }
}

fn told(lie: Option<Lie>, truth: Option<Instance>) -> Option<Instance> {
    match lie {
        Some(lie) => lie.instead_of(truth),
        None => truth,
    }
}

/// What is planned, with its id: the prior one's, or one that follows from the token.
fn made(planned: &Record, prior: Option<&Instance>, token: &Token) -> Record {
    let mut record = planned.clone();
    let kept = prior.and_then(|prior| prior.attributes.get("id")).cloned();
    let id = kept.unwrap_or_else(|| Value::text(token.as_str()));
    record.insert("id".to_owned(), id);
    record
}

#[async_trait]
impl Provider for MemoryProvider {
    fn schema(&self) -> &ProviderSchema {
        &self.schema
    }

    fn validate(&self, _: &TypeName, desired: &Record) -> Vec<Diagnostic> {
        let refused = desired.get("value") == Some(&Value::text("invalid"));
        let complaint = Diagnostic {
            severity: Severity::Error,
            path: Path::of("value"),
            message: "`invalid` is the one value that is refused".to_owned(),
            hint: None,
        };
        refused.then_some(complaint).into_iter().collect()
    }

    async fn read(&self, call: ReadCall<'_>) -> Result<Reading, ProviderError> {
        let lie = self.ask(call.call, Operation::Read).await?;
        let there = self.world.thing(call.call.address).map(instance);
        Ok(told(lie, there).into())
    }

    async fn plan(&self, call: PlanCall<'_>) -> Result<Proposal, ProviderError> {
        let lie = self.ask(call.call, Operation::Plan).await?;
        let mut planned = call.desired.cloned().unwrap_or_default();
        let mut replace = Vec::new();
        if call.desired.is_some() {
            let prior = call.prior.map(|prior| &prior.attributes);
            if prior.is_some_and(|prior| prior.get("fixed") != planned.get("fixed")) {
                replace.push(Path::of("fixed"));
            }
            let kept = prior.and_then(|prior| prior.get("id")).cloned();
            planned.insert("id".to_owned(), kept.unwrap_or(Value::Unknown));
        }
        let proposal = Proposal {
            planned,
            replace,
            reversibility: Reversibility::Reversible,
            ..Proposal::default()
        };
        Ok(match lie {
            Some(lie) => lie.planned_instead_of(proposal),
            None => proposal,
        })
    }

    async fn checkpoint(&self, call: CheckpointCall<'_>) -> Result<Opaque, ProviderError> {
        let _no_lie_can_be_told_in_bytes = self.ask(call.call, Operation::Checkpoint).await?;
        let thing = self.world.thing(call.call.address).map(instance);
        let kept = serde_json::to_vec(&thing);
        kept.map(Opaque)
            .map_err(|error| ProviderError::person(error.to_string()))
    }

    async fn apply(&self, call: ApplyCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let value = call.planned.and_then(|planned| planned.get("value"));
        if value == Some(&Value::text("old")) {
            let message = "`old` will be refused one day";
            call.call
                .note(Diagnostic::warning(Path::of("value"), message));
        }
        let after = call
            .planned
            .map(|planned| made(planned, call.prior, call.token));
        let lie = self
            .change(call.call, Operation::Apply, call.token, after.clone())
            .await?;
        Ok(told(lie, after.map(instance)))
    }

    async fn restore(&self, call: RestoreCall<'_>) -> Result<Option<Instance>, ApplyError> {
        let kept: Option<Instance> = serde_json::from_slice(&call.checkpoint.kept.0)
            .map_err(|error| ApplyError::nothing_happened(error.to_string()))?;
        let kept = kept.map(|kept| kept.attributes);
        let lie = self
            .change(call.call, Operation::Restore, call.token, kept)
            .await?;
        let before = call.checkpoint.before.as_ref();
        Ok(told(lie, before.map(|before| before.instance.clone())))
    }

    async fn locate(&self, call: LocateCall<'_>) -> Result<Located, ProviderError> {
        let mut lie = None;
        match self.world.meet(call.call.address, Operation::Locate) {
            None | Some(Fault::Fine) => {}
            Some(Fault::Lie(told)) => lie = Some(told),
            Some(Fault::CannotTell) => {
                return Ok(Located::CannotTell("it was ordered not to know".to_owned()));
            }
            Some(Fault::Hang | Fault::LoseAnswer) => return std::future::pending().await,
            Some(Fault::Panic) => breaks_off(),
            Some(Fault::FailBefore | Fault::FailUnknown | Fault::FailAfter) => {
                return Err(ProviderError::later("locate was ordered to fail"));
            }
        }
        let wanted = call
            .planned
            .map(|planned| made(planned, call.prior, call.token));
        let there = self.world.thing(call.call.address);
        // What this create made carries its token, whatever someone did to it since.
        let token = Value::text(call.token.as_str());
        let own = there
            .as_ref()
            .is_some_and(|there| there.get("id") == Some(&token));
        Ok(
            if there == wanted || (own && call.prior.is_none() && wanted.is_some()) {
                Located::Done(told(lie, there.map(instance)))
            } else {
                Located::NotDone
            },
        )
    }

    async fn list(&self, call: ListCall<'_>) -> Result<Listed, ProviderError> {
        let id = |thing: &Record| thing.get("id").and_then(Value::as_text).map(str::to_owned);
        let known = |id: &str| {
            let mut all = call.known.iter();
            let found = all.find(|(_, one)| one.attributes.get("id") == Some(&Value::text(id)));
            found.map(|(address, _)| address.clone())
        };
        let mut ids: Vec<String> = self.world.things().values().filter_map(id).collect();
        ids.sort();
        let all = self.world.things().into_keys();
        let faults = all.filter_map(|address| self.world.meet(&address, Operation::List));
        if faults
            .into_iter()
            .any(|fault| fault == Fault::Lie(Lie::Twice))
        {
            ids.extend(ids.last().cloned());
        }
        let found = ids.iter().take(call.most).map(|id| Found {
            id: id.clone(),
            known: known(id),
        });
        Ok(Listed {
            there: found.collect(),
            more: ids.len() > call.most,
        })
    }

    async fn import(&self, call: ImportCall<'_>) -> Result<Instance, ProviderError> {
        let lie = self.ask(call.call, Operation::Import).await?;
        let id = Value::text(call.id);
        let things = self.world.things();
        let found = things
            .into_values()
            .find(|thing| thing.get("id") == Some(&id));
        told(lie, found.map(instance)).ok_or_else(|| {
            ProviderError::input(format!("there is no thing with the id `{}`", call.id))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use stratum_core::ids::{Address, RunId, StepId};
    use stratum_core::ports::{Certainty, NoSecrets, Site};
    use stratum_core::resource::Checkpoint;

    use super::*;
    use crate::conformance::{self, Case};

    fn address() -> Address {
        "test/memory_thing.a".parse().unwrap()
    }

    fn record(text: &str) -> Record {
        stratum_core::value::stored::record(text).unwrap()
    }

    fn site() -> Site {
        Site {
            root: "/".into(),
            roots: Vec::new(),
            own: "/nowhere".into(),
            user: None,
            isolation: None,
        }
    }

    #[tokio::test]
    async fn keeps_to_the_contract() {
        let world = World::new();
        let provider = MemoryProvider::new(world.clone()).unwrap();
        let seen = world.clone();
        let empty = world.clone();
        let sites: conformance::Sites = Arc::new(move |_| {
            empty.meddle(&address(), None);
            site()
        });
        let case = Case {
            update: Some(record(r#"{"value": {"b": 2}}"#)),
            replace: Some(record(r#"{"value": 1, "fixed": "new"}"#)),
            lists: true,
            invalid: vec![record(r#"{"value": "invalid"}"#)],
            world: Some(Arc::new(move |_| format!("{:?}", seen.things()))),
            ..Case::new("a thing", address(), record(r#"{"value": 1}"#), sites)
        };
        let failures = conformance::check(&provider, &[case]).await;
        assert!(failures.is_empty(), "{failures:#?}");
        assert!(!world.effects().is_empty());
    }

    async fn apply(provider: &MemoryProvider) -> Option<Result<Option<Instance>, ApplyError>> {
        let (address, site) = (address(), site());
        let token = Token::of(&RunId::new("run").unwrap(), StepId(0));
        let checkpoint = Checkpoint {
            before: None,
            kept: Opaque(b"null".to_vec()),
        };
        let call = Call {
            address: &address,
            site: &site,
            timeout: Duration::from_secs(1),
            secrets: &NoSecrets,
            stop: None,
            notes: None,
        };
        let planned = record(r#"{"value": 1}"#);
        let call = ApplyCall {
            call,
            token: &token,
            prior: None,
            planned: Some(&planned),
            config: Some(&planned),
            private: &Opaque::default(),
            checkpoint: &checkpoint,
        };
        tokio::time::timeout(Duration::from_millis(20), provider.apply(call))
            .await
            .ok()
    }

    #[tokio::test]
    async fn faults_are_met_once_and_leave_what_they_say() {
        let there = |world: &World| world.thing(&address()).is_some();
        for (fault, certainty, effect) in [
            (Fault::FailBefore, Some(Certainty::NothingHappened), false),
            (Fault::FailUnknown, Some(Certainty::Unknown), false),
            (Fault::FailAfter, Some(Certainty::Unknown), true),
            (Fault::LoseAnswer, None, true),
            (Fault::Hang, None, false),
        ] {
            let world = World::new();
            let provider = MemoryProvider::new(world.clone()).unwrap();
            world.inject(&address(), Operation::Apply, fault.clone());
            let answer = apply(&provider).await;
            assert_eq!(
                answer.map(|a| a.unwrap_err().certainty),
                certainty,
                "{fault:?}"
            );
            assert_eq!(there(&world), effect, "{fault:?}");
            assert!(
                apply(&provider).await.unwrap().is_ok(),
                "{fault:?} was met twice"
            );
            assert_eq!(world.doubled().len(), usize::from(effect), "{fault:?}");
        }
    }
}
