//! What the state holds at rest: wrapped under the data key, while there is one.
//!
//! *Shape*: what may hold a secret is taken out of the JSON of a row and replaced by one key,
//! `$wrapped`: the base64 of the wrapped JSON. Addresses, types, conditions, actions and times
//! stay readable, so that commands that have no key show what they can.
//!
//! | row | what is wrapped |
//! | --- | --- |
//! | state of a resource | `instance` |
//! | event `begun` | `checkpoint` |
//! | plan | of each step `prior`, `desired`, `planned`, `private`, `kept`, `changes`; all of `drifted` |
//! | observation | `report` |
//!
//! An observation also has `same`, the mark of what it holds, so that equal ones stay equal.
//!
//! *Guarantees*: a row is bound to its address or run.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use stratum_core::ids::{Address, RunId};
use stratum_core::journal::Event;
use stratum_core::ports::{AtRest, NoSecrets, SecretError, StoreError};
use stratum_core::resource::ResourceState;
use stratum_core::run::Run;

use crate::error::{Failure, from_json, to_json, unreadable};

/// The key that stands for what was taken out.
pub(crate) const MARK: &str = "$wrapped";

/// The mark as it stands in the text of a row that has something wrapped; never within a string.
const MARKED: &str = "\"$wrapped\":\"";

/// What of a step may hold a secret.
const STEP: [&str; 6] = ["prior", "desired", "planned", "private", "kept", "changes"];

/// Wraps and unwraps rows.
#[derive(Clone)]
pub(crate) struct Rest(Arc<dyn AtRest>);

impl Default for Rest {
    fn default() -> Self {
        Self(Arc::new(NoSecrets))
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rest").field(&self.0.key()).finish()
    }
}

/// A row, and whether something of it could not be read because there is no key.
pub(crate) struct Read<T> {
    pub(crate) value: T,
    pub(crate) sealed: Option<String>,
}

impl<T> Read<T> {
    /// The value, unless something of it is missing.
    pub(crate) fn whole(self) -> Result<T, Failure> {
        match self.sealed {
            None => Ok(self.value),
            Some(why) => Err(Failure::Refused(StoreError::Sealed { why })),
        }
    }
}

impl Rest {
    pub(crate) fn new(at_rest: Arc<dyn AtRest>) -> Self {
        Self(at_rest)
    }

    /// The key that rows are wrapped under now.
    pub(crate) fn key(&self) -> Option<String> {
        self.0.key()
    }

    /// The row of a resource.
    pub(crate) fn state(&self, state: &ResourceState) -> Result<String, Failure> {
        self.write(state, |rest, row| {
            rest.field(row, "instance", &state_context(&state.address))
        })
    }

    /// A resource from its row.
    pub(crate) fn read_state(
        &self,
        address: &str,
        text: &str,
    ) -> Result<Read<ResourceState>, Failure> {
        self.read(
            text,
            || format!("the state of `{address}`"),
            |rest, row| {
                rest.unfield(
                    row,
                    "instance",
                    &format!("state {address}"),
                    json!({ "attributes": {} }),
                )
            },
        )
    }

    /// The row of an event.
    pub(crate) fn event(&self, run: &RunId, event: &Event) -> Result<String, Failure> {
        if !matches!(event, Event::Begun { .. }) {
            return to_json(event);
        }
        self.write(event, |rest, row| {
            rest.field(row, "checkpoint", &format!("event {run}"))
        })
    }

    /// An event from its row.
    pub(crate) fn read_event(
        &self,
        run: &str,
        text: &str,
        what: impl FnOnce() -> String,
    ) -> Result<Read<Event>, Failure> {
        let nothing = json!({ "before": null });
        self.read(text, what, |rest, row| {
            rest.unfield(row, "checkpoint", &format!("event {run}"), nothing)
        })
    }

    /// The text of a run with its plan.
    pub(crate) fn run(&self, run: &Run) -> Result<String, Failure> {
        self.write(run, |rest, row| rest.plan(row, run.id.as_str()))
    }

    /// A run, or a part of it, from its text.
    pub(crate) fn read_run<T: DeserializeOwned>(
        &self,
        id: &str,
        text: &str,
    ) -> Result<Read<T>, Failure> {
        self.read(
            text,
            || format!("the plan of run `{id}`"),
            |rest, row| rest.unplan(row, id),
        )
    }

