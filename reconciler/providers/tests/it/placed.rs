//! What is particular to files: confinement, foreign files, modes, crashes.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Arc;

use stratum_core::ports::{Certainty, Located, Provider as _};
use stratum_core::value::{Path, Value};
use stratum_testkit::sealing::MemorySecrets;

use crate::kept::{Place, record};

#[tokio::test]
async fn no_path_leads_through_a_symlink() {
    let place = Place::new("t/local_file.a");
    let outside = place.folder.path().join("outside");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::create_dir_all(place.root()).unwrap();
    symlink(&outside, place.root().join("way")).unwrap();
    std::fs::write(outside.join("secret"), "s").unwrap();
    symlink(outside.join("secret"), place.root().join("end")).unwrap();
    let error = place
        .make(0, r#"{"path": "way/x", "content": "c"}"#)
        .await
        .unwrap_err();
    assert!(
        error
            .message
            .contains("`way`, on the way to `way/x`, is a symlink"),
        "{error}"
    );
    let error = place
        .make(1, r#"{"path": "end", "content": "c"}"#)
        .await
        .unwrap_err();
    assert!(
        error.message.contains("is a symlink") && error.certainty == Certainty::NothingHappened
    );
    assert_eq!(
        std::fs::read_to_string(outside.join("secret")).unwrap(),
        "s"
    );
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
}

#[tokio::test]
async fn absolute_paths_must_lie_in_a_declared_root() {
    let mut place = Place::new("t/local_file.a");
    let declared = place.folder.path().join("declared");
    let wanted = format!(r#"{{"path": "{}/x", "content": "c"}}"#, declared.display());
    let error = place.plan(None, Some(&record(&wanted))).await.unwrap_err();
    assert!(error.message.contains("lies neither in"), "{error}");
    place.site.roots.push(declared.clone());
    let error = place.make(0, &wanted).await.unwrap_err();
    assert!(error.message.contains("make it first"), "{error}");
    std::fs::create_dir(&declared).unwrap();
    place.make(1, &wanted).await.unwrap();
    assert_eq!(std::fs::read_to_string(declared.join("x")).unwrap(), "c");
}

#[tokio::test]
async fn what_stratum_did_not_make_is_left_alone() {
    let place = Place::new("t/local_file.a");
    std::fs::create_dir_all(place.root()).unwrap();
    std::fs::write(place.root().join("a"), "mine").unwrap();
    let desired = record(r#"{"path": "a", "content": "theirs"}"#);
    let step = place.step(0, None, Some(&desired)).await.unwrap();
    let error = place.apply(&step).await.unwrap_err();
    assert!(error.message.contains("is there already"), "{error}");
    assert_eq!(error.certainty, Certainty::NothingHappened);
    assert_eq!(place.restore(&step).await.unwrap(), None);
    assert_eq!(
        std::fs::read_to_string(place.root().join("a")).unwrap(),
        "mine"
    );
}

#[tokio::test]
async fn a_change_by_somebody_else_stops_the_step_and_the_restore() {
    let place = Place::new("t/local_file.a");
    let first = place
        .make(0, r#"{"path": "a", "content": "one"}"#)
        .await
        .unwrap();
    let desired = record(r#"{"path": "a", "content": "two"}"#);
    let step = place.step(1, Some(&first), Some(&desired)).await.unwrap();
    std::fs::write(place.root().join("a"), "mine").unwrap();
    let error = place.apply(&step).await.unwrap_err();
    assert!(
        error.message.contains("changed since it was planned"),
        "{error}"
    );
    let error = place.restore(&step).await.unwrap_err();
    assert!(
        error.message.contains("neither as it was nor as planned"),
        "{error}"
    );
    assert_eq!(
        std::fs::read_to_string(place.root().join("a")).unwrap(),
        "mine"
    );
}

#[tokio::test]
async fn drift_is_read_and_put_back_as_it_was_found() {
    let place = Place::new("t/local_file.a");
    let first = place
        .make(0, r#"{"path": "a", "content": "one"}"#)
        .await
        .unwrap();
    let file = place.root().join("a");
    std::fs::write(&file, b"\xff\xfe not text").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let drifted = place.read(&first).await.unwrap().unwrap();
    assert_eq!(drifted.attributes["mode"], Value::text("0600"));
    assert_ne!(drifted.attributes["sha256"], first.attributes["sha256"]);
    let desired = record(r#"{"path": "a", "content": "one"}"#);
    let step = place.step(1, Some(&drifted), Some(&desired)).await.unwrap();
    assert_eq!(place.apply(&step).await.unwrap().as_ref(), Some(&first));
    place.restore(&step).await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"\xff\xfe not text");
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test]
async fn what_a_crash_left_beside_the_file_goes() {
    let place = Place::new("t/local_file.a");
    std::fs::create_dir_all(place.root().join("d")).unwrap();
    let desired = record(r#"{"path": "d/a", "content": "one"}"#);
    let step = place.step(0, None, Some(&desired)).await.unwrap();
    let left = place
        .root()
        .join("d")
        .join(format!(".stratum-{}", step.token.as_str()));
    std::fs::write(&left, "on").unwrap();
    assert_eq!(place.locate(&step).await.unwrap(), Located::NotDone);
    place.restore(&step).await.unwrap();
    assert!(!left.exists());
    std::fs::write(&left, "on").unwrap();
    place.apply(&step).await.unwrap();
    assert!(!left.exists() && place.root().join("d/a").exists());
}

#[tokio::test]
async fn folders_made_for_files_go_with_the_last_of_them() {
    let (one, mut two) = (Place::new("t/local_file.a"), Place::new("t/local_file.b"));
    two.site = one.site.clone();
    let first = one
        .step(
            0,
            None,
            Some(&record(r#"{"path": "d/e/a", "content": ""}"#)),
        )
        .await
        .unwrap();
    one.apply(&first).await.unwrap();
    let second = two
        .step(1, None, Some(&record(r#"{"path": "d/b", "content": ""}"#)))
        .await
        .unwrap();
    two.apply(&second).await.unwrap();
    one.restore(&first).await.unwrap();
    assert!(one.root().join("d/b").exists() && !one.root().join("d/e").exists());
    two.restore(&second).await.unwrap();
    assert!(!one.root().join("d").exists());
}

#[tokio::test]
async fn a_folder_with_something_in_it_is_not_removed() {
    let place = Place::new("t/local_directory.a");
    let made = place.make(0, r#"{"path": "d"}"#).await.unwrap();
    std::fs::write(place.root().join("d/x"), "").unwrap();
    let step = place.step(1, Some(&made), None).await.unwrap();
    let error = place.apply(&step).await.unwrap_err();
    assert!(error.message.contains("is not empty"), "{error}");
    assert_eq!(error.certainty, Certainty::NothingHappened);
}

#[tokio::test]
async fn another_spelling_of_a_path_is_no_replacement() {
    let place = Place::new("t/local_file.a");
    let made = place
        .make(0, r#"{"path": "a/b", "content": ""}"#)
        .await
        .unwrap();
    let plan = async |path: &str| {
        let desired = record(&format!(r#"{{"path": "{path}", "content": ""}}"#));
        place
            .plan(Some(&made), Some(&desired))
            .await
            .unwrap()
            .replace
    };
    assert_eq!(plan("./a//b").await, []);
    assert_eq!(plan("a/c").await, [Path::of("path")]);
}

#[tokio::test]
async fn owners_are_set_as_root_and_refused_otherwise() {
    let place = Place::new("t/local_file.a");
    let wanted = r#"{"path": "a", "content": "", "owner": "4321:1234"}"#;
    let root = rustix::process::geteuid().is_root();
    match place.make(0, wanted).await {
        Ok(made) => {
            use std::os::unix::fs::MetadataExt;
            let stat = std::fs::metadata(place.root().join("a")).unwrap();
            assert!(root && (stat.uid(), stat.gid()) == (4321, 1234));
            assert_eq!(place.read(&made).await.unwrap().unwrap(), made);
        }
        Err(error) => assert!(
            !root && error.certainty == Certainty::NothingHappened,
            "{error}"
        ),
    }
    let error = place
        .make(1, r#"{"path": "b", "content": "", "owner": "nobody-such"}"#)
        .await;
    assert!(error.unwrap_err().message.contains("there is no user"));
}

#[tokio::test]
async fn secrets_are_refused_until_the_reconciler_is_unsealed() {
    let place = Place::new("t/local_file.a");
    let digest = stratum_core::digest::Digest::of_bytes(b"");
    let wanted = format!(
        r#"{{"path": "a", "content": {{"$stratum": {{"secret":
            {{"path": "p", "key": "k", "digest": "{digest}"}}}}}}}}"#
    );
    let error = place.make(0, &wanted).await.unwrap_err();
    assert!(error.message.contains("is sealed"), "{error}");
    assert!(!place.root().join("a").exists());
}

/// A content that joins text with version `version` of the secret.
fn with_secret(version: u64) -> String {
    let digest = stratum_core::digest::Digest::of_bytes(&version.to_be_bytes());
    format!(
        r#"{{"path": "a", "content": {{"$stratum": {{"join": ["pw=", {{"$stratum": {{"secret":
            {{"path": "db", "key": "pw", "version": {version}, "digest": "{digest}"}}}}}}]}}}}}}"#
    )
}

fn place_with_secrets() -> Place {
    let secrets = MemorySecrets::default()
        .with("db", "pw", Some(1), b"hunter2")
        .with("db", "pw", Some(2), b"correct horse");
    Place {
        secrets: Arc::new(secrets),
        ..Place::new("t/local_file.a")
    }
}

fn shows(what: &impl std::fmt::Debug) -> bool {
    let text = format!("{what:?}");
    let bytes = format!("{:?}", b"hunter2");
    text.contains("hunter2") || text.contains(bytes.trim_matches(['[', ']']))
}

#[tokio::test]
async fn a_secret_is_in_the_file_and_nowhere_else() {
    let place = place_with_secrets();
    let first = place.make(0, &with_secret(1)).await.unwrap();
    let file = place.root().join("a");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "pw=hunter2");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!shows(&first), "{first:?}");
    assert_eq!(place.read(&first).await.unwrap(), Some(first.clone()));

    let desired = record(&with_secret(2));
    let step = place.step(1, Some(&first), Some(&desired)).await.unwrap();
    assert!(!shows(&step.checkpoint), "{:?}", step.checkpoint);
    place.apply(&step).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "pw=correct horse");
    let back = place.restore(&step).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "pw=hunter2");
    assert_eq!(back, Some(first));
}

