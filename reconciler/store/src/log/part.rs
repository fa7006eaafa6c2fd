//! One part of the log: a month of it, in a folder that is a whole C2SP log of its own.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use stratum_core::ports::{NoteError, NoteSigner};
use thiserror::Error;

use crate::log::files;
use crate::log::keys::{KeyError, LogKey};
use crate::log::leaf;
use crate::log::note::{Checkpoint, NoteProblem, Verifier};
use crate::log::place::{CHECKPOINT, KEYS, Tile};
use crate::log::tree::{self, Edge, Hash, Tiles};

/// Why the log could not be written.
#[derive(Debug, Error)]
pub(crate) enum LogError {
    /// A file could not be read or written.
    #[error("`{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Signing failed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A file is not what was written.
    #[error("`{path}` is not what was written: {reason}")]
    Altered {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The log is shorter than the state knows, or another one.
    #[error(
        "the state knows {size} entries of part `{part}`, and the log does not have them; put the \
         folder back as it was"
    )]
    Cut {
        /// The part.
        part: String,
        /// How many entries it had.
        size: u64,
    },
}

impl LogError {
    /// Whether it may pass by itself.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::File { .. } | Self::Key(KeyError::File(_)) => true,
            Self::Key(_) | Self::Note(_) | Self::Altered { .. } | Self::Cut { .. } => false,
        }
    }

    pub(crate) fn altered(path: &Path, reason: impl ToString) -> Self {
        Self::Altered {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// Names the file in an error of the system.
pub(crate) fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, LogError> {
    result.map_err(|source| LogError::File {
        path: path.to_owned(),
        source,
    })
}

/// Reads the tiles of a part as a tree of `size` entries has them.
pub(crate) struct Reader<'p> {
    pub(crate) folder: &'p Path,
    pub(crate) size: u64,
}

impl Reader<'_> {
    /// The bytes of a tile or bundle as this tree has it, and the file they were read from. A
    /// partial one may have grown into a larger or the full one meanwhile.
    pub(crate) fn bytes(&self, tile: Tile) -> io::Result<(Vec<u8>, PathBuf)> {
        let path = self.folder.join(tile.path());
        match files::read(&path)? {
            Some(bytes) => Ok((bytes, path)),
            None => {
                let full = self.folder.join(tile.full().path());
                fs::read(&full).map(|bytes| (bytes, full)).map_err(|error| {
                    io::Error::new(error.kind(), format!("`{}` is not there", path.display()))
                })
            }
        }
    }

    /// The entries of a bundle, as many as this tree has.
    pub(crate) fn bundle(&self, index: u64) -> io::Result<Vec<Vec<u8>>> {
        let tile = Tile::of(None, index, self.size);
        let (bytes, path) = self.bytes(tile)?;
        let entries = leaf::entries(&bytes).filter(|all| all.len() as u64 >= tile.width);
        let entries = entries.ok_or_else(|| invalid(&path, "its lengths do not add up"))?;
        let kept = entries.into_iter().take(tile.width as usize);
        Ok(kept.map(<[u8]>::to_vec).collect())
    }
}

impl Tiles for Reader<'_> {
    fn tile(&mut self, level: u32, index: u64) -> io::Result<Vec<Hash>> {
        let tile = Tile::of(Some(level), index, self.size);
        let (bytes, path) = self.bytes(tile)?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || (hashes.len() as u64) < tile.width {
            return Err(invalid(&path, "it has not as many hashes as it should"));
        }
        Ok(hashes.iter().take(tile.width as usize).copied().collect())
    }
}

