//! The files of one Revision, read from git objects and never from a checkout.

use thiserror::Error;

use crate::ids::ObjectId;
use crate::ports::Retry;

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeKind {
    /// A regular file.
    File,
    /// A regular file with the executable bit.
    Executable,
    /// A folder.
    Folder,
    /// A symlink: never followed.
    Symlink,
    /// A submodule: never entered.
    Submodule,
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Its name within its folder.
    pub name: String,
    /// What it is.
    pub kind: TreeKind,
    /// The id of its blob or tree.
    pub id: ObjectId,
}

/// Why a tree could not be read.
#[derive(Debug, Error)]
pub enum TreeError {
    /// There is no such object, or it is damaged.
    #[error("could not read `{path}` from the repository")]
    Read {
        /// The path in the tree.
        path: String,
        /// What git said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The name of an entry is not UTF-8.
    #[error("a name under `{path}` is not UTF-8")]
    Name {
        /// The folder.
        path: String,
    },
    /// A file or folder is larger than is read, or what is read together is.
    #[error("`{path}` has {bytes} bytes; the most that is read is {most}")]
    TooLarge {
        /// The path in the tree.
        path: String,
        /// Its size.
        bytes: u64,
        /// The most that is read.
        most: u64,
    },
    /// A folder is not one that git would make: git and others would read it in another way.
    #[error("the folder `{path}` is malformed: {what}")]
    Malformed {
        /// The folder; empty for the top.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

impl TreeError {
    /// When to try again.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Read { .. } => Retry::NeedsPerson,
            Self::Name { .. } | Self::TooLarge { .. } | Self::Malformed { .. } => {
                Retry::WhenInputChanges
            }
        }
    }
}

/// The files of one Revision.
///
/// *Guarantees*: every method may be called any number of times and gives the same answer. Paths
/// are relative to the top, with `/`, without `.` and `..`; the empty path is the top.
pub trait Tree: Send + Sync {
    /// The entry at `path`, or `None` when nothing is there.
    fn entry(&self, path: &str) -> Result<Option<TreeEntry>, TreeError>;

    /// The entries of the folder at `path`, sorted by name; empty when it is not a folder.
    fn list(&self, path: &str) -> Result<Vec<TreeEntry>, TreeError>;

    /// The bytes of the blob `id`; `path` is for the error only.
    fn blob(&self, id: &ObjectId, path: &str) -> Result<Vec<u8>, TreeError>;
}
