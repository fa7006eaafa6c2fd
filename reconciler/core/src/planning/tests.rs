mod drift;
mod life;
mod places;

use std::collections::BTreeMap;

use super::*;
use crate::desired::Closure;
use crate::digest::Digest;
use crate::graph::Graph;
use crate::ids::{CommitId, EnvironmentName};
use crate::kinds::Kind;
use crate::observed::Report;
use crate::plan::{Action, Reason, Reversibility};
use crate::resource::{Meta, Resource, ResourceState};
use crate::value::{Path, Reference, Value};

fn text(text: &str) -> Value {
    Value::text(text)
}

fn commit() -> CommitId {
    CommitId::new("1".repeat(40)).unwrap()
}

fn resource(name: &str, attributes: &[(&str, Value)], depends_on: &[&str]) -> Resource {
    Resource {
        address: format!("e/thing.{name}").parse().unwrap(),
        kind: Kind::Infrastructure,
        provider: ProviderName::new("fake").unwrap(),
        attributes: attributes
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect(),
        meta: Meta {
            depends_on: depends_on
                .iter()
                .map(|name| format!("thing.{name}").parse().unwrap())
                .collect(),
            ..Meta::default()
        },
        sources: BTreeMap::new(),
    }
}

fn desired(resources: Vec<Resource>) -> Desired {
    let resources: BTreeMap<_, _> = resources
        .into_iter()
        .map(|r| (r.address.clone(), r))
        .collect();
    Desired {
        environment: EnvironmentName::new("e").unwrap(),
        revision: commit(),
        closure: Closure::default(),
        inputs: Digest::of_json(&resources),
        resources,
        providers: BTreeMap::new(),
    }
}

/// A provider whose `id` is computed, whose `fixed` replaces, and that repeats the rest.
fn propose(question: &Question<'_>) -> Result<Proposal, ProviderError> {
    let prior = question.prior.map(|prior| &prior.attributes);
    let mut planned = question.desired.clone().unwrap_or_default().into_owned();
    let id = prior
        .and_then(|prior| prior.get("id").cloned())
        .unwrap_or(Value::Unknown);
    if question.desired.is_some() {
        planned.insert("id".to_owned(), id);
    }
    let changed = prior.is_some_and(|prior| prior.get("fixed") != planned.get("fixed"));
    let replace = if changed && question.desired.is_some() {
        vec![Path::of("fixed")]
    } else {
        vec![]
    };
    Ok(Proposal {
        planned,
        replace,
        reversibility: Reversibility::Reversible,
        ..Proposal::default()
    })
}

/// The state that applying `desired` would leave.
fn applied(desired: &Desired) -> Base {
    let (graph, _) = Graph::build(&desired.resources);
    let resources = desired.resources.values().zip(&graph.dependencies);
    let resources = resources.map(|(resource, required)| {
        let mut attributes = resource.attributes.clone();
        attributes.insert(
            "id".to_owned(),
            text(&format!("id-of-{}", resource.address.name())),
        );
        let state = ResourceState {
            address: resource.address.clone(),
            kind: resource.kind,
            provider: resource.provider.clone(),
            instance: Instance {
                attributes,
                ..Instance::default()
            },
            schema_version: 1,
            sensitive: Default::default(),
            depends_on: required
                .iter()
                .map(|own| graph.addresses[*own].local.clone())
                .collect(),
            meta: resource.meta.clone(),
            revision: commit(),
            tainted: false,
            unsure: false,
            unknown: None,
        };
        (resource.address.clone(), state)
    });
    Base {
        serial: 1,
        resources: resources.collect(),
        sealed: Default::default(),
    }
}

fn make(desired: &Desired, base: &Base, observed: &Observed, drift: DriftMode) -> Plan {
    plan(
        Input {
            desired,
            base,
            observed,
            schemas: &Schemas::new(),
            drift: &drift.into(),
            sealed: None,
            root: None,
            now: None,
        },
        propose,
    )
    .unwrap()
}

fn words(plan: &Plan) -> Vec<String> {
    plan.steps
        .iter()
        .map(|s| format!("{:?} {}", s.action, s.address.name()))
        .collect()
}

