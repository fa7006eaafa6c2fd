//! A copy for a period, which can be verified elsewhere from the copy alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::log::files;
use crate::log::leaf::{at_of, month_of};
use crate::log::part::{self, LogError, Reader};
use crate::log::place::{CHECKPOINT, KEYS, Tile};
use crate::log::tree::{self, WIDTH};
use crate::log::verify::LogReader;

const MANIFEST: &str = "export.json";

/// What an export holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    /// The period: from this moment (UTC), …
    pub(crate) from: String,
    /// … to before this one.
    pub(crate) to: String,
    /// The parts.
    pub(crate) parts: BTreeMap<String, Bundles>,
}

/// The bundles of entries of a part that are in an export; of the others only the hashes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bundles {
    /// The first.
    pub(crate) first_bundle: u64,
    /// The one after the last.
    pub(crate) end_bundle: u64,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The parts.
    pub parts: Vec<String>,
    /// How many entries.
    pub entries: u64,
}

/// Why nothing was exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The log could not be read.
    #[error("the log cannot be read: {reason}")]
    Log {
        /// Why.
        reason: String,
    },
    /// There is something already.
    #[error("`{path}` is there already")]
    There {
        /// What is there.
        path: String,
    },
    /// Nothing was logged then.
    #[error("the log has no entry of that time")]
    Empty,
    /// The copy could not be written.
    #[error("`{path}` cannot be written")]
    Write {
        /// Where.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl From<LogError> for ExportError {
    fn from(error: LogError) -> Self {
        Self::Log {
            reason: crate::log::keeper::sentence(&error),
        }
    }
}

impl Manifest {
    /// The list of an export; `None` when the folder is no export.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, String> {
        let path = folder.join(MANIFEST);
        let bytes = files::read(&path).map_err(|error| format!("`{}`: {error}", path.display()))?;
        let read = |bytes: Vec<u8>| serde_json::from_slice::<Self>(&bytes);
        let manifest = bytes.map(read).transpose();
        let manifest = manifest.map_err(|error| format!("`{}`: {error}", path.display()))?;
        match manifest {
            Some(manifest) if manifest.version != 1 => Err(format!(
                "`{}` is of version {}, and this stratum knows version 1",
                path.display(),
                manifest.version
            )),
            other => Ok(other),
        }
    }

    /// The period; `None` when its times cannot be read.
    pub(crate) fn period(&self) -> Option<Range<Timestamp>> {
        Some(self.from.parse().ok()?..self.to.parse().ok()?)
    }
}

impl LogReader {
    /// Copies what was logged in `period` to the folder `out`, which must not be there: entries by
    /// bundles of 256, with one bundle more on either side so that it can be seen that none is
    /// missing; all hashes; checkpoints and public keys. With `people` the keys of personal data too.
    pub fn export(
        &self,
        period: &Range<Timestamp>,
        out: &Path,
        people: bool,
    ) -> Result<Exported, ExportError> {
        if out.exists() {
            return Err(ExportError::There {
                path: out.display().to_string(),
            });
        }
        let mut found = Vec::new();
        for name in part::parts(&self.folder)? {
            let (checkpoint, _) = part::checkpoint(&self.folder.join(&name), self.signer.as_ref())?;
            let (bundles, entries) = self.bundles(&name, checkpoint.size, period)?;
            found.push((name, checkpoint.size, bundles, entries));
        }
        let touched = |(_, _, _, entries): &(String, u64, Bundles, u64)| *entries > 0;
        let first = found.iter().position(touched).ok_or(ExportError::Empty)?;
        let last = found.iter().rposition(touched).ok_or(ExportError::Empty)?;
        found.truncate(last + 1);
        found.drain(..first);
        let written = |source| ExportError::Write {
            path: out.display().to_string(),
            source,
        };
        for (name, size, bundles, _) in &found {
            self.copy(name, *size, *bundles, out).map_err(written)?;
        }
        if people {
            self.copy_people(&found, out).map_err(written)?;
        }
        let manifest = Manifest {
            version: 1,
            from: period.start.to_string(),
            to: period.end.to_string(),
            parts: found
                .iter()
                .map(|(name, _, bundles, _)| (name.clone(), *bundles))
                .collect(),
        };
        // A record of strings and numbers always has a JSON form.
        let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
        files::write(&out.join(MANIFEST), &text).map_err(written)?;
        Ok(Exported {
            entries: found.iter().map(|(_, _, _, entries)| entries).sum(),
            parts: found.into_iter().map(|(name, ..)| name).collect(),
        })
    }

