//! Bringing entries that wait in the state into the tree.
//!
//! *Guarantees*: the tiles are durable before the checkpoint that names them, and the checkpoint
//! before the entries are dropped from the state. Whatever is broken off is done again with the
//! same entries, and comes to the same tree.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use stratum_core::audit::{Principal, What};
use stratum_core::digest::Digest;
use stratum_core::ports::NoteSigner;

use crate::crash;
use crate::log::files;
use crate::log::keys::LogKey;
use crate::log::leaf::{FORM, Leaf, at_of, month};
use crate::log::note::Checkpoint;
use crate::log::part::{self, LogError, Part, Reader, at};
use crate::log::place::CHECKPOINT;
use crate::log::tree::{self, Hash};

/// How far the state knows the log to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) part: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// Adds `entries` to the log in `folder`, which the state knows up to `head`; answers how far it is
/// then. The caller holds the [`lock`].
pub(crate) fn integrate(
    folder: &Path,
    signer: &dyn NoteSigner,
    head: Option<&Head>,
    entries: &[&[u8]],
) -> Result<Option<Head>, LogError> {
    let key = LogKey::open(&folder.join("keys"), signer)?;
    let ahead = ahead(folder, signer, head)?;
    let known = entries.iter().zip(&ahead);
    let same = known.clone().count() == ahead.len()
        && known
            .into_iter()
            .all(|(entry, hash)| tree::leaf(entry) == *hash);
    // Another state wrote into this log, or an older one was put back: nothing of it is lost, and
    // what is new follows in a part of its own.
    let skip = if same { ahead.len() } else { 0 };
    let mut growing = Growing {
        folder,
        signer,
        key,
        part: newest(folder, signer)?,
        fresh: !same,
    };
    for entry in entries.iter().skip(skip) {
        growing.add(entry)?;
    }
    growing.end()
}

/// The file that whoever brings entries in locks.
const LOCK: &str = "lock";

/// Only one process at a time brings entries in.
pub(crate) fn lock(folder: &Path) -> Result<fs::File, LogError> {
    at(folder, files::folder(folder))?;
    let path = folder.join(LOCK);
    let mut options = fs::OpenOptions::new();
    let file = at(
        &path,
        options.write(true).create(true).truncate(false).open(&path),
    )?;
    at(&path, file.lock())?;
    Ok(file)
}

/// The parts that have a checkpoint: one without is what a crash left of its making.
fn published(folder: &Path) -> Result<Vec<String>, LogError> {
    let mut parts = part::parts(folder)?;
    parts.retain(|name| folder.join(name).join(CHECKPOINT).exists());
    Ok(parts)
}

fn newest(folder: &Path, signer: &dyn NoteSigner) -> Result<Option<Part>, LogError> {
    let parts = published(folder)?;
    let newest = parts.last();
    newest
        .map(|name| Part::open(folder, name, signer))
        .transpose()
}

/// The hashes of the entries that the log has and the state does not know of.
///
/// *Errors*: [`LogError::Cut`] when the log does not have what the state knows.
pub(crate) fn ahead(
    folder: &Path,
    signer: &dyn NoteSigner,
    head: Option<&Head>,
) -> Result<Vec<Hash>, LogError> {
    let mut parts = published(folder)?;
    let cut = |head: &Head| LogError::Cut {
        part: head.part.clone(),
        size: head.size,
    };
    let mut from = 0;
    if let Some(head) = head {
        let place = parts.iter().position(|name| *name == head.part);
        parts.drain(..place.ok_or_else(|| cut(head))?);
        from = head.size;
    }
    let mut hashes = Vec::new();
    for (place, name) in parts.iter().enumerate() {
        let path = folder.join(name);
        let (checkpoint, _) = part::checkpoint(&path, signer)?;
        let size = checkpoint.size;
        let mut reader = Reader {
            folder: &path,
            size,
        };
        if let Some(head) = head.filter(|_| place == 0) {
            let known = head.size <= size
                && at(&path, tree::range(&mut reader, 0, head.size))? == head.root;
            if !known {
                return Err(cut(head));
            }
        }
        // The first entry of a part that follows another is the log's own.
        let start = if place == 0 { from } else { 1 };
        for index in start..size {
            let tile = at(&path, tree::range(&mut reader, index, index + 1))?;
            hashes.push(tile);
        }
    }
    Ok(hashes)
}

