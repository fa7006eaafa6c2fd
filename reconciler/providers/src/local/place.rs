//! Where a path lies: which root, and which names below it. Pure.

use std::path::{Path, PathBuf};

use stratum_core::ports::Site;
use thiserror::Error;

use crate::own::RESERVED;

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PlaceError {
    /// It names nothing.
    #[error("the path is empty")]
    Empty,
    /// It has a part that leads upwards.
    #[error("`{path}` has a `..` in it")]
    Upwards {
        /// The path.
        path: String,
    },
    /// It has a character that no path may have.
    #[error("`{path}` has a zero byte in it")]
    Zero {
        /// The path.
        path: String,
    },
    /// It lies where versions before kept what they must remember.
    #[error("`{path}` lies in `.stratum`, which belongs to stratum")]
    Own {
        /// The path.
        path: String,
    },
    /// It is one of the files of the state itself.
    #[error("`{path}` is of the state of stratum, which no resource changes")]
    State {
        /// The path.
        path: String,
    },
    /// It is absolute, and lies in no root.
    #[error("`{path}` lies neither in the environment's root `{root}` nor in one of its `roots`")]
    Outside {
        /// The path.
        path: String,
        /// The environment's root.
        root: String,
    },
}

/// A path as a root and the names below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    /// The root of the environment.
    pub(crate) home: PathBuf,
    /// The provider's own folder.
    pub(crate) own: PathBuf,
    /// The root it lies in; absolute.
    pub(crate) base: PathBuf,
    /// The folders below the root.
    pub(crate) folders: Vec<String>,
    /// The last name.
    pub(crate) name: String,
    /// The path as it was written.
    pub(crate) shown: String,
}

impl Spot {
    /// The spot of `path` in `site`.
    pub(crate) fn of(site: &Site, path: &str) -> Result<Self, PlaceError> {
        let names = names(path)?;
        let (base, below) = if path.starts_with('/') {
            within(site, path, &names)?
        } else {
            (site.root.clone(), names)
        };
        let (name, folders) = below.split_last().ok_or(PlaceError::Empty)?;
        let spot = Self {
            home: site.root.clone(),
            own: site.own.clone(),
            base,
            folders: folders.to_vec(),
            name: name.clone(),
            shown: path.to_owned(),
        };
        let absolute = spot.absolute();
        let reserved = absolute.strip_prefix(&site.root).is_ok_and(is_reserved);
        if reserved || absolute.starts_with(&site.own) {
            return Err(PlaceError::Own {
                path: path.to_owned(),
            });
        }
        if is_of_state(site, &absolute) {
            return Err(PlaceError::State {
                path: path.to_owned(),
            });
        }
        Ok(spot)
    }

    /// The absolute path of the folder with the first `depth` names below the root.
    pub(crate) fn folder(&self, depth: usize) -> PathBuf {
        let mut path = self.base.clone();
        path.extend(self.folders.iter().take(depth));
        path
    }

    /// The absolute path.
    pub(crate) fn absolute(&self) -> PathBuf {
        self.folder(self.folders.len()).join(&self.name)
    }
}

/// The names of a path, without empty and `.` parts.
pub(crate) fn names(path: &str) -> Result<Vec<String>, PlaceError> {
    let shown = || path.to_owned();
    if path.contains('\0') {
        return Err(PlaceError::Zero { path: shown() });
    }
    let names: Vec<String> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .map(str::to_owned)
        .collect();
    if names.iter().any(|name| name == "..") {
        return Err(PlaceError::Upwards { path: shown() });
    }
    if names.is_empty() {
        return Err(PlaceError::Empty);
    }
    if !path.starts_with('/')
        && names
            .first()
            .is_some_and(|name| is_reserved(Path::new(name)))
    {
        return Err(PlaceError::Own { path: shown() });
    }
    Ok(names)
}

/// What lies beside the state, and is named by it: `<state>.local` is the provider's own.
const LOCAL: &str = ".local";

/// Whether a path is the state's, or that of something that lies beside it and belongs to it.
fn is_of_state(site: &Site, absolute: &Path) -> bool {
    let own = site.own.parent().and_then(Path::to_str);
    let Some(state) = own.and_then(|own| own.strip_suffix(LOCAL)) else {
        return false;
    };
    let audit = Path::new(state).with_file_name("audit");
    let rest = absolute.to_str().and_then(|path| path.strip_prefix(state));
    let of_state = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '/']));
    of_state || absolute.starts_with(audit)
}

/// Whether the first name of a path is the reserved one, also where case does not count.
fn is_reserved(below: &Path) -> bool {
    let first = below.iter().next().and_then(|name| name.to_str());
    first.is_some_and(|name| name.eq_ignore_ascii_case(RESERVED))
}

/// The innermost root that holds an absolute path, and the names below it.
fn within(site: &Site, path: &str, names: &[String]) -> Result<(PathBuf, Vec<String>), PlaceError> {
    let absolute: PathBuf = Path::new("/").join(names.iter().collect::<PathBuf>());
    let roots = std::iter::once(&site.root).chain(&site.roots);
    let innermost = roots
        .filter(|root| absolute.starts_with(root))
        .max_by_key(|root| root.components().count());
    let outside = || PlaceError::Outside {
        path: path.to_owned(),
        root: site.root.display().to_string(),
    };
    let root = innermost.ok_or_else(outside)?;
    let below = absolute.strip_prefix(root).map_err(|_| outside())?;
    let below = below
        .iter()
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    Ok((root.clone(), below))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        Site {
            root: "/srv/shop".into(),
            roots: vec!["/etc/shop".into(), "/etc/shop/deep".into()],
            own: "/var/shop".into(),
            user: None,
            isolation: None,
        }
    }

    #[test]
    fn one_place_has_one_spot_however_it_is_written() {
        let spot = |path| {
            let spot = Spot::of(&site(), path).unwrap();
            (spot.base, spot.folders, spot.name)
        };
        assert_eq!(spot("a/b"), spot("./a//b/"));
        assert_eq!(spot("a/b"), spot("/srv/shop/a/b"));
        assert_eq!(spot("/etc/shop/deep/x").0, PathBuf::from("/etc/shop/deep"));
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        for path in [
            "",
            "/",
            ".",
            "a/../b",
            "..",
            "/etc/passwd",
            "/srv/shop",
            "/etc/shopping/x",
        ] {
            assert!(Spot::of(&site(), path).is_err(), "{path}");
        }
        let beside = Site {
            own: "/srv/shop/state.db.local/shop".into(),
            ..site()
        };
        for path in [
            "state.db",
            "./state.db-wal",
            "state.db.roots",
            "/srv/shop/state.db.holders/x",
            "state.db.local/other/x",
            "audit/0001/x",
        ] {
            let error = Spot::of(&beside, path).unwrap_err();
            assert!(matches!(error, PlaceError::State { .. }), "{path}: {error}");
        }
        Spot::of(&beside, "state.dbx").unwrap();
        Spot::of(&beside, "audits").unwrap();
        for path in [".stratum/x", "./.stratum", "/srv/shop/.stratum/x"] {
            let error = Spot::of(&site(), path).unwrap_err();
            assert!(matches!(error, PlaceError::Own { .. }), "{path}: {error}");
        }
    }
}
