//! Programs in namespaces of their own: what they see, what they reach, and how they end.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, kill_process};
use stratum_core::ports::Isolation;
use tempfile::TempDir;

use crate::kept::{HELPER, Place, eventually, own, record};
use crate::service::{pid, runs, status};

/// Folders that everybody may read and write, so that nothing but the namespaces keeps a program
/// from them.
struct Ground {
    place: Place,
    elsewhere: TempDir,
}

/// `None`, and says so, where the kernel or this user cannot do it.
fn ground(address: &str) -> Option<Ground> {
    let output = Command::new(HELPER).arg("attempt").output().unwrap();
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        eprintln!("skipped: programs cannot be isolated here: {why}");
        return None;
    }
    let mut place = Place::new(address);
    let elsewhere = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::create_dir_all(place.root()).unwrap();
    let state = elsewhere.path().join("state");
    fs::create_dir_all(&state).unwrap();
    for (folder, mode) in [
        (place.folder.path(), 0o755),
        (&place.root(), 0o777),
        (elsewhere.path(), 0o777),
        (&state, 0o777),
    ] {
        fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
    }
    fs::write(state.join("key"), "canary").unwrap();
    fs::write(elsewhere.path().join("identity"), "canary").unwrap();
    place.site.user = rustix::process::geteuid()
        .is_root()
        .then(|| "nobody".to_owned());
    place.site.isolation = Some(Isolation {
        hidden: vec![state, elsewhere.path().join("identity")],
        network: false,
    });
    Some(Ground { place, elsewhere })
}