/// Whether the log is just what the state knows, and its key there: then nothing need be signed or
/// verified before something is to be written, and a look that finds nothing to do stays cheap.
///
/// `false` is no error: whoever opens the log then looks closer, and says what is wrong.
pub(crate) fn settled(folder: &Path, head: &Head) -> bool {
    let path = folder.join(&head.part);
    let note = fs::read_to_string(path.join(CHECKPOINT)).ok();
    let checkpoint = note.and_then(|note| Checkpoint::read(&note).ok());
    let same = checkpoint.is_some_and(|found| found.size == head.size && found.root == head.root);
    let newest = || published(folder).is_ok_and(|parts| parts.last() == Some(&head.part));
    let mut reader = Reader {
        folder: &path,
        size: head.size,
    };
    let mut whole = || tree::range(&mut reader, 0, head.size).is_ok_and(|root| root == head.root);
    let mut options = fs::OpenOptions::new();
    let mut writable = || options.write(true).open(folder.join(LOCK)).is_ok();
    same && newest() && whole() && writable() && LogKey::is_there(&folder.join("keys"))
}

struct Growing<'g> {
    folder: &'g Path,
    signer: &'g dyn NoteSigner,
    key: LogKey,
    part: Option<Part>,
    /// What comes next begins a new part.
    fresh: bool,
}

impl Growing<'_> {
    fn add(&mut self, entry: &[u8]) -> Result<(), LogError> {
        let at = at_of(entry).unwrap_or(Timestamp::UNIX_EPOCH);
        let month = month(at);
        let stays = self
            .part
            .as_ref()
            .is_some_and(|part| self.stays(part, &month));
        if !stays {
            let before = self.part.take();
            self.part = Some(self.begin(before, &month, at)?);
        }
        self.fresh = false;
        self.part.as_mut().map_or(Ok(()), |part| part.add(entry))
    }

    /// Whether an entry of this month belongs to the part. One of the month before does: clocks
    /// differ a little, and entries of several writers meet at midnight.
    fn stays(&self, part: &Part, month: &str) -> bool {
        let own = part::month(&part.name);
        !self.fresh && part.is_of(&self.key) && (own == month || before(own) == month)
    }

    /// A new part, which names the one before it.
    fn begin(
        &self,
        mut before: Option<Part>,
        month: &str,
        at: Timestamp,
    ) -> Result<Part, LogError> {
        // It is published with its last entries before anything follows it.
        if let Some(part) = &mut before {
            part.publish(self.signer, &self.key)?;
        }
        let last = before.as_ref().and_then(|part| part::number(&part.name));
        let number = last.map_or(1, |number| number + 1);
        let name = format!("{number:04}-{month}");
        let mut part = Part::create(self.folder, &name, &self.key)?;
        if let Some(before) = before {
            part.add(&continued(&before, at))?;
        }
        Ok(part)
    }

    fn end(mut self) -> Result<Option<Head>, LogError> {
        let Some(part) = &mut self.part else {
            return Ok(None);
        };
        part.publish(self.signer, &self.key)?;
        crash::chance();
        Ok(Some(Head {
            part: part.name.clone(),
            size: part.size(),
            root: part.root(),
        }))
    }
}

/// The month before `month`.
pub(crate) fn before(month: &str) -> String {
    let (year, number) = month.split_once('-').unwrap_or((month, "01"));
    let (year, number): (i32, u32) = (year.parse().unwrap_or(0), number.parse().unwrap_or(1));
    match number {
        1 => format!("{:04}-12", year - 1),
        number => format!("{year:04}-{:02}", number.saturating_sub(1)),
    }
}

fn continued(before: &Part, at: Timestamp) -> Vec<u8> {
    let leaf = Leaf {
        v: FORM,
        at,
        environment: None,
        run: None,
        principal: Principal::Reconciler,
        what: What::Continued {
            previous: before.name.clone(),
            size: before.size(),
            root: digest(&before.root()),
        },
        people: None,
    };
    // It has a fixed form of a few hundred bytes.
    leaf.bytes().unwrap_or_default()
}

/// A root as other digests are written.
pub(crate) fn digest(hash: &Hash) -> Digest {
    Digest::from(*hash)
}
