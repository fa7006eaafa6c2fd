//! Making a `RepositoryError` of what gix and the disk said.

use stratum_core::ports::RepositoryError;

/// For `map_err`: `doing` is an infinitive, for example "read `refs/heads/main`".
pub(crate) fn git<E>(doing: impl Into<String>) -> impl FnOnce(E) -> RepositoryError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let doing = doing.into();
    move |source| RepositoryError::Git {
        doing,
        source: source.into(),
    }
}
