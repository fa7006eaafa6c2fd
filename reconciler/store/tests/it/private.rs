//! A state that others could have laid there, or could change, is not written.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use stratum_core::ports::StoreError;
use stratum_store::{Access, SqliteStore};

use crate::support::open;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

async fn refused(path: &Path) {
    let opened = SqliteStore::open(path, Access::ReadWrite).await;
    assert!(
        matches!(opened, Err(StoreError::Unsafe { .. })),
        "{opened:?}"
    );
}

#[tokio::test]
async fn a_new_state_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/state.db");
    let store = open(&path).await;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert_eq!(mode(&path), 0o600);
    store.close().await;
}

#[tokio::test]
async fn a_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim.db");
    open(&victim).await.close().await;
    let before = fs::read(&victim).unwrap();
    let path = folder.path().join("state.db");
    symlink(&victim, &path).unwrap();
    refused(&path).await;
    fs::remove_file(&path).unwrap();
    open(&path).await.close().await;
    symlink(&victim, folder.path().join("state.db-wal")).unwrap();
    refused(&path).await;
    assert_eq!(fs::read(&victim).unwrap(), before);
}

#[tokio::test]
async fn a_state_that_others_may_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    open(&path).await.close().await;
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    set(&path, 0o666).unwrap();
    refused(&path).await;
    set(&path, 0o600).unwrap();
    set(folder.path(), 0o777).unwrap();
    refused(&path).await;
    // As `/tmp`: others may put files there, and not in place of ours.
    set(folder.path(), 0o1777).unwrap();
    open(&path).await.close().await;
}

#[tokio::test]
async fn a_state_of_another_user_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    open(&path).await.close().await;
    if std::os::unix::fs::chown(&path, Some(65_534), None).is_err() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    refused(&path).await;
    std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    std::os::unix::fs::chown(folder.path(), Some(65_534), None).unwrap();
    refused(&path).await;
}
