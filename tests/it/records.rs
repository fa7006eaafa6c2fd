//! Records in git: signed, each after the one before, told about while they wait; and histories
//! that were rewritten.

use std::process::Command;

use serde_json::Value;

use crate::ground::{Ground, git};

fn applied() -> Ground {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.once().ends_with(0);
    ground
}

fn change(ground: &Ground, text: &str) -> String {
    ground.write(
        "infra/staging.ncl",
        &format!("{{ local_file.a = {{ path = \"a\", content = \"{text}\" }} }}\n"),
    );
    ground.push(text)
}

fn doctor(ground: &Ground) -> (i32, Value) {
    let answer = ground.stratum(&["doctor", "--json"]);
    let checks = answer.json()["checks"].clone();
    let found = checks.as_array().unwrap().iter();
    let mut records = found.filter(|check| check["name"] == "records");
    (answer.code, records.next().unwrap().clone())
}

#[test]
fn the_commits_of_records_are_signed_so_that_stock_git_verifies_them() {
    let ground = applied();
    let verified = ground.stratum(&["audit", "verify", "--json"]).ends_with(0);
    let records = verified.json()["records"].clone();
    assert_eq!(records["signed"], 1, "{records}");
    assert_eq!(records["problem"], Value::Null);
    let key = records["keys"][0].as_str().unwrap();
    let signers = ground.bare().join("signers");
    std::fs::write(&signers, format!("stratum namespaces=\"git\" {key}\n")).unwrap();
    if Command::new("ssh-keygen").arg("-?").output().is_err() {
        return;
    }
    let config = format!("gpg.ssh.allowedSignersFile={}", signers.display());
    for name in ["stratum/records", "refs/notes/stratum"] {
        let verified = Command::new("git")
            .current_dir(ground.bare())
            .args(["-c", &config, "verify-commit", name])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert!(verified.status.success(), "{name}: {said}");
    }
}

/// What is in the way of the notes is named, with the command that takes it away, and that works.
#[test]
fn a_ref_in_the_way_of_the_notes_is_named() {
    let ground = Ground::with_a_file();
    let first = ground.push("one");
    git(
        &ground.bare(),
        &["update-ref", "refs/notes/stratum/x", &first],
    );
    ground.once().ends_with(0);
    let (code, records) = doctor(&ground);
    let said = records.to_string();
    let way_out = "git update-ref -d refs/notes/stratum/x";
    assert!(code == 1 && said.contains(way_out), "{said}");
    assert!(ground.stratum(&["status"]).out.contains(way_out));
    git(
        &ground.bare(),
        &["update-ref", "-d", "refs/notes/stratum/x"],
    );
    ground.once().ends_with(0);
    assert_eq!(doctor(&ground).0, 0);
    git(
        &ground.bare(),
        &["notes", "--ref", "stratum", "show", &first],
    );
}

#[test]
fn a_record_that_somebody_else_wrote_is_found() {
    let ground = applied();
    let bare = ground.bare();
    let tree = git(&bare, &["rev-parse", "stratum/records^{tree}"]);
    let forged = Command::new("git")
        .current_dir(&bare)
        .args([
            "-c",
            "user.name=stratum",
            "-c",
            "user.email=stratum@localhost",
        ])
        .args(["commit-tree", &tree, "-p", "stratum/records"])
        .args([
            "-m",
            "staging: applied\n\nStratum-Run: 20260101t000000-abcdef12",
        ])
        .output()
        .unwrap();
    let forged = String::from_utf8(forged.stdout).unwrap();
    git(
        &bare,
        &["update-ref", "refs/heads/stratum/records", forged.trim()],
    );
    let verified = ground.stratum(&["audit", "verify", "--json"]);
    assert_eq!(verified.code, 1, "{}", verified.out);
    let problem = verified.json()["records"]["problem"].clone();
    assert!(
        problem.as_str().unwrap().contains("not signed"),
        "{problem}"
    );
    let text = ground.stratum(&["audit", "verify"]);
    assert!(text.out.contains("not valid: the commit"), "{}", text.out);
}

