//! Installing the hooks of git: `stratum init --hooks`.
//!
//! *Guarantees*: a hook that a person wrote, or another tool, is never changed, and nothing is
//! written to a folder of hooks that other repositories share.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use stratum_assembly::adapters;

use crate::failure::CommandError;
use crate::git;

/// The hooks of a clone.
const OF_CLONES: &[(&str, &str)] = &[
    ("pre-commit", include_str!("../../../../hooks/pre-commit")),
    ("pre-push", include_str!("../../../../hooks/pre-push")),
];

/// The hooks of a repository that others push to.
const OF_SERVERS: &[(&str, &str)] = &[
    ("pre-receive", include_str!("../../../../hooks/pre-receive")),
    (
        "post-receive",
        include_str!("../../../../hooks/post-receive"),
    ),
];

/// How a hook of ours is known.
const OURS: &str = "\n# stratum hook: ";

/// The line of a hook that names the program.
const PROGRAM: &str = "\nprogram=stratum\n";

/// What became of the hooks.
#[derive(Debug, Default)]
pub(crate) struct Installed {
    /// Paths that were written.
    pub(crate) written: Vec<String>,
    /// Paths that are as they were.
    pub(crate) kept: Vec<String>,
    /// What a person should know, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// Whether the repository that holds `folder` has no work tree.
pub(crate) fn is_bare(folder: &Path) -> bool {
    git::text(folder, &["rev-parse", "--is-bare-repository"]).is_ok_and(|said| said == "true")
}

/// Installs the hooks that fit the repository that holds `folder`.
pub(crate) fn install(folder: &Path) -> Result<Installed, CommandError> {
    let hooks = if is_bare(folder) {
        OF_SERVERS
    } else {
        OF_CLONES
    };
    let mut installed = Installed::default();
    let place = Place::of(folder)?;
    if place.shared {
        let names: Vec<&str> = hooks.iter().map(|(name, _)| *name).collect();
        installed.notes.push(format!(
            "`core.hooksPath` of your account is `{}`, which all repositories share, so nothing was \
             written there; `git config --local core.hooksPath .git/hooks` gives this one hooks of \
             its own, or call `stratum hook NAME \"$@\"` from the hooks {}",
            place.folder.display(),
            names.join(", ")
        ));
        return Ok(installed);
    }
    for (name, text) in hooks {
        let path = place.folder.join(name);
        let text = place.text(text)?;
        put(&path, name, &text, &mut installed).map_err(|error| {
            let message = format!("`{}` could not be written", path.display());
            CommandError::machine(message).because(&error)
        })?;
    }
    Ok(installed)
}

/// Where the hooks of a repository lie.
struct Place {
    folder: PathBuf,
    /// Other repositories have the same.
    shared: bool,
    /// It is a part of the repository, so that others get the file too.
    committed: bool,
}

impl Place {
    fn of(folder: &Path) -> Result<Self, CommandError> {
        let said = git::text(folder, &["rev-parse", "--git-path", "hooks"])?;
        let path = folder.join(said);
        let scope = git::text(
            folder,
            &["config", "--show-scope", "--get", "core.hooksPath"],
        );
        let scope = scope.unwrap_or_default();
        let top = git::text(folder, &["rev-parse", "--show-toplevel"]).unwrap_or_default();
        let own = git::text(folder, &["rev-parse", "--absolute-git-dir"])?;
        let common = git::text(folder, &["rev-parse", "--git-common-dir"])?;
        let common = folder.join(common);
        let in_git = path.starts_with(own) || same_place(&path, &common.join("hooks"));
        Ok(Self {
            shared: scope.starts_with("global") || scope.starts_with("system"),
            committed: !in_git && !top.is_empty() && path.starts_with(top),
            folder: path,
        })
    }

    /// The text of a hook. One that others get must not name a path of this machine.
    fn text(&self, text: &str) -> Result<String, CommandError> {
        if self.committed {
            return Ok(text.to_owned());
        }
        let program = adapters::this_program()?;
        let program = program.to_string_lossy().replace('\'', "'\\''");
        Ok(text.replacen(PROGRAM, &format!("\nprogram='{program}'\n"), 1))
    }
}

fn same_place(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        (Err(_), _) | (_, Err(_)) => a == b,
    }
}

fn put(path: &Path, name: &str, text: &str, installed: &mut Installed) -> io::Result<()> {
    let here = std::env::current_dir().unwrap_or_default();
    let shown = path
        .strip_prefix(&here)
        .unwrap_or(path)
        .display()
        .to_string();
    match fs::read_to_string(path) {
        Ok(there) if there == text => installed.kept.push(shown),
        Ok(there) if there.contains(OURS) => {
            write(path, text)?;
            installed.written.push(shown);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write(path, text)?;
            installed.written.push(shown);
        }
        // Also one that is not text, or a link that leads nowhere: it is somebody's.
        Ok(_) | Err(_) => {
            installed.notes.push(format!(
                "`{shown}` is not stratum's and stays as it is; add the line `stratum hook {name} \
                 \"$@\" || exit 1` to it"
            ));
            installed.kept.push(shown);
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o755))?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(arguments: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        git::run(folder.path(), &[&["init", "-q"], arguments].concat()).unwrap();
        folder
    }

    #[test]
    fn hooks_are_executable_written_once_and_brought_up_to_date() {
        let folder = repository(&[]);
        let first = install(folder.path()).unwrap();
        assert_eq!((first.written.len(), first.kept.len()), (2, 0));
        let path = folder.path().join(".git/hooks/pre-commit");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o755
        );
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.contains(OURS) && text.contains("\nprogram='/"),
            "{text}"
        );
        assert_eq!(install(folder.path()).unwrap().kept.len(), 2);
        fs::write(&path, format!("#!/bin/sh{OURS}an old one\n")).unwrap();
        assert_eq!(install(folder.path()).unwrap().written.len(), 1);
    }

    #[test]
    fn what_a_person_wrote_stays() {
        let folder = repository(&[]);
        let path = folder.path().join(".git/hooks/pre-commit");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "#!/bin/sh\nmake lint\n").unwrap();
        let installed = install(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "#!/bin/sh\nmake lint\n");
        assert!(
            installed.notes[0].contains("stratum hook pre-commit"),
            "{:?}",
            installed.notes
        );
    }

    #[test]
    fn a_folder_of_hooks_that_is_committed_names_no_path_of_this_machine() {
        let folder = repository(&[]);
        git::run(folder.path(), &["config", "core.hooksPath", ".githooks"]).unwrap();
        install(folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join(".githooks/pre-push")).unwrap();
        assert!(text.contains(PROGRAM), "{text}");
    }

    #[test]
    fn a_bare_repository_gets_the_hooks_of_a_server() {
        let folder = repository(&["--bare"]);
        install(folder.path()).unwrap();
        assert!(folder.path().join("hooks/pre-receive").exists());
        assert!(!folder.path().join("hooks/pre-commit").exists());
    }
}
