//! Whatever is altered, removed or reordered is found, and the first place is named.

use std::fs;
use std::path::Path;

use stratum_core::ports::Audit;
use stratum_store::Expected;

use super::{Desk, NOVEMBER, bundle, files, part, refused, with_entries, write_bundle};

#[tokio::test]
async fn a_log_that_was_cut_or_taken_away_stops_the_next_start() {
    let desk = with_entries(300).await;
    let part = part(&desk);
    let away = desk.log().join("away");
    fs::rename(&part, &away).unwrap();
    let error = desk.try_open().await.unwrap_err();
    assert!(error.to_string().contains("300 entries"), "{error}");
    fs::rename(&away, &part).unwrap();
    desk.open().await.close().await;
    assert_eq!(desk.report().problem, None);
}

#[tokio::test]
async fn a_changed_or_missing_file_is_found_whichever_it_is() {
    let desk = Desk::new();
    let store = desk.open().await;
    // Several checkpoints, so that there are partial tiles of earlier ones too.
    for count in [100, 200, 300] {
        let entries: Vec<_> = (0..count).map(|number| refused(NOVEMBER, number)).collect();
        Audit::log(&store, &entries).await.unwrap();
        store.bring_in().await.unwrap();
    }
    store.close().await;
    assert_eq!(desk.report().problem, None);
    let part = part(&desk);
    for file in files(&part) {
        let bytes = fs::read(&file).unwrap();
        for place in [0, bytes.len() / 2, bytes.len() - 2] {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            fs::write(&file, changed).unwrap();
            let found = desk.problem();
            assert_eq!(
                found.path.as_deref(),
                Some(file.as_path()),
                "byte {place}: {found:?}"
            );
        }
        fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        assert!(
            desk.report().problem.is_some(),
            "{} was cut",
            file.display()
        );
        fs::remove_file(&file).unwrap();
        let gone = desk.report().problem;
        // A partial tile of an earlier checkpoint is no part of the log any more.
        assert_eq!(
            gone.is_none(),
            is_earlier(&file),
            "{} is gone: {gone:?}",
            file.display()
        );
        fs::write(&file, &bytes).unwrap();
    }
    assert_eq!(desk.report().problem, None);
}

#[tokio::test]
async fn the_first_altered_removed_or_moved_entry_is_named() {
    let desk = with_entries(600).await;
    let path = part(&desk).join("tile/entries/001");
    let all = bundle(&path);
    let try_with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut entries = all.clone();
        change(&mut entries);
        write_bundle(&path, &entries);
        let found = desk.problem();
        assert_eq!(found.path.as_ref(), Some(&path), "{found:?}");
        write_bundle(&path, &all);
        (found.entry.unwrap(), found.what)
    };
    let (entry, what) = try_with(&|entries| entries[7][60] ^= 1);
    assert_eq!((entry, what.contains("was altered")), (263, true), "{what}");
    let (entry, what) = try_with(&|entries| entries.swap(3, 9));
    assert_eq!(
        (entry, what.contains("entry 265 stands there")),
        (259, true),
        "{what}"
    );
    // Removed, and the next bundle's first moved up, as somebody careful would do.
    let (entry, what) = try_with(&|entries| {
        entries.remove(5);
        entries.push(b"{}".to_vec());
    });
    assert_eq!((entry, what.contains("was removed")), (261, true), "{what}");
    let (entry, _) = try_with(&|entries| {
        entries.remove(5);
    });
    assert_eq!(entry, 256, "the bundle is too short");
}

#[tokio::test]
async fn whoever_changes_entry_and_tile_together_is_still_found() {
    let desk = with_entries(70_000).await;
    let part = part(&desk);
    let path = part.join("tile/entries/003");
    let mut entries = bundle(&path);
    entries[1] = entries[2].clone();
    write_bundle(&path, &entries);
    let tile = part.join("tile/0/003");
    let mut hashes = fs::read(&tile).unwrap();
    hashes.copy_within(64..96, 32);
    fs::write(&tile, hashes).unwrap();
    let found = desk.problem();
    assert_eq!(found.path.as_ref(), Some(&tile), "{found:?}");
    assert_eq!(found.entry, Some(768));
}

