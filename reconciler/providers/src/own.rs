//! What providers remember of an environment: in a private folder beside the state.
//!
//! Versions before kept it in `.stratum` in the environment's root. What lies there is taken over
//! once, if it is certain that nobody else could write there; the name stays reserved.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use stratum_core::ports::Site;

use crate::private::Nook;

/// The folder of versions before, in an environment's root.
pub(crate) const RESERVED: &str = ".stratum";

/// The private folder of this name.
pub(crate) fn nook(site: &Site, names: &[&str]) -> Nook {
    Nook {
        base: site.own.clone(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Takes over what a version before left in the root, unless that was done already. Called before
/// anything is changed; what only looks sees [`known`].
pub(crate) fn take_over(site: &Site) -> io::Result<()> {
    let old = site.root.join(RESERVED);
    if site.own.exists() || !is_trusted(&old) {
        return Ok(());
    }
    if let Some(around) = site.own.parent() {
        std::fs::create_dir_all(around)?;
    }
    close(&old)?;
    match std::fs::rename(&old, &site.own) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            copy(&old, &site.own)?;
            std::fs::remove_dir_all(&old)
        }
        Err(error) => Err(error),
    }
}

/// The site, with what a version before left in place of what there is not yet.
pub(crate) fn known(site: &Site) -> Site {
    let old = site.root.join(RESERVED);
    let own = match !site.own.exists() && is_trusted(&old) {
        true => old,
        false => site.own.clone(),
    };
    Site {
        own,
        ..site.clone()
    }
}

/// Whether a folder and all in it are this user's, no links, and closed to the pens of others.
fn is_trusted(folder: &Path) -> bool {
    folder.symlink_metadata().is_ok_and(|stat| stat.is_dir())
        && walk(folder).is_ok_and(|all| all.iter().all(|path| is_ours(path)))
}

fn is_ours(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|stat| {
        let kind = stat.file_type();
        (kind.is_dir() || kind.is_file())
            && stat.uid() == geteuid().as_raw()
            && stat.mode() & 0o022 == 0
    })
}

/// A folder and all in it, outermost first. No link is followed.
fn walk(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = vec![folder.to_owned()];
    let mut index = 0;
    while let Some(path) = all.get(index).cloned() {
        if path.symlink_metadata()?.is_dir() {
            for entry in std::fs::read_dir(path)? {
                all.push(entry?.path());
            }
        }
        index += 1;
    }
    Ok(all)
}

/// Closes a folder and all in it to everybody else.
fn close(folder: &Path) -> io::Result<()> {
    for path in walk(folder)? {
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for path in walk(from)? {
        let below = path.strip_prefix(from).map_err(io::Error::other)?;
        let target = to.join(below);
        if path.is_dir() {
            std::fs::create_dir_all(&target)?;
        } else {
            std::fs::copy(&path, &target)?;
        }
    }
    close(to)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn site(folder: &Path) -> Site {
        let old = folder.join("root/.stratum/folders");
        std::fs::create_dir_all(&old).unwrap();
        std::fs::write(old.join("mark"), "a").unwrap();
        Site {
            root: folder.join("root"),
            roots: Vec::new(),
            own: folder.join("state.db.local/shop"),
            user: None,
            isolation: None,
        }
    }

    #[test]
    fn what_a_version_before_left_is_taken_over_once() {
        let folder = tempfile::tempdir().unwrap();
        let site = site(folder.path());
        assert_eq!(known(&site).own, site.root.join(RESERVED));
        take_over(&site).unwrap();
        take_over(&site).unwrap();
        assert!(!site.root.join(RESERVED).exists());
        let mark = nook(&site, &["folders"])
            .open()
            .unwrap()
            .unwrap()
            .read("mark");
        assert_eq!(mark.unwrap().unwrap(), b"a");
        assert_eq!(known(&site).own, site.own);
        let mode = std::fs::metadata(site.own.join("folders/mark"))
            .unwrap()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn copies_where_it_cannot_be_moved() {
        let folder = tempfile::tempdir().unwrap();
        let site = site(folder.path());
        copy(&site.root.join(RESERVED), &site.own).unwrap();
        assert!(site.own.join("folders/mark").exists());
    }

    #[test]
    fn what_others_may_have_written_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let site = site(folder.path());
        let (old, away) = (site.root.join(RESERVED), folder.path().join("away"));
        let open = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let left_alone = |why: &str| {
            take_over(&site).unwrap();
            assert!(!site.own.exists(), "{why}");
            assert_eq!(known(&site).own, site.own, "{why}");
        };
        open(&old.join("folders"), 0o777);
        left_alone("a folder that others may write");
        open(&old.join("folders"), 0o755);
        open(&old.join("folders/mark"), 0o666);
        left_alone("a file that others may write");
        open(&old.join("folders/mark"), 0o644);
        symlink("/etc/passwd", old.join("link")).unwrap();
        left_alone("a link in it");
        std::fs::remove_file(old.join("link")).unwrap();
        std::fs::rename(&old, &away).unwrap();
        symlink(&away, &old).unwrap();
        left_alone("a link to it");
        if geteuid().is_root() {
            std::fs::remove_file(&old).unwrap();
            std::fs::rename(&away, &old).unwrap();
            std::os::unix::fs::chown(old.join("folders/mark"), Some(54321), None).unwrap();
            left_alone("a file of another user");
        }
    }
}
