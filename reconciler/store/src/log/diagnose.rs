//! Where a log that does not fit together was changed first.
//!
//! Entries, tiles and checkpoint say the same thing three times. Whichever two still agree show
//! what the third should be.

use std::collections::BTreeMap;
use std::path::Path;

use crate::log::note::Checkpoint;
use crate::log::part::Reader;
use crate::log::place::{CHECKPOINT, Tile};
use crate::log::tree::{self, Edge, Hash, Tiles as _, WIDTH};
use crate::log::verify::Problem;

/// The first place that was changed; `entries` is the root that the entries have.
pub(crate) fn diagnose(
    folder: &Path,
    part: &str,
    checkpoint: &Checkpoint,
    entries: &Hash,
) -> Problem {
    let size = checkpoint.size;
    let mut case = Case {
        folder,
        part,
        reader: Reader { folder, size },
        size,
    };
    if *entries == checkpoint.root {
        return case.tile(&|case, level, index| case.built_from_below(level, index));
    }
    let tiles = case.root_of_tiles();
    if tiles == Some(checkpoint.root) {
        return case.entry();
    }
    let inner = case.inner();
    inner.unwrap_or_else(|| Problem {
        part: part.to_owned(),
        path: Some(folder.join(CHECKPOINT)),
        entry: None,
        what: format!("it is not one of the {size} entries that are here"),
    })
}

/// What a tile, by level and index, should hold.
type Wanted<'w, T> = &'w dyn Fn(&mut T, u32, u64) -> Option<Vec<Hash>>;

struct Case<'c> {
    folder: &'c Path,
    part: &'c str,
    reader: Reader<'c>,
    size: u64,
}

impl Case<'_> {
    fn problem(&self, tile: Tile, entry: Option<u64>, what: String) -> Problem {
        let partial = self.folder.join(tile.path());
        let path = if partial.exists() {
            partial
        } else {
            self.folder.join(tile.full().path())
        };
        Problem {
            part: self.part.to_owned(),
            path: Some(path),
            entry,
            what,
        }
    }

    /// The hashes of the entries of a bundle; of the tile where the bundle is not here.
    fn hashes(&mut self, index: u64) -> Option<Vec<Hash>> {
        match self.reader.bundle(index) {
            Ok(entries) => Some(entries.iter().map(|entry| tree::leaf(entry)).collect()),
            Err(_) => self.reader.tile(0, index).ok(),
        }
    }

    /// What a tile should hold, from the entries or from the tiles below it.
    fn built_from_below(&mut self, level: u32, index: u64) -> Option<Vec<Hash>> {
        if level == 0 {
            return self.hashes(index);
        }
        let width = Tile::of(Some(level), index, self.size).width;
        let below = index * WIDTH..index * WIDTH + width;
        below
            .map(|child| {
                self.reader
                    .tile(level - 1, child)
                    .ok()
                    .map(|hashes| tree::root(&hashes))
            })
            .collect()
    }

    /// The first tile that differs from what it should hold.
    fn tile(&mut self, wanted: Wanted<'_, Self>) -> Problem {
        for level in 0..tree::levels(self.size) {
            for index in 0..tree::hashes(self.size, level).div_ceil(WIDTH) {
                let tile = Tile::of(Some(level), index, self.size);
                let wanted = wanted(self, level, index);
                match self.reader.tile(level, index) {
                    Err(error) => return self.problem(tile, None, error.to_string()),
                    Ok(stored) if wanted.as_ref() != Some(&stored) => {
                        let what = "it holds other hashes than the entries have".to_owned();
                        return self.problem(tile, None, what);
                    }
                    Ok(_) => {}
                }
            }
        }
        let tile = Tile::of(Some(0), 0, self.size);
        self.problem(tile, None, "it changed while it was read".to_owned())
    }

    fn root_of_tiles(&mut self) -> Option<Hash> {
        let mut edge = Edge::default();
        for index in 0..self.size.div_ceil(WIDTH) {
            for hash in self.reader.tile(0, index).ok()? {
                edge.push(hash);
            }
        }
        Some(edge.root())
    }

    /// The tiles are right: the first entry that is not the one they have.
    fn entry(&mut self) -> Problem {
        let (mut found, mut wanted) = (Vec::new(), Vec::new());
        for index in 0..self.size.div_ceil(WIDTH) {
            found.extend(self.hashes(index).unwrap_or_default());
            wanted.extend(self.reader.tile(0, index).unwrap_or_default());
        }
        let pairs = found.iter().zip(&wanted);
        let place = pairs.take_while(|(a, b)| a == b).count();
        let what = changed(&found, &wanted, place);
        let number = place as u64;
        let tile = Tile::of(None, number / WIDTH, self.size);
        self.problem(tile, Some(number), what)
    }

    /// Neither entries nor tiles have the signed root: where entries and their own tile agree and
    /// the tile above them does not, both were changed there.
    fn inner(&mut self) -> Option<Problem> {
        for level in 1..tree::levels(self.size) {
            for index in 0..tree::hashes(self.size, level).div_ceil(WIDTH) {
                let stored = self.reader.tile(level, index).ok()?;
                let wanted = self.built_from_below(level, index).unwrap_or_default();
                let place = stored
                    .iter()
                    .zip(&wanted)
                    .take_while(|(a, b)| a == b)
                    .count();
                if place == stored.len() {
                    continue;
                }
                let child = index * WIDTH + place as u64;
                let tile = Tile::of(Some(level - 1), child, self.size);
                let span = WIDTH.saturating_pow(level);
                let what = format!(
                    "it was changed together with what is below it: the tile above has another \
                     hash for the {span} entries from {}",
                    child * span
                );
                return Some(self.problem(tile, Some(child * span), what));
            }
        }
        None
    }
}

/// What became of the entry at `place`.
fn changed(found: &[Hash], wanted: &[Hash], place: usize) -> String {
    let (Some(now), Some(was)) = (found.get(place), wanted.get(place)) else {
        return format!("entry {place} is not there");
    };
    let later = |hashes: &[Hash]| -> BTreeMap<Hash, usize> {
        let rest = hashes.iter().enumerate().skip(place);
        rest.rev().map(|(place, hash)| (*hash, place)).collect()
    };
    match (later(wanted).get(now), later(found).get(was)) {
        (Some(other), Some(_)) => {
            format!("entry {place} is not in its place: entry {other} stands there")
        }
        (Some(_), None) => format!("entry {place} was removed"),
        (None, Some(_)) => format!("something stands before entry {place} that was never written"),
        (None, None) => format!("entry {place} was altered"),
    }
}
