//! The suite that every store must pass.

use std::path::Path;
use std::sync::Arc;

use stratum_core::ports::StoreError;
use stratum_store::{Access, SqliteStore};
use stratum_testkit::clock::ManualClock;
use stratum_testkit::store::{Stage, conforms, sample};

/// One state as three processes have it; whether the last one lives, nobody can tell.
pub(crate) async fn stage(
    path: &Path,
    with: impl Fn(SqliteStore) -> SqliteStore,
) -> Result<Stage, StoreError> {
    let clock = Arc::new(ManualClock::at(sample::at(0)));
    let open = async || {
        let store = SqliteStore::open(path, Access::ReadWrite).await?;
        Ok::<_, StoreError>(with(store.timed_by(clock.clone())))
    };
    let stranger = open().await?.known_as("elsewhere boot 12 lock");
    Ok(Stage::new(
        open().await?,
        open().await?,
        stranger,
        clock.clone(),
    ))
}

#[tokio::test]
async fn behaves_as_a_store_must() {
    let folder = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    let make = async || {
        number.set(number.get() + 1);
        let path = folder.path().join(format!("{}.db", number.get()));
        stage(&path, |store| store).await
    };
    conforms(make).await.unwrap();
}