#[test]
fn a_branch_of_records_that_was_rewound_is_told_until_it_is_back() {
    let ground = applied();
    let bare = ground.bare();
    let first = git(&bare, &["rev-parse", "stratum/records"]);
    change(&ground, "two");
    ground.once().ends_with(0);
    let second = git(&bare, &["rev-parse", "stratum/records"]);
    assert_eq!(doctor(&ground).1["health"], "good");
    git(&bare, &["update-ref", "refs/heads/stratum/records", &first]);
    let status = ground.stratum(&["status", "--json"]).json();
    assert_eq!(
        status["records"]["lost"]["commit"],
        second.as_str(),
        "{status}"
    );
    assert!(
        ground
            .stratum(&["status"])
            .out
            .contains("rewritten by someone else")
    );
    let (code, records) = doctor(&ground);
    assert_eq!(
        (code, &records["health"]),
        (1, &Value::from("bad")),
        "{records}"
    );
    assert_eq!(ground.stratum(&["audit", "verify"]).code, 1);
    // The next record follows what is there, and what was lost stays told.
    change(&ground, "three");
    ground.once().ends_with(0);
    assert_eq!(doctor(&ground).1["health"], "bad");
    let third = git(&bare, &["rev-parse", "stratum/records"]);
    let tree = git(&bare, &["rev-parse", "stratum/records^{tree}"]);
    let merge = git(
        &bare,
        &[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "commit-tree",
            &tree,
            "-p",
            &third,
            "-p",
            &second,
            "-m",
            "both",
        ],
    );
    git(&bare, &["update-ref", "refs/heads/stratum/records", &merge]);
    assert_eq!(doctor(&ground).1["health"], "good");
    ground.once().ends_with(0);
    ground.stratum(&["audit", "verify"]).ends_with(0);
}

#[test]
fn what_keeps_a_record_from_being_written_is_told_where_people_look() {
    let ground = Ground::with_a_file();
    ground.push("one");
    let bare = ground.bare();
    git(&bare, &["branch", "stratum", "main"]);
    ground.once();
    let status = ground.stratum(&["status"]);
    assert!(status.out.contains("a branch `stratum`"), "{}", status.out);
    let json = ground.stratum(&["status", "--json"]).json();
    assert_eq!(json["records"]["waits"]["count"], 1, "{json}");
    let (code, records) = doctor(&ground);
    assert_eq!(code, 1, "{records}");
    assert!(
        records["sentence"].as_str().unwrap().contains("since 20"),
        "{records}"
    );
    git(&bare, &["branch", "-D", "stratum"]);
    ground.once().ends_with(0);
    assert_eq!(doctor(&ground).1["health"], "good");
    assert_eq!(git(&bare, &["rev-list", "--count", "stratum/records"]), "1");
    assert_eq!(
        ground.stratum(&["status", "--json"]).json()["records"],
        Value::Null
    );
}

#[test]
fn a_history_that_was_rewritten_and_collected_goes_on_with_the_new_tip() {
    let ground = applied();
    change(&ground, "two");
    ground.once().ends_with(0);
    let clone = ground.clone_folder();
    ground.write(
        "infra/staging.ncl",
        "{ local_file.a = { path = \"a\", content = \"other\" } }\n",
    );
    git(&clone, &["add", "-A"]);
    git(&clone, &["commit", "-q", "--amend", "-m", "other"]);
    git(&clone, &["push", "-q", "-f", "origin", "HEAD:main"]);
    let bare = ground.bare();
    git(&bare, &["reflog", "expire", "--expire=now", "--all"]);
    git(&bare, &["gc", "-q", "--prune=now"]);
    ground.once().ends_with(0);
    let made = std::fs::read_to_string(ground.made("staging/a")).unwrap();
    assert_eq!(made, "other");
}

#[test]
fn a_commit_that_is_too_large_is_refused_and_the_next_good_one_is_taken() {
    let ground = applied();
    let bare = ground.bare();
    let good = git(&bare, &["rev-parse", "main"]);
    let tree = git(&bare, &["rev-parse", "main^{tree}"]);
    let author = "x".repeat(4 << 20);
    let text = format!(
        "tree {tree}\nparent {good}\nauthor {author} <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nm\n"
    );
    let file = bare.join("large");
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let large = git(
        &bare,
        &["hash-object", "-t", "commit", "-w", "--literally", &file],
    );
    git(&bare, &["update-ref", "refs/heads/main", &large]);
    let answer = ground.once();
    assert_ne!(answer.code, 0);
    assert!(
        answer.side.contains("1048576"),
        "{}{}",
        answer.out,
        answer.side
    );
    git(&bare, &["update-ref", "refs/heads/main", &good]);
    change(&ground, "after");
    ground.once().ends_with(0);
    let record = git(&bare, &["log", "-1", "--format=%B", "stratum/records"]);
    assert!(record.len() < 500, "{record}");
}

