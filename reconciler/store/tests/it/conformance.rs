//! The suite that every store must pass.

use std::sync::Arc;

use stratum_core::ports::Store;
use stratum_store::{Access, SqliteStore};
use stratum_testkit::store::conforms;

#[tokio::test]
async fn behaves_as_a_store_must() {
    let folder = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    let make = async || {
        number.set(number.get() + 1);
        let path = folder.path().join(format!("{}.db", number.get()));
        let store = SqliteStore::open(&path, Access::ReadWrite).await?;
        Ok(Arc::new(store) as Arc<dyn Store>)
    };
    conforms(make).await.unwrap();
}
