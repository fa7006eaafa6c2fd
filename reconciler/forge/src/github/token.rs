//! The token: where it comes from, and that it goes nowhere but into a request.

use std::path::PathBuf;

use stratum_core::ports::ForgeError;

/// The longest token that is believed, in bytes. GitHub's have at most a few hundred.
const LONGEST: u64 = 8 * 1024;

/// Where the token comes from.
#[derive(Clone, Default)]
pub enum TokenSource {
    /// There is none: public repositories can be read.
    #[default]
    None,
    /// It was given, for example by the environment.
    Given(String),
    /// It is the content of this file, read again whenever it is needed, so that it may be changed
    /// or renewed while stratum runs.
    File(PathBuf),
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Given(_) => f.write_str("Given"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// A token. It has no `Debug` and no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl TokenSource {
    /// The token as it is now.
    pub(crate) fn read(&self) -> Result<Option<Token>, ForgeError> {
        match self {
            Self::None => Ok(None),
            Self::Given(text) => usable(text, "the token").map(Some),
            Self::File(path) => {
                let name = format!("the token in `{}`", path.display());
                let trouble = |error: std::io::Error| ForgeError::Settings {
                    reason: format!("{name} cannot be read: {error}"),
                };
                if std::fs::metadata(path).map_err(trouble)?.len() > LONGEST {
                    let reason = format!("{name} is longer than any token");
                    return Err(ForgeError::Settings { reason });
                }
                let text = std::fs::read_to_string(path).map_err(trouble)?;
                usable(&text, &name).map(Some)
            }
        }
    }
}

fn usable(text: &str, name: &str) -> Result<Token, ForgeError> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let reason = format!("{name} is empty or has a character that no token has");
        return Err(ForgeError::Settings { reason });
    }
    Ok(Token(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_cannot_be_one_is_refused_without_being_shown() {
        for text in ["", " \n", "ghp_a b", "ghp_\u{e4}"] {
            let Err(error) = TokenSource::Given(text.to_owned()).read() else {
                panic!("`{text}` was taken");
            };
            assert!(!error.to_string().contains("ghp_"), "{error}");
        }
        assert_eq!(
            format!("{:?}", TokenSource::Given("ghp_x".to_owned())),
            "Given"
        );
    }

    #[test]
    fn a_file_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let source = TokenSource::File(file.path().to_owned());
        std::fs::write(file.path(), "one\n").unwrap();
        assert_eq!(source.read().unwrap().unwrap().expose(), "one");
        std::fs::write(file.path(), "two\n").unwrap();
        assert_eq!(source.read().unwrap().unwrap().expose(), "two");
    }
}
