//! The audit log beside a state: what is in it, what happens when it cannot be written, and what
//! is found when someone changes it.

mod exporting;
mod parts;
mod replay;
mod tampering;
mod writing;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stratum_core::audit::{ApplyEvent, AuditEntry, Named, Principal, Role, What};
use stratum_core::digest::Digest;
use stratum_core::ports::{Audit, Journals, StoreError};
use stratum_store::{Expected, LogReader, Problem, Report, Shown, SqliteStore, log_folder};
use stratum_testkit::audit::TwinSigner;

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

fn part(desk: &Desk) -> PathBuf {
    let report = desk.report();
    desk.log().join(&report.parts.last().unwrap().name)
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
