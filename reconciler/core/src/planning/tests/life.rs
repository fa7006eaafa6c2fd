//! Plans of what runs, moves, ends, is read, and of which two may be there.

use jiff::Timestamp;

use super::*;
use crate::observed::Unreadable;
use crate::plan::Step;
use crate::ports::{AttributeSchema, Diagnostic, Effect, Retry, ValueType};
use crate::resource::Due;

fn attribute(settable: bool, sensitive: bool) -> AttributeSchema {
    AttributeSchema {
        doc: String::new(),
        r#type: ValueType::Any,
        required: false,
        computed: !settable,
        settable,
        sensitive,
        sealed: false,
        write_only: false,
        replaces: false,
        default: None,
    }
}

pub(super) fn schemas(change: impl FnOnce(&mut TypeSchema)) -> Schemas {
    let mut schema = TypeSchema {
        doc: String::new(),
        version: 1,
        effect: Effect::World,
        place: Some("path".to_owned()),
        twice: false,
        reads: false,
        timeouts: Default::default(),
        attributes: [
            ("id".to_owned(), attribute(false, false)),
            ("password".to_owned(), attribute(true, true)),
        ]
        .into(),
    };
    change(&mut schema);
    let key = (
        ProviderName::new("fake").unwrap(),
        TypeName::new("thing").unwrap(),
    );
    [(key, Arc::new(schema))].into()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) struct Case<'a> {
    desired: &'a Desired,
    base: &'a Base,
    pub(super) observed: Observed,
    pub(super) schemas: Schemas,
    pub(super) mode: DriftMode,
}

