//! What a provider promises about its answers, sentence by sentence, and whether it kept to it.
//!
//! What a provider answers is data: it never becomes a secret, a reference or an unknown that the
//! plan did not have at that path.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::ids::Address;
use crate::ports::{AttributeSchema, Listed, Located, Proposal, Reading, TypeSchema};
use crate::resource::Instance;
use crate::value::{Path, Record, Value};

/// The sentence of the contract that a provider broke.
///
/// *Guarantees*: holds names and paths only, never a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Breach {
    /// It brought in a secret.
    #[error(
        "the provider broke its contract: it answered a secret at `{0}` that the plan does not have there"
    )]
    Secret(Path),
    /// It answered something that is no data.
    #[error(
        "the provider broke its contract: what it answered at `{0}` is not known, and all must be"
    )]
    NotData(Path),
    /// It made something else.
    #[error("the provider broke its contract: it made another `{0}` than it planned")]
    Departed(Path),
    /// It kept what is only written.
    #[error("the provider broke its contract: it keeps `{0}`, which is only written")]
    Kept(Path),
    /// It did not take it away.
    #[error("the provider broke its contract: it is still there after it was taken away")]
    StillThere,
    /// It did not make it.
    #[error("the provider broke its contract: it answered that what it made is gone")]
    Vanished,
    /// It planned something else than what is wanted.
    #[error("the provider broke its contract: it planned another `{0}` than what is wanted")]
    PlannedOther(Path),
    /// It planned a value of its own that is no data.
    #[error(
        "the provider broke its contract: it planned a secret or a reference at `{0}` that nobody named"
    )]
    PlannedForeign(Path),
    /// It planned something for what goes.
    #[error("the provider broke its contract: it planned `{0}` of something that is taken away")]
    PlannedGone(Path),
    /// It put back something else.
    #[error("the provider broke its contract: it put back another `{0}` than there was before")]
    RestoredOther(Path),
    /// It did not put anything back.
    #[error("the provider broke its contract: it answered that what it put back is gone")]
    RestoredNothing,
    /// It moved what it was asked to read.
    #[error(
        "the provider broke its contract: it now plans another `{0}` than when the plan was made"
    )]
    PlansOther(Path),
    /// It listed something that nobody asked for.
    #[error("the provider broke its contract: it listed {0}")]
    Listed(&'static str),
    /// It would replace what it said it would change.
    #[error(
        "the provider broke its contract: now that its inputs are known, `{0}` would need a replacement"
    )]
    Replaces(Path),
}

impl Breach {
    /// Whether it is tolerated, with a warning, of a provider that says that its type system is an
    /// old one.
    pub fn is_legacy(&self) -> bool {
        match self {
            Self::Departed(_) | Self::PlannedOther(_) | Self::PlansOther(_) => true,
            Self::Secret(_)
            | Self::NotData(_)
            | Self::Kept(_)
            | Self::StillThere
            | Self::Vanished
            | Self::PlannedForeign(_)
            | Self::PlannedGone(_)
            | Self::RestoredOther(_)
            | Self::RestoredNothing
            | Self::Listed(_)
            | Self::Replaces(_) => false,
        }
    }
}

/// Whether an instance holds only data, and the secrets that stand at the same paths in `planned`.
pub fn only_data(planned: &Record, instance: &Instance) -> Result<(), Breach> {
    let mut attributes = instance.attributes.iter();
    attributes.try_for_each(|(name, value)| data(&Path::of(name), planned.get(name), value))
}

/// The instance without the attributes in which [`only_data`] finds something.
pub fn cleaned(planned: &Record, mut instance: Instance) -> Instance {
    instance
        .attributes
        .retain(|name, value| data(&Path::of(name), planned.get(name), value).is_ok());
    instance
}

