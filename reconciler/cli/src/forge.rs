//! The forge: how it is named on the command line, and its client.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stratum_core::ports::ForgeError;
use stratum_forge::github::{Author, GitHub, RepositoryName, Settings, TokenSource};

use crate::failure::CommandError;

/// The forge, and the token for it.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Forge")]
pub(crate) struct ForgeArguments {
    /// Tell the repository OWNER/NAME on GitHub how each commit fared
    #[arg(long, value_name = "OWNER/NAME", env = "STRATUM_GITHUB")]
    github: Option<String>,

    /// The address of its API; of GitHub Enterprise: https://HOST/api/v3
    #[arg(
        long,
        value_name = "URL",
        env = "STRATUM_GITHUB_API",
        default_value = "https://api.github.com"
    )]
    github_api: String,

    /// The file with the token; else it is in STRATUM_GITHUB_TOKEN
    #[arg(long, value_name = "PATH", env = "STRATUM_GITHUB_TOKEN_FILE")]
    github_token_file: Option<PathBuf>,

    /// Whose comments are ours, for tokens that may not ask
    #[arg(long, value_name = "LOGIN", env = "STRATUM_GITHUB_AUTHOR")]
    github_author: Option<String>,
}

impl ForgeArguments {
    /// The repository that was named.
    pub(crate) fn repository(&self) -> Option<&str> {
        self.github.as_deref()
    }

    /// The client, if a repository was named; `patience` is how long it tries to be heard, in place
    /// of the usual.
    pub(crate) fn client(
        &self,
        patience: Option<Duration>,
    ) -> Result<Option<Arc<GitHub>>, CommandError> {
        let Some(name) = &self.github else {
            return Ok(None);
        };
        let name: RepositoryName = name.parse()?;
        let token = match (&self.github_token_file, variable("STRATUM_GITHUB_TOKEN")) {
            (Some(path), _) => TokenSource::File(path.clone()),
            (None, Some(token)) => TokenSource::Given(token),
            (None, None) => TokenSource::None,
        };
        if matches!(token, TokenSource::None) {
            return Err(CommandError::given(
                "a repository on GitHub is named, and there is no token for it",
            )
            .hint("`--github-token-file PATH` names a file with a token that may write commit statuses and pull requests"));
        }
        let mut settings = Settings::new(&self.github_api, name, token)?;
        if let Some(login) = &self.github_author {
            settings.author = Author::Known(login.clone());
        }
        settings.patience = patience.unwrap_or(settings.patience);
        Ok(Some(Arc::new(GitHub::new(settings)?)))
    }
}

/// An environment variable that is set, not empty, and text.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What a person does about trouble of this kind ([`ForgeError::kind`]); `None` where it passes by
/// itself.
pub(crate) fn remedy(kind: &str) -> Option<&'static str> {
    match kind {
        "settings" => Some("`stratum reconcile --help` lists how the forge is named"),
        "unreachable" | "slow" => {
            Some("try `curl -sSI` with the address of the API: it needs the same network")
        }
        "token" => Some("make a new token; the old one may have expired"),
        "forbidden" => {
            Some("give the token `pull-requests: write` and `statuses: write`, and nothing more")
        }
        "missing" => Some("look at the name of the repository, and whether the token may see it"),
        "trouble" | "unreadable" => Some("the status page of the forge may know more"),
        _ => None,
    }
}

impl From<ForgeError> for CommandError {
    fn from(error: ForgeError) -> Self {
        let hint = match remedy(error.kind()) {
            Some(remedy) => remedy,
            None if matches!(error, ForgeError::Refused { .. }) => {
                "run it with `-vv` to see what was asked"
            }
            None => "run the command again later",
        };
        let given = matches!(
            error,
            ForgeError::Settings { .. }
                | ForgeError::Unknown { .. }
                | ForgeError::Forbidden { .. }
                | ForgeError::Missing { .. }
        );
        let text = error.to_string();
        match given {
            true => Self::given(text),
            false => Self::machine(text),
        }
        .hint(hint)
    }
}
