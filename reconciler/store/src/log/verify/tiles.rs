//! Tiles as they are stored, beside what the entries say.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Problem, of_file};
use crate::log::files;
use crate::log::leaf;
use crate::log::part::Reader;
use crate::log::place::Tile;
use crate::log::tree::{self, Edge, Hash, Tiles as _, WIDTH};

/// The entries of a bundle cannot be read.
pub(super) fn missing(folder: &Path, part: &str, tile: Tile, error: &std::io::Error) -> Problem {
    let (from, to) = (tile.index * WIDTH, tile.index * WIDTH + tile.width - 1);
    let what = format!("entries {from} to {to} cannot be read: {error}");
    Problem {
        entry: Some(from),
        ..of_file(part, folder.join(tile.path()), what)
    }
}

/// Whether a tree of `size` entries, whose tiles were looked at, had this root at a smaller size.
pub(super) fn has(folder: &Path, size: u64, smaller: u64, root: &Hash) -> bool {
    let mut reader = Reader { folder, size };
    tree::range(&mut reader, 0, smaller).is_ok_and(|found| found == *root)
}

/// Lets the tree grow; `false` when a tile that it fills is stored otherwise.
pub(super) fn grow(edge: &mut Edge, reader: &mut Reader<'_>, hashes: &[Hash]) -> bool {
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
pub(super) fn stale(folder: &Path, size: u64) -> Result<(), (PathBuf, String)> {
    let reader = Reader { folder, size };
    let levels = (0..tree::levels(size)).map(Some);
    for level in levels.chain([None]) {
        let index = tree::tiles(size, level.unwrap_or(0));
        let tile = Tile::of(level, index, size);
        let partial = folder.join(tile.partial_folder());
        let Ok(entries) = fs::read_dir(&partial) else {
            continue;
        };
        if tile.width == 0 {
            continue;
        }
        let Ok((now, _)) = reader.bytes(tile) else {
            continue;
        };
        for file in entries.flatten() {
            if files::is_draft(&file.path()) {
                continue;
            }
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
pub(super) fn find(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window == needle)
}