#[tokio::test]
async fn a_checkpoint_from_elsewhere_shows_a_log_that_was_made_anew() {
    let desk = with_entries(10).await;
    let kept = fs::read_to_string(part(&desk).join("checkpoint")).unwrap();
    let store = desk.open().await;
    Audit::log(&store, &[refused(NOVEMBER, 11)]).await.unwrap();
    store.close().await;
    let mut expected = Expected::default();
    expected.checkpoints.push(kept);
    assert_eq!(desk.reader().verify(&expected).unwrap().problem, None);
    // The holder of the key writes another history and signs it.
    for path in [desk.log().join("0001-2026-11"), desk.path()] {
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.unwrap();
    }
    let store = desk.open().await;
    let entries: Vec<_> = (0..12)
        .map(|number| refused(NOVEMBER, number + 50))
        .collect();
    Audit::log(&store, &entries).await.unwrap();
    store.close().await;
    assert_eq!(desk.report().problem, None);
    let found = desk.reader().verify(&expected).unwrap().problem.unwrap();
    assert!(found.what.contains("signed again"), "{found:?}");
}

#[tokio::test]
async fn the_state_shows_a_log_that_was_put_back() {
    let desk = with_entries(10).await;
    let (part, copy) = (part(&desk), desk.log().join("copy"));
    copy_all(&part, &copy);
    let store = desk.open().await;
    Audit::log(&store, &[refused(NOVEMBER, 11)]).await.unwrap();
    store.bring_in().await.unwrap();
    let (expected, waiting) = store.expected_log().await.unwrap();
    assert_eq!(waiting, 0);
    store.close().await;
    assert_eq!(desk.reader().verify(&expected).unwrap().problem, None);
    fs::remove_dir_all(&part).unwrap();
    fs::rename(&copy, &part).unwrap();
    let found = desk.reader().verify(&expected).unwrap().problem.unwrap();
    assert!(found.what.contains("11 entries"), "{found:?}");
}

/// Whether it is a partial tile, of a log of 600 entries, that its checkpoint does not have.
fn is_earlier(file: &Path) -> bool {
    let folder = file.parent().unwrap().to_string_lossy().into_owned();
    let width = file.file_name().unwrap().to_string_lossy().into_owned();
    let now = if folder.ends_with("tile/0/002.p") || folder.ends_with("tile/entries/002.p") {
        "88"
    } else if folder.ends_with("tile/1/000.p") {
        "2"
    } else {
        return false;
    };
    width != now
}

#[tokio::test]
async fn any_entry_that_is_altered_removed_or_moved_is_named() {
    let desk = with_entries(600).await;
    let folder = part(&desk).join("tile/entries");
    for number in (0..600_usize).step_by(41).chain([255, 256, 511, 512, 599]) {
        let (index, place) = (number / 256, number % 256);
        let path = match index {
            2 => folder.join("002.p/88"),
            index => folder.join(format!("{index:03}")),
        };
        let all = bundle(&path);
        let found_with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let mut entries = all.clone();
            change(&mut entries);
            write_bundle(&path, &entries);
            let found = desk.problem();
            write_bundle(&path, &all);
            assert_eq!(found.path.as_ref(), Some(&path), "{number}: {found:?}");
            (found.entry.unwrap() as usize, found.what)
        };
        let (first, what) = found_with(&|entries| entries[place][50] ^= 1);
        assert!(
            first == number && what.contains("was altered"),
            "{number}: {what}"
        );
        // A bundle that is too short is named by its first entry.
        let (first, _) = found_with(&|entries| drop(entries.remove(place)));
        assert_eq!(first, index * 256, "{number}");
        let other = (place + 1) % all.len();
        let (first, what) = found_with(&|entries| entries.swap(place, other));
        let swapped = index * 256 + place.min(other);
        assert!(
            first == swapped && what.contains("stands there"),
            "{number}: {what}"
        );
    }
    assert_eq!(desk.report().problem, None);
}

#[tokio::test]
async fn files_that_changed_places_are_found() {
    let desk = with_entries(800).await;
    let part = part(&desk);
    for (one, other) in [
        ("tile/entries/000", "tile/entries/002"),
        ("tile/entries/001", "tile/entries/002"),
        ("tile/0/000", "tile/0/001"),
        ("tile/0/002", "tile/1/000.p/3"),
        ("tile/entries/000", "tile/0/000"),
        ("checkpoint", "keys"),
    ] {
        let (one, other) = (part.join(one), part.join(other));
        swap(&one, &other);
        let found = desk.problem();
        let named = found.path.clone().unwrap();
        assert!(named == one || named == other, "{found:?}");
        swap(&one, &other);
    }
    assert_eq!(desk.report().problem, None);
}

fn swap(one: &Path, other: &Path) {
    let (first, second) = (fs::read(one).unwrap(), fs::read(other).unwrap());
    fs::write(one, second).unwrap();
    fs::write(other, first).unwrap();
}

