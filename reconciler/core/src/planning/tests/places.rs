//! What is there changes hands; two are never in one place.

use super::life::{address, case, schemas, shape};
use super::*;

fn at(name: &str, path: &str, needs: &[&str]) -> Resource {
    resource(name, &[("path", text(path))], needs)
}

#[test]
fn another_name_for_what_lies_at_a_place_is_a_move() {
    let base = applied(&desired(vec![
        at("old", "site", &[]),
        at("page", "site/page", &["old"]),
    ]));
    for path in ["site", "./site/", "/srv/shop//site"] {
        for adopt in [None, Some("site".to_owned())] {
            let mut new = at("new", path, &[]);
            new.meta.adopt = adopt;
            let wanted = desired(vec![new, at("page", "site/page", &["new"])]);
            let plan = case(&wanted, &base).plan().unwrap();
            let moves = plan.steps.iter().find(|step| step.action == Action::Move);
            assert_eq!(moves.unwrap().from, Some(address("old")), "{path}");
            let harmless = |step: &crate::plan::Step| !step.action.takes_away();
            assert!(
                plan.steps.iter().all(harmless),
                "{path}: {:?}",
                shape(&plan)
            );
        }
    }
}

#[test]
fn nothing_changes_hands_between_places_types_or_what_is_still_wanted() {
    let base = applied(&desired(vec![at("old", "site", &[])]));
    let other = desired(vec![at("new", "sites", &[])]);
    let plan = case(&other, &base).plan().unwrap();
    assert!(plan.steps.iter().all(|step| step.action != Action::Move));
    // A type without a place.
    let same = desired(vec![at("new", "site", &[])]);
    let mut nowhere = case(&same, &base);
    nowhere.schemas = schemas(|schema| schema.place = None);
    let plan = nowhere.plan().unwrap();
    assert!(plan.steps.iter().all(|step| step.action != Action::Move));
    // One heir only, and the repository's own word goes first.
    let base = applied(&desired(vec![
        at("old", "site", &[]),
        at("other", "x", &[]),
    ]));
    let mut named = at("new", "site", &[]);
    named.meta.moved_from = Some("thing.other".parse().unwrap());
    let plan = case(&desired(vec![named]), &base).plan().unwrap();
    let moves: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| step.from.clone())
        .collect();
    assert_eq!(moves, [address("other")]);
}

/// Renamed, and taken away by hand meanwhile: nothing of the old name stays in the state.
#[test]
fn what_is_gone_has_nothing_to_move() {
    let base = applied(&desired(vec![at("old", "site", &[])]));
    for word in [false, true] {
        let mut new = at("new", "site", &[]);
        new.meta.moved_from = word.then(|| "thing.old".parse().unwrap());
        let wanted = desired(vec![new]);
        let mut gone = case(&wanted, &base);
        gone.observed.reports = [(address("old"), Report::Gone)].into();
        gone.mode = DriftMode::Correct;
        let plan = gone.plan().unwrap();
        let expected = [
            (Action::Delete, "old".to_owned()),
            (Action::Create, "new".to_owned()),
        ];
        assert_eq!(shape(&plan), expected, "{word}");
        assert_eq!(plan.steps[0].effect, crate::ports::Effect::StateOnly);
    }
}

#[test]
fn two_in_one_place_are_refused_also_where_only_the_plan_knows_the_place() {
    for (one, two) in [("a", "/srv/shop/a"), ("a/b", "./a//b"), ("/x", "/x/")] {
        let wanted = desired(vec![at("one", one, &[]), at("two", two, &[])]);
        let refused = case(&wanted, &Base::default()).plan().unwrap_err();
        assert!(refused.to_string().contains("both manage"), "{refused}");
    }
    let mut late = resource("two", &[], &[]);
    let path = Reference {
        resource: "thing.one".parse().unwrap(),
        path: Path::of("path"),
    };
    late.attributes
        .insert("path".to_owned(), Value::reference(path));
    let wanted = desired(vec![at("one", "a", &[]), late]);
    let refused = case(&wanted, &Base::default()).plan().unwrap_err();
    assert!(refused.to_string().contains("both manage"), "{refused}");
    let fine = desired(vec![at("one", "/srv/shopping/a", &[]), at("two", "a", &[])]);
    case(&fine, &Base::default()).plan().unwrap();
}
