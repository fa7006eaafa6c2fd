//! Proving that nothing was altered, removed or reordered; and naming the first place where
//! something was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::audit::What;
use stratum_core::ports::{NoteAlgorithm, NoteSigner};

use crate::log::diagnose::diagnose;
use crate::log::export::Manifest;
use crate::log::integrate::{Head, digest};
use crate::log::keeper::sentence;
use crate::log::leaf::{self, Leaf, at_of};
use crate::log::note::{Checkpoint, Verifier};
use crate::log::part::{self, LogError, Reader};
use crate::log::place::Tile;
use crate::log::tree::{self, Edge, Hash, Tiles as _, WIDTH};
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
#[derive(Default)]
pub struct Expected {
    /// Public keys that are known from elsewhere, as `name+id+key`.
    pub keys: Vec<String>,
    /// Signed checkpoints that were kept elsewhere.
    pub checkpoints: Vec<String>,
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
    /// The keys of the part before.
    keys: Option<Vec<Vec<u8>>>,
    /// Parts that later entries say were pruned, with their size and root.
    pruned: BTreeSet<(String, u64, String)>,
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
            keys: None,
            pruned: BTreeSet::new(),
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
            if !self.pruned.contains(&gone) {
                let path = self.folder.join(&gone.0).join("tile/entries");
                let what = "its entries are gone, and no later entry says that their time was over";
                return Err(of_file(&gone.0, path, what));
            }
            reports
                .iter_mut()
                .filter(|r| r.name == gone.0)
                .for_each(|r| r.pruned = true);
        }
        self.against_state(reports, expected.head.as_ref())?;
        expected
            .checkpoints
            .iter()
            .try_for_each(|note| self.against_checkpoint(note))
    }

    fn part(
        &mut self,
        name: &str,
        before: Option<&(String, Checkpoint)>,
    ) -> Result<(PartReport, Checkpoint), Problem> {
        let folder = self.folder.join(name);
        let (checkpoint, verifiers) =
            part::checkpoint(&folder, self.signer).map_err(|error| of_log(name, &error))?;
        let path = folder.join(crate::log::place::CHECKPOINT);
        if !checkpoint.origin.ends_with(&format!("/{name}")) {
            let what = format!("it is of `{}`", checkpoint.origin);
            return Err(of_file(name, path, what));
        }
        self.pinned(name, &folder, &verifiers)?;
        self.same_keys(name, &folder, &verifiers)?;
        let mut report = PartReport {
            name: name.to_owned(),
            size: checkpoint.size,
            root: digest(&checkpoint.root).to_string(),
            keys: verifiers.iter().map(Verifier::text).collect(),
            present: 0,
            span: None,
            pruned: false,
            readable: BTreeMap::new(),
            redacted: BTreeMap::new(),
            checkpoint: fs::read_to_string(&path).unwrap_or_default(),
        };
        let first = self.entries(&folder, &checkpoint, &mut report)?;
        self.chain(name, before, &first)?;
        self.reaches(&report)?;
        stale(&folder, checkpoint.size).map_err(|(path, what)| of_file(name, path, what))?;
        Ok((report, checkpoint))
    }

    /// Keys that were given are the ones that sign.
    fn pinned(&self, name: &str, folder: &Path, own: &[Verifier]) -> Result<(), Problem> {
        for verifier in own {
            let same: Vec<_> = self
                .pinned
                .iter()
                .filter(|pinned| pinned.algorithm == verifier.algorithm)
                .collect();
            if !same.is_empty() && !same.iter().any(|pinned| pinned.public == verifier.public) {
                let path = folder.join(crate::log::place::KEYS);
                let word = crate::log::note::word(verifier.algorithm);
                let what = format!("its {word} key is not the one that was given");
                return Err(of_file(name, path, what));
            }
        }
        Ok(())
    }

    /// Without keys to hold against, all parts are signed by the same.
    fn same_keys(&mut self, name: &str, folder: &Path, own: &[Verifier]) -> Result<(), Problem> {
        let keys: Vec<Vec<u8>> = own.iter().map(|key| key.public.clone()).collect();
        let before = self.keys.replace(keys.clone());
        if !self.pinned.is_empty() || before.is_none_or(|before| before == keys) {
            return Ok(());
        }
        let what = "it is signed by other keys than the part before it; if they were changed on \
                    purpose, give the old and the new ones";
        Err(of_file(name, folder.join(crate::log::place::KEYS), what))
    }

    /// Hashes every entry, and holds the tiles and the checkpoint against that. Answers the first
    /// entry, when it is here.
    fn entries(
        &mut self,
        folder: &Path,
        checkpoint: &Checkpoint,
        report: &mut PartReport,
    ) -> Result<Option<Vec<u8>>, Problem> {
        let size = checkpoint.size;
        let mut reader = Reader { folder, size };
        let (mut edge, mut first, mut fits) = (Edge::default(), None, true);
        let mut gone = None;
        for index in 0..size.div_ceil(WIDTH) {
            let tile = Tile::of(None, index, size);
            let hashes = match reader.bundle(index) {
                Ok(entries) => {
                    self.look(&entries, report);
                    report.present += entries.len() as u64;
                    let hashes = entries.iter().map(|entry| tree::leaf(entry)).collect();
                    if index == 0 {
                        first = entries.into_iter().next();
                    }
                    hashes
                }
                Err(error) => {
                    let absent = error.kind() == std::io::ErrorKind::NotFound;
                    if !absent || !self.may_be_absent(&report.name, index) {
                        return Err(missing(folder, &report.name, tile, &error));
                    }
                    gone.get_or_insert_with(|| missing(folder, &report.name, tile, &error));
                    let read = reader.tile(0, index);
                    read.map_err(|error| {
                        let path = folder.join(
                            Tile {
                                level: Some(0),
                                ..tile
                            }
                            .path(),
                        );
                        of_file(&report.name, path, error)
                    })?
                }
            };
            fits &= grow(&mut edge, &mut reader, &hashes);
        }
        fits &= edge.partial().all(|(level, index, hashes)| {
            reader
                .tile(level, index)
                .is_ok_and(|stored| stored == hashes)
        });
        if let Some(gone) = gone.filter(|_| self.manifest.is_none() && report.present > 0) {
            return Err(gone);
        }
        if fits && edge.root() == checkpoint.root {
            return Ok(first);
        }
        Err(diagnose(folder, &report.name, checkpoint, &edge.root()))
    }

    /// An export reaches from before its period to after it, or to the ends of the part.
    fn reaches(&self, report: &PartReport) -> Result<(), Problem> {
        let Some(manifest) = &self.manifest else {
            return Ok(());
        };
        let period = manifest.period().ok_or_else(|| {
            let path = self.folder.join("export.json");
            of_file("", path, "its period cannot be read")
        })?;
        let Some(bundles) = manifest.parts.get(&report.name) else {
            return Err(problem(&report.name, "it is not in the list of the export"));
        };
        let Some((first, last)) = report.span else {
            return Ok(());
        };
        let from_start = bundles.first_bundle == 0 || first < period.start;
        let to_end = bundles.end_bundle >= report.size.div_ceil(WIDTH) || last >= period.end;
        match from_start && to_end {
            true => Ok(()),
            false => {
                let what = "entries of the period were left out of the export";
                Err(problem(&report.name, what))
            }
        }
    }

    fn may_be_absent(&self, part: &str, index: u64) -> bool {
        match self
            .manifest
            .as_ref()
            .and_then(|manifest| manifest.parts.get(part))
        {
            Some(range) => index < range.first_bundle || index >= range.end_bundle,
            // All of them may be, when a later part says so.
            None => true,
        }
    }

    /// Takes note of personal data, and of parts that were pruned.
    fn look(&mut self, entries: &[Vec<u8>], report: &mut PartReport) {
        if let [Some(first), Some(last)] = [entries.first(), entries.last()]
            && let (Some(first), Some(last)) = (at_of(first), at_of(last))
        {
            let start = report.span.map_or(first, |(start, _)| start);
            report.span = Some((start, last));
        }
        for entry in entries {
            let has_people = find(entry, br#""people":{"month":""#);
            if !has_people && !find(entry, br#""what":{"pruned":"#) {
                continue;
            }
            let Ok(leaf) = serde_json::from_slice::<Leaf>(entry) else {
                continue;
            };
            if let What::Pruned { part, size, root } = &leaf.what {
                self.pruned.insert((part.clone(), *size, root.to_string()));
            }
            if let Some(veiled) = &leaf.people {
                let readable = matches!(self.veils.unveil(veiled), Ok(Some(_)));
                let counts = if readable {
                    &mut report.readable
                } else {
                    &mut report.redacted
                };
                *counts.entry(veiled.month.clone()).or_default() += 1;
            }
        }
    }

    /// A part that is not the first names the one before it.
    fn chain(
        &self,
        name: &str,
        before: Option<&(String, Checkpoint)>,
        first: &Option<Vec<u8>>,
    ) -> Result<(), Problem> {
        let number = part::number(name).unwrap_or(0);
        if let Some((previous, _)) = before
            && part::number(previous) != number.checked_sub(1)
        {
            let what = format!("the parts between `{previous}` and it are not there");
            return Err(problem(name, what));
        }
        let Some(first) = first.as_ref().filter(|_| number > 1) else {
            return Ok(());
        };
        let leaf: Option<Leaf> = serde_json::from_slice(first).ok();
        let wrong = |what: String| Problem {
            entry: Some(0),
            ..problem(name, what)
        };
        let Some(What::Continued {
            previous,
            size,
            root,
        }) = leaf.map(|leaf| leaf.what)
        else {
            return Err(wrong(
                "its first entry does not name the part before it".to_owned(),
            ));
        };
        match before {
            Some((known, checkpoint))
                if *known != previous
                    || checkpoint.size != size
                    || digest(&checkpoint.root) != root =>
            {
                let what = format!(
                    "it follows `{previous}` with {size} entries and another root than the \
                     {} entries of `{known}` that are here",
                    checkpoint.size
                );
                Err(wrong(what))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What the state knows is in the log.
    fn against_state(&self, reports: &[PartReport], head: Option<&Head>) -> Result<(), Problem> {
        let Some(head) = head else { return Ok(()) };
        let report = reports.iter().find(|report| report.name == head.part);
        let size = report.map_or(0, |report| report.size);
        let folder = self.folder.join(&head.part);
        let fits = size >= head.size && has(&folder, size, head.size, &head.root);
        match fits {
            true => Ok(()),
            false => {
                let what = format!(
                    "the state knows {} entries of it, and the log has {size}, or others",
                    head.size
                );
                Err(problem(&head.part, what))
            }
        }
    }

    /// A checkpoint that was kept elsewhere is one of this log.
    fn against_checkpoint(&self, note: &str) -> Result<(), Problem> {
        let kept = Checkpoint::read(note).map_err(|error| problem("", error))?;
        let name = kept
            .origin
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        let folder = self.folder.join(&name);
        let (now, verifiers) =
            part::checkpoint(&folder, self.signer).map_err(|error| of_log(&name, &error))?;
        Checkpoint::open(note, &verifiers, self.signer)
            .map_err(|error| problem(&name, format!("the checkpoint that was given: {error}")))?;
        match now.size >= kept.size && has(&folder, now.size, kept.size, &kept.root) {
            true => Ok(()),
            false => {
                let what = format!(
                    "it has not the {} entries of the checkpoint that was given: some were \
                     removed or altered since, and all of it signed again",
                    kept.size
                );
                Err(problem(&name, what))
            }
        }
    }
}

/// The entries of a bundle cannot be read.
fn missing(folder: &Path, part: &str, tile: Tile, error: &std::io::Error) -> Problem {
    let (from, to) = (tile.index * WIDTH, tile.index * WIDTH + tile.width - 1);
    let what = format!("entries {from} to {to} cannot be read: {error}");
    Problem {
        entry: Some(from),
        ..of_file(part, folder.join(tile.path()), what)
    }
}

/// Whether a tree of `size` entries, whose tiles were looked at, had this root at a smaller size.
fn has(folder: &Path, size: u64, smaller: u64, root: &Hash) -> bool {
    let mut reader = Reader { folder, size };
    tree::range(&mut reader, 0, smaller).is_ok_and(|found| found == *root)
}

/// Lets the tree grow; `false` when a tile that it fills is stored otherwise.
fn grow(edge: &mut Edge, reader: &mut Reader<'_>, hashes: &[Hash]) -> bool {
    let mut fits = true;
    for hash in hashes {
        for full in edge.push(*hash) {
            let stored = reader.tile(full.level, full.index);
            fits &= stored.is_ok_and(|stored| stored == full.hashes);
        }
    }
    fits
}

/// Partial tiles of earlier checkpoints hold the beginning of what is there now.
fn stale(folder: &Path, size: u64) -> Result<(), (PathBuf, String)> {
    let reader = Reader { folder, size };
    let levels = (0..tree::levels(size)).map(Some);
    for level in levels.chain([None]) {
        let index = tree::tiles(size, level.unwrap_or(0));
        let tile = Tile::of(level, index, size);
        let partial = folder.join(tile.partial_folder());
        let Ok(files) = fs::read_dir(&partial) else {
            continue;
        };
        if tile.width == 0 {
            continue;
        }
        let Ok((now, _)) = reader.bytes(tile) else {
            continue;
        };
        for file in files.flatten() {
            let width = file.file_name().to_string_lossy().parse::<u64>();
            let width = width.unwrap_or(0);
            if width > tile.width {
                // Written before a crash, and never under a checkpoint.
                continue;
            }
            let bytes = fs::read(file.path()).unwrap_or_default();
            if width == 0 || beginning(&now, level, width) != Some(bytes.as_slice()) {
                let what = "it is not the beginning of what is there now";
                return Err((file.path(), what.to_owned()));
            }
        }
    }
    Ok(())
}

/// The part of a tile or bundle that one of this width is.
fn beginning(whole: &[u8], level: Option<u32>, width: u64) -> Option<&[u8]> {
    let width = usize::try_from(width).ok()?;
    let length = match level {
        Some(_) => width.checked_mul(32)?,
        None => {
            let entries = leaf::entries(whole)?;
            let lengths = entries.iter().take(width).map(|entry| entry.len() + 2);
            lengths.sum()
        }
    };
    whole.get(..length)
}

/// Whether `needle` is in `text`.
fn find(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window == needle)
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
