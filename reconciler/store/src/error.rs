//! What can go wrong inside, and what it is called outside.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use stratum_core::ports::StoreError;
use thiserror::Error;

/// Why a statement or a row did not work.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The database said no.
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
    /// A row holds what this version cannot read.
    #[error("{what} cannot be read")]
    Row {
        /// Which row.
        what: String,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A value has no JSON form.
    #[error("a value cannot be written as JSON")]
    Value(#[source] serde_json::Error),
    /// A rule of the store refuses it.
    #[error(transparent)]
    Refused(#[from] StoreError),
}

/// Primary result codes. *Source*: <https://www.sqlite.org/rescode.html>.
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const NOT_A_DATABASE: i32 = 26;

impl Failure {
    /// The error of the port: what was being done, with which file.
    pub(crate) fn outside(self, path: &Path, doing: &'static str) -> StoreError {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Row { what, source } => StoreError::Damaged {
                path: path.display().to_string(),
                what: format!("{what} cannot be read ({source})"),
            },
            Self::Value(source) => StoreError::Database {
                doing,
                source: Box::new(source),
            },
            Self::Database(source) => match primary_code(&source) {
                Some(CORRUPT) => damaged(path, "its pages do not fit together"),
                Some(NOT_A_DATABASE) => damaged(path, "it is not an SQLite database"),
                Some(FULL) => StoreError::Full { doing },
                Some(_) | None => StoreError::Database {
                    doing,
                    source: Box::new(source),
                },
            },
        }
    }
}

/// The error for a file that is damaged.
pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        path: path.display().to_string(),
        what: what.into(),
    }
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// The JSON form of a value.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(Failure::Value)
}

/// The value of a stored JSON form; `what` names the row when it cannot be read.
pub(crate) fn from_json<T: DeserializeOwned>(
    text: &str,
    what: impl FnOnce() -> String,
) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|source| unreadable(what(), source))
}

/// The failure of a row that cannot be read.
pub(crate) fn unreadable(
    what: String,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Failure {
    Failure::Row {
        what,
        source: source.into(),
    }
}
