//! Which repository, at which address, and how patient.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use stratum_core::ports::ForgeError;

use crate::github::token::TokenSource;

/// A repository by its owner and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryName {
    owner: String,
    name: String,
}

impl FromStr for RepositoryName {
    type Err = ForgeError;

    fn from_str(text: &str) -> Result<Self, ForgeError> {
        let valid = |part: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !part.is_empty()
                && part.len() <= 100
                && part.chars().all(allowed)
                && !matches!(part, "." | "..")
        };
        match text.split_once('/') {
            Some((owner, name)) if valid(owner) && valid(name) => Ok(Self {
                owner: owner.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(ForgeError::Settings {
                reason: format!("`{text}` is not a repository: write it as `owner/name`"),
            }),
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// Who writes our comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author {
    /// This login.
    Known(String),
    /// Whoever the token belongs to; where the forge does not tell, this login.
    Asked {
        /// For tokens that may not ask, as those of workflows.
        or_else: Option<String>,
    },
}

/// How GitHub is used.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address of the API, without a slash at the end.
    pub api: String,
    /// The address of the pages for people, without a slash at the end.
    pub web: String,
    /// The repository.
    pub repository: RepositoryName,
    /// The token.
    pub token: TokenSource,
    /// Who writes our comments.
    pub author: Author,
    /// How long one request may take.
    pub timeout: Duration,
    /// How long is waited altogether for one thing to be done, over all tries.
    pub patience: Duration,
    /// The first wait after a failure; it doubles with each.
    pub pause: Duration,
}

impl Settings {
    /// Settings with the usual patience, for the API at `api`.
    pub fn new(
        api: &str,
        repository: RepositoryName,
        token: TokenSource,
    ) -> Result<Self, ForgeError> {
        let api = api.trim_end_matches('/').to_owned();
        let is_address = api.starts_with("https://") || api.starts_with("http://");
        let has_login = api.contains('@');
        if !is_address || has_login || api.contains(char::is_whitespace) {
            let reason =
                "the address of its API must begin with `https://` and hold no login".to_owned();
            return Err(ForgeError::Settings { reason });
        }
        Ok(Self {
            web: web_of(&api),
            api,
            repository,
            token,
            author: Author::Asked { or_else: None },
            timeout: Duration::from_secs(30),
            patience: Duration::from_secs(90),
            pause: Duration::from_secs(1),
        })
    }
}

/// The pages for people that belong to an API.
///
/// *Source*: GitHub Enterprise Server REST API documentation: `https://HOST/api/v3`.
fn web_of(api: &str) -> String {
    match api {
        "https://api.github.com" => "https://github.com".to_owned(),
        other => match other.strip_prefix("https://api.") {
            // GitHub Enterprise Cloud with data residency: api.NAME.ghe.com.
            Some(host) if host.ends_with(".ghe.com") => format!("https://{host}"),
            _ => other.trim_end_matches("/api/v3").to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_for_people_are_found_from_the_api() {
        assert_eq!(web_of("https://api.github.com"), "https://github.com");
        assert_eq!(web_of("https://git.example/api/v3"), "https://git.example");
        assert_eq!(web_of("https://api.acme.ghe.com"), "https://acme.ghe.com");
    }

    #[test]
    fn names_that_would_change_the_path_are_refused() {
        for text in ["", "a", "a/b/c", "../x", "a/..", "a/b?c", "a/b c", "ä/b"] {
            assert!(text.parse::<RepositoryName>().is_err(), "{text}");
        }
        let name: RepositoryName = "octo-org/my.repo_1".parse().unwrap();
        assert_eq!(name.to_string(), "octo-org/my.repo_1");
    }

    #[test]
    fn an_address_with_a_login_is_refused_and_not_repeated() {
        let name: RepositoryName = "o/r".parse().unwrap();
        let api = "https://me:secret@git.example/api/v3";
        let error = Settings::new(api, name, TokenSource::None).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