#[tokio::test]
async fn a_checkpoint_of_another_part_or_of_before_is_found() {
    let desk = Desk::new();
    let store = desk.open().await;
    let mut kept = Vec::new();
    for at in [
        "2026-10-01T00:00:00Z",
        "2026-10-02T00:00:00Z",
        NOVEMBER,
        "2026-11-25T00:00:00Z",
    ] {
        let entries: Vec<_> = (0..30).map(|number| refused(at, number)).collect();
        Audit::log(&store, &entries).await.unwrap();
        store.bring_in().await.unwrap();
        let newest = desk.report().parts.pop().unwrap();
        kept.push((newest.name, newest.checkpoint));
    }
    let (expected, _) = store.expected_log().await.unwrap();
    store.close().await;
    let parts = ["0001-2026-10", "0002-2026-11"].map(|name| desk.log().join(name));
    let [one, other] = parts.each_ref().map(|part| part.join("checkpoint"));
    swap(&one, &other);
    let found = desk.problem();
    assert_eq!(found.path.as_ref(), Some(&one), "{found:?}");
    swap(&one, &other);
    // An older one of the same part, put back: the part after it knows better ...
    let good = fs::read(&one).unwrap();
    assert_eq!(kept[0].0, "0001-2026-10");
    fs::write(&one, &kept[0].1).unwrap();
    let found = desk.problem();
    let place = (found.part.as_str(), found.entry);
    assert_eq!(place, ("0002-2026-11", Some(0)), "{found:?}");
    fs::write(&one, good).unwrap();
    // ... and of the last part the state does, and whoever kept a newer one elsewhere.
    let newest = fs::read_to_string(&other).unwrap();
    assert_eq!(kept[2].0, "0002-2026-11");
    fs::write(&other, &kept[2].1).unwrap();
    let found = desk.reader().verify(&expected).unwrap().problem.unwrap();
    assert_eq!(found.path.as_ref(), Some(&other), "{found:?}");
    let mut elsewhere = Expected::default();
    elsewhere.checkpoints.push(newest.clone());
    let found = desk.reader().verify(&elsewhere).unwrap().problem.unwrap();
    assert_eq!(found.path.as_ref(), Some(&other), "{found:?}");
    fs::write(&other, newest).unwrap();
    assert_eq!(desk.reader().verify(&expected).unwrap().problem, None);
}

#[tokio::test]
async fn a_part_that_was_taken_away_is_found_unless_it_was_moved_on_purpose() {
    let desk = Desk::new();
    let store = desk.open().await;
    for at in ["2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z", NOVEMBER] {
        Audit::log(&store, &[refused(at, 1)]).await.unwrap();
    }
    store.bring_in().await.unwrap();
    let (plain, _) = store.expected_log().await.unwrap();
    store.close().await;
    let mut moved = plain.clone();
    moved.moved = true;
    let away = desk.log().join("away");
    for (name, on_purpose) in [
        ("0001-2026-09", true),
        ("0002-2026-10", false),
        ("0003-2026-11", false),
    ] {
        fs::rename(desk.log().join(name), &away).unwrap();
        let found = desk.reader().verify(&plain).unwrap().problem;
        assert!(found.is_some(), "{name}");
        let found = desk.reader().verify(&moved).unwrap().problem;
        assert_eq!(found.is_none(), on_purpose, "{name}: {found:?}");
        fs::rename(&away, desk.log().join(name)).unwrap();
    }
    assert_eq!(desk.report().problem, None);
}

fn copy_all(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_no_part_of_the_log() {
    let desk = with_entries(3).await;
    let folder = part(&desk).join("tile/0/000.p");
    fs::write(folder.join("4.new"), "torn").unwrap();
    assert_eq!(desk.report().problem, None);
    // Anything else that lies there was put there.
    fs::write(folder.join("new"), "torn").unwrap();
    assert!(desk.report().problem.is_some());
}

#[tokio::test]
async fn a_tile_that_was_changed_stops_the_next_start() {
    let desk = with_entries(300).await;
    let tile = part(&desk).join("tile/1/000.p/1");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[7] ^= 1;
    fs::write(&tile, bytes).unwrap();
    let error = desk.try_open().await.unwrap_err();
    assert!(error.to_string().contains("300 entries"), "{error}");
}

#[tokio::test]
async fn a_log_that_is_as_it_was_left_is_opened_without_cryptography() {
    let desk = with_entries(3).await;
    let asked = desk.signer.asked();
    desk.open().await.close().await;
    assert_eq!(desk.signer.asked(), asked);
    // Whatever is not as it was is looked at closely.
    fs::remove_file(desk.log().join("keys/log.pub")).unwrap();
    desk.open().await.close().await;
    assert!(desk.signer.asked() > asked);
}
