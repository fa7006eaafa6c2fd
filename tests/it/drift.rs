//! Somebody changes the world by hand.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::ground::Ground;

impl Ground {
    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.made(path)).unwrap()
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.made(path)).unwrap().permissions().mode() & 0o777
    }

    fn once_drift_is_due(&self) {
        std::thread::sleep(Duration::from_millis(1_100));
        self.once().ends_with(0);
    }
}

#[test]
fn a_field_that_is_ignored_stays_as_somebody_made_it() {
    let ground = Ground::new();
    let drift = "drift = { mode = 'correct, every = \"1s\" }";
    let settings = format!("{{ name = \"t\", environments = {{ staging = {{ {drift} }} }} }}\n");
    ground.write("stratum.ncl", &settings);
    let file = |content: &str| {
        let drift = "meta = { drift = { fields = { mode = 'ignore } } }";
        format!("{{ local_file.a = {{ path = \"a\", content = \"{content}\", {drift} }} }}\n")
    };
    ground.write("infra/staging.ncl", &file("one"));
    ground.push("one");
    ground.once().ends_with(0);
    let path = "staging/a";
    fs::write(ground.made(path), "by hand").unwrap();
    fs::set_permissions(ground.made(path), Permissions::from_mode(0o600)).unwrap();

    ground.once_drift_is_due();
    assert_eq!(
        (ground.text(path).as_str(), ground.mode(path)),
        ("one", 0o600)
    );
    let told = || ground.stratum(&["drift", "--json"]).ends_with(0).json()["resources"].clone();
    assert_eq!(told(), serde_json::json!([]), "what is ignored is not told");
    ground.once_drift_is_due();
    assert_eq!(
        (ground.text(path).as_str(), ground.mode(path)),
        ("one", 0o600)
    );

    ground.write("infra/staging.ncl", &file("two"));
    ground.push("two");
    ground.once().ends_with(0);
    assert_eq!(
        (ground.text(path).as_str(), ground.mode(path)),
        ("two", 0o600)
    );
}

#[test]
fn a_field_that_is_only_reported_is_told_and_stays_while_another_is_corrected() {
    let ground = Ground::new();
    let drift = "drift = { mode = 'correct, every = \"1s\" }";
    let settings = format!("{{ name = \"t\", environments = {{ staging = {{ {drift} }} }} }}\n");
    ground.write("stratum.ncl", &settings);
    let drift = "meta = { drift = { fields = { mode = 'report } } }";
    let file = format!("{{ local_file.a = {{ path = \"a\", content = \"one\", {drift} }} }}\n");
    ground.write("infra/staging.ncl", &file);
    ground.push("one");
    ground.once().ends_with(0);
    let path = "staging/a";
    fs::write(ground.made(path), "by hand").unwrap();
    fs::set_permissions(ground.made(path), Permissions::from_mode(0o600)).unwrap();
    for _ in 0..2 {
        ground.once_drift_is_due();
        let drift = ground.stratum(&["drift", "--json"]).ends_with(0).json();
        let fields = &drift["resources"][0]["fields"];
        assert_eq!(fields[0]["path"], "mode");
        assert_eq!(
            (&fields[0]["applied"], &fields[0]["seen"]),
            (&"0644".into(), &"0600".into())
        );
        assert!(fields[1].is_null(), "{fields}");
        assert_eq!(
            (ground.text(path).as_str(), ground.mode(path)),
            ("one", 0o600)
        );
    }
}
