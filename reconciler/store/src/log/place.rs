//! Where things lie in the folder of a log.
//!
//! *Source*: C2SP tlog-tiles, "Merkle Tree" and "Log entries".

use std::path::{Path, PathBuf};

use crate::log::tree::{WIDTH, hashes};

/// The signed checkpoint of a part.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// The folder of the entries of a part; gone when their time is over.
pub(crate) const ENTRIES: &str = "tile/entries";
/// The public keys that sign a part.
pub(crate) const KEYS: &str = "keys";

/// One file of hashes or entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tile {
    /// The level; `None` for a bundle of entries.
    pub(crate) level: Option<u32>,
    /// Its index.
    pub(crate) index: u64,
    /// How many hashes or entries it has, 1 to 256.
    pub(crate) width: u64,
}

impl Tile {
    /// The tile of this index in a tree of `size` entries.
    pub(crate) fn of(level: Option<u32>, index: u64, size: u64) -> Self {
        let all = hashes(size, level.unwrap_or(0));
        let width = all.saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH);
        Self {
            level,
            index,
            width,
        }
    }

    /// The same tile when it is full.
    pub(crate) fn full(self) -> Self {
        Self {
            width: WIDTH,
            ..self
        }
    }

    /// Its path within the folder of its part.
    pub(crate) fn path(self) -> String {
        let mut path = self.base();
        if self.width < WIDTH {
            path.push_str(&format!(".p/{}", self.width));
        }
        path
    }

    /// The folder of its partial forms.
    pub(crate) fn partial_folder(self) -> String {
        format!("{}.p", self.base())
    }

    fn base(self) -> String {
        let number = number(self.index);
        match self.level {
            Some(level) => format!("tile/{level}/{number}"),
            None => format!("tile/entries/{number}"),
        }
    }
}

/// A number in groups of three digits, each group but the last after an `x`.
fn number(index: u64) -> String {
    let mut text = format!("{:03}", index % 1_000);
    let mut rest = index / 1_000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1_000);
        rest /= 1_000;
    }
    text
}

/// The folder of the log that belongs to the state at `path`: `audit` beside a `state.db`, and
/// `<name>.audit` beside a file of any other name.
pub fn log_folder(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    if name == "state.db" {
        return path.with_file_name("audit");
    }
    let mut own = name.to_owned();
    own.push(".audit");
    path.with_file_name(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(number(1_234_067), "x001/x234/067");
        assert_eq!(number(0), "000");
        let tile = Tile::of(Some(0), 273, 70_000);
        assert_eq!(tile.path(), "tile/0/273.p/112");
        assert_eq!(tile.full().path(), "tile/0/273");
        assert_eq!(
            Tile::of(None, 1_000, 256_001).path(),
            "tile/entries/x001/000.p/1"
        );
        assert_eq!(Tile::of(Some(1), 0, 70_000).path(), "tile/1/000");
    }

    #[test]
    fn two_states_in_one_folder_have_a_log_each() {
        assert_eq!(log_folder(Path::new("/a/state.db")), Path::new("/a/audit"));
        assert_eq!(log_folder(Path::new("/a/b.db")), Path::new("/a/b.db.audit"));
    }
}
