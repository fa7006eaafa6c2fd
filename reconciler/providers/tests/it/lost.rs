//! The loss of a watcher is not the loss of what it watches.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use stratum_core::resource::Instance;

use crate::kept::{Place, eventually, own};
use crate::service::{pid, runs, status};

const SLEEPER: &str = r#"{"command": ["sleep", "1000"]}"#;

/// The supervisor and the program of the service.
fn processes(place: &Place) -> (Pid, Pid) {
    let now = status(&place.root());
    (pid(&now["supervisor"]).unwrap(), pid(&now["last"]).unwrap())
}

/// A service whose supervisor was killed; its program.
async fn unwatched(place: &Place, service: &str) -> (Instance, Pid) {
    let made = place.make(0, service).await.unwrap();
    let (supervisor, program) = processes(place);
    kill_process(supervisor, Signal::KILL).unwrap();
    eventually("the end of the supervisor", || !runs(supervisor)).await;
    (made, program)
}

#[tokio::test]
async fn a_program_that_lost_its_watcher_is_taken_over_and_not_restarted() {
    let place = Place::new("t/local_service.web");
    let (made, program) = unwatched(&place, SLEEPER).await;
    assert!(runs(program));
    let why = place.stopped(&made).await.unwrap();
    assert!(
        why.contains("runs, and the process that supervises it is gone"),
        "{why}"
    );
    let again = place.make(1, SLEEPER).await.unwrap();
    assert_eq!(place.stopped(&again).await, None);
    let (watcher, now) = processes(&place);
    assert_eq!(now, program, "the program was started again");
    // The new watcher watches indeed: it starts the program again, and ends it when told.
    kill_process(program, Signal::KILL).unwrap();
    eventually("another program", || processes(&place).1 != program).await;
    assert!(runs(watcher));
    place.delete(2, &again).await;
    assert!(!runs(watcher) && !own(&place.root()).join("services").exists());
}

/// What is looked for is the program, not what was written by whoever watched it.
#[tokio::test]
async fn a_program_that_lost_its_watcher_is_ended_when_it_should_go() {
    let place = Place::new("t/local_service.web");
    let (made, program) = unwatched(&place, SLEEPER).await;
    place.delete(1, &made).await;
    assert!(!runs(program));
}

#[tokio::test]
async fn other_settings_end_the_program_that_lost_its_watcher() {
    let place = Place::new("t/local_service.web");
    let (_, program) = unwatched(&place, SLEEPER).await;
    let other = r#"{"command": ["sleep", "1001"]}"#;
    let made = place.make(1, other).await.unwrap();
    assert!(!runs(program));
    place.delete(2, &made).await;
}

/// A grandchild in a session of its own, with nobody who watches: the mark and the cgroup know it.
#[tokio::test]
async fn what_left_the_group_of_a_program_without_a_watcher_is_ended_too() {
    let place = Place::new("t/local_service.web");
    let away = r#"{"command": ["sh", "-c", "setsid sh -c 'echo $$ > away; exec sleep 1000' & exec sleep 1000"]}"#;
    let (made, program) = unwatched(&place, away).await;
    let away = escaped(&place).await;
    place.delete(1, &made).await;
    assert!(!runs(program) && !runs(away));
}

pub(crate) async fn escaped(place: &Place) -> Pid {
    let file = place.root().join("away");
    let read = || std::fs::read_to_string(&file).ok()?.trim().parse().ok();
    eventually("the grandchild", || read().is_some()).await;
    Pid::from_raw(read().unwrap()).unwrap()
}

