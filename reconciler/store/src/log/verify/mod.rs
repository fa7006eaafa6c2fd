//! Proving that nothing was altered, removed or reordered; and naming the first place where
//! something was.

mod against;
mod entries;
mod tiles;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::ports::{NoteAlgorithm, NoteSigner};

use crate::log::export::Manifest;
use crate::log::integrate::Head;
use crate::log::keeper::sentence;
use crate::log::note::{Checkpoint, Verifier};
use crate::log::part::{self, LogError};
use crate::log::place::ENTRIES;
use crate::log::veil::Veils;

/// A place that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The part.
    pub part: String,
    /// The file, when it is about one.
    pub path: Option<PathBuf>,
    /// The entry, counted from 0 within its part, when it is about one.
    pub entry: Option<u64>,
    /// What is wrong, in one sentence.
    pub what: String,
}

/// What was found of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartReport {
    /// The part, for example `0001-2026-11`.
    pub name: String,
    /// How many entries it has.
    pub size: u64,
    /// The root of its tree, in hexadecimal.
    pub root: String,
    /// The public keys that sign it.
    pub keys: Vec<String>,
    /// How many entries are here; the others only as hashes.
    pub present: u64,
    /// When the first and the last entry that are here happened (UTC).
    pub span: Option<(Timestamp, Timestamp)>,
    /// Its entries were deleted because their time is over.
    pub pruned: bool,
    /// When they were, as the entry says that tells of it (UTC).
    pub pruned_at: Option<Timestamp>,
    /// Entries of applies that may name another resource of the same run than the one they are
    /// about: those that were written before step and address travelled together.
    pub doubtful: u64,
    /// Entries whose people can be read, by month.
    pub readable: BTreeMap<String, u64>,
    /// Entries whose people cannot be read any more, because the key was dropped, by month.
    pub redacted: BTreeMap<String, u64>,
    /// The checkpoint, as it is signed.
    pub checkpoint: String,
}

/// What was found of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The parts that are as they were written.
    pub parts: Vec<PartReport>,
    /// The first place that is not; nothing after it was looked at.
    pub problem: Option<Problem>,
    /// Whether the keys were compared with keys that were given.
    pub pinned: bool,
    /// The period of an export, as it was asked for.
    pub period: Option<(String, String)>,
}

/// What a log is held against.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Public keys that are known from elsewhere, as `name+id+key`.
    pub keys: Vec<String>,
    /// Signed checkpoints that were kept elsewhere.
    pub checkpoints: Vec<String>,
    /// The oldest parts were moved away on purpose.
    pub moved: bool,
    /// How far the state knows the log to be.
    pub(crate) head: Option<Head>,
}

impl Expected {
    /// Whether the state knows of no log.
    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }
}

/// Reads logs: the one beside a state, a copy of it, or an export.
pub struct LogReader {
    pub(crate) folder: PathBuf,
    pub(crate) signer: Arc<dyn NoteSigner>,
}

/// Everything one verification works with.
struct Work<'w> {
    folder: &'w Path,
    signer: &'w dyn NoteSigner,
    veils: Veils,
    pinned: Vec<Verifier>,
    manifest: Option<Manifest>,
    /// The oldest parts may be elsewhere.
    moved: bool,
    /// The keys of the part before.
    keys: Option<Vec<Vec<u8>>>,
    /// Parts that later entries say were pruned, with their size and root.
    pruned: BTreeMap<(String, u64, String), Timestamp>,
}

impl LogReader {
    /// The log in `folder`.
    pub fn new(folder: PathBuf, signer: Arc<dyn NoteSigner>) -> Self {
        Self { folder, signer }
    }

    /// Looks at every entry, tile and checkpoint.
    ///
    /// *Errors*: a sentence, when what is expected cannot be read; what is wrong with the log
    /// itself is in the report.
    pub fn verify(&self, expected: &Expected) -> Result<Report, String> {
        let pinned = expected.keys.iter().map(|key| Verifier::parse(key));
        let pinned: Result<Vec<_>, _> = pinned.collect();
        let mut work = Work {
            folder: &self.folder,
            signer: self.signer.as_ref(),
            veils: Veils::new(self.folder.join("people"), Arc::clone(&self.signer)),
            pinned: pinned.map_err(|problem| problem.to_string())?,
            manifest: Manifest::read(&self.folder)?,
            moved: expected.moved,
            keys: None,
            pruned: BTreeMap::new(),
        };
        let mut report = Report {
            pinned: !work.pinned.is_empty(),
            period: work
                .manifest
                .as_ref()
                .map(|m| (m.from.clone(), m.to.clone())),
            ..Report::default()
        };
        report.problem = work.all(&mut report.parts, expected).err();
        Ok(report)
    }
}

fn problem(part: &str, what: impl ToString) -> Problem {
    Problem {
        part: part.to_owned(),
        path: None,
        entry: None,
        what: what.to_string(),
    }
}

fn of_file(part: &str, path: PathBuf, what: impl ToString) -> Problem {
    Problem {
        path: Some(path),
        ..problem(part, what)
    }
}

fn of_log(part: &str, error: &LogError) -> Problem {
    match error {
        LogError::Altered { path, reason } => of_file(part, path.clone(), reason),
        LogError::File { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
            of_file(part, path.clone(), "it is not there")
        }
        other => problem(part, sentence(other)),
    }
}

impl Work<'_> {
    fn all(&mut self, reports: &mut Vec<PartReport>, expected: &Expected) -> Result<(), Problem> {
        let names = part::parts(self.folder).map_err(|error| of_log("", &error))?;
        if let Some(manifest) = &self.manifest {
            let missing = manifest.parts.keys().find(|name| !names.contains(name));
            if let Some(name) = missing {
                return Err(problem(
                    name,
                    "it is in the list of the export and not there",
                ));
            }
        }
        let mut before: Option<(String, Checkpoint)> = None;
        let mut absent = Vec::new();
        for name in &names {
            let (report, checkpoint) = self.part(name, before.as_ref())?;
            if report.present == 0 && report.size > 0 && self.manifest.is_none() {
                absent.push((name.clone(), report.size, report.root.clone()));
            }
            reports.push(report);
            before = Some((name.clone(), checkpoint));
        }
        for gone in absent {
            let Some(at) = self.pruned.get(&gone).copied() else {
                let path = self.folder.join(&gone.0).join(ENTRIES);
                let what = "its entries are gone, and no later entry says that their time was over";
                return Err(of_file(&gone.0, path, what));
            };
            for report in reports.iter_mut().filter(|r| r.name == gone.0) {
                (report.pruned, report.pruned_at) = (true, Some(at));
            }
        }
        self.against_state(reports, expected.head.as_ref())?;
        expected
            .checkpoints
            .iter()
            .try_for_each(|note| self.against_checkpoint(note))
    }
}

/// The public keys of the log in `folder`, as people pass them on.
pub fn log_keys(folder: &Path) -> std::io::Result<Vec<String>> {
    crate::log::keys::public(&folder.join("keys"))
}

/// The short form of a key for tables: its algorithm and the first digits of its digest.
pub fn key_words(key: &str) -> Option<(&'static str, String)> {
    let verifier = Verifier::parse(key).ok()?;
    let word = match verifier.algorithm {
        NoteAlgorithm::Ed25519 => "Ed25519",
        NoteAlgorithm::MlDsa65 => "ML-DSA-65",
    };
    let digest = stratum_core::digest::Digest::of_bytes(&verifier.public);
    Some((word, digest.short()))
}
