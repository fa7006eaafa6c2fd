//! The Merkle tree: hashes, its right edge while it grows, and proofs.
//!
//! *Source*: RFC 6962, section 2.1; the cut into tiles is C2SP tlog-tiles.

use std::io;

use sha2::{Digest as _, Sha256};

/// A node of the tree.
pub(crate) type Hash = [u8; 32];

/// How many hashes a full tile has.
pub(crate) const WIDTH: u64 = 256;
/// A tile spans this many levels of the tree.
const HEIGHT: u32 = 8;

/// The hash of an entry.
pub(crate) fn leaf(entry: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(entry);
    hasher.finalize().into()
}

/// The hash of an inner node.
fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

/// The root over these subtrees, of which all but the last are perfect and of one size.
pub(crate) fn root(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Sha256::digest([]).into(),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(half(many.len() as u64) as usize);
            node(&root(left), &root(right))
        }
    }
}

/// The largest power of two below `count`, which is at least 2.
fn half(count: u64) -> u64 {
    let above = count.next_power_of_two();
    above / 2
}

/// A tile that is full.
pub(crate) struct Full {
    pub(crate) level: u32,
    pub(crate) index: u64,
    pub(crate) hashes: Vec<Hash>,
}

/// The right edge of a tree: all that is needed to let it grow.
///
/// *Shape*: for each level of tiles the hashes of the tile that is not yet full, 0 to 255.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of a tree of this size, from the hashes of its partial tiles, lowest level first.
    pub(crate) fn of(size: u64, levels: Vec<Vec<Hash>>) -> Self {
        Self { size, levels }
    }

    /// How many entries the tree has.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Level, index and hashes of every partial tile.
    pub(crate) fn partial(&self) -> impl Iterator<Item = (u32, u64, &[Hash])> {
        let levels = (0..).zip(&self.levels);
        let partial = levels.filter(|(_, hashes)| !hashes.is_empty());
        partial.map(|(level, hashes)| (level, tiles(self.size, level), hashes.as_slice()))
    }

    /// Adds an entry; answers the tiles that it fills.
    pub(crate) fn push(&mut self, entry: Hash) -> Vec<Full> {
        self.size += 1;
        let mut full = Vec::new();
        let (mut hash, mut level) = (entry, 0);
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(level) else {
                return full;
            };
            hashes.push(hash);
            if (hashes.len() as u64) < WIDTH {
                return full;
            }
            let hashes = std::mem::take(hashes);
            hash = root(&hashes);
            let tier = u32::try_from(level).unwrap_or(u32::MAX);
            full.push(Full {
                level: tier,
                index: tiles(self.size, tier) - 1,
                hashes,
            });
            level += 1;
        }
    }

    /// The root of the tree.
    pub(crate) fn root(&self) -> Hash {
        let mut tail: Option<Hash> = None;
        for hashes in &self.levels {
            let mut all = hashes.clone();
            all.extend(tail);
            if !all.is_empty() {
                tail = Some(root(&all));
            }
        }
        tail.unwrap_or_else(|| root(&[]))
    }
}

/// How many hashes a tree of this size has at this level of tiles.
pub(crate) fn hashes(size: u64, level: u32) -> u64 {
    size.checked_shr(level * HEIGHT).unwrap_or(0)
}

/// How many full tiles a tree of this size has at this level.
pub(crate) fn tiles(size: u64, level: u32) -> u64 {
    hashes(size, level) / WIDTH
}

/// How many levels of tiles a tree of this size has.
pub(crate) fn levels(size: u64) -> u32 {
    (0..8).take_while(|level| hashes(size, *level) > 0).count() as u32
}

/// Where hashes of tiles come from: all those of tile `index` at `level` that a tree has.
pub(crate) trait Tiles {
    /// The hashes of one tile.
    fn tile(&mut self, level: u32, index: u64) -> io::Result<Vec<Hash>>;
}

