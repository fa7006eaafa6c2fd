//! Reading entries, and proving that one is in the log.

use std::sync::Arc;

use jiff::Timestamp;
use stratum_core::audit::{AuditEntry, Named};

use crate::log::integrate::digest;
use crate::log::keeper::sentence;
use crate::log::leaf::Leaf;
use crate::log::part::{self, LogError, Reader};
use crate::log::tree::{self, WIDTH};
use crate::log::veil::Veils;
use crate::log::verify::LogReader;

/// An entry as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The part it is in.
    pub part: String,
    /// Its number there, from 0.
    pub index: u64,
    /// The entry; its people are empty when they cannot be read.
    pub entry: AuditEntry,
    /// It has people, and their key was dropped.
    pub redacted: bool,
    /// The bytes that are hashed.
    pub stored: String,
}

/// Why an entry is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The entry.
    pub shown: Shown,
    /// Its hash, in hexadecimal.
    pub leaf: String,
    /// The hashes beside the way up, from the leaf to the root, in hexadecimal.
    pub path: Vec<String>,
    /// The signed checkpoint that the proof leads to.
    pub checkpoint: String,
    /// How many entries that has.
    pub size: u64,
}

impl LogReader {
    /// Hands the entries of the log to `take`, in order, until it answers `false`.
    ///
    /// *Errors*: a sentence.
    pub fn each(&self, take: &mut dyn FnMut(Shown) -> bool) -> Result<(), String> {
        let said = |error: LogError| sentence(&error);
        let veils = self.veils();
        for name in part::parts(&self.folder).map_err(said)? {
            let folder = self.folder.join(&name);
            let (checkpoint, _) = part::checkpoint(&folder, self.signer.as_ref()).map_err(said)?;
            let size = checkpoint.size;
            let reader = Reader {
                folder: &folder,
                size,
            };
            for bundle in 0..size.div_ceil(WIDTH) {
                let entries = match reader.bundle(bundle) {
                    Ok(entries) => entries,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error.to_string()),
                };
                for (index, entry) in (bundle * WIDTH..).zip(entries) {
                    if !take(shown(&name, index, &entry, &veils)?) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The entry of a part, and the proof that the checkpoint of the part has it.
    ///
    /// *Errors*: a sentence; `Ok(None)` when the part has no such entry.
    pub fn prove(&self, name: &str, index: u64) -> Result<Option<Proof>, String> {
        let folder = self.folder.join(name);
        if part::number(name).is_none() || !folder.exists() {
            return Ok(None);
        }
        let signer = self.signer.as_ref();
        let (checkpoint, _) = part::checkpoint(&folder, signer).map_err(|e| sentence(&e))?;
        let size = checkpoint.size;
        if index >= size {
            return Ok(None);
        }
        let mut reader = Reader {
            folder: &folder,
            size,
        };
        let said = |error: std::io::Error| error.to_string();
        let entries = reader.bundle(index / WIDTH).map_err(said)?;
        let entry = entries
            .into_iter()
            .nth((index % WIDTH) as usize)
            .unwrap_or_default();
        let path = tree::prove(&mut reader, index, size).map_err(said)?;
        let leaf = tree::leaf(&entry);
        if tree::root_of_proof(leaf, index, size, &path) != Some(checkpoint.root) {
            let text =
                "the proof does not lead to the checkpoint; `stratum audit verify` says where";
            return Err(text.to_owned());
        }
        let note = folder.join(crate::log::place::CHECKPOINT);
        Ok(Some(Proof {
            shown: shown(name, index, &entry, &self.veils())?,
            leaf: digest(&leaf).to_string(),
            path: path.iter().map(|hash| digest(hash).to_string()).collect(),
            checkpoint: std::fs::read_to_string(note).map_err(said)?,
            size,
        }))
    }

    fn veils(&self) -> Veils {
        Veils::new(self.folder.join("people"), Arc::clone(&self.signer))
    }
}

fn shown(part: &str, index: u64, entry: &[u8], veils: &Veils) -> Result<Shown, String> {
    let leaf: Leaf = serde_json::from_slice(entry)
        .map_err(|error| format!("entry {index} of `{part}` cannot be read: {error}"))?;
    let people: Option<Option<Vec<Named>>> = match &leaf.people {
        Some(veiled) => Some(veils.unveil(veiled).map_err(|error| error.to_string())?),
        None => None,
    };
    Ok(Shown {
        part: part.to_owned(),
        index,
        redacted: people == Some(None),
        entry: AuditEntry {
            at: leaf.at,
            environment: leaf.environment,
            run: leaf.run,
            principal: leaf.principal,
            what: leaf.what,
            people: people.flatten().unwrap_or_default(),
        },
        stored: String::from_utf8_lossy(entry).into_owned(),
    })
}

/// Whether a time lies in a period; an open end takes all.
pub fn within(at: Timestamp, from: Option<Timestamp>, to: Option<Timestamp>) -> bool {
    from.is_none_or(|from| at >= from) && to.is_none_or(|to| at < to)
}
