use serde_json::json;
use stratum_core::settings::Budget;
use stratum_core::trust::Trust;

use super::*;

fn settings(own: &serde_json::Value) -> Arc<Settings> {
    let environments = json!({ "a": own, "b": {} });
    Arc::new(serde_json::from_value(json!({ "name": "t", "environments": environments })).unwrap())
}

/// What holds for `a` when its base said one thing and HEAD says another.
fn held(base: &serde_json::Value, head: &serde_json::Value) -> EnvironmentSettings {
    let rules = Rules {
        commit: CommitId::new("a".repeat(40)).unwrap(),
        policies: Vec::new(),
        trust: Arc::new(Trust::default()),
        settings: settings(base),
    };
    let name = EnvironmentName::new("a").unwrap();
    let now = settings(head);
    let held = in_force(&now, &name, true, &rules);
    let same = own_settings(&held, &name) == own_settings(&now, &name);
    assert_eq!(
        same,
        Arc::ptr_eq(&held, &now),
        "copied exactly where it differs"
    );
    own_settings(&held, &name)
}

#[test]
fn what_keeps_programs_apart_is_never_taken_off_by_what_it_would_hold_for() {
    let apart = json!({ "isolated": true, "user": "shop" });
    let own = held(&apart, &json!({}));
    assert!(own.isolated && !own.network, "{own:?}");
    assert_eq!(own.user.as_deref(), Some("shop"));

    let own = held(
        &apart,
        &json!({ "isolated": true, "network": true, "user": "shop" }),
    );
    assert!(!own.network, "{own:?}");

    let own = held(&apart, &json!({ "isolated": false, "network": true }));
    assert!(own.isolated && !own.network, "{own:?}");
}

#[test]
fn what_keeps_programs_apart_holds_at_once_where_it_is_stricter() {
    let own = held(&json!({}), &json!({ "isolated": true, "user": "shop" }));
    assert!(own.isolated && !own.network, "{own:?}");
    assert_eq!(own.user.as_deref(), Some("shop"));

    // With network before, isolation that keeps it is no loosening.
    let own = held(&json!({}), &json!({ "isolated": true, "network": true }));
    assert!(own.isolated && own.network, "{own:?}");
    let both = json!({ "isolated": true, "network": true });
    assert!(!held(&both, &json!({ "isolated": true })).network);
}

#[test]
fn budgets_and_all_of_a_protected_environment_are_those_of_the_base() {
    let own = held(
        &json!({ "max_deletes": 2 }),
        &json!({ "max_deletes": 900, "empty": true }),
    );
    assert_eq!(
        (own.max_deletes, own.empty),
        (Some(Budget::Count(2)), false)
    );

    let labels = |word: &str| json!({ "labels": { "protected": word } });
    let own = held(&labels("true"), &labels("false"));
    assert!(own.is_protected(), "{own:?}");
}

#[test]
fn settings_that_say_what_the_base_says_are_not_copied() {
    for own in [json!({}), json!({ "labels": { "protected": "true" } })] {
        let own = held(&own, &own);
        assert_eq!(own.drift, None);
    }
}