#[test]
fn first_plan_creates_dependencies_first_and_carries_unknowns() {
    let id_of_b = Value::reference(Reference {
        resource: "thing.b".parse().unwrap(),
        path: Path::of("id"),
    });
    let desired = desired(vec![
        resource("a", &[("x", id_of_b)], &[]),
        resource("b", &[], &[]),
    ]);
    let plan = make(
        &desired,
        &Base::default(),
        &Observed::default(),
        DriftMode::Report,
    );
    assert_eq!(words(&plan), ["Create b", "Create a"]);
    assert_eq!(plan.steps[1].requires, [plan.steps[0].id]);
    assert_eq!(plan.steps[1].planned.as_ref().unwrap()["x"], Value::Unknown);
}

#[test]
fn same_inputs_give_the_same_bytes_whatever_the_order_of_answers() {
    let names: Vec<String> = (0..20).map(|i| format!("r{i}")).collect();
    let desired = desired(names.iter().map(|name| resource(name, &[], &[])).collect());
    let (base, observed) = (Base::default(), Observed::default());
    let input = Input {
        desired: &desired,
        base: &base,
        observed: &observed,
        schemas: &Schemas::new(),
        drift: &DriftMode::Report.into(),
        sealed: None,
        root: None,
        now: None,
    };
    let forwards = plan(input, propose).unwrap();
    let mut planning = Planning::new(input).unwrap();
    let mut questions = planning.ready();
    questions.reverse();
    for question in &questions {
        planning.answer(question, propose(question));
    }
    let backwards = planning.finish().unwrap();
    assert_eq!(
        serde_json::to_vec(&forwards).unwrap(),
        serde_json::to_vec(&backwards).unwrap()
    );
}

#[test]
fn plan_after_apply_is_empty() {
    let desired = desired(vec![
        resource("a", &[("x", text("1"))], &["b"]),
        resource("b", &[], &[]),
    ]);
    let plan = make(
        &desired,
        &applied(&desired),
        &Observed::default(),
        DriftMode::Report,
    );
    assert_eq!(words(&plan), Vec::<String>::new());
}

#[test]
fn replace_takes_dependants_away_first_and_makes_them_last() {
    let old = desired(vec![
        resource("dir", &[("fixed", text("1"))], &[]),
        resource("file", &[("fixed", text("1"))], &["dir"]),
    ]);
    let new = desired(vec![
        resource("dir", &[("fixed", text("2"))], &[]),
        resource("file", &[("fixed", text("2"))], &["dir"]),
    ]);
    let plan = make(
        &new,
        &applied(&old),
        &Observed::default(),
        DriftMode::Report,
    );
    assert_eq!(
        words(&plan),
        ["Remove file", "Remove dir", "Make dir", "Make file"]
    );
    assert_eq!(plan.summary().replace, 2);
    assert_eq!(plan.steps[0].pair, Some(plan.steps[3].id));
    assert_eq!(
        plan.steps[2].reason,
        Reason::CannotChange(vec![Path::of("fixed")])
    );
}

#[test]
fn deletes_wait_for_those_that_let_go() {
    let old = desired(vec![
        resource("a", &[("x", text("1"))], &["b"]),
        resource("b", &[], &[]),
    ]);
    let new = desired(vec![resource("a", &[("x", text("2"))], &[])]);
    let plan = make(
        &new,
        &applied(&old),
        &Observed::default(),
        DriftMode::Report,
    );
    assert_eq!(words(&plan), ["Update a", "Delete b"]);
}

#[test]
fn what_only_the_state_names_stands_at_its_place_among_the_others() {
    let old = desired(vec![
        resource("a", &[], &["b"]),
        resource("b", &[], &[]),
        resource("d", &[], &["b"]),
    ]);
    let id_of_b = Value::reference(Reference {
        resource: "thing.b".parse().unwrap(),
        path: Path::of("id"),
    });
    let new = desired(vec![
        resource("b", &[], &[]),
        resource("c", &[("x", id_of_b)], &[]),
    ]);
    let plan = make(
        &new,
        &applied(&old),
        &Observed::default(),
        DriftMode::Report,
    );
    assert_eq!(words(&plan), ["Delete a", "Create c", "Delete d"]);
    let made = plan.steps[1].planned.as_ref().unwrap();
    assert_eq!(made["x"], text("id-of-b"));
}

