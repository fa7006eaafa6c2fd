//! Where environments may lie, and what lies there: named by the operator, never another's.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::ground::{Ground, PROGRAM};

impl Ground {
    /// Settings with these environments.
    fn environments(&self, text: &str) {
        let settings = format!("{{ name = \"t\", environments = {{ {text} }} }}\n");
        self.write("stratum.ncl", &settings);
    }

    fn file(&self, environment: &str, path: &str, content: &str) {
        let text =
            format!("{{ local_file.f = {{ path = \"{path}\", content = \"{content}\" }} }}\n");
        self.write(&format!("infra/{environment}.ncl"), &text);
    }
}

#[test]
fn a_repository_reaches_only_places_that_the_operator_names() {
    let ground = Ground::new();
    let shop = ground.made("shop");
    fs::create_dir_all(&shop).unwrap();
    let shop = shop.to_str().unwrap();
    ground.environments(&format!("staging = {{ root = \"{shop}\" }}"));
    ground.file("staging", "f", "x");
    ground.push("one");
    let refused = ground.stratum(&["reconcile", "--once"]).ends_with(1);
    assert!((refused.out + &refused.side).contains("--roots"));
    assert!(fs::read_dir(shop).unwrap().next().is_none());
    ground
        .stratum(&["reconcile", "--once", "--roots", shop])
        .ends_with(0);
    assert_eq!(fs::read_to_string(ground.made("shop/f")).unwrap(), "x");
    // The file beside the state says it for good.
    let file = ground.bare().join("stratum/state.db.roots");
    fs::write(file, format!("# places\n{shop}\n")).unwrap();
    ground.file("staging", "f", "y");
    ground.push("two");
    ground.stratum(&["reconcile", "--once"]).ends_with(0);
    assert_eq!(fs::read_to_string(ground.made("shop/f")).unwrap(), "y");
}

/// What this machine does not give is said before a push is tried, and no more once it is given.
#[test]
fn a_plan_says_that_a_place_is_not_given_here() {
    let ground = Ground::new();
    let shop = ground.made("shop");
    fs::create_dir_all(&shop).unwrap();
    let shop = shop.to_str().unwrap();
    let settings = [
        format!("root = \"{shop}\""),
        format!("roots = [\"{shop}\"]"),
    ];
    for named in settings {
        ground.environments(&format!("staging = {{ {named} }}"));
        ground.file("staging", "f", "x");
        ground.push("one");
        let plan = ground.stratum(&["plan"]).ends_with(0);
        assert!(plan.side.contains("--roots"), "{named}: {}", plan.side);
    }
    let file = ground.bare().join("stratum/state.db.roots");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, shop).unwrap();
    let plan = ground.stratum(&["plan"]).ends_with(0);
    assert!(!plan.side.contains("--roots"), "{}", plan.side);
    fs::remove_file(&file).unwrap();
    ground.environments(&format!("staging = {{ root = \"{shop}\" }}"));
    ground.push("two");
    ground
        .stratum(&["reconcile", "--once", "--roots", shop])
        .ends_with(0);
    let plan = ground.stratum(&["plan"]).ends_with(0);
    assert!(
        !plan.side.contains("--roots"),
        "given by an option: {}",
        plan.side
    );
}

/// Also where one of them is called by its absolute path, below the root of the environment.
#[test]
fn one_file_is_never_two_resources() {
    let ground = Ground::new();
    let shop = ground.made("shop");
    fs::create_dir_all(&shop).unwrap();
    let shop = shop.to_str().unwrap();
    let two = |one: &str| {
        format!(
            "{{ local_file.a = {{ path = \"{one}\", content = \"1\" }}, local_file.b = {{ path = \"q\", content = \"2\" }} }}\n"
        )
    };
    ground.environments(&format!("staging = {{ root = \"{shop}/./\" }}"));
    for one in [
        format!("{shop}/q"),
        format!("{shop}//./q/"),
        "./q".to_owned(),
    ] {
        ground.write("infra/staging.ncl", &two(&one));
        let check = crate::ground::stratum(&ground.clone_folder(), &["check"]).ends_with(1);
        assert!((check.out + &check.side).contains("STR0310"), "{one}");
    }
    // Where only the machine knows the root, the plan says it.
    ground.environments("staging = {}");
    let world = ground.bare().join("stratum/world/staging");
    ground.write("infra/staging.ncl", &two(&format!("{}/q", world.display())));
    ground.push("both");
    let plan = ground.stratum(&["plan"]).ends_with(1);
    assert!(plan.side.contains("STR0310"), "{}", plan.side);
    ground.stratum(&["reconcile", "--once"]).ends_with(1);
    assert!(!world.join("q").exists());
}

