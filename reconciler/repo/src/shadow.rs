//! Git folders that stratum makes: a configuration of our own, and nothing that names a program.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use gix::hash::Kind;

/// The line by which a folder is known as ours.
const MARK: &str = "[stratum]\n\tmade = true\n";

/// Makes the git folder, or writes its configuration again.
///
/// *Guarantees*: readable by the user alone; whatever its configuration said before is gone.
pub(crate) fn make(folder: &Path, hash: Kind) -> io::Result<()> {
    for part in ["", "objects", "refs"] {
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(folder.join(part))?;
    }
    replace(&folder.join("config"), &configuration(hash))?;
    match folder.join("HEAD").exists() {
        true => Ok(()),
        false => replace(&folder.join("HEAD"), "ref: refs/heads/main\n"),
    }
}

/// Whether the folder may become ours: it is, or nothing is there.
pub(crate) fn is_ours_or_nothing(folder: &Path) -> bool {
    match fs::read_to_string(folder.join("config")) {
        Ok(configuration) => configuration.contains(MARK),
        Err(_) => fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none()),
    }
}

/// Points HEAD at a branch.
pub(crate) fn point_head(folder: &Path, reference: &str) -> io::Result<()> {
    let line = format!("ref: {reference}\n");
    match fs::read_to_string(folder.join("HEAD")) {
        Ok(head) if head == line => Ok(()),
        Ok(_) | Err(_) => replace(&folder.join("HEAD"), &line),
    }
}

fn configuration(hash: Kind) -> String {
    let format = match hash {
        Kind::Sha256 => "\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n",
        _ => "\trepositoryformatversion = 0\n",
    };
    format!("{MARK}[core]\n\tbare = true\n{format}")
}

/// Writes beside the file and renames, so that no reader sees half of it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.persist(path)?;
    Ok(())
}
