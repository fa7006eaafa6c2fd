//! The place of a sealed file in a repository, as people write it.

use crate::ids::EnvironmentName;
use crate::kinds::secret::SUFFIX;

/// Where a sealed file belongs: `ENV/PATH` as people write it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealedPlace {
    /// The environment.
    pub environment: EnvironmentName,
    /// The path below `secrets/<environment>/`, without its ending.
    pub path: String,
}

impl SealedPlace {
    /// The file, from the top of the work tree.
    pub fn file(&self) -> String {
        format!("secrets/{}/{}{SUFFIX}", self.environment, self.path)
    }

    /// The place of a file; `None` when it is none of a sealed file.
    pub fn of_file(file: &str) -> Option<Self> {
        let rest = file.strip_prefix("secrets/")?.strip_suffix(SUFFIX)?;
        let (environment, path) = rest.split_once('/')?;
        Some(Self {
            environment: EnvironmentName::new(environment).ok()?,
            path: path.to_owned(),
        })
    }
}

impl std::fmt::Display for SealedPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.environment, self.path)
    }
}

impl std::str::FromStr for SealedPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix("secrets/").unwrap_or(text);
        let text = text.strip_suffix(SUFFIX).unwrap_or(text);
        let wrong = || format!("`{text}` is not ENV/PATH, for example production/payments/db");
        let (environment, path) = text.split_once('/').ok_or_else(wrong)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let sound =
            |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(plain);
        if path.split('/').any(is_git) {
            return Err(format!("`{text}` would lie in a folder of git's own"));
        }
        if !path.split('/').all(sound) {
            return Err(wrong());
        }
        Ok(Self {
            environment: EnvironmentName::new(environment).map_err(|error| error.to_string())?,
            path: path.to_owned(),
        })
    }
}

/// Whether some file system or git itself takes a name for `.git`.
///
/// *Source*: git, `path.c` `is_ntfs_dotgit`, `utf8.c` `is_hfs_dotgit`: case, trailing dots and
/// blanks, what follows a colon, the short name, and characters that are passed over.
pub fn is_git(name: &str) -> bool {
    let seen: String = name
        .chars()
        .filter(|c| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'))
        .flat_map(char::to_lowercase)
        .collect();
    let seen = seen.split(':').next().unwrap_or_default();
    matches!(seen.trim_end_matches(['.', ' ']), ".git" | "git~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_in_several_ways_and_never_lead_out() {
        let place: SealedPlace = "production/payments/db".parse().unwrap();
        assert_eq!(place.file(), "secrets/production/payments/db.sealed.yaml");
        assert_eq!(place.file().parse::<SealedPlace>().unwrap(), place);
        assert_eq!(SealedPlace::of_file(&place.file()), Some(place));
        for wrong in [
            "production",
            "production/",
            "production/../x",
            "a/b c",
            "a//b",
            "staging/.git/x",
            "staging/.GIT/x",
            "staging/x/.git",
        ] {
            assert!(wrong.parse::<SealedPlace>().is_err(), "{wrong}");
        }
    }
}