/// A file with several names is named beforehand, where it is about to become two files.
#[test]
fn other_names_of_a_file_are_said_before_it_changes() {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.once().ends_with(0);
    let (a, other) = (ground.made("staging/a"), ground.made("staging/other"));
    fs::hard_link(&a, &other).unwrap();
    assert!(
        !ground
            .stratum(&["plan"])
            .ends_with(0)
            .side
            .contains("STR0806")
    );
    ground.file("staging", "a", "two");
    for text in [
        "{ local_file.a = { path = \"a\", content = \"two\" } }\n",
        "{ local_file.b = { path = \"b\", content = \"two\" } }\n",
    ] {
        ground.write("infra/staging.ncl", text);
        ground.push("changed");
        let plan = ground.stratum(&["plan"]).ends_with(0);
        assert!(plan.side.contains("other names"), "{text}: {}", plan.side);
    }
    ground.once().ends_with(0);
    assert_eq!(fs::read_to_string(other).unwrap(), "one\n");
}

/// One environment never reaches what is another's, by root or by `roots`.
#[test]
fn an_environment_never_reaches_into_another() {
    let ground = Ground::new();
    let (one, top) = (ground.made("one"), ground.made(""));
    fs::create_dir_all(&one).unwrap();
    let (one, top) = (
        one.to_str().unwrap(),
        top.to_str().unwrap().trim_end_matches('/'),
    );
    for theirs in [
        format!("root = \"{one}\""),
        format!("roots = [\"{one}\"]"),
        format!("root = \"{one}/deep\""),
        format!("roots = [\"{top}\"]"),
    ] {
        ground.environments(&format!(
            "one = {{ root = \"{one}\" }}, two = {{ {theirs} }}"
        ));
        let check = crate::ground::stratum(&ground.clone_folder(), &["check"]).ends_with(1);
        assert!(
            (check.out + &check.side).contains("share the place"),
            "{theirs}"
        );
    }
}

#[test]
fn another_spelling_of_the_root_moves_nothing() {
    let ground = Ground::with_a_file();
    ground.push("one");
    ground.once().ends_with(0);
    ground.write(
        "infra/staging.ncl",
        "{ local_file.a = { path = \"a\", content = \"two\" } }\n",
    );
    ground.push("two");
    for root in ["../world", "./../bare.git/../world/", "../clone/../world"] {
        ground
            .stratum(&["reconcile", "--once", "--root", root])
            .ends_with(0);
    }
    assert_eq!(fs::read_to_string(ground.made("staging/a")).unwrap(), "two");
}

/// Where the root of an environment holds the state, no resource changes it.
#[test]
fn no_resource_is_of_the_state_itself() {
    let ground = Ground::new();
    let around = ground.bare().join("stratum");
    fs::create_dir_all(&around).unwrap();
    let around = around.to_str().unwrap();
    ground.environments(&format!("staging = {{ root = \"{around}\" }}"));
    for path in ["state.db.roots", "./state.db", "audit/x", "state.db-wal"] {
        ground.file("staging", path, "/etc");
        ground.push(path);
        let words = ["reconcile", "--once", "--roots", around];
        let refused = ground.stratum(&words);
        assert_ne!(refused.code, 0, "{path}");
        let said = refused.out + &refused.side;
        assert!(said.contains("is of the state"), "{path}: {said}");
    }
    assert!(!ground.bare().join("stratum/state.db.roots").exists());
}