fn data(path: &Path, planned: Option<&Value>, later: &Value) -> Result<(), Breach> {
    match later {
        Value::Secret(secret) => match planned {
            Some(Value::Secret(named)) if named.refined_by(secret) && secret.digest.is_some() => {
                Ok(())
            }
            // What stands for another content than the secret names none, and opens nothing.
            Some(planned) if secret.path.is_empty() && planned.holds_secret() => Ok(()),
            Some(_) | None => Err(Breach::Secret(path.clone())),
        },
        Value::Join(_) => match planned {
            Some(planned) if planned.refined_by(later) && later.is_known() => Ok(()),
            Some(_) | None if later.holds_secret() => Err(Breach::Secret(path.clone())),
            Some(_) | None => Err(Breach::NotData(path.clone())),
        },
        Value::Unknown | Value::Reference(_) => Err(Breach::NotData(path.clone())),
        Value::List(items) => {
            let planned = |index| match planned {
                Some(Value::List(planned)) => planned.get(index),
                _ => None,
            };
            let mut items = items.iter().enumerate();
            items.try_for_each(|(index, item)| data(&path.index(index), planned(index), item))
        }
        Value::Set(items) => {
            let planned = |item: &Value| match planned {
                Some(Value::Set(planned)) => planned.iter().find(|one| one.refined_by(item)),
                _ => None,
            };
            let mut items = items.iter();
            items.try_for_each(|item| data(path, planned(item), item))
        }
        Value::Record(record) => {
            let planned = planned.and_then(Value::as_record);
            let mut fields = record.iter();
            fields.try_for_each(|(key, value)| {
                let planned = planned.and_then(|planned| planned.get(key));
                data(&path.key(key), planned, value)
            })
        }
        Value::Typed(typed) => {
            let planned = match planned {
                Some(Value::Typed(planned)) => Some(&planned.value),
                _ => None,
            };
            data(path, planned, &typed.value)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => Ok(()),
    }
}

/// Whether a proposal keeps to what is wanted, and brings in nothing of its own but unknowns and
/// data.
pub fn proposed(
    proposal: &Proposal,
    desired: Option<&Record>,
    prior: Option<&Record>,
    schema: Option<&TypeSchema>,
) -> Result<(), Breach> {
    let empty = Record::new();
    let prior = prior.unwrap_or(&empty);
    let Some(desired) = desired else {
        let planned = proposal.planned.keys().next();
        return planned.map_or(Ok(()), |name| Err(Breach::PlannedGone(Path::of(name))));
    };
    let named = Named::of([desired, prior]);
    for (name, value) in &proposal.planned {
        let attribute = schema.and_then(|schema| schema.attributes.get(name));
        let makes = attribute.is_some_and(|attribute| attribute.sealed);
        if !makes && !named.has_all_of(value) {
            return Err(Breach::PlannedForeign(Path::of(name)));
        }
    }
    if proposal.legacy {
        return Ok(());
    }
    let unkept = |name: &str| {
        let attribute = schema.and_then(|schema| schema.attributes.get(name));
        attribute.is_some_and(|attribute| attribute.write_only)
    };
    if let Some(name) = proposal
        .planned
        .keys()
        .find(|name| unkept(name) && proposal.planned.get(*name) != Some(&Value::Null))
    {
        return Err(Breach::Kept(Path::of(name)));
    }
    let departs = |(name, wanted): &(&String, &Value)| {
        if unkept(name) {
            return false;
        }
        let planned = proposal.planned.get(*name).unwrap_or(&Value::Null);
        **wanted != Value::Null && !wanted.refined_by(planned) && prior.get(*name) != Some(planned)
    };
    match desired.iter().find(departs) {
        Some((name, _)) => Err(Breach::PlannedOther(Path::of(name))),
        None => Ok(()),
    }
}

/// The secrets, references and joins that records name.
struct Named<'a>(Vec<&'a Value>);

impl<'a> Named<'a> {
    fn of(records: [&'a Record; 2]) -> Self {
        let mut found = Vec::new();
        for value in records.into_iter().flat_map(BTreeMap::values) {
            gather(value, &mut found);
        }
        Self(found)
    }

    fn has_all_of(&self, value: &Value) -> bool {
        match value {
            Value::Secret(_) | Value::Reference(_) | Value::Join(_) => {
                self.0.iter().any(|named| named.refined_by(value))
            }
            _ => value.children().all(|child| self.has_all_of(child)),
        }
    }
}

fn gather<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    if matches!(
        value,
        Value::Secret(_) | Value::Reference(_) | Value::Join(_)
    ) {
        found.push(value);
    }
    value.children().for_each(|child| gather(child, found));
}

/// Whether a provider made what it planned.
pub fn made(
    planned: Option<&Record>,
    instance: Option<&Instance>,
    schema: Option<&TypeSchema>,
) -> Result<(), Breach> {
    match (planned, instance) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(Breach::StillThere),
        (Some(_), None) => Err(Breach::Vanished),
        (Some(planned), Some(instance)) => {
            only_data(planned, instance)?;
            match departure(planned, &instance.attributes, schema) {
                None => Ok(()),
                Some(path) => Err(Breach::Departed(path)),
            }
        }
    }
}

/// Whether a provider lists what it may.
pub fn listed(listed: &Listed, known: &[(Address, Instance)], most: usize) -> Result<(), Breach> {
    let there = &listed.there;
    if there.len() > most {
        return Err(Breach::Listed("more than was asked for"));
    }
    if there
        .windows(2)
        .any(|two| matches!(two, [one, next] if one.id >= next.id))
    {
        return Err(Breach::Listed("one thing twice, or not sorted by id"));
    }
    let is_known = |address: &Address| known.iter().any(|(known, _)| known == address);
    let named: Vec<&Address> = there
        .iter()
        .filter_map(|found| found.known.as_ref())
        .collect();
    if !named.iter().all(|address| is_known(address)) {
        return Err(Breach::Listed("as known what the state does not have"));
    }
    Ok(())
}

