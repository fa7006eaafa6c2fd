//! What lies at a place changes hands: neither taken away nor made again.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::ground::Ground;

const BEFORE: &str = "{ local_directory.d = { path = \"site\" }, local_file.a = { path = \"site/page\", \
     content = \"1\", meta.depends_on = [\"local_directory.d\"] } }\n";

fn applied() -> Ground {
    let ground = Ground::with_a_file();
    ground.write("infra/staging.ncl", BEFORE);
    ground.push("one");
    ground.once().ends_with(0);
    ground
}

fn inodes(ground: &Ground) -> [u64; 2] {
    ["staging/site", "staging/site/page"].map(|path| fs::metadata(ground.made(path)).unwrap().ino())
}

fn addresses(ground: &Ground) -> Vec<String> {
    let got = ground.stratum(&["get", "--json"]).ends_with(0).json();
    let resources = got["resources"].as_array().unwrap().iter();
    let name = |one: &serde_json::Value| one["address"].as_str().unwrap().to_owned();
    resources.map(name).collect()
}

#[test]
fn a_folder_with_things_in_it_gets_another_name() {
    for adopt in ["", ", meta.adopt = \"site\""] {
        let ground = applied();
        fs::write(ground.made("staging/site/upload"), "theirs").unwrap();
        let before = inodes(&ground);
        let text = BEFORE
            .replace("local_directory.d", "local_directory.dir")
            .replace("path = \"site\" ", &format!("path = \"./site/\"{adopt} "))
            .replace("local_file.a", "local_file.b");
        ground.write("infra/staging.ncl", &text);
        ground.push("other names");
        let plan = ground.stratum(&["plan"]).ends_with(0);
        assert!(
            plan.out.contains("it was `local_directory.d` before"),
            "{}",
            plan.out
        );
        ground.once().ends_with(0);
        assert_eq!(inodes(&ground), before);
        assert_eq!(
            fs::read_to_string(ground.made("staging/site/upload")).unwrap(),
            "theirs"
        );
        let names = ["staging/local_directory.dir", "staging/local_file.b"];
        assert_eq!(addresses(&ground), names);
        // And the file goes when it should, by its new name.
        ground.write(
            "infra/staging.ncl",
            "{ local_directory.dir = { path = \"site\" } }\n",
        );
        ground.push("no page");
        ground.once().ends_with(0);
        assert!(!ground.made("staging/site/page").exists());
    }
}

#[test]
fn what_changes_hands_and_content_at_once_is_changed_in_place() {
    let ground = applied();
    let text = BEFORE
        .replace("local_file.a", "local_file.b")
        .replace("\"1\"", "\"2\"");
    ground.write("infra/staging.ncl", &text);
    ground.push("other name and content");
    ground.once().ends_with(0);
    assert_eq!(
        fs::read_to_string(ground.made("staging/site/page")).unwrap(),
        "2"
    );
    assert_eq!(
        addresses(&ground),
        ["staging/local_directory.d", "staging/local_file.b"]
    );
}

#[test]
fn a_change_of_hands_that_is_rolled_back_leaves_it_with_the_old_one() {
    let ground = applied();
    let before = inodes(&ground);
    let text = BEFORE.replace("local_directory.d", "local_directory.dir").replace(
        " } }\n",
        " }, local_exec.x = { create = [\"false\"], delete = [\"true\"], meta.depends_on = [\"local_file.a\"] } }\n",
    );
    ground.write("infra/staging.ncl", &text);
    ground.push("bad");
    ground.once().ends_with(1);
    assert_eq!(inodes(&ground), before);
    assert_eq!(
        addresses(&ground),
        ["staging/local_directory.d", "staging/local_file.a"]
    );
}

#[test]
fn what_was_renamed_and_taken_away_by_hand_is_made_and_stays() {
    let ground = applied();
    fs::remove_file(ground.made("staging/site/page")).unwrap();
    ground.write(
        "infra/staging.ncl",
        &BEFORE.replace("local_file.a", "local_file.b"),
    );
    ground.push("renamed");
    ground.once().ends_with(0);
    ground.write(
        "infra/staging.ncl",
        &BEFORE
            .replace("local_file.a", "local_file.b")
            .replace("\"1\"", "\"2\""),
    );
    ground.push("once more");
    ground.once().ends_with(0);
    assert_eq!(
        fs::read_to_string(ground.made("staging/site/page")).unwrap(),
        "2"
    );
    assert_eq!(
        addresses(&ground),
        ["staging/local_directory.d", "staging/local_file.b"]
    );
}

/// A link where a file was: of another type, so it is taken away and made.
#[test]
fn another_type_at_the_place_is_no_change_of_hands() {
    let ground = applied();
    let text = "{ local_directory.d = { path = \"site\" }, local_symlink.a = { path = \"site/page\", \
                target = \"elsewhere\", meta.depends_on = [\"local_directory.d\"] } }\n";
    ground.write("infra/staging.ncl", text);
    ground.push("a link");
    ground.once().ends_with(0);
    let target = fs::read_link(ground.made("staging/site/page")).unwrap();
    assert_eq!(target.to_str(), Some("elsewhere"));
}