/// What a run began and put back leaves nothing behind, of ours neither.
#[test]
fn a_run_that_is_put_back_leaves_nothing_in_the_root() {
    let ground = Ground::new();
    ground.environments("staging = {}");
    ground.write(
        "infra/staging.ncl",
        "{ local_file.f = { path = \"deep/er/f\", content = \"x\" },\n\
           local_symlink.l = { path = \"l/l\", target = \"x\" },\n\
           local_directory.d = { path = \"d/d\" },\n\
           local_service.s = { command = [\"sleep\", \"1000\"] },\n\
           local_exec.x = { create = [\"false\"], delete = [\"true\"], meta.depends_on = [\n\
             \"local_file.f\", \"local_symlink.l\", \"local_directory.d\", \"local_service.s\"] } }\n",
    );
    ground.push("one");
    ground.once().ends_with(1);
    let left: Vec<_> = fs::read_dir(ground.made("staging"))
        .map(|entries| entries.map(|entry| entry.unwrap().file_name()).collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
}

/// All that is remembered lies beside the state, and for nobody else to read.
#[test]
fn nothing_of_ours_lies_in_the_root() {
    use std::os::unix::fs::PermissionsExt;
    let ground = Ground::new();
    ground.environments("staging = {}");
    ground.write(
        "infra/staging.ncl",
        "{ local_exec.x = { create = [\"sh\", \"-c\", \"echo secret\"], delete = [\"true\"] },\n\
           local_file.f = { path = \"deep/f\", content = \"x\" } }\n",
    );
    ground.push("one");
    ground.once().ends_with(0);
    let names: Vec<_> = fs::read_dir(ground.made("staging")).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let own = ground.bare().join("stratum/state.db.local/staging");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&own), 0o700);
    let steps = fs::read_dir(own.join("steps/x")).unwrap();
    for step in steps {
        assert_eq!(mode(&step.unwrap().path()), 0o600);
    }
}

/// As the first process of a container: what lost its parent is collected, and the work ends with
/// it when it is told to.
#[test]
fn the_first_process_collects_orphans() {
    let mut can = Command::new("unshare");
    can.args(["--pid", "--fork", "--mount-proc", "true"]);
    if !can.status().is_ok_and(|status| status.success()) {
        return; // Nobody may make a space of process ids here.
    }
    let ground = Ground::new();
    ground.environments("staging = {}");
    ground.write(
        "infra/staging.ncl",
        "{ local_exec.bg = { create = [\"sh\", \"-c\", \"for i in 1 2 3 4 5 6 7 8; do (setsid sleep 0.5 >/dev/null 2>&1 &) ; done; exit 0\"], delete = [\"true\"] } }\n",
    );
    ground.push("one");
    let root = ground.made("");
    let mut first = Command::new("unshare");
    first
        .args([
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child=TERM",
            PROGRAM,
            "reconcile",
            "--root",
        ])
        .arg(&root)
        .current_dir(ground.bare())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut running = first.spawn().unwrap();
    let done = || {
        ground
            .bare()
            .join("stratum/state.db.local/staging/steps/bg")
            .exists()
    };
    let begun = Instant::now();
    while !done() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(done());
    std::thread::sleep(Duration::from_secs(2));
    let zombies = zombies_below(running.id());
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(zombies, 0);
}

/// How many descendants of a process wait to be collected.
fn zombies_below(top: u32) -> usize {
    let mut rows = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let (before, after) = stat.rsplit_once(") ").unwrap();
        let pid: u32 = before.split(' ').next().unwrap().parse().unwrap();
        let fields: Vec<&str> = after.split(' ').collect();
        rows.push((pid, fields[1].parse::<u32>().unwrap(), fields[0] == "Z"));
    }
    let mut below = vec![top];
    let mut index = 0;
    while index < below.len() {
        let parent = below[index];
        below.extend(rows.iter().filter(|row| row.1 == parent).map(|row| row.0));
        index += 1;
    }
    rows.iter()
        .filter(|row| row.2 && below.contains(&row.0))
        .count()
}
