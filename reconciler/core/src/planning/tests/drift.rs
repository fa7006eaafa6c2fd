//! Plans of what differs from what was applied.

use super::*;

#[test]
fn drift_is_corrected_reported_or_ignored_as_told() {
    let desired = desired(vec![resource("a", &[("x", text("1"))], &[])]);
    let base = applied(&desired);
    let address = desired.resources.keys().next().unwrap().clone();
    let mut seen = base.resources[&address].instance.clone();
    seen.attributes.insert("x".to_owned(), text("by hand"));
    let observed = Observed {
        reports: [(address, Report::Present(seen))].into(),
    };
    let corrected = make(&desired, &base, &observed, DriftMode::Correct);
    assert_eq!(words(&corrected), ["Update a"]);
    assert_eq!(corrected.steps[0].reason, Reason::Drifted);
    let reported = make(&desired, &base, &observed, DriftMode::Report);
    assert!(reported.is_empty() && reported.drifted.len() == 1);
    let ignored = make(&desired, &base, &observed, DriftMode::Ignore);
    assert!(ignored.is_empty() && ignored.drifted.is_empty());
}

#[test]
fn a_change_overrules_reported_drift() {
    let old = desired(vec![resource("a", &[("x", text("1"))], &[])]);
    let new = desired(vec![resource("a", &[("x", text("2"))], &[])]);
    let base = applied(&old);
    let address = old.resources.keys().next().unwrap().clone();
    let mut seen = base.resources[&address].instance.clone();
    seen.attributes.insert("x".to_owned(), text("by hand"));
    let observed = Observed {
        reports: [(address, Report::Present(seen))].into(),
    };
    let plan = make(&new, &base, &observed, DriftMode::Report);
    assert_eq!(words(&plan), ["Update a"]);
    assert_eq!(plan.steps[0].changes[0].before, Some(text("by hand")));
}

#[test]
fn gone_is_created_again_when_drift_is_corrected() {
    let desired = desired(vec![resource("a", &[], &[])]);
    let base = applied(&desired);
    let address = desired.resources.keys().next().unwrap().clone();
    let observed = Observed {
        reports: [(address, Report::Gone)].into(),
    };
    let plan = make(&desired, &base, &observed, DriftMode::Correct);
    assert_eq!(plan.steps[0].reason, Reason::Gone);
    assert_eq!(plan.steps[0].action, Action::Create);
}

#[test]
fn one_field_is_left_while_another_is_corrected() {
    let mut a = resource("a", &[("x", text("1")), ("y", text("1"))], &[]);
    a.meta.drift = Some(crate::resource::MetaDrift {
        mode: Some(DriftMode::Correct),
        fields: [("y".to_owned(), DriftMode::Report)].into(),
    });
    let desired = desired(vec![a]);
    let base = applied(&desired);
    let address = desired.resources.keys().next().unwrap().clone();
    let mut seen = base.resources[&address].instance.clone();
    seen.attributes.insert("x".to_owned(), text("by hand"));
    seen.attributes.insert("y".to_owned(), text("by hand"));
    let observed = Observed {
        reports: [(address, Report::Present(seen))].into(),
    };
    let plan = make(&desired, &base, &observed, DriftMode::Report);
    let step = &plan.steps[0];
    let planned = step.planned.as_ref().unwrap();
    assert_eq!(
        (&planned["x"], &planned["y"]),
        (&text("1"), &text("by hand"))
    );
    assert_eq!(step.reason, Reason::Drifted);
    assert_eq!(step.kept, [("y".to_owned(), text("1"))].into());
}

/// A resource with x, y = 1, and the state and the world after somebody made y = 2.
fn y_made_2_by_hand(mode: DriftMode) -> (Resource, Base, Observed) {
    let mut a = resource("a", &[("x", text("1")), ("y", text("1"))], &[]);
    a.meta.drift = Some(crate::resource::MetaDrift {
        mode: Some(DriftMode::Correct),
        fields: [("y".to_owned(), mode)].into(),
    });
    let base = applied(&desired(vec![a.clone()]));
    let mut seen = base.resources[&a.address].instance.clone();
    seen.attributes.insert("y".to_owned(), text("2"));
    let observed = Observed {
        reports: [(a.address.clone(), Report::Present(seen))].into(),
    };
    (a, base, observed)
}