impl Case<'_> {
    pub(super) fn plan(&self) -> Result<Plan, PlanError> {
        self.plan_by(propose)
    }

    fn plan_by(
        &self,
        by: impl FnMut(&Question<'_>) -> Result<Proposal, ProviderError>,
    ) -> Result<Plan, PlanError> {
        self.plan_under(&self.mode.into(), by)
    }

    fn plan_under(
        &self,
        rule: &DriftRule,
        by: impl FnMut(&Question<'_>) -> Result<Proposal, ProviderError>,
    ) -> Result<Plan, PlanError> {
        let input = Input {
            desired: self.desired,
            base: self.base,
            observed: &self.observed,
            schemas: &self.schemas,
            drift: rule,
            sealed: None,
            root: Some("/srv/shop"),
            now: Some(at(1000)),
        };
        plan(input, by)
    }
}

pub(super) fn case<'a>(desired: &'a Desired, base: &'a Base) -> Case<'a> {
    Case {
        desired,
        base,
        observed: Observed::default(),
        schemas: schemas(|_| {}),
        mode: DriftMode::Report,
    }
}

pub(super) fn shape(plan: &Plan) -> Vec<(Action, String)> {
    let name = |step: &Step| step.address.name().to_string();
    plan.steps
        .iter()
        .map(|step| (step.action, name(step)))
        .collect()
}

pub(super) fn address(name: &str) -> Address {
    format!("e/thing.{name}").parse().unwrap()
}

#[test]
fn what_should_run_and_does_not_is_started_whatever_the_drift_mode() {
    let desired = desired(vec![resource("a", &[("x", text("1"))], &[])]);
    let base = applied(&desired);
    let stopped = |change: &dyn Fn(&mut Record)| {
        let mut instance = base.resources[&address("a")].instance.clone();
        change(&mut instance.attributes);
        let why = "its program is gone".to_owned();
        Observed {
            reports: [(address("a"), Report::Stopped { instance, why })].into(),
        }
    };
    for mode in [DriftMode::Ignore, DriftMode::Report, DriftMode::Correct] {
        for drifted in [false, true] {
            let observed = stopped(&|record| {
                if drifted {
                    record.insert("x".to_owned(), text("by hand"));
                }
            });
            let case = Case {
                observed,
                mode,
                ..case(&desired, &base)
            };
            let plan = case.plan().unwrap();
            assert_eq!(shape(&plan), [(Action::Update, "a".to_owned())], "{mode:?}");
            let step = &plan.steps[0];
            if mode == DriftMode::Correct && drifted {
                continue;
            }
            let reason = Reason::NotRunning("its program is gone".to_owned());
            assert_eq!(step.reason, reason, "{mode:?} {drifted}");
            // What somebody changed by hand stays as it is, and goes on to be drift.
            assert_eq!(step.kept.contains_key("x"), drifted, "{mode:?}");
        }
    }
}

#[test]
fn what_was_started_in_vain_is_left_alone_until_it_is_tried_again() {
    let desired = desired(vec![resource("a", &[("x", text("1"))], &[])]);
    let base = applied(&desired);
    let instance = base.resources[&address("a")].instance.clone();
    let why = "its program exited with 7".to_owned();
    let observed = Observed {
        reports: [(address("a"), Report::Stopped { instance, why })].into(),
    };
    let case = Case {
        observed,
        ..case(&desired, &base)
    };
    let rule = DriftRule {
        left: [address("a")].into(),
        ..DriftRule::from(DriftMode::Correct)
    };
    assert_eq!(shape(&case.plan_under(&rule, propose).unwrap()), []);
    let rule = DriftRule {
        fought: [address("a")].into(),
        ..DriftRule::from(DriftMode::Correct)
    };
    let plan = case.plan_under(&rule, propose).unwrap();
    assert_eq!(shape(&plan), [(Action::Update, "a".to_owned())]);
}

#[test]
fn what_cannot_be_planned_for_now_is_told_from_what_cannot_be_planned() {
    let desired = desired(vec![resource("a", &[], &[]), resource("b", &[], &[])]);
    let base = Base::default();
    let case = case(&desired, &base);
    let later = case.plan_by(|_| Err(ProviderError::later("no answer")));
    assert!(matches!(later.unwrap_err().retry, Retry::Later(_)));
    let mixed = case.plan_by(|question| match question.address.name().as_str() {
        "a" => Err(ProviderError::later("no answer")),
        _ => Err(ProviderError::input("no such zone")),
    });
    assert_eq!(mixed.unwrap_err().retry, Retry::WhenInputChanges);
    let known = applied(&desired);
    let unreadable = Unreadable::from(ProviderError::later("no answer"));
    let blind = Case {
        observed: Observed {
            reports: [(address("a"), Report::Unreadable(unreadable))].into(),
        },
        ..self::case(&desired, &known)
    };
    let plan = blind.plan().unwrap();
    assert!(matches!(plan.blocked[0].retry, Some(Retry::Later(_))));
}

#[test]
fn what_a_provider_says_of_a_value_stands_at_its_place() {
    let mut a = resource("a", &[("x", text("1"))], &[]);
    let source = crate::source::Source::new("infra/e.ncl", 7, 3);
    a.sources.insert(Path::of("x"), source.clone());
    let desired = desired(vec![a]);
    let base = Base::default();
    let case = case(&desired, &base);
    let refused = case.plan_by(|_| {
        let about = Diagnostic::error(Path::of("x"), "is no zone").hint("try `b`");
        Err(ProviderError::input("two things are wrong").about(vec![about]))
    });
    let finding = &refused.unwrap_err().findings[0];
    assert_eq!(finding.source.as_ref(), Some(&source));
    assert!(finding.message.contains("is no zone") && finding.hint.is_some());
    let warned = case.plan_by(|question| {
        let mut proposal = propose(question)?;
        proposal.warnings = vec![Diagnostic::warning(Path::of("x"), "is deprecated")];
        Ok(proposal)
    });
    let plan = warned.unwrap();
    assert_eq!(plan.warnings.len(), 1);
    assert!(!plan.warnings[0].is_error() && plan.warnings[0].source.is_some());
}

#[test]
fn a_resource_that_moves_keeps_what_is_there() {
    let old = desired(vec![
        resource("old", &[("x", text("1"))], &[]),
        resource("b", &[], &["old"]),
    ]);
    let base = applied(&old);
    for (x, actions) in [("1", 2), ("2", 3)] {
        let mut new = resource("new", &[("x", text(x))], &[]);
        new.meta.moved_from = Some("thing.old".parse().unwrap());
        let new = desired(vec![new, resource("b", &[], &["new"])]);
        let plan = case(&new, &base).plan().unwrap();
        // `b` is told that what it depends on has another name.
        assert_eq!(plan.steps.len(), actions, "{:?}", shape(&plan));
        let moves = &plan
            .steps
            .iter()
            .find(|s| s.action == Action::Move)
            .unwrap();
        assert_eq!(moves.from.as_ref(), Some(&address("old")));
        assert_eq!(moves.reason, Reason::Moved("thing.old".parse().unwrap()));
        assert!(!plan.steps.iter().any(|step| step.action.takes_away()));
        if x == "2" {
            let update = plan
                .steps
                .iter()
                .find(|step| step.action == Action::Update && step.address == address("new"));
            let update = update.unwrap();
            assert!(update.requires.contains(&moves.id));
        }
    }
}

#[test]
fn nothing_moves_onto_what_is_there_or_away_from_what_is_wanted() {
    let both = desired(vec![resource("old", &[], &[]), resource("new", &[], &[])]);
    let mut new = resource("new", &[], &[]);
    new.meta.moved_from = Some("thing.old".parse().unwrap());
    let base = applied(&both);
    let wanted = desired(vec![new.clone()]);
    let plan = case(&wanted, &base).plan().unwrap();
    assert!(plan.steps.iter().all(|step| step.action != Action::Move));
    let only = applied(&desired(vec![resource("old", &[], &[])]));
    let wanted = desired(vec![new, resource("old", &[], &[])]);
    let plan = case(&wanted, &only).plan().unwrap();
    assert_eq!(shape(&plan), [(Action::Create, "new".to_owned())]);
}

#[test]
fn the_new_one_is_made_before_the_old_one_goes_where_that_is_asked() {
    let mut a = resource("a", &[("fixed", text("1"))], &[]);
    a.meta.create_first = true;
    let reference = Value::reference(Reference {
        resource: "thing.a".parse().unwrap(),
        path: Path::of("id"),
    });
    let b = resource("b", &[("of", reference)], &[]);
    let old = desired(vec![a.clone(), b.clone()]);
    let mut base = applied(&old);
    let row = base.resources.get_mut(&address("b")).unwrap();
    row.instance
        .attributes
        .insert("of".to_owned(), text("id-of-a"));
    a.attributes.insert("fixed".to_owned(), text("2"));
    let new = desired(vec![a, b]);
    let refused = case(&new, &base).plan().unwrap_err();
    assert!(refused.to_string().contains("create_first"), "{refused}");
    let twice = Case {
        schemas: schemas(|schema| schema.twice = true),
        ..case(&new, &base)
    };
    let plan = twice.plan().unwrap();
    let aside = "a#superseded-1".to_owned();
    let expected = [
        (Action::Move, aside.clone()),
        (Action::Make, "a".to_owned()),
        (Action::Update, "b".to_owned()),
        (Action::Remove, aside),
    ];
    assert_eq!(shape(&plan), expected);
    assert_eq!(plan.steps[1].pair, Some(plan.steps[3].id));
    assert!(plan.steps[3].requires.contains(&plan.steps[2].id));
    // One that was left over is taken away with the next plan.
    let mut left = applied(&new);
    let mut row = left.resources[&address("a")].clone();
    row.address = address("a").superseded(1);
    row.meta.create_first = false;
    left.resources.insert(row.address.clone(), row);
    left.resources
        .get_mut(&address("b"))
        .unwrap()
        .instance
        .attributes
        .insert("of".to_owned(), text("id-of-a"));
    let plan = case(&desired(vec![]), &left).plan().unwrap();
    let reason = plan
        .steps
        .iter()
        .find(|s| s.address.is_superseded())
        .map(|s| s.reason.clone());
    assert_eq!(reason, Some(Reason::Superseded));
}

#[test]
fn what_is_only_read_is_read_for_each_plan_and_changes_nothing() {
    let wanted = desired(vec![resource("a", &[("name", text("x"))], &[])]);
    let says = |what: &'static str| {
        move |question: &Question<'_>| {
            assert!(question.fetch);
            let mut planned = question.desired.clone().unwrap().into_owned();
            planned.insert("id".to_owned(), text(what));
            Ok(Proposal {
                planned,
                ..Proposal::default()
            })
        }
    };
    let reads = |base: &Base, what| {
        let case = Case {
            schemas: schemas(|schema| schema.reads = true),
            ..case(&wanted, base)
        };
        case.plan_by(says(what)).unwrap()
    };
    let plan = reads(&Base::default(), "1");
    assert_eq!(shape(&plan), [(Action::Read, "a".to_owned())]);
    assert_eq!(plan.steps[0].effect, Effect::StateOnly);
    let base = applied(&wanted);
    assert!(reads(&base, "id-of-a").is_empty());
    assert_eq!(reads(&base, "other").steps[0].action, Action::Read);
    let nothing = desired(vec![]);
    let gone = Case {
        schemas: schemas(|schema| schema.reads = true),
        ..case(&nothing, &base)
    };
    let plan = gone.plan_by(|_| panic!("nobody is asked")).unwrap();
    assert!(!plan.steps[0].calls_provider());
}