/// Whether a provider says of a lost step what it may.
pub fn located(
    planned: Option<&Record>,
    located: &Located,
    schema: Option<&TypeSchema>,
) -> Result<(), Breach> {
    match located {
        Located::Done(instance) => made(planned, instance.as_ref(), schema),
        Located::NotDone | Located::CannotTell(_) => Ok(()),
    }
}

/// Whether what a provider read is data.
pub fn read(known: &Record, reading: &Reading) -> Result<(), Breach> {
    match reading {
        Reading::There(instance) | Reading::Stopped { instance, .. } => only_data(known, instance),
        Reading::Gone => Ok(()),
    }
}

/// Whether an upgraded state holds data, and only the secrets that it held before.
pub fn upgraded(stored: &Record, instance: &Instance) -> Result<(), Breach> {
    let empty = Record::new();
    let named = Named::of([stored, &empty]);
    for (name, value) in &instance.attributes {
        if !named.has_all_of(value) {
            return Err(Breach::Secret(Path::of(name)));
        }
        if !value.is_known() {
            return Err(Breach::NotData(Path::of(name)));
        }
    }
    Ok(())
}

/// Whether what was fetched is data, and what was asked for is in it as it was asked.
pub fn fetched(config: &Record, instance: &Instance) -> Result<(), Breach> {
    only_data(config, instance)?;
    let other = |(name, value): &(&String, &Value)| {
        **value != Value::Null && instance.attributes.get(*name) != Some(*value)
    };
    match config.iter().find(other) {
        Some((name, _)) => Err(Breach::Departed(Path::of(name))),
        None => Ok(()),
    }
}

/// Whether a provider put back what there was before; what it computes may be another.
pub fn restored(
    before: Option<&Record>,
    instance: Option<&Instance>,
    schema: Option<&TypeSchema>,
) -> Result<(), Breach> {
    let (before, instance) = match (before, instance) {
        (None, None) => return Ok(()),
        (None, Some(_)) => return Err(Breach::StillThere),
        (Some(_), None) => return Err(Breach::RestoredNothing),
        (Some(before), Some(instance)) => (before, instance),
    };
    only_data(before, instance)?;
    let settable = |name: &&String| {
        let known = schema.and_then(|schema| schema.attributes.get(*name));
        known.is_none_or(|attribute| attribute.settable)
    };
    let other = |name: &&String| {
        let null = Value::Null;
        let now = instance.attributes.get(*name).unwrap_or(&null);
        before.get(*name).unwrap_or(&null) != now
    };
    let names = before.keys().chain(instance.attributes.keys());
    match names.filter(settable).find(other) {
        Some(name) => Err(Breach::RestoredOther(Path::of(name))),
        None => Ok(()),
    }
}

/// The first value in which `later` is not `planned` with its unknowns filled in. What a provider
/// computes, and did not plan at all, may appear.
pub fn departure(planned: &Record, later: &Record, schema: Option<&TypeSchema>) -> Option<Path> {
    let attributes = schema.map(|schema| &schema.attributes);
    departs(&Path::default(), planned, later, attributes)
}

