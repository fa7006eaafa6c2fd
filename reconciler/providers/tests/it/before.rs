//! What a file or place had that nobody would think of is there after a rollback, or is refused.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use crate::kept::{Place, record};

const WANTED: &str = r#"{"path": "a", "content": "two"}"#;

/// Makes a file, has `by_hand` change it, applies a change over that and puts it back.
async fn changed_and_put_back(by_hand: impl FnOnce(&Path)) -> Place {
    let place = Place::new("t/local_file.a");
    let made = place
        .make(0, r#"{"path": "a", "content": "one"}"#)
        .await
        .unwrap();
    by_hand(&place.root().join("a"));
    let seen = place.read(&made).await.unwrap().unwrap();
    let step = place
        .step(1, Some(&seen), Some(&record(WANTED)))
        .await
        .unwrap();
    place.apply(&step).await.unwrap();
    assert_eq!(std::fs::read(place.root().join("a")).unwrap(), b"two");
    place.restore(&step).await.unwrap();
    place
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn bits_beyond_the_permissions_come_back() {
    for mode in [0o2755, 0o4711, 0o1644, 0o000] {
        let place = changed_and_put_back(|path| set_mode(path, mode)).await;
        let found = std::fs::metadata(place.root().join("a")).unwrap().mode();
        assert_eq!(found & 0o7777, mode, "{found:o} is not {mode:o}");
    }
}

#[tokio::test]
async fn a_file_with_holes_comes_back_with_its_size_and_content() {
    const SIZE: u64 = 64 << 20;
    let place = changed_and_put_back(|path| {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_len(SIZE).unwrap();
    })
    .await;
    let bytes = std::fs::read(place.root().join("a")).unwrap();
    assert_eq!(bytes.len() as u64, SIZE);
    assert!(bytes.starts_with(b"one") && bytes.iter().skip(3).all(|byte| *byte == 0));
}

/// Where no file is, none is made, none is taken away, and nothing waits for a reader.
#[tokio::test]
async fn what_is_no_file_is_left_alone_and_never_opened() {
    let place = Place::new("t/local_file.a");
    std::fs::create_dir_all(place.root()).unwrap();
    let path = place.root().join("a");
    let fifo = || {
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
    };
    let socket = || drop(UnixListener::bind(&path).unwrap());
    let makers: [&dyn Fn(); 2] = [&fifo, &socket];
    for (number, make) in (0..).zip(makers) {
        make();
        let refused = place.make(number, WANTED).await.unwrap_err();
        assert!(refused.message.contains("`a`"), "{refused}");
        let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
        assert!(kind.is_fifo() || kind.is_socket());
        std::fs::remove_file(&path).unwrap();
    }
}

/// The same where it came in the place of a file that was made.
#[tokio::test]
async fn what_took_the_place_of_a_file_is_read_without_being_opened() {
    let place = Place::new("t/local_file.a");
    let made = place.make(0, WANTED).await.unwrap();
    let path = place.root().join("a");
    std::fs::remove_file(&path).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let read = tokio::time::timeout(place.timeout, place.read(&made)).await;
    // A word or an error, but an answer.
    drop(read.unwrap());
    assert!(
        std::fs::symlink_metadata(&path)
            .unwrap()
            .file_type()
            .is_fifo()
    );
}

#[tokio::test]
async fn a_file_that_nobody_may_change_is_an_error_and_stays() {
    let place = Place::new("t/local_file.a");
    let made = place
        .make(0, r#"{"path": "a", "content": "one"}"#)
        .await
        .unwrap();
    let path = place.root().join("a");
    let chattr = |word: &str| {
        let done = Command::new("chattr").arg(word).arg(&path).output();
        done.is_ok_and(|done| done.status.success())
    };
    if !chattr("+i") {
        return;
    }
    let step = place.step(1, Some(&made), Some(&record(WANTED))).await;
    let failed = match step {
        Ok(step) => place.apply(&step).await.unwrap_err().message,
        Err(error) => error.message,
    };
    let content = std::fs::read(&path).unwrap();
    assert!(chattr("-i"));
    assert_eq!(content, b"one", "{failed}");
}
