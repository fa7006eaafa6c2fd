//! Somebody changes the world by hand.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::ground::Ground;

const A: &str = "staging/a";

/// The file `a`, drift of whose mode is treated so.
fn file(content: &str, mode: &str) -> String {
    let drift = format!("meta = {{ drift = {{ fields = {{ mode = '{mode} }} }} }}");
    format!("{{ local_file.a = {{ path = \"a\", content = \"{content}\", {drift} }} }}\n")
}

/// An environment that corrects drift, with the file, and both its content and its mode changed.
fn changed_by_hand(mode: &str) -> Ground {
    let ground = Ground::new();
    let drift = "drift = { mode = 'correct, every = \"1s\" }";
    let settings = format!("{{ name = \"t\", environments = {{ staging = {{ {drift} }} }} }}\n");
    ground.write("stratum.ncl", &settings);
    ground.write("infra/staging.ncl", &file("one", mode));
    ground.push("one");
    ground.once().ends_with(0);
    fs::write(ground.made(A), "by hand").unwrap();
    fs::set_permissions(ground.made(A), Permissions::from_mode(0o600)).unwrap();
    ground
}

/// Content and mode of the file.
fn there(ground: &Ground) -> (String, u32) {
    let path = ground.made(A);
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    (fs::read_to_string(path).unwrap(), mode)
}

fn look_again(ground: &Ground) -> serde_json::Value {
    std::thread::sleep(Duration::from_millis(1_100));
    ground.once().ends_with(0);
    ground.stratum(&["drift", "--json"]).ends_with(0).json()["resources"].clone()
}

#[test]
fn a_field_that_is_ignored_stays_as_somebody_made_it() {
    let ground = changed_by_hand("ignore");
    for _ in 0..2 {
        let told = look_again(&ground);
        assert_eq!(told, serde_json::json!([]), "what is ignored is not told");
        assert_eq!(there(&ground), ("one".to_owned(), 0o600));
    }
    ground.write("infra/staging.ncl", &file("two", "ignore"));
    ground.push("two");
    ground.once().ends_with(0);
    assert_eq!(there(&ground), ("two".to_owned(), 0o600));
}

#[test]
fn a_field_that_is_only_reported_is_told_and_stays_while_another_is_corrected() {
    let ground = changed_by_hand("report");
    for _ in 0..2 {
        let fields = look_again(&ground)[0]["fields"].clone();
        let told = serde_json::json!([{ "path": "mode", "applied": "0644", "seen": "0600" }]);
        assert_eq!(fields, told);
        assert_eq!(there(&ground), ("one".to_owned(), 0o600));
    }
}

/// Two files, drift of which is corrected, with something in the way of the first.
#[test]
fn what_stands_in_the_way_of_a_correction_holds_nothing_and_stops_no_other() {
    let make: [fn(&std::path::Path); 3] = [
        |path| fs::create_dir(path).unwrap(),
        |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("x"), "x").unwrap();
        },
        |path| std::os::unix::fs::symlink("z", path).unwrap(),
    ];
    for in_the_way in make {
        let ground = Ground::new();
        ground.write(
            "stratum.ncl",
            "{ name = \"t\", environments = { staging = { drift = { mode = 'correct, every = \
             \"1s\" } } } }\n",
        );
        let files = "{ local_file.c = { path = \"c\", content = \"good\\n\" }, local_file.z = { \
                     path = \"z\", content = \"z\\n\" } }\n";
        ground.write("infra/staging.ncl", files);
        let pushed = ground.push("good");
        ground.once().ends_with(0);
        let (c, z) = (ground.made("staging/c"), ground.made("staging/z"));
        let look = || {
            std::thread::sleep(Duration::from_millis(1_200));
            ground.once();
            ground.stratum(&["status", "--json"]).json()["environments"][0].clone()
        };
        fs::remove_file(&c).unwrap();
        in_the_way(&c);
        fs::write(&z, "hand").unwrap();
        for _ in 0..2 {
            let status = look();
            assert_eq!(status["revision"], pushed.as_str(), "{status}");
            let reason = status["reason"].as_str().unwrap();
            assert!(!reason.contains("was rolled back"), "{reason}");
            assert!(reason.contains("local_file.c"), "{reason}");
            assert_eq!(fs::read_to_string(&z).unwrap(), "z\n", "{reason}");
        }
        match fs::symlink_metadata(&c).unwrap().is_dir() {
            true => fs::remove_dir_all(&c).unwrap(),
            false => fs::remove_file(&c).unwrap(),
        }
        let status = look();
        assert_eq!(fs::read_to_string(&c).unwrap(), "good\n", "{status}");
        assert_eq!(status["reason"], "", "{status}");
    }
}

/// Whatever stands where a file should be: the correction of that one waits, is said, and is made when
/// it is gone; nothing is held, and others are corrected and pushed meanwhile.
#[test]
fn what_is_in_the_way_of_one_correction_is_in_the_way_of_nothing_else() {
    let ground = Ground::new();
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments.staging.drift = { mode = 'correct, every = \"1s\" } }\n",
    );
    let files = |z: &str| {
        let text = format!(
            "{{ local_directory.d = {{ path = \"d\" }}, local_file.c = {{ path = \"d/conf\", content = \
             \"good\\n\", meta.depends_on = [\"local_directory.d\"] }}, local_file.z = {{ path = \"z\", \
             content = \"{z}\" }} }}\n"
        );
        ground.write("infra/staging.ncl", &text);
    };
    files("z");
    let commit = ground.push("good");
    ground.once().ends_with(0);
    let (folder, conf) = (ground.made("staging/d"), ground.made("staging/d/conf"));
    type Act<'a> = &'a dyn Fn();
    let obstacles: [(&str, Act<'_>, Act<'_>); 3] = [
        (
            "a folder",
            &|| {
                fs::remove_file(&conf).unwrap();
                fs::create_dir(&conf).unwrap();
            },
            &|| fs::remove_dir(&conf).unwrap(),
        ),
        (
            "a link",
            &|| {
                fs::remove_file(&conf).unwrap();
                std::os::unix::fs::symlink("/nowhere", &conf).unwrap();
            },
            &|| fs::remove_file(&conf).unwrap(),
        ),
        (
            "a file in place of its folder",
            &|| {
                fs::remove_dir_all(&folder).unwrap();
                fs::write(&folder, "").unwrap();
            },
            &|| fs::remove_file(&folder).unwrap(),
        ),
    ];
    let look = || {
        std::thread::sleep(std::time::Duration::from_millis(1_200));
        ground.once()
    };
    for (number, (what, put, take)) in obstacles.iter().enumerate() {
        put();
        fs::write(ground.made("staging/z"), "by hand").unwrap();
        look().ends_with(1);
        let status = ground.stratum(&["status", "--json"]).json();
        let staging = &status["environments"][0];
        assert_eq!(staging["condition"], "Stalled", "{what}: {staging}");
        assert!(staging["held"].is_null(), "{what}: {staging}");
        let in_the_way = staging["in_the_way"].as_object().unwrap();
        assert!(!in_the_way.is_empty(), "{what}: {staging}");
        if number == 0 {
            assert_eq!(staging["revision"], commit.as_str(), "{what}");
        }
        let z = || fs::read_to_string(ground.made("staging/z")).unwrap();
        assert!(z().starts_with('z'), "{what}: others are corrected");
        take();
        look().ends_with(0);
        assert_eq!(fs::read_to_string(&conf).unwrap(), "good\n", "{what}");
        files(&format!("z{number}"));
        ground.push("more");
        look().ends_with(0);
        assert_eq!(z(), format!("z{number}"), "{what}");
    }
}