#[tokio::test]
async fn drift_of_a_secret_shows_a_digest_and_can_be_corrected() {
    let place = place_with_secrets();
    let first = place.make(0, &with_secret(1)).await.unwrap();
    let file = place.root().join("a");
    std::fs::write(&file, "pw=hunter2-and-more").unwrap();
    let seen = place.read(&first).await.unwrap().unwrap();
    assert_ne!(seen.attributes["content"], first.attributes["content"]);
    assert!(!shows(&seen), "{seen:?}");
    let desired = record(&with_secret(1));
    let step = place.step(1, Some(&seen), Some(&desired)).await.unwrap();
    place.apply(&step).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "pw=hunter2");
}

#[tokio::test]
async fn a_secret_where_it_would_be_shown_is_complained_about() {
    let place = Place::new("t/local_file.a");
    let wanted =
        record(r#"{"path": {"$stratum": {"secret": {"path": "p", "key": "k"}}}, "content": "x"}"#);
    let complaints = place.provider.validate(place.address.r#type(), &wanted);
    assert!(
        complaints
            .iter()
            .any(|one| one.message.contains("names a secret"))
    );
}

#[tokio::test]
async fn checkpoints_do_not_keep_what_the_state_holds() {
    let place = Place::new("t/local_file.a");
    let long = "x".repeat(100_000);
    let first = place
        .make(0, &format!(r#"{{"path": "a", "content": "{long}"}}"#))
        .await
        .unwrap();
    let desired = record(r#"{"path": "a", "content": "short"}"#);
    let step = place.step(1, Some(&first), Some(&desired)).await.unwrap();
    assert!(step.checkpoint.kept.0.len() < 300);
    place.apply(&step).await.unwrap();
    place.restore(&step).await.unwrap();
    assert_eq!(
        std::fs::read_to_string(place.root().join("a")).unwrap(),
        long
    );
}

/// Attributes, lists of who may do what, times and holes come back with a rollback, of a change and
/// of a delete.
#[tokio::test]
async fn what_a_file_has_besides_its_content_comes_back() {
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    use std::os::unix::fs::MetadataExt;
    let place = Place::new("t/local_file.a");
    let zeros = "\\u0000".repeat(100_000);
    let desired = format!(r#"{{"path": "a", "content": "{zeros}"}}"#);
    let made = place.make(0, &desired).await.unwrap();
    let file = place.root().join("a");
    let open = std::fs::File::options().write(true).open(&file).unwrap();
    open.set_len(0).unwrap();
    open.set_len(100_000).unwrap();
    let acl: &[u8] = &[
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 0x39, 0x30, 0, 0, 4, 0, 4, 0, 255,
        255, 255, 255, 16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
    ];
    for (name, value) in [
        ("user.note", b"theirs".as_slice()),
        ("system.posix_acl_access", acl),
    ] {
        if setxattr(&file, name, value, XattrFlags::empty()).is_err() {
            return; // A file system without them.
        }
    }
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(1_234_567_891);
    open.set_modified(old).unwrap();
    drop(open);
    let value = |name: &str| {
        let mut value = vec![0; 100];
        let size = getxattr(&file, name, value.as_mut_slice()).unwrap_or_default();
        value[..size].to_vec()
    };
    let seen = place.read(&made).await.unwrap().unwrap();
    let desired = record(r#"{"path": "a", "content": "new"}"#);
    for wanted in [Some(&desired), None] {
        let step = place.step(1, Some(&seen), wanted).await.unwrap();
        place.apply(&step).await.unwrap();
        place.restore(&step).await.unwrap();
        let stat = std::fs::metadata(&file).unwrap();
        assert_eq!(stat.modified().unwrap(), old);
        assert!(stat.blocks() * 512 < 100_000, "the holes are filled");
        assert_eq!(value("user.note"), b"theirs");
        assert_eq!(value("system.posix_acl_access"), acl);
        place.restore(&step).await.unwrap();
    }
}

#[tokio::test]
async fn the_times_of_links_and_folders_come_back_and_what_was_not_there_goes() {
    use rustix::fs::{
        AtFlags, CWD, Timespec, Timestamps, XattrFlags, getxattr, setxattr, utimensat,
    };
    let time = Timespec {
        tv_sec: 1_000_000,
        tv_nsec: 5,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    for (address, first, second) in [
        (
            "t/local_symlink.a",
            r#"{"path": "a", "target": "x"}"#,
            r#"{"path": "a", "target": "y"}"#,
        ),
        (
            "t/local_directory.a",
            r#"{"path": "a"}"#,
            r#"{"path": "a", "mode": "0700"}"#,
        ),
    ] {
        let place = Place::new(address);
        let made = place.make(0, first).await.unwrap();
        let path = place.root().join("a");
        utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        let second = record(second);
        for wanted in [Some(&second), None] {
            let step = place.step(1, Some(&made), wanted).await.unwrap();
            place.apply(&step).await.unwrap();
            if address.contains("directory") && wanted.is_some() {
                let _unsupported = setxattr(&path, "user.new", b"x", XattrFlags::empty());
                std::fs::write(path.join("f"), "").unwrap();
                std::fs::remove_file(path.join("f")).unwrap();
            }
            place.restore(&step).await.unwrap();
            let modified = std::fs::symlink_metadata(&path)
                .unwrap()
                .modified()
                .unwrap();
            let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
            assert_eq!(
                (since.as_secs(), since.subsec_nanos()),
                (1_000_000, 5),
                "{address}"
            );
            let mut value = vec![0; 10];
            assert!(
                getxattr(&path, "user.new", value.as_mut_slice()).is_err(),
                "{address}"
            );
        }
    }
}

/// What a rolled-back change leaves in the root is nothing, our own bookkeeping included.
#[tokio::test]
async fn a_rolled_back_change_leaves_nothing_in_the_root() {
    for (address, wanted) in [
        (
            "t/local_file.a",
            r#"{"path": "deep/down/a", "content": "x"}"#,
        ),
        ("t/local_symlink.a", r#"{"path": "deep/a", "target": "x"}"#),
        ("t/local_directory.a", r#"{"path": "deep/a"}"#),
        (
            "t/local_exec.a",
            r#"{"create": ["true"], "delete": ["true"]}"#,
        ),
        ("t/local_service.a", r#"{"command": ["sleep", "1000"]}"#),
    ] {
        let place = Place::new(address);
        let wanted = record(wanted);
        let step = place.step(0, None, Some(&wanted)).await.unwrap();
        place.apply(&step).await.unwrap();
        place.restore(&step).await.unwrap();
        let left: Vec<_> = std::fs::read_dir(place.root()).unwrap().collect();
        assert!(left.is_empty(), "{address}: {left:?}");
    }
}