/// After a reboot, ids that were written down belong to others.
#[tokio::test]
async fn a_process_that_only_has_the_id_is_never_signalled() {
    let place = Place::new("t/local_service.web");
    let (made, program) = unwatched(&place, SLEEPER).await;
    kill_process(program, Signal::KILL).unwrap();
    let mut stranger = std::process::Command::new("sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    let file = own(&place.root()).join("services/web/status.json");
    let mut written = status(&place.root());
    for name in ["last", "supervisor"] {
        written[name]["pid"] = stranger.id().into();
    }
    std::fs::write(&file, serde_json::to_vec(&written).unwrap()).unwrap();
    let lock = own(&place.root()).join("services/web/lock");
    let token = std::fs::read_to_string(&lock).unwrap();
    let token = token.lines().next().unwrap();
    std::fs::write(&lock, format!("{token}\n{}\n", written["supervisor"])).unwrap();
    place.delete(1, &made).await;
    assert!(
        stranger.try_wait().unwrap().is_none(),
        "a stranger was ended"
    );
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

/// The same after a reboot, when even the time of its start is the same.
#[tokio::test]
async fn a_process_of_another_boot_is_never_signalled() {
    let place = Place::new("t/local_service.web");
    let (made, program) = unwatched(&place, SLEEPER).await;
    let mut stranger = std::process::Command::new("sleep");
    let mut stranger = stranger.arg("1000").spawn().unwrap();
    let pid = Pid::from_child(&stranger);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    let start = stat.rsplit_once(')').unwrap().1.split(' ').nth(20).unwrap();
    let file = own(&place.root()).join("services/web/status.json");
    let mut written = status(&place.root());
    let of_another_boot = serde_json::json!({
        "pid": pid.as_raw_nonzero().get(), "start": start.parse::<u64>().unwrap(), "boot": 7,
    });
    written["last"] = of_another_boot.clone();
    written["supervisor"] = of_another_boot;
    written["family"] = serde_json::json!({"mark": "", "leader": null, "watcher": null});
    std::fs::write(&file, serde_json::to_vec(&written).unwrap()).unwrap();
    place.delete(1, &made).await;
    assert!(runs(pid), "a process of another boot was ended");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    // Its own is found by its home, whatever is written down.
    assert!(!runs(program));
}

/// A small file system of its own, where this user may mount one.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: &std::path::Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "none"])
            .arg(at);
        let mounted = mount.status().is_ok_and(|status| status.success());
        mounted.then(|| Self(at.to_owned()))
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.0.join("filling")).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
        let mut name = 0;
        while std::fs::write(self.0.join(format!("f{name}")), "x").is_ok() {
            name += 1;
        }
    }

    fn clear(&self) {
        for entry in std::fs::read_dir(&self.0).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _unmounted = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

#[tokio::test]
async fn a_watcher_outlives_a_full_disk_and_starts_the_program_meanwhile() {
    let place = Place::new("t/local_service.web");
    let Some(small) = Small::mount(&place.site.own) else {
        return;
    };
    std::fs::create_dir_all(place.root()).unwrap();
    let chatty = r#"{"command": ["sh", "-c", "echo begun | tee -a starts; exec sleep 0.4"]}"#;
    let step = place.make(0, chatty).await;
    let (watcher, _) = processes(&place);
    small.fill();
    let starts = || {
        let text = std::fs::read_to_string(place.root().join("starts"));
        text.unwrap_or_default().lines().count()
    };
    let before = starts();
    eventually("starts on a full disk", || starts() > before + 2).await;
    assert!(runs(watcher));
    small.clear();
    let restarts = || {
        status(&place.root())["restarts"]
            .as_u64()
            .unwrap_or_default()
    };
    eventually("a status that is true again", || {
        restarts() + 1 >= starts() as u64
    })
    .await;
    small.fill();
    if let Ok(made) = step {
        place.delete(1, &made).await;
    }
    assert!(
        !runs(watcher),
        "a full disk kept the service from being stopped"
    );
}

#[tokio::test]
async fn a_service_that_ended_as_it_should_is_done() {
    let place = Place::new("t/local_service.web");
    let once = r#"{"command": ["sh", "-c", "echo x >> ran; sleep 0.3"], "restart": "never"}"#;
    let made = place.make(0, once).await.unwrap();
    let done = || status(&place.root())["phase"] == "done";
    eventually("its end", done).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(place.read(&made).await.unwrap(), Some(made.clone()));
    // It is not run again when it is asked for once more.
    place.make(1, once).await.unwrap();
    let ran = std::fs::read_to_string(place.root().join("ran")).unwrap();
    assert_eq!(ran, "x\n");
    place.delete(2, &made).await;
    assert_eq!(place.read(&made).await.unwrap(), None);
}

/// Waits until a look says why the service is not as it should be. For a moment, before the watcher
/// wrote down how the program ended, that is only that it ended.
async fn until_stopped(place: &Place, known: &Instance) -> String {
    for _ in 0..400 {
        let why = place.stopped(known).await;
        if let Some(why) = why.filter(|why| !why.contains("a moment ago")) {
            return why;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it is always as it should be");
}

#[tokio::test]
async fn a_service_that_failed_is_not_well_and_says_its_last_words() {
    let place = Place::new("t/local_service.web");
    let once = r#"{"command": ["sh", "-c", "echo x >> ran; sleep 0.3; echo boom >&2; exit 3"], "restart": "never"}"#;
    let made = place.make(0, once).await.unwrap();
    let why = until_stopped(&place, &made).await;
    assert!(
        why.contains("exited with 3") && why.contains("boom"),
        "{why}"
    );
    // It is not to be started again, whoever asks.
    let desired = crate::kept::record(once);
    let step = place.step(1, Some(&made), Some(&desired)).await.unwrap();
    let refused = place.apply(&step).await.unwrap_err();
    assert!(refused.message.contains("exited with 3"), "{refused}");
    let ran = std::fs::read_to_string(place.root().join("ran")).unwrap();
    assert_eq!(ran, "x\n");
    place.delete(2, &made).await;
}

#[tokio::test]
async fn a_crash_loop_is_never_well() {
    let place = Place::new("t/local_service.web");
    let late = r#"{"command": ["sh", "-c", "sleep 0.3; echo boom >&2; exit 1"]}"#;
    let made = place.make(0, late).await.unwrap();
    let why = until_stopped(&place, &made).await;
    assert!(
        why.contains("exited with 1") && why.contains("boom"),
        "{why}"
    );
    // From then on every look says so, also those that find it running again.
    for _ in 0..40 {
        assert!(place.stopped(&made).await.is_some());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    place.delete(1, &made).await;
}

#[tokio::test]
async fn one_that_always_ends_is_not_well_though_it_exits_with_0() {
    let place = Place::new("t/local_service.web");
    let made = place
        .make(0, r#"{"command": ["sleep", "0.3"]}"#)
        .await
        .unwrap();
    let why = until_stopped(&place, &made).await;
    assert!(why.contains("exited with 0"), "{why}");
    place.delete(1, &made).await;
}

#[tokio::test]
async fn health_is_asked_at_every_look() {
    let place = Place::new("t/local_service.web");
    std::fs::create_dir_all(place.root()).unwrap();
    let ok = place.root().join("ok");
    std::fs::write(&ok, "").unwrap();
    let service = r#"{"command": ["sleep", "1000"], "health": {"command": ["test", "-e", "ok"], "every": "10ms", "within": "5s"}}"#;
    let made = place.make(0, service).await.unwrap();
    assert_eq!(place.stopped(&made).await, None);
    std::fs::remove_file(&ok).unwrap();
    let why = place.stopped(&made).await.unwrap();
    assert!(why.contains("not healthy"), "{why}");
    std::fs::write(&ok, "").unwrap();
    assert_eq!(place.stopped(&made).await, None);
    place.delete(1, &made).await;
}

/// The machine went down: nothing of it runs, and what was written is of another boot.
#[tokio::test]
async fn after_a_reboot_it_is_known_and_does_not_run() {
    let place = Place::new("t/local_service.web");
    let (made, program) = unwatched(&place, SLEEPER).await;
    kill_process(program, Signal::KILL).unwrap();
    eventually("the end of the program", || !runs(program)).await;
    let file = own(&place.root()).join("services/web/status.json");
    let mut written = status(&place.root());
    for name in ["last", "supervisor"] {
        written[name]["boot"] = 7.into();
        written[name]["pid"] = 1.into();
    }
    std::fs::write(&file, serde_json::to_vec(&written).unwrap()).unwrap();
    let why = place.stopped(&made).await.unwrap();
    assert!(why.contains("does not run"), "{why}");
    let desired = crate::kept::record(SLEEPER);
    let step = place.step(1, Some(&made), Some(&desired)).await.unwrap();
    let again = place.apply(&step).await.unwrap().unwrap();
    assert_eq!(place.stopped(&again).await, None);
    place.delete(2, &again).await;
}
