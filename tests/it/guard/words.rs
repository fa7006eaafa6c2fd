//! Words that suspend, resume, and have something tried again.

use std::fs;

use super::{By, Guarded, begun};

/// Whether the audit log says that a tag was heeded.
fn heeded(guarded: &Guarded, tag: &str) -> bool {
    let used = guarded.logged("approval-used");
    used.iter()
        .any(|entry| entry["what"]["approval-used"]["tag"] == tag)
}

/// Why a tag was not heeded, as the audit log says.
fn refused(guarded: &Guarded, action: &str) -> Vec<String> {
    let refused = guarded.logged("refused").into_iter();
    let of_action = refused.filter(|entry| entry["what"]["refused"]["action"] == action);
    let reason = |entry: serde_json::Value| {
        entry["what"]["refused"]["reason"]
            .as_str()
            .map(str::to_owned)
    };
    of_action.filter_map(reason).collect()
}

#[test]
fn a_word_suspends_and_resumes() {
    let guarded = begun(&["ada"]);
    guarded.say("ada", By::Ssh("ada"), "stratum/suspend/staging", "wait");
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "two");
    guarded.once().ends_with(0);
    let reason = guarded.reason("staging");
    assert_eq!(reason, "suspended by ada (`stratum/suspend/staging`)");
    assert!(heeded(&guarded, "stratum/suspend/staging"));
    guarded.ssh_key("eve");
    guarded.say("eve", By::Ssh("eve"), "stratum/resume/staging", "go on");
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
    let why = refused(&guarded, "suspend");
    assert!(
        why.len() == 1 && why[0].contains("nobody's in `trust/`"),
        "{why:?}"
    );
    let explained = guarded.ground.stratum(&["explain", "staging"]).ends_with(0);
    assert!(
        explained
            .out
            .contains("`stratum/resume/staging` does not count"),
        "{}",
        explained.out
    );
    assert!(!heeded(&guarded, "stratum/resume/staging"));
    assert_eq!(guarded.world("staging/a").as_deref(), Some("one\n"));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    guarded.say("ada", By::Ssh("ada"), "stratum/resume/staging", "go on");
    guarded.once().ends_with(0);
    assert!(heeded(&guarded, "stratum/resume/staging"));
    assert_eq!(guarded.world("staging/a").as_deref(), Some("two\n"));
}

#[test]
fn a_word_has_a_held_revision_tried_again() {
    let guarded = Guarded::new(&["ada"]);
    // Beside a protected environment a program would need an approval.
    guarded.ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { production = {}, staging = {} } }\n",
    );
    guarded.push("ada", By::Nobody, "first");
    guarded.once().ends_with(0);
    let flag = guarded.key("flag");
    let text = format!(
        "{{ local_exec.a = {{ create = [\"test\", \"-e\", \"{}\"], delete = [\"true\"] }} }}\n",
        flag.display()
    );
    guarded.ground.write("infra/staging.ncl", &text);
    guarded.push("ada", By::Ssh("ada"), "fails");
    guarded.once().ends_with(1);
    guarded.once().ends_with(1);
    fs::write(&flag, "").unwrap();
    let history = guarded.ground.stratum(&["history", "--json"]).json();
    let runs = history["runs"].as_array().unwrap().clone();
    let run = runs
        .iter()
        .find(|run| run["outcome"] == "rolled-back")
        .unwrap();
    let tag = format!("stratum/retry/{}", run["id"].as_str().unwrap());
    guarded.ssh_key("eve");
    guarded.say("eve", By::Ssh("eve"), &tag, "again");
    guarded.once().ends_with(1);
    let reason = guarded.reason("staging");
    assert!(
        reason.contains("does not count") && reason.contains("nobody's in `trust/`"),
        "{reason}"
    );
    assert_eq!(refused(&guarded, "retry").len(), 1);
    assert!(!heeded(&guarded, &tag));
    guarded.say("ada", By::Ssh("ada"), &tag, "again");
    guarded.once().ends_with(0);
    assert!(heeded(&guarded, &tag));
}