#[test]
fn what_is_due_is_renewed_and_what_has_ended_is_made_anew() {
    let wanted = desired(vec![resource("a", &[("x", text("1"))], &[])]);
    let with = |renew: i64, expire: i64| {
        let mut base = applied(&wanted);
        let row = base.resources.get_mut(&address("a")).unwrap();
        row.instance.due = Some(Due {
            renew: Some(at(renew)),
            expire: Some(at(expire)),
        });
        base
    };
    let early = with(2000, 3000);
    assert_eq!(early.due(), Some(at(2000)));
    assert!(case(&wanted, &early).plan().unwrap().is_empty());
    let plan = case(&wanted, &with(1000, 3000)).plan().unwrap();
    assert_eq!(
        (plan.steps[0].action, &plan.steps[0].reason),
        (Action::Update, &Reason::Due)
    );
    let planned = plan.steps[0].planned.as_ref().unwrap();
    assert_eq!(
        (planned.get("x"), planned.get("id")),
        (Some(&text("1")), Some(&Value::Unknown))
    );
    let plan = case(&wanted, &with(500, 1000)).plan().unwrap();
    assert_eq!(plan.steps[1].reason, Reason::Expired);
    assert_eq!(
        (plan.steps[0].action, plan.steps[1].action),
        (Action::Remove, Action::Make)
    );
}

