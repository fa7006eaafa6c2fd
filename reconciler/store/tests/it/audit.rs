//! The audit log beside a state: what is in it, what happens when it cannot be written, and what
//! is found when someone changes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::audit::{ApplyEvent, AuditEntry, Named, Principal, Role, What};
use stratum_core::digest::Digest;
use stratum_core::ports::{Audit, AuditError, Store, StoreError};
use stratum_store::{Expected, LogReader, Problem, Report, Shown, SqliteStore, log_folder};
use stratum_testkit::audit::TwinSigner;

use crate::support::{lease, start, step};

/// A state with a log, in a folder of its own.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    pub(crate) signer: Arc<TwinSigner>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            signer: Arc::new(TwinSigner::new()),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    pub(crate) fn log(&self) -> PathBuf {
        log_folder(&self.path())
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        self.try_open().await.unwrap()
    }

    async fn try_open(&self) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_logged(&self.path(), self.signer.clone()).await
    }

    pub(crate) fn reader(&self) -> LogReader {
        LogReader::new(self.log(), self.signer.clone())
    }

    pub(crate) fn report(&self) -> Report {
        self.reader().verify(&Expected::default()).unwrap()
    }

    fn problem(&self) -> Problem {
        self.report().problem.unwrap()
    }

    pub(crate) fn entries(&self) -> Vec<Shown> {
        let mut entries = Vec::new();
        let mut take = |shown: Shown| {
            entries.push(shown);
            true
        };
        self.reader().each(&mut take).unwrap();
        entries
    }
}

fn refused(at: &str, number: usize) -> AuditEntry {
    AuditEntry {
        at: at.parse().unwrap(),
        environment: None,
        run: None,
        principal: Principal::Author { key: None },
        what: What::Refused {
            action: "apply".to_owned(),
            plan: None,
            revision: None,
            reason: format!("reason {number}"),
        },
        people: vec![Named {
            role: Role::Author,
            name: format!("Ada {number} <ada@example.org>"),
        }],
    }
}

const NOVEMBER: &str = "2026-11-24T03:15:00Z";

async fn with_entries(count: usize) -> Desk {
    let desk = Desk::new();
    let store = desk.open().await;
    let entries: Vec<_> = (0..count).map(|number| refused(NOVEMBER, number)).collect();
    store.log(&entries).await.unwrap();
    store.close().await;
    desk
}

fn apply_events(entries: &[Shown]) -> BTreeMap<String, Vec<ApplyEvent>> {
    let mut events: BTreeMap<String, Vec<ApplyEvent>> = BTreeMap::new();
    for shown in entries {
        if let What::Apply(event) = &shown.entry.what {
            let run = shown.entry.run.as_ref().unwrap().to_string();
            events.entry(run).or_default().push(event.clone());
        }
    }
    events
}

/// The apply events of the log are those of the journal: all of them, once, in order.
pub(crate) async fn equals_journal(desk: &Desk, store: &SqliteStore) -> usize {
    store.bring_in().await.unwrap();
    let report = desk.report();
    assert_eq!(report.problem, None);
    let logged = apply_events(&desk.entries());
    let mut count = 0;
    for summary in store.history(None, 10_000).await.unwrap() {
        let Some(kept) = store.run(&summary.id).await.unwrap() else {
            continue;
        };
        let journal: Vec<Digest> = kept
            .events
            .iter()
            .map(|(_, event)| Digest::of_bytes(&serde_json::to_vec(event).unwrap()))
            .collect();
        let own = logged.get(summary.id.as_str()).cloned().unwrap_or_default();
        let digests: Vec<Digest> = own.iter().map(|event| event.digest).collect();
        assert_eq!(digests, journal, "run {}", summary.id);
        let numbers: Vec<u64> = own.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (0..journal.len() as u64).collect::<Vec<_>>());
        count += journal.len();
    }
    assert_eq!(logged.values().map(Vec::len).sum::<usize>(), count);
    count
}