/// Somebody took away even the refs that keep applied commits alive: the machine is the way out.
#[test]
fn a_base_that_is_gone_for_good_is_led_out_of_by_the_operator() {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.once().ends_with(0);
    let bare = ground.bare();
    let kept = git(
        &bare,
        &["for-each-ref", "--format=%(refname)", "refs/stratum"],
    );
    assert!(kept.starts_with("refs/stratum/applied/"), "{kept}");
    for name in kept.lines() {
        git(&bare, &["update-ref", "-d", name]);
    }
    let clone = ground.clone_folder();
    git(&clone, &["checkout", "-q", "--orphan", "anew"]);
    git(&clone, &["commit", "-q", "-m", "anew"]);
    git(&clone, &["push", "-q", "-f", "origin", "HEAD:main"]);
    git(&bare, &["reflog", "expire", "--expire=now", "--all"]);
    git(&bare, &["gc", "-q", "--prune=now"]);
    let answer = ground.once();
    assert_ne!(answer.code, 0);
    let root = ground.made("");
    let way = [
        "reconcile",
        "--once",
        "--without-policies",
        "staging",
        "--root",
    ];
    let way: Vec<&str> = way.into_iter().chain(root.to_str()).collect();
    ground.stratum(&way).ends_with(0);
    ground.once().ends_with(0);
    let log = ground.stratum(&["audit", "list"]);
    assert!(log.out.contains("policies"), "{}", log.out);
}

/// What keeps the applied commit from being kept alive is said where people look, with the way out,
/// until it is kept.
#[test]
fn a_ref_in_the_way_of_the_commits_that_are_kept_is_named() {
    let in_the_way = [
        "refs/stratum",
        "refs/stratum/applied",
        "refs/stratum/applied/{}/x",
    ];
    for name in in_the_way {
        let ground = Ground::with_a_file();
        let first = ground.push("one");
        let name = name.replace("{}", &first);
        git(&ground.bare(), &["update-ref", &name, &first]);
        ground.once().ends_with(0);
        let (code, records) = doctor(&ground);
        let way_out = format!("git update-ref -d {name}");
        let said = records.to_string();
        assert!(code == 1 && said.contains(&way_out), "{said}");
        let status = ground.stratum(&["status"]).out;
        assert!(status.contains("not kept alive"), "{status}");
        assert_eq!(ground.stratum(&["status", "--detailed-exitcode"]).code, 2);
        git(&ground.bare(), &["update-ref", "-d", &name]);
        ground.once().ends_with(0);
        assert_eq!(doctor(&ground).0, 0);
        let kept = git(&ground.bare(), &["for-each-ref", "refs/stratum/"]);
        assert!(kept.contains(&first), "{kept}");
    }
}

/// A lock that somebody left where the ref would be, or a folder that cannot be written.
#[test]
fn a_lock_left_in_the_way_of_the_commits_that_are_kept_is_named() {
    let ground = Ground::with_a_file();
    let first = ground.push("one");
    let folder = ground.bare().join("refs/stratum/applied");
    std::fs::create_dir_all(&folder).unwrap();
    let lock = folder.join(format!("{first}.lock"));
    std::fs::write(&lock, "").unwrap();
    ground.once().ends_with(0);
    let (code, records) = doctor(&ground);
    let said = records.to_string();
    assert!(code == 1 && said.contains(".lock"), "{said}");
    std::fs::remove_file(&lock).unwrap();
    ground.once().ends_with(0);
    assert_eq!(doctor(&ground).0, 0);
}

/// Locks that somebody left, each where git would take it.
#[test]
fn locks_that_were_left_are_named_and_what_waits_is_written_when_they_are_gone() {
    for lock in ["refs/notes/stratum.lock", "refs/heads/stratum/records.lock"] {
        let ground = applied();
        let lock = ground.bare().join(lock);
        std::fs::write(&lock, "").unwrap();
        change(&ground, "two");
        ground.once().ends_with(0);
        let (code, records) = doctor(&ground);
        let said = records.to_string();
        let name = lock.file_name().unwrap().to_str().unwrap();
        assert!(code == 1 && said.contains(name), "{said}");
        std::fs::remove_file(&lock).unwrap();
        ground.once().ends_with(0);
        assert_eq!(doctor(&ground).0, 0);
    }
}