#[test]
fn sensitive_values_stay_so_wherever_they_go() {
    let reference = |path: &str| {
        Value::reference(Reference {
            resource: "thing.a".parse().unwrap(),
            path: Path(path.to_owned()),
        })
    };
    let a = resource(
        "a",
        &[("password", text("hunter2-canary")), ("open", text("x"))],
        &[],
    );
    let joined = Value::joined(vec![text("pw="), reference("password")]);
    let nested =
        Value::record([("deep".to_owned(), Value::list(vec![reference("password")]))].into());
    let b = resource(
        "b",
        &[
            ("text", joined),
            ("record", nested),
            ("open", reference("open")),
        ],
        &[],
    );
    let c = Value::reference(Reference {
        resource: "thing.b".parse().unwrap(),
        path: Path::of("text"),
    });
    let wanted = desired(vec![a, b, resource("c", &[("again", c)], &[])]);
    let base = Base::default();
    let plan = case(&wanted, &base).plan().unwrap();
    let hidden: Vec<String> = plan
        .steps
        .iter()
        .flat_map(|step| &step.changes)
        .filter(|change| change.sensitive)
        .map(|change| change.path.to_string())
        .collect();
    assert_eq!(hidden, ["password", "record", "text", "again"]);
    let shown = plan.steps.iter().flat_map(|step| &step.changes);
    for change in shown.filter(|change| !change.sensitive) {
        let text = format!("{change:?}");
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn only_a_circle_of_places_loses_its_order() {
    let thing = |name: &str, path: &str, fixed: &str| {
        resource(name, &[("path", text(path)), ("fixed", text(fixed))], &[])
    };
    let old = desired(vec![
        thing("a", "1", "x"),
        thing("c", "3", "x"),
        thing("d", "4", "x"),
    ]);
    let base = applied(&old);
    // The new `a` is to be made before the old one goes, in the place that the old one frees.
    let mut a = thing("a", "1", "y");
    a.meta.create_first = true;
    let new = desired(vec![a, thing("d", "3", "x")]);
    let twice = Case {
        schemas: schemas(|schema| schema.twice = true),
        ..case(&new, &base)
    };
    let plan = twice.plan().unwrap();
    let step = |action: Action, name: &str| {
        let found = plan
            .steps
            .iter()
            .find(|s| s.action == action && s.address == address(name));
        found.unwrap()
    };
    let (make, freed) = (step(Action::Update, "d"), step(Action::Delete, "c"));
    assert!(make.requires.contains(&freed.id), "{:?}", shape(&plan));
    assert_eq!(plan.warnings.len(), 1);
    let message = &plan.warnings[0].message;
    assert!(
        message.contains("`thing.a`") && !message.contains("thing.c"),
        "{message}"
    );
}