/// The root of the entries from `start` to `end`, where `start` is a multiple of the least power
/// of two that is not below their number.
pub(crate) fn range(tiles: &mut dyn Tiles, start: u64, end: u64) -> io::Result<Hash> {
    let count = end - start;
    if count == 0 {
        return Ok(root(&[]));
    }
    if !count.is_power_of_two() {
        let middle = start + half(count);
        let (left, right) = (range(tiles, start, middle)?, range(tiles, middle, end)?);
        return Ok(node(&left, &right));
    }
    let level = count.trailing_zeros() / HEIGHT;
    let (first, width) = (hashes(start, level), hashes(count, level));
    let tile = tiles.tile(level, first / WIDTH)?;
    let from = (first % WIDTH) as usize;
    let part = tile.get(from..from + width as usize);
    part.map(root).ok_or_else(|| {
        let text = format!("tile {} of level {level} is too short", first / WIDTH);
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// The inclusion proof of entry `index` in a tree of `size` entries, from the leaf upwards.
pub(crate) fn prove(tiles: &mut dyn Tiles, index: u64, size: u64) -> io::Result<Vec<Hash>> {
    let (mut start, mut end, mut path) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + half(end - start);
        if index < middle {
            path.push(range(tiles, middle, end)?);
            end = middle;
        } else {
            path.push(range(tiles, start, middle)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The root that follows from a leaf and its inclusion proof; `None` when the proof has not the
/// right length.
pub(crate) fn root_of_proof(entry: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    let (mut start, mut end, mut sides) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + half(end - start);
        sides.push(index < middle);
        (start, end) = if index < middle {
            (start, middle)
        } else {
            (middle, end)
        };
    }
    if sides.len() != path.len() {
        return None;
    }
    let steps = sides.iter().rev().zip(path);
    Some(steps.fold(entry, |hash, (is_left, other)| match is_left {
        true => node(&hash, other),
        false => node(other, &hash),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn entries(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf(&n.to_be_bytes())).collect()
    }

    /// The root as the standard words it, without tiles.
    fn plain(hashes: &[Hash]) -> Hash {
        match hashes.len() {
            0 => Sha256::digest([]).into(),
            1 => hashes[0],
            count => {
                let mut k = 1;
                while k * 2 < count {
                    k *= 2;
                }
                node(&plain(&hashes[..k]), &plain(&hashes[k..]))
            }
        }
    }

    #[derive(Default)]
    struct Grown(BTreeMap<(u32, u64), Vec<Hash>>);

    impl Tiles for Grown {
        fn tile(&mut self, level: u32, index: u64) -> io::Result<Vec<Hash>> {
            Ok(self.0.get(&(level, index)).cloned().unwrap_or_default())
        }
    }

    fn grown(all: &[Hash]) -> (Edge, Grown) {
        let (mut edge, mut tiles) = (Edge::default(), Grown::default());
        for hash in all {
            for full in edge.push(*hash) {
                tiles.0.insert((full.level, full.index), full.hashes);
            }
        }
        for (level, index, hashes) in edge.partial() {
            tiles.0.insert((level, index), hashes.to_vec());
        }
        (edge, tiles)
    }

    #[test]
    fn known_answers_of_rfc_6962() {
        // From the test vectors of certificate-transparency-go.
        let hex = |hash: Hash| hash.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(
            hex(root(&[])),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex(leaf(b"")),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    #[test]
    fn the_root_is_that_of_the_standard_at_every_size() {
        let all = entries(70_000);
        let mut edge = Edge::default();
        for (number, hash) in all.iter().enumerate() {
            edge.push(*hash);
            let size = number + 1;
            if size < 700 || size % 4_099 == 0 || (65_530..65_545).contains(&size) {
                assert_eq!(edge.root(), plain(&all[..size]), "size {size}");
            }
        }
    }

    #[test]
    fn every_proof_leads_to_the_root_and_no_other_does() {
        for size in [1, 2, 3, 255, 256, 257, 600, 66_000] {
            let all = entries(size);
            let (edge, mut tiles) = grown(&all);
            for index in (0..size).step_by(1 + size as usize / 97) {
                let path = prove(&mut tiles, index, size).unwrap();
                let found = root_of_proof(all[index as usize], index, size, &path);
                assert_eq!(found, Some(edge.root()), "{index} of {size}");
                let other = root_of_proof(leaf(b"other"), index, size, &path);
                assert_ne!(other, Some(edge.root()));
            }
            assert_eq!(range(&mut tiles, 0, size).unwrap(), edge.root());
        }
    }

    #[test]
    fn tiles_are_counted_as_the_specification_does() {
        let widths: Vec<_> = (0..4)
            .map(|l| (tiles(70_000, l), hashes(70_000, l) % 256))
            .collect();
        assert_eq!(widths, [(273, 112), (1, 17), (0, 1), (0, 0)]);
        assert_eq!(levels(70_000), 3);
        assert_eq!((levels(0), levels(1), levels(256)), (0, 1, 2));
    }
}
