//! The state, for whoever only reads: opened with their own identity.

use std::path::Path;
use std::sync::Arc;

use stratum_core::ports::SecretStore;
use stratum_seal::keeper::{Keeper, Unsealing};
use stratum_store::{Access, SqliteStore};

use crate::crypto::crypto;
use crate::error::chain;
use crate::keys;

/// Why the reconciler is sealed, and what brings it to life.
pub(crate) const SEALED: &str =
    "it has no identity: `stratum secrets unseal` gives it one, or start it with `--identity FILE`";

/// The state, for a command that reads: what is wrapped is read with the identity of whoever asks,
/// where they have one that opens it; else it stays closed, and the command says so.
pub async fn readable(store: SqliteStore, path: &Path) -> SqliteStore {
    match keys::identity_path(None) {
        Some(identity) => readable_with(store, path, &identity).await,
        None => store,
    }
}

/// The same, with the identity of this file.
pub async fn readable_with(store: SqliteStore, path: &Path, identity: &Path) -> SqliteStore {
    let wrapped = matches!(store.keys().await, Ok(keys) if !keys.is_empty());
    let Some(crypto) = wrapped.then(crypto).and_then(Result::ok) else {
        return store;
    };
    let Ok(identities) = keys::identities_of(&crypto, identity) else {
        return store;
    };
    let Ok(second) = SqliteStore::open(path, Access::ReadOnly).await else {
        return store;
    };
    let keys: Arc<dyn SecretStore> = Arc::new(second);
    let keeper = Keeper::new(crypto, SEALED);
    keeper.attach(&keys);
    let by = Unsealing::by("file");
    if let Err(error) = keeper.unseal(identities, by, jiff::Timestamp::now()).await {
        tracing::warn!(error = %chain(&error), "the state stays sealed");
    }
    store.wrapped_by(Arc::new(keeper))
}