#[test]
fn an_ignored_field_stays_when_a_person_changes_another() {
    let (mut a, base, observed) = y_made_2_by_hand(DriftMode::Ignore);
    a.attributes.insert("x".to_owned(), text("3"));
    let plan = make(&desired(vec![a]), &base, &observed, DriftMode::Correct);
    let step = &plan.steps[0];
    let planned = step.planned.as_ref().unwrap();
    assert_eq!((&planned["x"], &planned["y"]), (&text("3"), &text("2")));
    assert_eq!(step.kept, [("y".to_owned(), text("1"))].into());
    assert_eq!(step.reason, Reason::Changed);
}

#[test]
fn a_person_who_changes_an_ignored_field_is_obeyed() {
    let (mut a, base, observed) = y_made_2_by_hand(DriftMode::Ignore);
    a.attributes.insert("y".to_owned(), text("3"));
    let plan = make(&desired(vec![a]), &base, &observed, DriftMode::Correct);
    assert_eq!(plan.steps[0].planned.as_ref().unwrap()["y"], text("3"));
    assert!(plan.steps[0].kept.is_empty());
}

#[test]
fn what_is_remembered_of_a_drifted_resource_is_what_was_applied() {
    for mode in [DriftMode::Ignore, DriftMode::Report] {
        let (mut a, base, observed) = y_made_2_by_hand(mode);
        a.meta.labels.insert("team".to_owned(), "web".to_owned());
        let plan = make(&desired(vec![a]), &base, &observed, DriftMode::Correct);
        assert_eq!(plan.steps[0].reason, Reason::Remembered);
        assert_eq!(plan.steps[0].kept, [("y".to_owned(), text("1"))].into());
    }
}

#[test]
fn what_refers_to_a_change_that_is_taken_over_is_planned_with_it() {
    let x_of_a = Value::reference(Reference {
        resource: "thing.a".parse().unwrap(),
        path: Path::of("x"),
    });
    let with = |x: &str| {
        let a = resource("a", &[("x", text(x))], &[]);
        desired(vec![a, resource("b", &[("y", x_of_a.clone())], &[])])
    };
    let mut base = applied(&with("1"));
    let (a, b): (Address, Address) = ("e/thing.a".parse().unwrap(), "e/thing.b".parse().unwrap());
    let known = &mut base.resources.get_mut(&b).unwrap().instance;
    known.attributes.insert("y".to_owned(), text("1"));
    let mut seen = base.resources[&a].instance.clone();
    seen.attributes.insert("x".to_owned(), text("2"));
    let observed = Observed {
        reports: [(a, Report::Present(seen))].into(),
    };
    let plan = make(&with("2"), &base, &observed, DriftMode::Correct);
    assert_eq!(words(&plan), ["Update a", "Update b"]);
    assert_eq!(plan.steps[0].reason, Reason::Remembered);
    assert_eq!(plan.steps[1].planned.as_ref().unwrap()["y"], text("2"));
}

#[test]
fn what_someone_else_keeps_changing_is_reported() {
    let desired = desired(vec![resource("a", &[("x", text("1"))], &[])]);
    let base = applied(&desired);
    let address = desired.resources.keys().next().unwrap().clone();
    let mut seen = base.resources[&address].instance.clone();
    seen.attributes.insert("x".to_owned(), text("theirs"));
    let observed = Observed {
        reports: [(address.clone(), Report::Present(seen))].into(),
    };
    let rule = DriftRule {
        fought: [address].into(),
        ..DriftRule::from(DriftMode::Correct)
    };
    let input = Input {
        desired: &desired,
        base: &base,
        observed: &observed,
        schemas: &Schemas::new(),
        drift: &rule,
        sealed: None,
        root: None,
        now: None,
    };
    let plan = plan(input, propose).unwrap();
    assert!(plan.is_empty() && plan.drifted.len() == 1);
}