    /// The row of an observation.
    pub(crate) fn seen(&self, address: &Address, seen: &impl Serialize) -> Result<String, Failure> {
        self.write(seen, |rest, row| {
            let plain = serde_json::to_vec(row).map_err(Failure::Value)?;
            let mark = rest.0.marker().and_then(|marker| marker.mark(&plain));
            let mark = mark.map_err(refused)?;
            rest.field(row, "report", &format!("seen {address}"))?;
            if let Some(row) = row.as_object_mut() {
                row.insert("same".to_owned(), Value::String(mark));
            }
            Ok(())
        })
    }

    /// An observation from its row.
    pub(crate) fn read_seen<T: DeserializeOwned>(
        &self,
        address: &str,
        text: &str,
        what: impl FnOnce() -> String,
    ) -> Result<Read<T>, Failure> {
        let nothing = json!({ "unreadable": "the state is sealed" });
        self.read(text, what, |rest, row| {
            rest.unfield(row, "report", &format!("seen {address}"), nothing)
        })
    }

    /// A row of a table, wrapped again under the key in use.
    pub(crate) fn again(&self, table: Table, name: &str, text: &str) -> Result<String, Failure> {
        let mut row: Value = from_json(text, || format!("a row of `{name}`"))?;
        let (field, context) = match table {
            Table::Resources => ("instance", format!("state {name}")),
            Table::Events => ("checkpoint", format!("event {name}")),
            Table::Observations => ("report", format!("seen {name}")),
            Table::Plans => {
                if let Some(why) = self.unplan(&mut row, name)? {
                    return Err(Failure::Refused(StoreError::Sealed { why }));
                }
                self.plan(&mut row, name)?;
                return to_json(&row);
            }
        };
        if let Some(why) = self.unfield(&mut row, field, &context, Value::Null)? {
            return Err(Failure::Refused(StoreError::Sealed { why }));
        }
        self.field(&mut row, field, &context)?;
        to_json(&row)
    }

    /// Wrapped bytes, wrapped again under the key in use.
    pub(crate) fn rewrap(&self, context: &str, wrapped: &[u8]) -> Result<Vec<u8>, Failure> {
        let plain = self.0.unwrap(context, wrapped).map_err(refused)?;
        self.0.wrap(context, plain.expose()).map_err(refused)
    }

    fn write<T: Serialize>(
        &self,
        value: &T,
        wrap: impl FnOnce(&Self, &mut Value) -> Result<(), Failure>,
    ) -> Result<String, Failure> {
        if self.0.key().is_none() {
            return to_json(value);
        }
        let mut row = serde_json::to_value(value).map_err(Failure::Value)?;
        wrap(self, &mut row)?;
        to_json(&row)
    }

    fn read<T: DeserializeOwned>(
        &self,
        text: &str,
        what: impl FnOnce() -> String,
        unwrap: impl FnOnce(&Self, &mut Value) -> Result<Option<String>, Failure>,
    ) -> Result<Read<T>, Failure> {
        if !text.contains(MARKED) {
            let value = from_json(text, what)?;
            return Ok(Read {
                value,
                sealed: None,
            });
        }
        let what = what();
        let mut row: Value = from_json(text, || what.clone())?;
        let sealed = unwrap(self, &mut row)?;
        let value = serde_json::from_value(row).map_err(|source| unreadable(what, source))?;
        Ok(Read { value, sealed })
    }

    fn wrap(&self, context: &str, value: &Value) -> Result<Value, Failure> {
        let plain = serde_json::to_vec(value).map_err(Failure::Value)?;
        let wrapped = self.0.wrap(context, &plain).map_err(refused)?;
        let key = self.0.key();
        Ok(json!({ MARK: STANDARD.encode(wrapped), "key": key }))
    }

