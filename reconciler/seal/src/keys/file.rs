//! Files of private keys: for their owner only, written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use stratum_core::secret::Secret;
use zeroize::Zeroizing;

/// The most bytes of a file of keys.
const LARGEST: u64 = 64 << 10;

/// A file of a private key was not written or not read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is one already; it is not touched.
    #[error(
        "`{0}` is there already, and a key that is gone opens nothing any more: choose another name"
    )]
    Exists(PathBuf),
    /// Others may read it.
    #[error(
        "others may read `{path}` (mode {mode:03o}): run `chmod 600` on it, and make a new key if someone may have read it"
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is too large to be one.
    #[error("`{0}` is too large to be a file of keys")]
    TooLarge(PathBuf),
    /// It is no regular file.
    #[error("`{0}` is not a regular file")]
    NotAFile(PathBuf),
    /// The system refused.
    #[error("cannot {doing} `{path}`")]
    System {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
}

fn system(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::System {
        doing,
        path,
        source,
    }
}

/// Writes `content` to a new file with mode 0600.
///
/// *Guarantees*: durable when it returns; the file is there whole or not at all, and was never
/// readable by others; one that is there is not touched. *Errors*: `Exists`, and what the system says.
pub fn write_private(path: &Path, content: &Secret) -> Result<(), FileError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A name that no other process gives, in whatever namespace it lives.
    let own = RandomState::new().hash_one(std::process::id());
    let beside = folder.join(format!(".{name}.{own:016x}.new"));
    let result = write_beside(&beside, content).and_then(|()| {
        // A link, unlike a rename, never replaces what is there.
        fs::hard_link(&beside, path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::Exists(path.to_owned()),
            _ => system("write", path)(error),
        })
    });
    let removed = fs::remove_file(&beside);
    result?;
    removed.map_err(system("remove", &beside))?;
    let folder_file = File::open(folder).map_err(system("open", folder))?;
    folder_file.sync_all().map_err(system("write", folder))
}

fn write_beside(beside: &Path, content: &Secret) -> Result<(), FileError> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(beside).map_err(system("create", beside))?;
    file.write_all(content.expose())
        .and_then(|()| file.sync_all())
        .map_err(system("write", beside))
}

/// Reads a file of private keys.
///
/// *Errors*: `Readable` when group or others have any permission on it.
pub fn read_private(path: &Path) -> Result<Secret, FileError> {
    let mut file = File::open(path).map_err(system("read", path))?;
    let about = file.metadata().map_err(system("read", path))?;
    if !about.is_file() {
        return Err(FileError::NotAFile(path.to_owned()));
    }
    let mode = about.mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(FileError::Readable { path, mode });
    }
    let length = about.len();
    if length > LARGEST {
        return Err(FileError::TooLarge(path.to_owned()));
    }
    // Room for all of it, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST as usize + 1));
    io::Read::by_ref(&mut file)
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(system("read", path))?;
    if bytes.len() as u64 > LARGEST {
        return Err(FileError::TooLarge(path.to_owned()));
    }
    Ok(Secret::new(std::mem::take(&mut *bytes)))
}
