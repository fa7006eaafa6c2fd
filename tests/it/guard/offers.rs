//! What the program offers a person to say: a word that would count, under a name that is free.

use super::{By, Guarded, begun, waiting};

/// The first tag that a text offers after these words.
fn offered(text: &str, prefix: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let command = format!("git tag -s {prefix}");
    let Some((_, rest)) = text.split_once(&command) else {
        panic!("`{command}` is not in: {text}");
    };
    format!("{prefix}{}", rest.split(' ').next().unwrap())
}

#[test]
fn a_name_that_somebody_took_is_offered_nowhere() {
    let guarded = waiting();
    let taken = offered(&guarded.reason("production"), "stratum/approve/");
    guarded.ssh_key("eve");
    guarded.say("eve", By::Ssh("eve"), &taken, "mine now");
    guarded.once().ends_with(4);
    let ground = &guarded.ground;
    let other = offered(&guarded.reason("production"), "stratum/approve/");
    assert_ne!(other, taken);
    for words in [
        &["status"][..],
        &["plan", "--env", "production"],
        &["explain", "production"],
    ] {
        assert_eq!(
            offered(&ground.stratum(words).out, "stratum/approve/"),
            other
        );
    }
    guarded.say("ben", By::Ssh("ben"), &other, "looks right");
    guarded.once().ends_with(0);
    assert_eq!(guarded.world("production/p").as_deref(), Some("one\n"));
    // It did its work, which nobody calls a tag that does not count.
    let explained = ground.stratum(&["explain", "production"]).ends_with(0).out;
    assert!(!explained.contains(&other), "{explained}");
}

#[test]
fn what_is_suspended_says_how_it_goes_on() {
    let guarded = begun(&["ada"]);
    let ground = &guarded.ground;
    guarded.file("staging", "a", "two");
    guarded.push("ada", By::Ssh("ada"), "two");
    guarded.once().ends_with(0);
    guarded.say("ada", By::Ssh("ada"), "stratum/suspend/staging", "wait");
    guarded.once().ends_with(0);
    let status = ground.stratum(&["status"]).ends_with(0).out;
    let resume = offered(&status, "stratum/resume/");
    assert_eq!(resume, "stratum/resume/staging");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    guarded.say("ada", By::Ssh("ada"), &resume, "go on");
    guarded.once().ends_with(0);
    // Again: the names from before are taken, and a person needs no force.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    guarded.say("ada", By::Ssh("ada"), "stratum/suspend/staging+2", "wait");
    guarded.once().ends_with(0);
    let status = ground.stratum(&["status"]).ends_with(0).out;
    assert_eq!(
        offered(&status, "stratum/resume/"),
        "stratum/resume/staging+2"
    );
}

/// An environment whose revision is held: a file that the program looks for is not there.
fn held(people: &[&str]) -> Guarded {
    let guarded = Guarded::new(people);
    let ground = &guarded.ground;
    // Beside a protected environment a program would need an approval.
    ground.write(
        "stratum.ncl",
        "{ name = \"t\", environments = { staging = {} } }\n",
    );
    std::fs::remove_file(ground.clone_folder().join("infra/production.ncl")).unwrap();
    guarded.push("ada", By::Nobody, "first");
    guarded.once().ends_with(0);
    ground.write(
        "infra/staging.ncl",
        "{ local_exec.a = { create = [\"false\"], delete = [\"true\"] } }\n",
    );
    let by = if people.is_empty() {
        By::Nobody
    } else {
        By::Ssh("ada")
    };
    guarded.push("ada", by, "fails");
    guarded.once().ends_with(1);
    guarded
}

#[test]
fn another_try_is_offered_where_somebody_could_ask_for_it() {
    let guarded = held(&["ada"]);
    for words in [&["status"][..], &["explain", "staging"]] {
        let said = guarded.ground.stratum(words).out;
        assert!(offered(&said, "stratum/retry/").contains("-"), "{said}");
    }
    let guarded = held(&[]);
    for words in [&["status"][..], &["explain", "staging"], &["history"]] {
        let said = guarded.ground.stratum(words).out;
        assert!(!said.contains("stratum/retry/"), "{said}");
    }
}