    /// What was wrapped; or why it cannot be read, because there is no key.
    fn unwrap(
        &self,
        context: &str,
        wrapped: &Value,
    ) -> Result<Option<Result<Value, String>>, Failure> {
        let Some(text) = wrapped.get(MARK).and_then(Value::as_str) else {
            return Ok(None);
        };
        let damaged = |why: String| unreadable(context.to_owned(), why);
        let bytes = STANDARD
            .decode(text)
            .map_err(|error| damaged(error.to_string()))?;
        match self.0.unwrap(context, &bytes) {
            Ok(plain) => serde_json::from_slice(plain.expose())
                .map(|value| Some(Ok(value)))
                .map_err(|error| damaged(error.to_string())),
            Err(SecretError::Sealed(why)) => Ok(Some(Err(why))),
            Err(error) => Err(damaged(error.to_string())),
        }
    }

    fn field(&self, row: &mut Value, name: &str, context: &str) -> Result<(), Failure> {
        if let Some(field) = row.get_mut(name) {
            *field = self.wrap(context, field)?;
        }
        Ok(())
    }

    fn unfield(
        &self,
        row: &mut Value,
        name: &str,
        context: &str,
        instead: Value,
    ) -> Result<Option<String>, Failure> {
        let Some(field) = row.get_mut(name) else {
            return Ok(None);
        };
        let (value, sealed) = match self.unwrap(context, field)? {
            None => return Ok(None),
            Some(Ok(value)) => (value, None),
            Some(Err(why)) => (instead, Some(why)),
        };
        *field = value;
        Ok(sealed)
    }

    fn plan(&self, row: &mut Value, run: &str) -> Result<(), Failure> {
        let Some(plan) = row.get_mut("plan").and_then(Value::as_object_mut) else {
            return Ok(());
        };
        let mut parts = Vec::new();
        for step in plan
            .get_mut("steps")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let step = step.as_object_mut();
            parts.push(Value::Object(step.map(taken).unwrap_or_default()));
        }
        let drifted = plan.insert("drifted".to_owned(), json!([]));
        let inner = json!({ "steps": parts, "drifted": drifted });
        let wrapped = self.wrap(&format!("plan {run}"), &inner)?;
        plan.insert(
            MARK.to_owned(),
            wrapped.get(MARK).cloned().unwrap_or_default(),
        );
        plan.insert(
            "key".to_owned(),
            wrapped.get("key").cloned().unwrap_or_default(),
        );
        Ok(())
    }

    fn unplan(&self, row: &mut Value, run: &str) -> Result<Option<String>, Failure> {
        let Some(plan) = row.get_mut("plan") else {
            return Ok(None);
        };
        let inner = match self.unwrap(&format!("plan {run}"), plan)? {
            None => return Ok(None),
            Some(Err(why)) => return Ok(Some(why)),
            Some(Ok(inner)) => inner,
        };
        let Some(plan) = plan.as_object_mut() else {
            return Ok(None);
        };
        plan.remove(MARK);
        plan.remove("key");
        let (steps, drifted) = (inner.get("steps"), inner.get("drifted"));
        plan.insert("drifted".to_owned(), drifted.cloned().unwrap_or_default());
        let parts = steps.and_then(Value::as_array).into_iter().flatten();
        let steps = plan.get_mut("steps").and_then(Value::as_array_mut);
        for (step, part) in steps.into_iter().flatten().zip(parts) {
            if let (Some(step), Some(part)) = (step.as_object_mut(), part.as_object()) {
                step.extend(part.clone());
            }
        }
        Ok(None)
    }
}

/// The tables with wrapped rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// States of resources.
    Resources,
    /// Events.
    Events,
    /// Plans.
    Plans,
    /// Observations.
    Observations,
}

impl Table {
    /// Its name in the table of marks.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Resources => "resources",
            Self::Events => "events",
            Self::Plans => "plans",
            Self::Observations => "observations",
        }
    }
}

fn taken(step: &mut Map<String, Value>) -> Map<String, Value> {
    STEP.iter()
        .filter_map(|name| Some(((*name).to_owned(), step.remove(*name)?)))
        .collect()
}

fn state_context(address: &Address) -> String {
    format!("state {address}")
}

fn refused(error: SecretError) -> Failure {
    match error {
        SecretError::Sealed(why) => Failure::Refused(StoreError::Sealed { why }),
        other => Failure::Refused(StoreError::Database {
            doing: "wrapping what the state holds",
            source: Box::new(other),
        }),
    }
}