impl Ground {
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.place.root().join(name)).unwrap_or_default()
    }

    fn elsewhere(&self, name: &str) -> PathBuf {
        self.elsewhere.path().join(name)
    }

    /// What a program finds, one word each.
    async fn found(&self, step: u32) -> Vec<String> {
        let outer = std::process::id();
        let script = format!(
            "exec 2>/dev/null; cd {root}; {{ \
             grep -q canary {state}/key && echo key; grep -q canary {identity} && echo identity; \
             echo x > {state}/new && echo state; echo x > {away}/new && echo elsewhere; \
             test -e /proc/{outer}/stat && echo processes; \
             test $(grep -c : /proc/net/dev) -gt 1 && echo network; \
             ls {root} /tmp | grep -q own && echo own; \
             echo x > /tmp/passing && echo passing; echo x > made && echo root; \
             grep -q 'NoNewPrivs:.1' /proc/self/status && echo bound; }} > found; true",
            root = self.place.root().display(),
            state = self.elsewhere("state").display(),
            identity = self.elsewhere("identity").display(),
            away = self.elsewhere.path().display(),
        );
        let desired = serde_json::json!({ "create": ["sh", "-c", script], "output": null });
        self.place.make(step, &desired.to_string()).await.unwrap();
        self.read("found").lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_program_sees_its_own_and_writes_to_its_own() {
    let Some(mut ground) = ground("t/local_exec.a") else {
        return;
    };
    assert_eq!(ground.found(1).await, ["passing", "root", "bound"]);
    assert_eq!(ground.read("made"), "x\n");
    assert!(
        !Path::new("/tmp/passing").exists(),
        "it has a `/tmp` of its own"
    );
    if let Some(isolation) = &mut ground.place.site.isolation {
        isolation.network = true;
    }
    let found = ground.found(2).await;
    let machine = fs::read_to_string("/proc/net/dev").unwrap();
    let many = machine.matches(':').count() > 1;
    assert_eq!(found.contains(&"network".to_owned()), many, "{found:?}");
    // Nothing else keeps it from them.
    ground.place.site.isolation = None;
    let found = ground.found(3).await;
    for word in ["key", "identity", "state", "elsewhere", "processes"] {
        assert!(found.contains(&word.to_owned()), "{word}: {found:?}");
    }
    let _passing = fs::remove_file("/tmp/passing");
}

#[tokio::test]
async fn output_and_exit_code_come_through() {
    let Some(ground) = ground("t/local_exec.a") else {
        return;
    };
    let made = ground
        .place
        .make(1, r#"{"create": ["sh", "-c", "cat"], "inputs": {"a": 1}}"#)
        .await
        .unwrap();
    let output = made.attributes["output"].to_data().unwrap();
    assert_eq!(output["a"], 1, "{output}");
    for (step, script, said) in [
        (2, "echo bad >&2; exit 3", "exited with 3: bad"),
        (3, "kill -9 $$", "exited with 137"),
    ] {
        let desired = serde_json::json!({ "create": ["sh", "-c", script] });
        let error = ground
            .place
            .make(step, &desired.to_string())
            .await
            .unwrap_err();
        assert!(error.message.contains(said), "{error}");
    }
    let error = ground.place.make(4, r#"{"create": ["/no/such"]}"#).await;
    let message = error.unwrap_err().message;
    assert!(message.contains("/no/such"), "{message}");
}

/// Its variables could name code for the processes that have more rights than it.
#[tokio::test]
async fn what_a_program_is_given_reaches_no_process_but_its_own() {
    let Some(ground) = ground("t/local_service.web") else {
        return;
    };
    let desired = r#"{"command": ["sh", "-c", "echo $MINE > mine; exec sleep 1000"],
                      "env": {"MINE": "canary", "LD_PRELOAD": "/no/such.so"}}"#;
    let made = ground.place.make(1, desired).await.unwrap();
    eventually("its variable", || ground.read("mine") == "canary\n").await;
    let root = ground.place.root();
    let outer = pid(&status(&root)["phase"]["running"]).unwrap();
    let outer = outer.as_raw_nonzero();
    for part in ["environ", "cmdline"] {
        let text = fs::read(format!("/proc/{outer}/{part}")).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(
            !text.contains("canary") && !text.contains("PRELOAD"),
            "{part}: {text}"
        );
    }
    ground.place.delete(2, &made).await;
}

#[tokio::test]
async fn a_service_ends_in_order_and_whole() {
    let Some(ground) = ground("t/local_service.web") else {
        return;
    };
    let script = "trap 'echo asked > asked; exit 0' TERM; setsid sleep 98761 & \
                  echo x > begun; while :; do sleep 0.05; done";
    let desired = serde_json::json!({ "command": ["sh", "-c", script] });
    let made = ground.place.make(1, &desired.to_string()).await.unwrap();
    eventually("it runs", || ground.read("begun") == "x\n").await;
    eventually("what it left its session with", || {
        sleeping("98761").len() == 1
    })
    .await;
    ground.place.delete(2, &made).await;
    assert_eq!(ground.read("asked"), "asked\n", "it was not told to end");
    assert_eq!(sleeping("98761"), Vec::<String>::new());
}

#[tokio::test]
async fn all_inside_ends_with_the_process_that_made_it() {
    let Some(ground) = ground("t/local_service.web") else {
        return;
    };
    let desired = r#"{"command": ["sh", "-c", "setsid sleep 98762 & exec sleep 98762"]}"#;
    let made = ground.place.make(1, desired).await.unwrap();
    let root = ground.place.root();
    eventually("it runs", || sleeping("98762").len() == 2).await;
    let first = sleeping("98762");
    let outer = pid(&status(&root)["phase"]["running"]).unwrap();
    kill_process(outer, Signal::KILL).unwrap();
    eventually("it is started again", || {
        let now = sleeping("98762");
        now.len() == 2 && now.iter().all(|pid| !first.contains(pid))
    })
    .await;
    assert!(!runs(outer));
    ground.place.delete(2, &made).await;
    assert_eq!(sleeping("98762"), Vec::<String>::new());
}

#[tokio::test]
async fn root_is_no_user_for_it_and_another_way_to_run_is_a_change() {
    let Some(mut ground) = ground("t/local_service.web") else {
        return;
    };
    let desired = r#"{"command": ["sleep", "98763"]}"#;
    let made = ground.place.make(1, desired).await.unwrap();
    assert_eq!(ground.place.read(&made).await.unwrap().unwrap(), made);
    let isolation = ground.place.site.isolation.take();
    let seen = ground.place.read(&made).await.unwrap().unwrap();
    assert_ne!(seen.attributes.get("user"), made.attributes.get("user"));
    let planned = ground.place.plan(Some(&seen), Some(&record(desired))).await;
    assert!(planned.is_ok());
    ground.place.site.isolation = isolation;
    ground.place.delete(2, &made).await;
    if rustix::process::geteuid().is_root() {
        ground.place.site.user = None;
        let error = ground.place.make(3, desired).await.unwrap_err();
        assert!(error.message.contains("name a `user`"), "{error}");
        assert!(
            !own(&ground.place.root())
                .join("services/web/status.json")
                .exists()
        );
    }
}

/// The processes `sleep <for>`.
fn sleeping(time: &str) -> Vec<String> {
    let wanted = format!("sleep\0{time}\0");
    let all = fs::read_dir("/proc").unwrap();
    all.filter_map(|entry| {
        let path = entry.unwrap().path();
        let words = fs::read(path.join("cmdline")).ok()?;
        (words == wanted.as_bytes()).then(|| path.display().to_string())
    })
    .collect()
}