#[test]
fn what_nobody_knows_blocks_its_dependants_and_nothing_else() {
    let old = desired(vec![
        resource("a", &[], &[]),
        resource("b", &[], &["a"]),
        resource("c", &[], &[]),
    ]);
    let mut base = applied(&old);
    for state in base
        .resources
        .values_mut()
        .filter(|s| s.address.name().as_str() == "a")
    {
        state.unknown = Some("its create was cut off".to_owned());
    }
    let new = desired(vec![
        resource("a", &[("x", text("2"))], &[]),
        resource("b", &[("x", text("2"))], &["a"]),
        resource("c", &[("x", text("2"))], &[]),
    ]);
    let plan = make(&new, &base, &Observed::default(), DriftMode::Report);
    assert_eq!(words(&plan), ["Update c"]);
    assert_eq!(plan.blocked.len(), 2);
}

#[test]
fn protection_alone_is_remembered_without_a_call() {
    let old = desired(vec![resource("a", &[], &[])]);
    let mut with = resource("a", &[], &[]);
    with.meta.protect = true;
    let plan = make(
        &desired(vec![with]),
        &applied(&old),
        &Observed::default(),
        DriftMode::Report,
    );
    assert_eq!(plan.steps[0].reason, Reason::Remembered);
    assert_eq!(plan.steps[0].effect, crate::ports::Effect::StateOnly);
    assert!(!plan.steps[0].changes.is_empty());
}

#[test]
fn checks_refuse_protected_budget_and_emptied() {
    let old = desired(vec![resource("a", &[], &[]), resource("b", &[], &[])]);
    let mut base = applied(&old);
    base.resources
        .values_mut()
        .for_each(|state| state.meta.protect = true);
    let plan = make(
        &desired(vec![]),
        &base,
        &Observed::default(),
        DriftMode::Report,
    );
    let settings: crate::settings::EnvironmentSettings =
        serde_json::from_str(r#"{"max_deletes":1}"#).unwrap();
    let codes = |settings: &[&crate::settings::EnvironmentSettings]| -> Vec<String> {
        let found = crate::check::check(&plan, &base, settings);
        found.into_iter().map(|f| f.code.0).collect()
    };
    let all = ["STR0801", "STR0801", "STR0802", "STR0803"];
    assert_eq!(codes(&[&settings]), all);
    // Whoever brings other settings in the same push is held by those from before.
    let generous = serde_json::from_str(r#"{"max_deletes":9,"empty":true}"#).unwrap();
    assert_eq!(codes(&[&generous, &settings]), all);
    assert_eq!(codes(&[&settings, &generous]), all);
    assert_eq!(codes(&[&generous, &generous]), ["STR0801", "STR0801"]);
}

#[test]
fn a_plan_is_confirmed_by_what_is_as_the_state_says_and_by_nothing_else() {
    let before = desired(vec![
        resource("a", &[("x", text("1"))], &[]),
        resource("b", &[], &[]),
    ]);
    let base = applied(&before);
    let after = desired(vec![
        resource("a", &[("x", text("2"))], &[]),
        resource("b", &[], &[]),
    ]);
    let blind = make(&after, &base, &Observed::default(), DriftMode::Correct);
    let address: Address = "e/thing.a".parse().unwrap();
    let known = base.resources[&address].instance.clone();
    let seen = |report: Report| Observed {
        reports: [(address.clone(), report)].into(),
    };
    let same = seen(Report::Present(known.clone()));
    let seeing = make(&after, &base, &same, DriftMode::Correct);
    assert_ne!(blind.digest, seeing.digest);
    assert_eq!(confirm(&blind, &base, &same), Some(seeing));
    let mut other = known;
    other.attributes.insert("x".to_owned(), text("3"));
    for report in [
        Report::Present(other),
        Report::Gone,
        Report::Unreadable(ProviderError::later("no").into()),
    ] {
        assert_eq!(confirm(&blind, &base, &seen(report)), None);
    }
}
