//! GitHub, and GitHub Enterprise Server, through their REST API.
//!
//! *Guarantees*: the token is in no error, log or text. Requests are made one after the other;
//! rate limits are waited for as long as the settings allow and are errors beyond that. What may
//! have been done already is looked for before it is done again.
//!
//! *Source*: GitHub REST API documentation, version 2022-11-28: "Issue comments", "Commit
//! statuses", "Commits", "Rate limits for the REST API", "Best practices".

mod call;
mod counts;
mod limit;
mod model;
mod port;
mod settings;
mod token;

use std::sync::Mutex;

use octocrab::Octocrab;
use stratum_core::ports::ForgeError;
use tokio::sync::Mutex as AsyncMutex;

pub use counts::Counts;
pub use settings::{Author, RepositoryName, Settings};
pub use token::TokenSource;

use crate::github::counts::Counter;
use crate::github::token::Token;

/// A repository on GitHub.
pub struct GitHub {
    settings: Settings,
    /// The client, and the token it was made with. Held while a request is on its way, so that
    /// requests come one after the other.
    client: AsyncMutex<Option<(Option<Token>, Octocrab)>>,
    /// Who writes our comments, once asked.
    author: AsyncMutex<Option<String>>,
    counter: Mutex<Counter>,
}

impl GitHub {
    /// A client; nothing is sent yet.
    ///
    /// *Errors*: [`ForgeError::Settings`] when the address or the token cannot be used.
    pub fn new(settings: Settings) -> Result<Self, ForgeError> {
        settings.token.read()?;
        Ok(Self {
            settings,
            client: AsyncMutex::default(),
            author: AsyncMutex::default(),
            counter: Mutex::default(),
        })
    }

    /// What was asked of the forge since the start.
    pub fn counts(&self) -> Counts {
        self.counter().counts()
    }

    fn counter(&self) -> std::sync::MutexGuard<'_, Counter> {
        self.counter
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl std::fmt::Debug for GitHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitHub")
            .field("api", &self.settings.api)
            .field("repository", &self.settings.repository)
            .finish_non_exhaustive()
    }
}
