//! Making a `RepositoryError` of what gix and the disk said.

use stratum_core::ports::RepositoryError;

use crate::weighed::too_large;

/// For `map_err`: `doing` is an infinitive, for example "read `refs/heads/main`".
pub(crate) fn git<E>(doing: impl Into<String>) -> impl FnOnce(E) -> RepositoryError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let doing = doing.into();
    move |source| {
        let source = source.into();
        match too_large(source.as_ref()) {
            Some(found) => RepositoryError::TooLarge {
                what: format!("the {} `{}`", found.kind, found.id),
                bytes: found.bytes,
                most: found.most,
            },
            None => RepositoryError::Git { doing, source },
        }
    }
}
