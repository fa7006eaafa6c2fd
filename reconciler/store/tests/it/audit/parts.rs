//! Months, keys, personal data, retention.

use std::fs;

use stratum_core::ports::{Audit, Retention};
use stratum_store::Expected;

use super::{Desk, NOVEMBER, files, refused, with_entries};

#[tokio::test]
async fn a_lost_key_is_named_and_a_new_one_begins_a_new_part() {
    let desk = with_entries(3).await;
    let keys = desk.log().join("keys");
    fs::remove_file(keys.join("log.key")).unwrap();
    let error = desk.try_open().await.unwrap_err();
    assert!(error.to_string().contains("log.pub"), "{error}");
    fs::remove_file(keys.join("log.pub")).unwrap();
    let store = desk.open().await;
    Audit::log(&store, &[refused(NOVEMBER, 9)]).await.unwrap();
    store.close().await;
    let found = desk.problem();
    assert!(found.what.contains("other keys"), "{found:?}");
    let mut expected = Expected::default();
    for name in ["0001-2026-11", "0002-2026-11"] {
        let text = fs::read_to_string(desk.log().join(name).join("keys")).unwrap();
        expected.keys.extend(text.lines().map(str::to_owned));
    }
    assert_eq!(desk.reader().verify(&expected).unwrap().problem, None);
    expected.keys.truncate(2);
    assert!(desk.reader().verify(&expected).unwrap().problem.is_some());
}

#[tokio::test]
async fn months_are_parts_that_name_one_another() {
    let desk = Desk::new();
    let store = desk.open().await;
    for at in [
        "2026-11-30T23:59:59Z",
        "2026-12-01T00:00:01Z",
        "2026-11-30T23:59:59.5Z",
        "2027-01-02T00:00:00Z",
    ] {
        Audit::log(&store, &[refused(at, 1)]).await.unwrap();
    }
    store.close().await;
    let report = desk.report();
    assert_eq!(report.problem, None);
    let sizes: Vec<_> = report
        .parts
        .iter()
        .map(|part| (part.name.as_str(), part.size))
        .collect();
    assert_eq!(
        sizes,
        [
            ("0001-2026-11", 1),
            ("0002-2026-12", 3),
            ("0003-2027-01", 2)
        ]
    );
    fs::rename(desk.log().join("0002-2026-12"), desk.log().join("away")).unwrap();
    assert!(desk.problem().what.contains("are not there"));
}

#[tokio::test]
async fn people_are_gone_when_the_key_is_and_the_tree_stays() {
    let desk = with_entries(5).await;
    let all = String::from_utf8_lossy(&fs::read(desk.path()).unwrap()).into_owned();
    assert!(!all.contains("ada@example.org"));
    for file in files(&desk.log()) {
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains("ada@example.org"), "{}", file.display());
    }
    assert_eq!(desk.report().parts[0].readable["2026-11"], 5);
    fs::remove_file(desk.log().join("people/2026-11.key")).unwrap();
    let report = desk.report();
    assert_eq!(report.problem, None);
    assert_eq!(report.parts[0].redacted["2026-11"], 5);
    assert!(desk.entries().iter().all(|shown| shown.redacted));
}

#[tokio::test]
async fn an_older_state_that_is_put_back_goes_on_in_a_part_of_its_own() {
    let desk = with_entries(10).await;
    let old = fs::read(desk.path()).unwrap();
    let store = desk.open().await;
    Audit::log(&store, &[refused(NOVEMBER, 11)]).await.unwrap();
    store.close().await;
    fs::write(desk.path(), old).unwrap();
    let store = desk.open().await;
    Audit::log(&store, &[refused(NOVEMBER, 12)]).await.unwrap();
    store.close().await;
    let report = desk.report();
    assert_eq!(report.problem, None);
    let sizes: Vec<_> = report.parts.iter().map(|part| part.size).collect();
    assert_eq!(sizes, [11, 2], "nothing of it is lost");
}

#[tokio::test]
async fn a_proof_leads_to_the_checkpoint() {
    let desk = with_entries(300).await;
    let proof = desk.reader().prove("0001-2026-11", 123).unwrap().unwrap();
    assert_eq!(proof.path.len(), 9);
    assert!(proof.shown.stored.contains("reason 123"));
    assert!(desk.reader().prove("0001-2026-11", 300).unwrap().is_none());
    assert!(desk.reader().prove("../x", 0).unwrap().is_none());
}

#[tokio::test]
async fn old_entries_go_when_the_log_says_so_and_proofs_hold() {
    let desk = Desk::new();
    let store = desk.open().await;
    for at in ["2019-03-01T00:00:00Z", "2019-04-01T00:00:00Z", NOVEMBER] {
        let entries: Vec<_> = (0..300).map(|number| refused(at, number)).collect();
        store.log(&entries).await.unwrap();
    }
    store.bring_in().await.unwrap();
    let now = NOVEMBER.parse().unwrap();
    assert_eq!(store.prune_log(now, 91).await.unwrap(), ["0001-2019-03"]);
    assert!(store.prune_log(now, 91).await.unwrap().is_empty());
    store.close().await;
    let report = desk.report();
    assert_eq!(report.problem, None);
    let pruned: Vec<_> = report.parts.iter().map(|part| part.pruned).collect();
    // The word that says so is of today, and may begin a part of its own.
    assert_eq!(pruned[..3], [true, false, false]);
    assert!(!desk.log().join("0001-2019-03/tile/entries").exists());
    // The same, without the word of the log, is a removal.
    fs::remove_dir_all(desk.log().join("0002-2019-04/tile/entries")).unwrap();
    let found = desk.problem();
    assert_eq!(found.part, "0002-2019-04");
    assert!(found.what.contains("no later entry says"), "{found:?}");
}