#[tokio::test]
async fn every_event_and_lease_is_in_the_log_with_its_address() {
    let desk = Desk::new();
    let store = desk.open().await;
    let lease = lease(&store, "a").await;
    let run = start(&store, &lease, "r-1", 3).await;
    for number in 0..3 {
        store
            .append(&lease, &run.id, step(&run, number))
            .await
            .unwrap();
    }
    assert_eq!(equals_journal(&desk, &store).await, 7);
    let entries = desk.entries();
    assert!(matches!(
        &entries[0].entry.what,
        What::LeaseTaken { number: 1, .. }
    ));
    let started = &entries[1].entry;
    assert_eq!(started.people[0].name, "Ada <ada@example.org>");
    let What::Apply(done) = &entries[3].entry.what else {
        panic!("{:?}", entries[3])
    };
    assert_eq!(done.event, "done");
    assert_eq!(
        done.address.as_ref().unwrap().to_string(),
        "a/local_data.r0"
    );
    store.close().await;
}

#[tokio::test]
async fn a_run_of_another_process_is_logged_with_its_addresses() {
    let desk = Desk::new();
    let store = desk.open().await;
    let old = lease(&store, "a").await;
    let run = start(&store, &old, "r-1", 3).await;
    store.close().await;
    drop(store);
    let store = desk.open().await;
    let new = lease(&store, "a").await;
    store.append(&new, &run.id, step(&run, 2)).await.unwrap();
    assert_eq!(equals_journal(&desk, &store).await, 3);
    let last = desk.entries().pop().unwrap();
    let What::Apply(done) = last.entry.what else {
        panic!("{last:?}")
    };
    assert_eq!(done.address.unwrap().to_string(), "a/local_data.r2");
    store.close().await;
}

#[tokio::test]
async fn a_refused_append_leaves_nothing_in_the_log() {
    let desk = Desk::new();
    let store = desk.open().await;
    let old = lease(&store, "a").await;
    let run = start(&store, &old, "r-1", 3).await;
    let new = lease(&store, "a").await;
    let (fenced, good) = tokio::join!(
        store.append(&old, &run.id, step(&run, 0)),
        store.append(&new, &run.id, step(&run, 1)),
    );
    assert!(
        matches!(fenced, Err(StoreError::Fenced { .. })),
        "{fenced:?}"
    );
    good.unwrap();
    assert_eq!(equals_journal(&desk, &store).await, 3);
    store.close().await;
}

#[tokio::test]
async fn what_cannot_be_logged_does_not_happen() {
    let desk = Desk::new();
    let store = desk.open().await;
    let lease = lease(&store, "a").await;
    let run = start(&store, &lease, "r-1", 3).await;
    store.bring_in().await.unwrap();
    // A file where a folder must be: what a folder that may not be written is to others than root.
    let tiles = part(&desk).join("tile/entries");
    let kept = desk.log().join("kept");
    fs::rename(&tiles, &kept).unwrap();
    fs::write(&tiles, "in the way").unwrap();
    store.append(&lease, &run.id, step(&run, 0)).await.unwrap();
    store.bring_in().await.unwrap_err();
    // The first is durable in the state; nothing more is begun.
    let second = store.append(&lease, &run.id, step(&run, 1)).await;
    assert!(
        matches!(second, Err(StoreError::Audit { .. })),
        "{second:?}"
    );
    let noted = Audit::log(&store, &[refused(NOVEMBER, 0)]).await;
    assert!(
        matches!(noted, Err(AuditError::Store(StoreError::Audit { .. }))),
        "{noted:?}"
    );
    let taken = store
        .acquire(
            &crate::support::environment("b"),
            "x",
            Timestamp::UNIX_EPOCH,
            std::time::Duration::from_secs(1),
            &|_| None,
        )
        .await;
    assert!(taken.is_err(), "{taken:?}");
    fs::remove_file(&tiles).unwrap();
    fs::rename(&kept, &tiles).unwrap();
    store.append(&lease, &run.id, step(&run, 1)).await.unwrap();
    assert_eq!(equals_journal(&desk, &store).await, 5);
    store.close().await;
}