fn invalid(path: &Path, what: &str) -> io::Error {
    let text = format!("`{}`: {what}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// A part that grows.
pub(crate) struct Part {
    pub(crate) name: String,
    folder: PathBuf,
    origin: String,
    edge: Edge,
    /// The entries of the bundle that is not yet full.
    bundle: Vec<u8>,
    /// Folders whose names are not yet durable.
    unflushed: BTreeSet<PathBuf>,
    /// Tiles that became full: their partial forms can go once the checkpoint is there.
    filled: Vec<Tile>,
    changed: bool,
}

impl Part {
    /// A new part of the log in `log`.
    pub(crate) fn create(log: &Path, name: &str, key: &LogKey) -> Result<Self, LogError> {
        let folder = log.join(name);
        // What a crash left of it was never published.
        at(&folder, files::remove_folder(&folder))?;
        at(&folder, files::folder(&folder))?;
        let origin = origin(&key.name, name);
        let verifiers = Verifier::pair(&origin, &key.public);
        let text: String = verifiers
            .iter()
            .map(|v| format!("{}\n", v.text()))
            .collect();
        let path = folder.join(KEYS);
        at(&path, files::write(&path, text.as_bytes()))?;
        Ok(Self {
            name: name.to_owned(),
            unflushed: [log.to_owned(), folder.clone()].into(),
            folder,
            origin,
            edge: Edge::default(),
            bundle: Vec::new(),
            filled: Vec::new(),
            changed: true,
        })
    }

    /// Opens a part as its checkpoint says it is.
    pub(crate) fn open(log: &Path, name: &str, signer: &dyn NoteSigner) -> Result<Self, LogError> {
        let folder = log.join(name);
        let (checkpoint, _) = checkpoint(&folder, signer)?;
        let mut reader = Reader {
            folder: &folder,
            size: checkpoint.size,
        };
        let edge = at(&folder, edge(&mut reader))?;
        if edge.root() != checkpoint.root {
            let path = folder.join("tile");
            return Err(LogError::altered(
                &path,
                "its tiles do not add up to the checkpoint",
            ));
        }
        let mut bundle = Vec::new();
        if checkpoint.size % tree::WIDTH > 0 {
            let index = checkpoint.size / tree::WIDTH;
            for entry in at(&folder, reader.bundle(index))? {
                leaf::bundle(&mut bundle, &entry);
            }
        }
        Ok(Self {
            name: name.to_owned(),
            origin: checkpoint.origin,
            folder,
            edge,
            bundle,
            unflushed: BTreeSet::new(),
            filled: Vec::new(),
            changed: false,
        })
    }

    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.edge.root()
    }

    /// Whether it is signed by this key.
    pub(crate) fn is_of(&self, key: &LogKey) -> bool {
        self.origin == origin(&key.name, &self.name)
    }

    /// Adds an entry; tiles that it fills are written.
    pub(crate) fn add(&mut self, entry: &[u8]) -> Result<(), LogError> {
        self.changed = true;
        leaf::bundle(&mut self.bundle, entry);
        for full in self.edge.push(tree::leaf(entry)) {
            let tile = Tile {
                level: Some(full.level),
                index: full.index,
                width: tree::WIDTH,
            };
            self.write(tile, full.hashes.as_flattened())?;
            self.filled.push(tile);
            if full.level == 0 {
                let bundle = std::mem::take(&mut self.bundle);
                let tile = Tile {
                    level: None,
                    ..tile
                };
                self.write(tile, &bundle)?;
                self.filled.push(tile);
            }
        }
        Ok(())
    }

    /// Writes the partial tiles, and then the checkpoint that names all of it.
    pub(crate) fn publish(
        &mut self,
        signer: &dyn NoteSigner,
        key: &LogKey,
    ) -> Result<(), LogError> {
        if !self.changed {
            return Ok(());
        }
        let edge = self.edge.clone();
        for (level, index, hashes) in edge.partial() {
            let tile = Tile {
                level: Some(level),
                index,
                width: hashes.len() as u64,
            };
            self.write(tile, hashes.as_flattened())?;
            if level == 0 {
                let bundle = self.bundle.clone();
                self.write(
                    Tile {
                        level: None,
                        ..tile
                    },
                    &bundle,
                )?;
            }
        }
        for folder in std::mem::take(&mut self.unflushed) {
            at(&folder, files::flush_folder(&folder))?;
        }
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size: self.edge.size(),
            root: self.edge.root(),
        };
        let note = checkpoint.sign(signer, &key.pair)?;
        let path = self.folder.join(CHECKPOINT);
        at(&path, files::write(&path, note.as_bytes()))?;
        at(&self.folder, files::flush_folder(&self.folder))?;
        self.changed = false;
        for tile in std::mem::take(&mut self.filled) {
            let folder = self.folder.join(tile.partial_folder());
            at(&folder, files::remove_folder(&folder))?;
        }
        Ok(())
    }

    fn write(&mut self, tile: Tile, bytes: &[u8]) -> Result<(), LogError> {
        let path = self.folder.join(tile.path());
        let folder = path.parent().unwrap_or(&self.folder).to_owned();
        if !folder.exists() {
            at(&folder, files::folder(&folder))?;
            let above = folder.ancestors().take_while(|above| *above != self.folder);
            self.unflushed.extend(above.map(Path::to_owned));
            self.unflushed.insert(self.folder.clone());
        }
        self.unflushed.insert(folder);
        at(&path, files::write(&path, bytes))
    }
}