fn departs(
    path: &Path,
    planned: &Record,
    later: &Record,
    schema: Option<&BTreeMap<String, AttributeSchema>>,
) -> Option<Path> {
    let names = planned.keys().chain(later.keys());
    for name in names {
        let attribute = schema.and_then(|schema| schema.get(name));
        let (was, is) = (planned.get(name), later.get(name));
        let is = is.unwrap_or(&Value::Null);
        let may_appear = attribute.is_some_and(|attribute| attribute.computed);
        match (was, is) {
            (None, _) if may_appear => {}
            (Some(Value::Record(was)), Value::Record(is)) => {
                let fields = attribute.and_then(AttributeSchema::fields);
                if let Some(path) = departs(&path.key(name), was, is, fields) {
                    return Some(path);
                }
            }
            (was, is) if was.unwrap_or(&Value::Null).refined_by(is) => {}
            _ => return Some(path.key(name)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::{SecretReference, stored};

    fn record(text: &str) -> Record {
        stored::record(text).unwrap()
    }

    fn instance(text: &str) -> Instance {
        Instance {
            attributes: record(text),
            ..Instance::default()
        }
    }

    const SECRET: &str = r#"{"$stratum":{"secret":{"path":"db","key":"password","version":1,"digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}}"#;

    fn with(secret: &str) -> String {
        secret.replace('@', SECRET)
    }

    #[test]
    fn a_secret_stays_at_its_path() {
        let planned = record(&with(
            r#"{"env":{"A":@,"B":"x"},"output":{"$stratum":"unknown"}}"#,
        ));
        let same = instance(&with(r#"{"env":{"A":@,"B":"x"},"output":"done"}"#));
        assert_eq!(made(Some(&planned), Some(&same), None), Ok(()));
        for (answer, path) in [
            (r#"{"env":{"A":@,"B":"x"},"output":@}"#, "output"),
            (
                r#"{"env":{"A":@,"B":"x"},"output":{"deep":[1,@]}}"#,
                "output.deep[1]",
            ),
            (r#"{"env":{"A":@,"B":@},"output":"done"}"#, "env.B"),
        ] {
            let answer = instance(&with(answer));
            let breach = Breach::Secret(Path(path.to_owned()));
            assert_eq!(made(Some(&planned), Some(&answer), None), Err(breach));
            let clean = cleaned(&planned, answer);
            assert_eq!(only_data(&planned, &clean), Ok(()));
        }
    }

    #[test]
    fn nothing_that_is_not_data_comes_back() {
        let planned = record(r#"{"output":{"$stratum":"unknown"}}"#);
        for answer in [
            r#"{"output":{"$stratum":"unknown"}}"#,
            r#"{"output":[{"$stratum":{"reference":{"resource":"t.a","path":"id"}}}]}"#,
            r#"{"output":{"$stratum":{"join":["x",{"$stratum":"unknown"}]}}}"#,
        ] {
            let made = made(Some(&planned), Some(&instance(answer)), None);
            assert!(
                matches!(made, Err(Breach::NotData(_))),
                "{answer}: {made:?}"
            );
        }
    }

    #[test]
    fn a_plan_names_no_secret_that_nobody_named() {
        let propose = |planned: &str| Proposal {
            planned: record(&with(planned)),
            ..Proposal::default()
        };
        let desired = record(&with(r#"{"input":@,"name":"a"}"#));
        let ask = |planned: &str| proposed(&propose(planned), Some(&desired), None, None);
        assert_eq!(ask(r#"{"input":@,"name":"a","output":@}"#), Ok(()));
        let other =
            r#"{"input":@,"name":"a","output":{"$stratum":{"secret":{"path":"other","key":"k"}}}}"#;
        assert_eq!(ask(other), Err(Breach::PlannedForeign(Path::of("output"))));
        assert_eq!(
            ask(r#"{"input":@,"name":"b"}"#),
            Err(Breach::PlannedOther(Path::of("name")))
        );
        let gone = proposed(&propose(r#"{"name":"a"}"#), None, Some(&desired), None);
        assert_eq!(gone, Err(Breach::PlannedGone(Path::of("name"))));
    }

    #[test]
    fn what_was_put_back_is_what_there_was() {
        let before = record(r#"{"name":"a"}"#);
        let there = instance(r#"{"name":"b"}"#);
        let other = Breach::RestoredOther(Path::of("name"));
        assert_eq!(restored(Some(&before), Some(&there), None), Err(other));
        assert_eq!(
            restored(Some(&before), None, None),
            Err(Breach::RestoredNothing)
        );
        assert_eq!(restored(None, Some(&there), None), Err(Breach::StillThere));
        assert_eq!(restored(None, None, None), Ok(()));
    }

    proptest! {
        #[test]
        fn no_text_of_a_program_gets_past_with_a_secret(text in ".{0,120}") {
            let planned = record(r#"{"output":{"$stratum":"unknown"}}"#);
            let output = Value::from_text(&text).unwrap_or_else(|_| Value::text(text.clone()));
            let answer = Instance {
                attributes: [("output".to_owned(), output)].into(),
                ..Instance::default()
            };
            prop_assert_eq!(made(Some(&planned), Some(&answer), None), Ok(()));
            prop_assert!(!answer.attributes.values().any(Value::holds_secret));
        }
    }

    #[test]
    fn a_mark_of_other_content_opens_nothing() {
        let known = record(&with(r#"{"content":@}"#));
        let mark = Value::secret(SecretReference {
            path: String::new(),
            key: String::new(),
            version: None,
            digest: None,
        });
        let seen = |name: &str| {
            Reading::There(Instance {
                attributes: [(name.to_owned(), mark.clone())].into(),
                ..Instance::default()
            })
        };
        assert_eq!(read(&known, &seen("content")), Ok(()));
        assert_eq!(
            read(&known, &seen("path")),
            Err(Breach::Secret(Path::of("path")))
        );
    }
}