fn part(desk: &Desk) -> PathBuf {
    let report = desk.report();
    desk.log().join(&report.parts.last().unwrap().name)
}

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
    // One that was altered and signed again no longer is the one its successor names.
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

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// Every file of the log, each changed in every way a byte can be: all are found.
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
        let stale = file.parent().unwrap().to_string_lossy().ends_with(".p")
            && desk.report().problem.is_none();
        // A partial tile of an earlier checkpoint may be dropped: what it held is elsewhere too.
        assert!(
            stale || desk.report().problem.is_some(),
            "{} is gone",
            file.display()
        );
        fs::write(&file, &bytes).unwrap();
    }
    assert_eq!(desk.report().problem, None);
}

/// The entries of the first bundle, as they stand in the file.
fn bundle(path: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut entries = Vec::new();
    while let Some((length, more)) = rest.split_first_chunk::<2>() {
        let (entry, more) = more.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        rest = more;
    }
    entries
}

fn write_bundle(path: &Path, entries: &[Vec<u8>]) {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend((entry.len() as u16).to_be_bytes());
        bytes.extend(entry);
    }
    fs::write(path, bytes).unwrap();
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

fn copy_all(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
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
async fn an_export_is_verified_from_the_copy_alone_and_shows_what_was_left_out() {
    let desk = Desk::new();
    let store = desk.open().await;
    let days = ["2026-10-31", "2026-11-02", "2026-11-20", "2026-12-01"];
    for day in days {
        let at = format!("{day}T10:00:00Z");
        let entries: Vec<_> = (0..700).map(|number| refused(&at, number)).collect();
        Audit::log(&store, &entries).await.unwrap();
    }
    store.close().await;
    let out = desk.log().join("../copy");
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let period = at("2026-11-15T00:00:00Z")..at("2026-11-30T00:00:00Z");
    let exported = desk.reader().export(&period, &out, false).unwrap();
    assert_eq!(exported.entries, 700);
    assert_eq!(exported.parts, ["0002-2026-11"]);
    let copy = LogReader::new(out.clone(), desk.signer.clone());
    let report = copy.verify(&Expected::default()).unwrap();
    assert_eq!(report.problem, None);
    let part = &report.parts[0];
    assert!(part.present >= 700 && part.present < part.size, "{part:?}");
    assert!(part.readable.is_empty() && !part.redacted.is_empty());
    // A bundle of the period is taken out, and the list says it never was in it.
    let manifest = fs::read_to_string(out.join("export.json")).unwrap();
    let bundles = out.join(&part.name).join("tile/entries");
    let last = files(&bundles).pop().unwrap();
    fs::remove_file(&last).unwrap();
    assert!(copy.verify(&Expected::default()).unwrap().problem.is_some());
    let value: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let end = value["parts"][&part.name]["end_bundle"].as_u64().unwrap();
    let less = manifest.replace(
        &format!("\"end_bundle\": {end}"),
        &format!("\"end_bundle\": {}", end - 1),
    );
    fs::write(out.join("export.json"), less).unwrap();
    let found = copy.verify(&Expected::default()).unwrap().problem.unwrap();
    assert!(found.what.contains("left out"), "{found:?}");
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
async fn two_processes_share_the_log() {
    let desk = Desk::new();
    let (first, second) = (desk.open().await, desk.open().await);
    for round in 0..6 {
        for (number, store) in [&first, &second].into_iter().enumerate() {
            Audit::log(store, &[refused(NOVEMBER, round * 10 + number)])
                .await
                .unwrap();
        }
        let (one, two) = tokio::join!(first.bring_in(), second.bring_in());
        one.unwrap();
        two.unwrap();
    }
    first.close().await;
    second.close().await;
    assert_eq!(desk.report().problem, None);
    assert_eq!(desk.entries().len(), 12);
    assert_eq!(desk.report().parts.len(), 1);
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
    assert_eq!(pruned, [true, false, false]);
    assert!(!desk.log().join("0001-2019-03/tile/entries").exists());
    // The same, without the word of the log, is a removal.
    fs::remove_dir_all(desk.log().join("0002-2019-04/tile/entries")).unwrap();
    let found = desk.problem();
    assert_eq!(found.part, "0002-2019-04");
    assert!(found.what.contains("no later entry says"), "{found:?}");
}
