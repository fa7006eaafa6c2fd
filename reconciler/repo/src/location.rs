//! Telling a path from the address of a remote.

use std::path::{Path, PathBuf};

use stratum_core::ports::RepositoryError;

use crate::redact::redact;

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A folder of this machine.
    Local(PathBuf),
    /// An address that the `git` command understands.
    Remote(String),
}

impl Location {
    /// Reads `https://`, `http://`, `ssh://`, `file://`, the scp-like `user@host:path`, or a path.
    ///
    /// A path that exists is a path, whatever it looks like. With `mirror_paths` a path is a
    /// remote too.
    ///
    /// *Errors*: [`RepositoryError::Unsupported`] for another scheme and for control characters,
    /// [`RepositoryError::Missing`] for a path that is not there.
    pub(crate) fn read(text: &str, mirror_paths: bool) -> Result<Self, RepositoryError> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(unsupported(text, "has an address that cannot be read"));
        }
        if Path::new(text).exists() {
            return existing(text, mirror_paths);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return match scheme {
                "https" | "http" | "ssh" | "file" => Ok(Self::Remote(text.to_owned())),
                _ => Err(unsupported(
                    text,
                    "has an address whose scheme is none of `https`, `http`, `ssh` and `file`",
                )),
            };
        }
        match is_scp_like(text) {
            true => Ok(Self::Remote(text.to_owned())),
            false => Err(missing(text)),
        }
    }
}

fn existing(text: &str, mirror_paths: bool) -> Result<Location, RepositoryError> {
    if !mirror_paths {
        return Ok(Location::Local(PathBuf::from(text)));
    }
    let path =
        std::fs::canonicalize(text).map_err(crate::failure::git(format!("find `{text}`")))?;
    match path.to_str() {
        Some(path) => Ok(Location::Remote(path.to_owned())),
        None => Err(unsupported(text, "has a path that is not UTF-8")),
    }
}

/// `[user@]host:path`, with no slash before the colon and no `::`, which would name a program.
fn is_scp_like(text: &str) -> bool {
    text.split_once(':').is_some_and(|(host, path)| {
        !host.is_empty()
            && !host.starts_with('-')
            && !host.contains('/')
            && !path.is_empty()
            && !path.starts_with(':')
    })
}

fn missing(path: &str) -> RepositoryError {
    RepositoryError::Missing {
        path: path.to_owned(),
    }
}

fn unsupported(text: &str, reason: &str) -> RepositoryError {
    RepositoryError::Unsupported {
        path: redact(text),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_are_told_from_paths() {
        for text in [
            "https://example.org/a.git",
            "ssh://git@example.org:22/a.git",
            "git@example.org:a.git",
            "example.org:a/b.git",
            // One that is not there now may have been fetched before.
            "file:///nowhere",
        ] {
            let expected = Location::Remote(text.to_owned());
            assert_eq!(Location::read(text, false).unwrap(), expected);
        }
        let here = env!("CARGO_MANIFEST_DIR");
        assert_eq!(
            Location::read(here, false).unwrap(),
            Location::Local(here.into())
        );
        assert!(matches!(
            Location::read(here, true),
            Ok(Location::Remote(_))
        ));
    }

    #[test]
    fn what_names_a_program_or_is_not_there_is_refused() {
        for text in [
            "ext::sh -c x",
            "fd::17",
            "-oProxyCommand=x:y",
            "nowhere",
            "./a:b",
        ] {
            let error = Location::read(text, false).unwrap_err();
            assert!(
                matches!(error, RepositoryError::Missing { .. }),
                "{text}: {error}"
            );
        }
        for text in ["ftp://u:pw@h/x", "git://h/x", "", "https://h/\nx"] {
            let error = Location::read(text, false).unwrap_err();
            assert!(
                matches!(error, RepositoryError::Unsupported { .. }),
                "{text}: {error}"
            );
            assert!(!error.to_string().contains("pw"), "{error}");
        }
    }
}