    /// The bundles that a period needs, and how many entries of the period they have.
    fn bundles(
        &self,
        name: &str,
        size: u64,
        period: &Range<Timestamp>,
    ) -> Result<(Bundles, u64), ExportError> {
        let folder = self.folder.join(name);
        let reader = Reader {
            folder: &folder,
            size,
        };
        let all = size.div_ceil(WIDTH);
        let (mut first, mut end, mut count) = (None, 0, 0);
        for index in 0..all {
            let entries = match reader.bundle(index) {
                Ok(entries) => entries,
                // Pruned: there is nothing of it to copy.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(ExportError::Log {
                        reason: error.to_string(),
                    });
                }
            };
            let times = entries.iter().filter_map(|entry| at_of(entry));
            let inside = times.filter(|at| period.contains(at)).count() as u64;
            if inside > 0 {
                first.get_or_insert(index);
                (end, count) = (index + 1, count + inside);
            }
        }
        let first_bundle = first.map_or(0, |first| first.saturating_sub(1));
        let end_bundle = if count == 0 { 0 } else { all.min(end + 1) };
        let bundles = Bundles {
            first_bundle,
            end_bundle,
        };
        Ok((bundles, count))
    }

    fn copy(&self, name: &str, size: u64, bundles: Bundles, out: &Path) -> io::Result<()> {
        let (from, to) = (self.folder.join(name), out.join(name));
        let reader = Reader {
            folder: &from,
            size,
        };
        let entries = (bundles.first_bundle..bundles.end_bundle).map(|index| (None, index));
        let tiles = (0..tree::levels(size)).flat_map(|level| {
            let count = tree::hashes(size, level).div_ceil(WIDTH);
            (0..count).map(move |index| (Some(level), index))
        });
        for (level, index) in tiles.chain(entries) {
            let tile = Tile::of(level, index, size);
            let (bytes, _) = match reader.bytes(tile) {
                Err(error) if level.is_none() && error.kind() == io::ErrorKind::NotFound => {
                    continue;
                }
                other => other?,
            };
            let path = to.join(tile.path());
            path.parent().map_or(Ok(()), files::folder)?;
            // A full tile may stand in for the partial one of this size.
            let bytes = shortened(&bytes, tile, &reader)?;
            files::write(&path, &bytes)?;
        }
        for file in [KEYS, CHECKPOINT] {
            fs::copy(from.join(file), to.join(file))?;
        }
        Ok(())
    }

    fn copy_people(&self, found: &[(String, u64, Bundles, u64)], out: &Path) -> io::Result<()> {
        let mut months = std::collections::BTreeSet::new();
        for (name, size, bundles, _) in found {
            let folder = self.folder.join(name);
            let reader = Reader {
                folder: &folder,
                size: *size,
            };
            for index in bundles.first_bundle..bundles.end_bundle {
                let entries = reader.bundle(index).unwrap_or_default();
                months.extend(
                    entries
                        .iter()
                        .filter_map(|e| month_of(e).map(str::to_owned)),
                );
            }
        }
        files::folder(&out.join("people"))?;
        for month in months {
            let file = format!("people/{month}.key");
            if let Some(key) = files::read(&self.folder.join(&file))? {
                files::write(&out.join(&file), &key)?;
            }
        }
        Ok(())
    }
}

/// What of the bytes belongs to a tile of this width.
fn shortened(bytes: &[u8], tile: Tile, reader: &Reader<'_>) -> io::Result<Vec<u8>> {
    if tile.level.is_some() {
        let length = (tile.width as usize).saturating_mul(32);
        return Ok(bytes.get(..length).unwrap_or(bytes).to_vec());
    }
    let mut bundle = Vec::with_capacity(bytes.len());
    for entry in reader.bundle(tile.index)? {
        crate::log::leaf::bundle(&mut bundle, &entry);
    }
    Ok(bundle)
}