/// The name that a part signs under.
fn origin(log: &str, part: &str) -> String {
    format!("{log}/{part}")
}

/// The checkpoint of a part, signed by the keys it names itself, and those keys.
pub(crate) fn checkpoint(
    folder: &Path,
    signer: &dyn NoteSigner,
) -> Result<(Checkpoint, Vec<Verifier>), LogError> {
    let verifiers = verifiers(folder)?;
    let path = folder.join(CHECKPOINT);
    let note = at(&path, fs::read(&path))?;
    let note = String::from_utf8(note).map_err(|_| LogError::altered(&path, "it is no text"))?;
    let checkpoint = Checkpoint::open(&note, &verifiers, signer)
        .map_err(|problem| LogError::altered(&path, problem))?;
    Ok((checkpoint, verifiers))
}

/// The keys that a part names: one of each algorithm.
fn verifiers(folder: &Path) -> Result<Vec<Verifier>, LogError> {
    let path = folder.join(KEYS);
    let text = at(&path, fs::read(&path))?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(Verifier::parse);
    let read: Result<Vec<_>, NoteProblem> = lines.collect();
    let keys = read.map_err(|problem| LogError::altered(&path, problem))?;
    let mut algorithms: Vec<_> = keys.iter().map(|key| key.algorithm).collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    match (keys.len(), algorithms.len()) {
        (2, 2) => Ok(keys),
        _ => Err(LogError::altered(
            &path,
            "it has not one key of each algorithm",
        )),
    }
}

fn edge(reader: &mut Reader<'_>) -> io::Result<Edge> {
    let size = reader.size;
    let mut levels = Vec::new();
    for level in 0..tree::levels(size) {
        let width = tree::hashes(size, level) % tree::WIDTH;
        levels.push(match width {
            0 => Vec::new(),
            _ => reader.tile(level, tree::tiles(size, level))?,
        });
    }
    Ok(Edge::of(size, levels))
}

/// The parts of the log in a folder, oldest first.
pub(crate) fn parts(log: &Path) -> Result<Vec<String>, LogError> {
    let mut names = Vec::new();
    let entries = match fs::read_dir(log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        other => at(log, other)?,
    };
    for entry in entries {
        let name = at(log, entry)?.file_name();
        names.extend(
            name.to_str()
                .filter(|name| number(name).is_some())
                .map(str::to_owned),
        );
    }
    names.sort_by_key(|name| number(name));
    Ok(names)
}

/// The number of a part: the digits before its month, as in `0007-2026-11`.
pub(crate) fn number(name: &str) -> Option<u64> {
    let (number, month) = name.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (year, rest) = month.split_once('-')?;
    let valid = digits(number) && digits(year) && digits(rest) && number.len() >= 4;
    number
        .parse()
        .ok()
        .filter(|_| valid && year.len() == 4 && rest.len() == 2)
}

/// The month of a part.
pub(crate) fn month(name: &str) -> &str {
    name.split_once('-').map_or(name, |(_, month)| month)
}
